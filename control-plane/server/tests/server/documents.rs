//! The documents that the binary prints, and what it tells its operator.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{ADMIN, ControlPlane};
use clap::Parser as _;
use heron_control::Cli;
use serde_json::Value;

async fn printed(command: &str) -> Value {
    let mut out = Vec::new();
    Cli::try_parse_from(["heron-control", command])
        .unwrap()
        .run(&mut out)
        .await
        .unwrap();
    serde_json::from_slice(&out).unwrap()
}

#[tokio::test]
async fn openapi_names_every_route() {
    let document = printed("openapi").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths = document["paths"].as_object().unwrap();
    let methods = |item: &Value| {
        item.as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    let routes: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, item)| {
            methods(item)
                .into_iter()
                .map(move |method| format!("{method} {path}"))
        })
        .collect();
    let expected = [
        "post /api/v1/sign-in",
        "post /api/v1/sign-out",
        "get /api/v1/me",
        "get /api/v1/audit",
        "get /api/v1/cameras",
        "post /api/v1/cameras",
        "get /api/v1/cameras/{id}",
        "delete /api/v1/cameras/{id}",
        "get /api/v1/cameras/{id}/identity",
        "post /api/v1/cameras/{id}/revoke",
        "post /api/v1/cameras/{id}/quarantine",
        "post /api/v1/cameras/{id}/release",
        "get /api/v1/cameras/{id}/connections",
        "get /api/v1/cameras/{id}/relay-policy",
        "put /api/v1/cameras/{id}/relay-policy",
        "get /api/v1/relay-policy",
        "put /api/v1/relay-policy",
        "get /api/v1/claims",
        "post /api/v1/claims",
        "delete /api/v1/claims/{id}",
        "get /api/v1/pairings/{code}",
        "post /api/v1/pairings/{code}/confirm",
        "post /api/v1/pairings/{code}/refuse",
        "get /api/v1/factory-list",
        "post /api/v1/factory-list",
        "get /api/v1/device",
        "get /api/v1/device/ice",
        "post /api/v1/browser-token",
        "get /api/v1/sessions",
        "get /api/v1/sessions/{id}",
        "post /api/v1/sessions/{id}/end",
        "get /api/v1/paths",
        "post /api/v1/self-test",
        "get /api/v1/ca.pem",
        "get /api/v1/openapi.json",
        "get /healthz",
        "get /readyz",
        "get /metrics",
    ];
    assert_eq!(routes, expected.map(str::to_owned).into());

    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text
        .split("\"#/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
    {
        assert!(
            document.pointer(&format!("/{reference}")).is_some(),
            "{reference}"
        );
    }
}

#[tokio::test]
async fn asyncapi_is_printed() {
    assert!(
        printed("asyncapi").await["asyncapi"]
            .as_str()
            .unwrap()
            .starts_with("3.")
    );
}

#[tokio::test]
async fn readiness_waits_for_signalling_and_figures_are_for_this_machine() {
    let control = ControlPlane::start().await;
    let client = control.client();
    let ready = async {
        while client.get("/readyz").await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), ready)
        .await
        .unwrap();
    let metrics = client.get("/metrics").await.body;
    for name in [
        "heron_sessions 0",
        "heron_broker_cameras 0",
        "heron_turn_allocations 0",
    ] {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    let served = client.get("/api/v1/openapi.json").await.json();
    assert_eq!(served, printed("openapi").await);
    control.server.stop().await;
}

