//! Video sessions, how they found their way, and what may be relayed.

use std::time::Duration;

use heron_control::signalling::{Ends, PathKind, Phases, SessionRecord};
use heron_control::store::PathScope;
use heron_control::turn::{Account, AccountDay, RelayMode, RelayPolicy, Relayed};
use heron_protocol::messages::EndReason;

use crate::Place;
use crate::cameras::{camera, device, home};
use crate::people::account;

fn record(number: u32) -> SessionRecord {
    SessionRecord {
        session: format!("{number:032x}").parse().unwrap(),
        tenant: home(),
        camera: device(1),
        person: "p1".to_owned(),
        browser: format!("{number:016x}").parse().unwrap(),
        opened_ms: 1_000 + i64::from(number),
        ended_ms: None,
        path: None,
        ends: Ends::default(),
        restarts: 0,
        phases: Phases::default(),
        bytes: 0,
        end: None,
        end_reason: None,
    }
}

pub async fn a_session_is_written_and_read_back(place: &Place) {
    let store = place.open().await;
    store.people.add(&account("p1", "Ada")).await.unwrap();
    store.cameras.add(&camera(1)).await.unwrap();
    let log = store.session_log();
    log.opened(&record(1)).await.unwrap();
    log.opened(&record(2)).await.unwrap();
    let ended = SessionRecord {
        ended_ms: Some(9_000),
        path: Some(PathKind::Reflexive),
        restarts: 2,
        phases: Phases {
            first_frame_ms: Some(171.25),
            ..Phases::default()
        },
        bytes: 3_000_000_000,
        end: Some(EndReason::ViewerClosed),
        end_reason: Some("the viewer left".to_owned()),
        ..record(1)
    };
    log.ended(&ended).await.unwrap();
    let relayed = Relayed {
        viewer: 4_000,
        device: 5_000_000_000,
    };
    store
        .relay_policies
        .relayed(&record(1).session, relayed)
        .await
        .unwrap();

    let one = store
        .video_sessions
        .one(&home(), &record(1).session)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(one.record, ended);
    assert_eq!(
        (one.camera_name.as_deref(), one.person_name.as_deref()),
        (Some("Camera 1"), Some("Ada"))
    );
    assert_eq!(one.relayed_ends, Some(relayed));
    assert_eq!(one.relayed_bytes, Some(relayed.total()));
    let newest = store
        .video_sessions
        .recent(&home(), Some(device(1).as_str()), true, 9)
        .await
        .unwrap();
    let newest: Vec<_> = newest.into_iter().map(|row| row.record).collect();
    assert_eq!(newest, [record(2)], "the other one has ended");
    let strangers = "other".parse().unwrap();
    assert_eq!(
        store
            .video_sessions
            .recent(&strangers, None, false, 9)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        store
            .video_sessions
            .one(&strangers, &record(1).session)
            .await
            .unwrap(),
        None
    );

    assert_eq!(
        store
            .video_sessions
            .end_open(9_500, "restarted")
            .await
            .unwrap(),
        1
    );
    let left = store
        .video_sessions
        .one(&home(), &record(2).session)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (left.record.ended_ms, left.record.end_reason.as_deref()),
        (Some(9_500), Some("restarted"))
    );
}

pub async fn paths_are_counted_by_rank(place: &Place) {
    let store = place.open().await;
    let log = store.session_log();
    for number in 1..=100 {
        let shown = Phases {
            first_frame_ms: Some(f64::from(number)),
            ..Phases::default()
        };
        log.opened(&SessionRecord {
            path: Some(PathKind::Host),
            phases: shown,
            restarts: 1,
            ..record(number)
        })
        .await
        .unwrap();
    }
    let failed = SessionRecord {
        path: Some(PathKind::Relay),
        end: Some(EndReason::NoPath),
        ..record(101)
    };
    log.opened(&failed).await.unwrap();
    store
        .relay_policies
        .relayed(
            &failed.session,
            Relayed {
                viewer: 1,
                device: 2,
            },
        )
        .await
        .unwrap();

    let tenant = home();
    let scope = PathScope {
        tenant: &tenant,
        camera: None,
        since_ms: 0,
    };
    let totals = store.paths.totals(scope).await.unwrap();
    assert_eq!(
        (
            totals.sessions,
            totals.shown,
            totals.restarts,
            totals.relayed_bytes
        ),
        (101, 100, 100, 3)
    );
    let kinds = store.paths.by_kind(scope).await.unwrap();
    assert_eq!(
        (kinds[0].kind, kinds[0].first_frame_ms),
        (PathKind::Host, Some([50.0, 95.0, 99.0]))
    );
    assert_eq!(
        (kinds[1].kind, kinds[1].sessions, kinds[1].first_frame_ms),
        (PathKind::Relay, 1, None)
    );
    let failures = store.paths.failures(scope).await.unwrap();
    assert_eq!(
        (
            &*failures[0].reason,
            failures[0].sessions,
            failures[0].before_picture
        ),
        ("no_path", 1, 1)
    );
    let nothing = PathScope {
        camera: Some("camera-0009"),
        ..scope
    };
    assert_eq!(store.paths.totals(nothing).await.unwrap().sessions, 0);
    assert_eq!(store.paths.by_relay(scope).await.unwrap(), []);
}

pub async fn a_policy_goes_with_its_camera(place: &Place) {
    let store = place.open().await;
    store.cameras.add(&camera(1)).await.unwrap();
    let (ours, all) = (Account::Camera(device(1)), Account::Tenant(home()));
    let policy = RelayPolicy {
        relay: Some(RelayMode::RelayOnly),
        max_bps: Some(2_000_000),
        ..RelayPolicy::default()
    };
    store
        .relay_policies
        .set(&ours, &RelayPolicy::default(), 1_000)
        .await
        .unwrap();
    store
        .relay_policies
        .set(&ours, &policy, 2_000)
        .await
        .unwrap();
    store
        .relay_policies
        .set(
            &all,
            &RelayPolicy {
                minutes_per_day: Some(60),
                ..RelayPolicy::default()
            },
            1_000,
        )
        .await
        .unwrap();
    assert_eq!(store.relay_policies.get(&ours).await.unwrap(), policy);
    let today = "2026-11-23".parse().unwrap();
    let day = |minutes: u64| AccountDay {
        account: ours.clone(),
        day: today,
        relayed: Duration::from_secs(60 * minutes),
    };
    store.relay_policies.write_days(&[day(1)]).await.unwrap();
    store.relay_policies.write_days(&[day(2)]).await.unwrap();

    store
        .cameras
        .remove(&home(), device(1).as_str(), 3_000)
        .await
        .unwrap();
    assert_eq!(
        store.relay_policies.get(&ours).await.unwrap(),
        RelayPolicy::default(),
        "a new one of its name is new"
    );
    let left = store.relay_policies.all().await.unwrap();
    assert_eq!((left.cameras.len(), left.tenants.len()), (0, 1));
    let days = store.relay_policies.relayed_days(today).await.unwrap();
    assert_eq!(days.len(), 1, "what was relayed stays on record");
    assert_eq!(days[0].relayed, Duration::from_secs(120));
}
