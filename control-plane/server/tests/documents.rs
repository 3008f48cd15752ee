//! The documents that the binary prints, and what it tells its operator.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Parser as _;
use heron_control::Cli;
use serde_json::Value;
use support::{ADMIN, ControlPlane};

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
        "get /api/v1/cameras",
        "post /api/v1/cameras",
        "get /api/v1/cameras/{id}",
        "delete /api/v1/cameras/{id}",
        "get /api/v1/cameras/{id}/identity",
        "post /api/v1/cameras/{id}/revoke",
        "post /api/v1/cameras/{id}/quarantine",
        "post /api/v1/cameras/{id}/release",
        "get /api/v1/cameras/{id}/connections",
        "get /api/v1/claims",
        "post /api/v1/claims",
        "delete /api/v1/claims/{id}",
        "get /api/v1/pairings/{code}",
        "post /api/v1/pairings/{code}/confirm",
        "post /api/v1/pairings/{code}/refuse",
        "get /api/v1/factory-list",
        "post /api/v1/factory-list",
        "get /api/v1/device",
        "post /api/v1/browser-token",
        "get /api/v1/sessions",
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
    use heron_control::signalling::{Phases, SessionRecord};

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
        phases: Phases::default(),
        bytes: 0,
        end_reason: None,
    };
    log.opened(&record).await.unwrap();
    record.path = Some("relayed".to_owned());
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

    let server = Server::start(support::config(dir.path())).await.unwrap();
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