#[tokio::test]
async fn sessions_are_listed_newest_first_and_a_restart_ends_them() {
    use heron_control::Server;
    use heron_control::signalling::{Ends, PathKind, Phases, SessionRecord};

    let ControlPlane { server, dir } = ControlPlane::start().await;
    let people = server.home().store.people.list().await.unwrap();
    let log = server.home().store.session_log();
    let mut record = SessionRecord {
        session: heron_protocol::SessionId::from_bits(1),
        tenant: server.home().tenant.clone(),
        camera: "front-door-01".parse().unwrap(),
        person: people[0].id.clone(),
        browser: "browser-01".parse().unwrap(),
        opened_ms: 1_000,
        ended_ms: None,
        path: None,
        ends: Ends::default(),
        restarts: 0,
        phases: Phases::default(),
        bytes: 0,
        end: None,
        end_reason: None,
    };
    log.opened(&record).await.unwrap();
    record.path = Some(PathKind::Relay);
    record.phases.first_frame_ms = Some(187.5);
    record.bytes = 4096;
    record.ended_ms = Some(2_000);
    record.end_reason = Some("the viewer left".to_owned());
    log.ended(&record).await.unwrap();
    let open = SessionRecord {
        session: heron_protocol::SessionId::from_bits(2),
        opened_ms: 3_000,
        ended_ms: None,
        ..record
    };
    log.opened(&open).await.unwrap();
    server.stop().await;

    let server = Server::start(crate::support::config(dir.path()))
        .await
        .unwrap();
    let control = ControlPlane { server, dir };
    let admin = control.signed_in(ADMIN).await;
    let sessions = admin
        .get("/api/v1/sessions?camera=front-door-01")
        .await
        .json();
    let sessions = sessions["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2);
    assert_eq!(
        sessions[0]["id"].as_str().unwrap(),
        "00000000000000000000000000000002"
    );
    assert_eq!(sessions[0]["end_reason"], "the control plane was restarted");
    assert!(sessions[0]["ended_ms"].is_i64());
    assert_eq!(
        (&sessions[1]["path"], &sessions[1]["bytes"]),
        (&"relayed".into(), &4096.into())
    );
    assert_eq!(sessions[1]["phases"]["first_frame_ms"], 187.5);
    assert_eq!(sessions[1]["end_reason"], "the viewer left");
    assert_eq!(sessions[1]["person_name"], "Ada");
    assert_eq!(
        admin.get("/api/v1/sessions?camera=other").await.json()["sessions"],
        serde_json::json!([])
    );
    let bad = admin.get("/api/v1/sessions?limit=many").await;
    assert_eq!(bad.status, 400);
    assert!(bad.detail().contains("limit"), "{}", bad.body);
    control.server.stop().await;
}

#[tokio::test]
async fn sessions_tell_how_they_found_their_way() {
    use heron_control::signalling::{Ends, PathKind, Phases, SessionRecord};
    use heron_control::turn::Relayed;
    use heron_protocol::SessionId;
    use heron_protocol::messages::{CandidateKind, CandidatePair, EndReason, PairState, Path};

    const RELAY: &str = "turns:relay.example:443?transport=tcp";
    let control = ControlPlane::start().await;
    let home = control.server.home();
    let log = home.store.session_log();
    let path = Path {
        local: CandidateKind::Relay,
        remote: CandidateKind::Srflx,
        protocol: "udp".to_owned(),
        local_address: Some("192.0.2.1:4000".to_owned()),
        remote_address: None,
        relay: Some(RELAY.to_owned()),
    };
    let record = |number: u128, kind, first_frame_ms, end| SessionRecord {
        session: SessionId::from_bits(number),
        tenant: home.tenant.clone(),
        camera: "front-door-01".parse().unwrap(),
        person: "ada".to_owned(),
        browser: "browser-01".parse().unwrap(),
        opened_ms: 1_000,
        ended_ms: Some(2_000),
        path: kind,
        ends: Ends::default(),
        restarts: 0,
        phases: Phases {
            first_frame_ms,
            ..Phases::default()
        },
        bytes: 0,
        end: Some(end),
        end_reason: None,
    };
    for number in 1..=100 {
        let took = Some(f64::from(u32::try_from(number).unwrap()));
        let direct = record(number, Some(PathKind::Host), took, EndReason::ViewerClosed);
        log.ended(&direct).await.unwrap();
    }
    let relayed = SessionRecord {
        ends: Ends {
            device: Some(path.clone()),
            pairs: vec![CandidatePair {
                path,
                state: PairState::Succeeded,
                chosen: true,
            }],
            ..Ends::default()
        },
        restarts: 2,
        ..record(
            200,
            Some(PathKind::Relay),
            Some(900.0),
            EndReason::ViewerVanished,
        )
    };
    log.ended(&relayed).await.unwrap();
    let carried = Relayed {
        viewer: 0,
        device: 5_000,
    };
    home.store
        .relay_policies
        .relayed(&relayed.session, carried)
        .await
        .unwrap();
    // The camera's last figures come after the TURN server's.
    log.updated(&relayed).await.unwrap();
    log.ended(&record(201, None, None, EndReason::NoPath))
        .await
        .unwrap();

    let admin = control.signed_in(ADMIN).await;
    let detail = admin
        .get(&format!("/api/v1/sessions/{}", relayed.session))
        .await
        .json();
    assert_eq!(detail["kind"], "relay");
    assert_eq!(
        (&detail["relay"], &detail["restarts"]),
        (&RELAY.into(), &2.into())
    );
    assert_eq!(detail["relayed_bytes"], 5_000);
    assert_eq!(detail["end"], "viewer_vanished");
    assert_eq!(detail["pairs"][0]["local"], "relay");
    assert_eq!(
        (&detail["pairs"][0]["state"], &detail["pairs"][0]["chosen"]),
        (&"succeeded".into(), &true.into())
    );
    for nobody in ["0", "00000000000000000000000000000000"] {
        let missing = admin.get(&format!("/api/v1/sessions/{nobody}")).await;
        assert_eq!(missing.status, 404);
    }

    let paths = admin.get("/api/v1/paths?since_ms=1000").await.json();
    assert_eq!(
        (&paths["sessions"], &paths["shown"]),
        (&102.into(), &101.into())
    );
    assert_eq!(paths["kinds"][0]["kind"], "host");
    assert_eq!(
        paths["kinds"][0]["first_frame_ms"],
        serde_json::json!({"p50": 50.0, "p95": 95.0, "p99": 99.0})
    );
    assert_eq!(paths["kinds"][1]["sessions"], 1);
    let share = paths["relayed_share"].as_f64().unwrap();
    assert!((share - 1.0 / 101.0).abs() < 1e-9, "{share}");
    assert_eq!(
        paths["relays"],
        serde_json::json!([{"url": RELAY, "sessions": 1}])
    );
    assert_eq!(
        paths["failures"],
        serde_json::json!([
            {"reason": "no_path", "sessions": 1, "before_picture": 1},
            {"reason": "viewer_vanished", "sessions": 1, "before_picture": 0},
        ])
    );
    assert_eq!(
        (&paths["restarts"], &paths["relayed_bytes"]),
        (&2.into(), &5_000.into())
    );
    let none = admin.get("/api/v1/paths?since_ms=1001").await.json();
    assert_eq!(
        (&none["sessions"], &none["relayed_share"]),
        (&0.into(), &Value::Null)
    );
    let other = admin.get("/api/v1/paths?camera=back-door-01").await.json();
    assert_eq!(other["sessions"], 0);
    control.server.stop().await;
}

#[tokio::test]
async fn a_browser_gets_servers_to_test_its_network_with() {
    let control = ControlPlane::start().await;
    let stranger = control
        .client()
        .post("/api/v1/self-test", &Value::Null)
        .await;
    assert_eq!(stranger.status, 401);
    let viewer = control.signed_in(crate::support::VIEWER).await;
    let test = viewer.post("/api/v1/self-test", &Value::Null).await.json();
    assert_eq!(test["expires_in_s"], 60);
    let servers = test["ice_servers"].as_array().unwrap();
    let turn = servers
        .iter()
        .find(|server| server["urls"][0].as_str().unwrap().starts_with("turn:"))
        .unwrap();
    let name = turn["username"].as_str().unwrap();
    assert!(name.contains(".self-test."), "{name}");
    assert!(!turn["credential"].as_str().unwrap().is_empty());
    control.server.stop().await;
}
