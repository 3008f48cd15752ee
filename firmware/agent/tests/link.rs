//! The link against a real broker: presence, will, resume, restart, bad messages.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "link/network.rs"]
mod network;
#[path = "link/reach.rs"]
mod reach;
mod support;

use std::time::{Duration, Instant};

use heron_agent::{Down, Link, Status};
use heron_protocol::messages::{
    EndReason, Offline, ReportedState, RtcDown, RtcUp, Section, Telemetry,
};
use heron_protocol::{DeviceId, SessionId, Topic, encode};
use serde_json::json;
use support::{Authority, Broker, DEVICE, Observer, PATIENCE, SESSION, Tap, config, until};

fn device() -> DeviceId {
    DEVICE.parse().unwrap()
}

fn session() -> SessionId {
    SESSION.parse().unwrap()
}

fn close(seq: u32) -> RtcDown {
    RtcDown::Close {
        seq,
        reason: EndReason::ViewerClosed,
    }
}

fn state(value: serde_json::Value) -> ReportedState {
    let serde_json::Value::Object(state) = value else {
        panic!("not an object");
    };
    ReportedState {
        rev: 0,
        state,
        errors: serde_json::Map::new(),
    }
}

async fn next(down: &mut tokio::sync::mpsc::Receiver<Down>) -> Down {
    let down = tokio::time::timeout(PATIENCE, down.recv()).await;
    down.expect("nothing arrived").expect("the link ended")
}

#[tokio::test]
async fn presence_is_retained_from_the_first_connection_to_the_goodbye() {
    let authority = Authority::new();
    let broker = Broker::start(&authority);
    let mut observer = Observer::start(&authority, broker.port).await;
    let (link, _down) = Link::start(config(authority.bundle(DEVICE, broker.port)));

    let online = observer.presence().await;
    assert!(online.online);
    assert_eq!(
        (online.boot_id.as_str(), online.firmware.as_str()),
        ("boot-1", "1.2.3")
    );
    assert_eq!(online.seq, 1000);

    link.publish_rtc(
        session(),
        &RtcUp::Closed {
            seq: 0,
            reason: EndReason::CameraShutdown,
            detail: String::new(),
            stats: None,
        },
    )
    .unwrap();
    let started = Instant::now();
    link.stop(Offline::Shutdown).await;
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(*link.status().borrow(), Status::Stopped);

    // What was queued before the stop still left, before the goodbye.
    observer
        .next(|seen| matches!(seen.topic, Topic::RtcUp(..)).then_some(()))
        .await;
    let offline = observer.presence().await;
    assert_eq!(
        (offline.online, offline.reason),
        (false, Some(Offline::Shutdown))
    );
    assert!(offline.seq > online.seq);

    // The will would say "connection lost", and comes at once when it comes: a newcomer sees who was last.
    let mut newcomer = Observer::start(&authority, broker.port).await;
    let (retained, presence) = newcomer
        .next(|seen| {
            Some((
                seen.retained,
                heron_protocol::decode::<heron_protocol::messages::Presence>(&seen.body),
            ))
        })
        .await;
    assert!(retained);
    assert_eq!(presence.unwrap().reason, Some(Offline::Shutdown));
}

#[tokio::test]
async fn a_camera_that_loses_power_is_reported_by_its_will() {
    let authority = Authority::new();
    let broker = Broker::start(&authority);
    let mut observer = Observer::start(&authority, broker.port).await;
    let tap = Tap::open(broker.port).await;
    let (_link, _down) = Link::start(config(authority.bundle(DEVICE, tap.port)));
    let online = observer.presence().await;

    drop(tap);
    let will = observer.presence().await;
    assert_eq!(
        (will.online, will.reason),
        (false, Some(Offline::ConnectionLost))
    );
    assert!(will.seq > online.seq);
    assert_eq!(will.boot_id, online.boot_id);
}

