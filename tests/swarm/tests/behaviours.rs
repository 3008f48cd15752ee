//! Ten cameras of each odd behaviour, each with a valid identity, against a whole control plane: what the two good
//! cameras beside them, the person at the dashboard and the operator's metrics notice of it.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use heron_protocol::messages::{EndReason, ViewDown};
use heron_swarm::Behaviour;
use support::{Neighbourhood, ODD};

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_nobody_elses_trouble() {
    let mut neighbourhood = Neighbourhood::with(Behaviour::Flood).await;
    neighbourhood
        .counted("flood", |counted| counted.sent > 2_000)
        .await;
    neighbourhood.good_cameras_notice_nothing().await;
    // It went on all the while.
    let before = neighbourhood.swarm.figures().counted().borrow().sent;
    neighbourhood
        .counted("more of it", |counted| counted.sent > before + 2_000)
        .await;
    neighbourhood.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_speaks_is_let_go_and_holds_nobody_up() {
    let mut neighbourhood = Neighbourhood::with(Behaviour::Silence).await;
    neighbourhood.good_cameras_notice_nothing().await;
    neighbourhood
        .counted("end of silence", |counted| counted.closed >= ODD as u64)
        .await;
    assert_eq!(neighbourhood.metric("heron_broker_cameras").await, 2);
    neighbourhood.good_cameras_notice_nothing().await;
    neighbourhood.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_with_the_wrong_time_is_online_by_ours_and_refuses_grants_with_a_reason() {
    let mut neighbourhood = Neighbourhood::with(Behaviour::ClockSkew).await;
    let skewed = neighbourhood.odd[0].device().clone();
    let said = neighbourhood.watch(&skewed).await;
    assert!(
        matches!(
            &said,
            ViewDown::Closed { reason: EndReason::GrantRefused, detail, .. }
                if detail.contains("expired")
        ),
        "{said:?}"
    );
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let soon = u64::try_from(now.as_millis()).unwrap() + 60_000;
    let shown = &neighbourhood.odd_cameras().await[0];
    assert_eq!(shown["online"], true);
    assert!(shown["since_ms"].as_u64().unwrap() < soon, "{shown}");
    neighbourhood.good_cameras_notice_nothing().await;
    neighbourhood.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_shard_is_refused_and_counted_each_time() {
    let mut neighbourhood = Neighbourhood::with(Behaviour::WrongShard).await;
    let each_twice = 2 * ODD as u64;
    neighbourhood
        .counted("refusal", |counted| counted.refused > each_twice)
        .await;
    let publishes = neighbourhood
        .metric("heron_broker_refused_publishes_total")
        .await;
    let subscribes = neighbourhood
        .metric("heron_broker_refused_subscribes_total")
        .await;
    assert!(publishes >= ODD as u64, "{publishes}");
    assert_eq!(subscribes, ODD as u64);
    for camera in neighbourhood.odd_cameras().await {
        assert_eq!(camera["online"], false, "{camera}");
    }
    neighbourhood.good_cameras_notice_nothing().await;
    neighbourhood.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_throw_each_other_out_and_nobody_else() {
    let mut neighbourhood = Neighbourhood::with(Behaviour::Duplicate).await;
    neighbourhood
        .counted("takeover", |counted| counted.odd_lost >= 2 * ODD as u64)
        .await;
    neighbourhood.good_cameras_notice_nothing().await;
    neighbourhood.stop().await;
}