#[tokio::test]
async fn a_short_break_loses_no_message() {
    let authority = Authority::new();
    let broker = Broker::start(&authority);
    let observer = Observer::start(&authority, broker.port).await;
    let tap = Tap::open(broker.port).await;
    let port = tap.port;
    let (link, mut down) = Link::start(config(authority.bundle(DEVICE, port)));
    until(&link, Status::Online).await;

    drop(tap);
    until(&link, Status::Offline).await;
    let topic = Topic::RtcDown(device(), session());
    observer.publish(&topic, encode(&close(7)).unwrap()).await;

    let _tap = Tap::open_on(port, broker.port).await;
    assert_eq!(
        next(&mut down).await,
        Down::Rtc {
            session: session(),
            message: close(7)
        }
    );
}

#[tokio::test]
async fn a_broker_that_restarts_knows_everything_again_within_five_seconds() {
    let authority = Authority::new();
    let mut broker = Broker::start(&authority);
    let (link, mut down) = Link::start(config(authority.bundle(DEVICE, broker.port)));
    let reported = state(json!({"source": "pattern"}));
    link.publish_state(Section::Video, &reported).unwrap();
    until(&link, Status::Online).await;

    broker.kill();
    until(&link, Status::Offline).await;
    link.publish_tele(&Telemetry::default()).unwrap();
    broker.restart();
    let returned = Instant::now();

    let mut observer = Observer::start(&authority, broker.port).await;
    assert!(observer.presence().await.online);
    let took = returned.elapsed();
    assert!(
        took < Duration::from_secs(5),
        "presence was right only after {took:?}"
    );

    // The broker forgot what was retained; it is told again.
    let body = observer
        .next(|seen| {
            matches!(seen.topic, Topic::ReportedState(_, Section::Video)).then(|| seen.body.clone())
        })
        .await;
    assert_eq!(
        heron_protocol::decode::<ReportedState>(&body).unwrap(),
        reported
    );

    // And it forgot the subscription.
    until(&link, Status::Online).await;
    let topic = Topic::RtcDown(device(), session());
    observer.publish(&topic, encode(&close(1)).unwrap()).await;
    assert!(matches!(next(&mut down).await, Down::Rtc { .. }));
}

#[tokio::test]
async fn messages_travel_as_the_table_says() {
    let authority = Authority::new();
    let broker = Broker::start(&authority);
    let mut observer = Observer::start(&authority, broker.port).await;
    let (link, mut down) = Link::start(config(authority.bundle(DEVICE, broker.port)));
    until(&link, Status::Online).await;

    link.publish_tele(&Telemetry::default()).unwrap();
    let expiry = observer
        .next(|seen| matches!(seen.topic, Topic::Telemetry(_)).then_some(seen.expiry_s))
        .await;
    assert!((100..=120).contains(&expiry.unwrap()), "{expiry:?}");

    let desired = Topic::DesiredState(device(), Section::Audio);
    observer
        .publish(&desired, br#"{"rev": 2, "state": {"channels": 2}}"#)
        .await;
    let Down::State { section, desired } = next(&mut down).await else {
        panic!("not a state");
    };
    assert_eq!((section, desired.rev), (Section::Audio, 2));
}

#[tokio::test]
async fn a_message_that_breaks_the_rules_is_counted_and_the_next_one_arrives() {
    let authority = Authority::new();
    let broker = Broker::start(&authority);
    let observer = Observer::start(&authority, broker.port).await;
    let (link, mut down) = Link::start(config(authority.bundle(DEVICE, broker.port)));
    until(&link, Status::Online).await;

    let topic = Topic::RtcDown(device(), session());
    observer.publish(&topic, "not json").await;
    observer.publish(&topic, vec![b'x'; 50_000]).await;
    observer.publish(&topic, encode(&close(9)).unwrap()).await;
    assert!(matches!(next(&mut down).await, Down::Rtc { message, .. } if message.seq() == 9));
    assert_eq!(link.refused(), 2);
    assert_eq!(*link.status().borrow(), Status::Online);
}

#[tokio::test]
async fn a_stop_without_a_broker_does_not_wait_for_one() {
    let authority = Authority::new();
    let (link, _down) = Link::start(config(authority.bundle(DEVICE, 1)));
    let started = Instant::now();
    link.stop(Offline::Shutdown).await;
    assert!(started.elapsed() < Duration::from_secs(1));
}
