//! The embedded server: its credentials, its URLs, the HTTPS port, rotation, policies and the end of a session.

use std::time::{Duration, SystemTime};

use heron_protocol::Topic;
use heron_protocol::messages::{EndReason, IcePolicy, IceServer, RtcDown};
use heron_turn::{End, Holder, mint};
use serde_json::json;

use super::{
    again, control, control_in, is_refused, relays, run, session, session_with, turn, uclient,
    until,
};
use crate::signalling::{add_camera, call};
use crate::support::ADMIN;

#[tokio::test]
async fn both_ends_are_relayed_by_udp_tcp_and_the_https_port() {
    let control = control("").await;
    let open = session(&control).await;
    let https = control.server.https_address().port();
    let listens = control.server.turn().unwrap().local_addrs();
    let urls = [
        format!("turn:{}?transport=udp", listens[0]),
        format!("turn:{}?transport=tcp", listens[1]),
        format!("turns:127.0.0.1:{https}?transport=tcp"),
    ];
    let every_way = async |servers| {
        let turn = turn(servers);
        assert_eq!(turn.urls, urls);
        for url in &urls {
            relays(turn, url).await;
        }
    };
    // At the same time: the session is over when neither end says anything for a minute.
    tokio::join!(
        every_way(&open.viewer_servers),
        every_way(&open.device_servers)
    );
    // Both at once: the port is still the dashboard's.
    let turn = turn(&open.viewer_servers);
    let relaying = tokio::spawn(run(uclient(turn, &turn.urls[2], 200).await));
    let server = control.server.turn().unwrap();
    until("an allocation", || server.stats().allocations > 0).await;
    assert_eq!(control.client().get("/healthz").await.status, 200);
    let (is_done, said) = relaying.await.unwrap();
    assert!(is_done, "{said}");
    // What was relayed is in the session's record.
    open.viewer
        .row(|row| {
            let bytes = |of: &str| row[of].as_u64();
            let ends = [bytes("relayed_viewer_bytes"), bytes("relayed_device_bytes")];
            ends.iter().all(|end| *end >= Some(3 * 2 * 20 * 500))
                && bytes("relayed_bytes") == ends[0].zip(ends[1]).map(|(one, other)| one + other)
        })
        .await;
    control.server.stop().await;
}

#[tokio::test]
async fn the_end_of_a_viewer_ends_the_relay_and_its_credential() {
    let control = control("").await;
    let open = session(&control).await;
    let turn = turn(&open.viewer_servers);
    let url = &turn.urls[0];
    let server = control.server.turn().unwrap();
    let mut child = uclient(turn, url, 2000).await.spawn().unwrap();
    until("packets", || server.usage(open.session.as_str()) > 20_000).await;
    let signed_out = open.viewer.http.post("/api/v1/sign-out", &json!({})).await;
    assert_eq!(signed_out.status, 204, "{}", signed_out.body);
    // The issue's own bound.
    let ended = until("the relay's end", || server.stats().allocations == 0);
    tokio::time::timeout(Duration::from_secs(5), ended)
        .await
        .expect("within 5 s");
    let relayed = server.stats().bytes_relayed;
    is_refused(turn, url).await;
    assert_eq!(server.stats().bytes_relayed, relayed, "not a packet more");
    child.kill().await.unwrap();
    control.server.stop().await;
}

#[tokio::test]
async fn a_rotation_drops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let control = control_in(dir, "").await;
    let mut open = session(&control).await;
    let turn = turn(&open.viewer_servers);
    let long = tokio::spawn(run(uclient(turn, &turn.urls[0], 1000).await));
    let server = control.server.turn().unwrap();
    until("packets", || server.usage(open.session.as_str()) > 20_000).await;
    let data = control.dir.path().join("data/turn.secret");
    let before = std::fs::read_to_string(&data).unwrap();
    // As `heron-control turn rotate-secret` in another process does it.
    let file = heron_control::turn::SecretFile::open(&data).unwrap();
    file.rotate(SystemTime::now(), false).unwrap();
    assert_ne!(std::fs::read_to_string(&data).unwrap(), before);
    let (is_done, said) = long.await.unwrap();
    assert!(is_done && said.contains("Total lost packets 0"), "{said}");
    // The server has read the file: a credential of the new secret is taken, and that of the old one still is.
    let secret = control.server.turn_secret();
    until("the new secret", || secret.secrets().previous.is_some()).await;
    relays(turn, &turn.urls[0]).await;
    let holder = Holder {
        tenant: "home".into(),
        device: open.bundle.device.to_string(),
        session: open.session.to_string(),
        end: End::Viewer,
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let (now, life) = (now.unwrap().as_secs(), Duration::from_secs(60));
    let fresh = mint(&secret.secrets().current, holder, now, life);
    let fresh = IceServer {
        urls: Vec::new(),
        username: fresh.username,
        credential: fresh.password,
    };
    relays(&fresh, &turn.urls[0]).await;
    // What is minted at this moment is taken as well.
    let url = turn.urls[0].clone();
    let (_, _, next) = again(&mut open).await;
    relays(super::turn(&next), &url).await;
    control.server.stop().await;
}

#[tokio::test]
async fn a_camera_and_its_organisation_have_policies() {
    let control = control("").await;
    let admin = control.signed_in(ADMIN).await;
    let bundle = add_camera(&control).await;
    let put = async |path: &str, body: serde_json::Value| {
        let json = [("content-type", "application/json")];
        admin.send("PUT", path, &json, &body.to_string()).await
    };
    let of_camera = format!("/api/v1/cameras/{}/relay-policy", bundle.device);
    let wrong = put(&of_camera, json!({ "relay": "sometimes" })).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong
            .detail()
            .contains("direct_only, relay_only or prefer_direct")
    );
    let wrong = put(&of_camera, json!({ "max_bps": 5 })).await;
    assert!(wrong.detail().starts_with("max_bps: 5; at least 64000"));
    assert_eq!(
        control.client().get("/api/v1/relay-policy").await.status,
        401
    );

    // The organisation's holds where the camera has none of its own.
    let set = put("/api/v1/relay-policy", json!({ "relay": "relay_only" })).await;
    assert_eq!(set.json()["policy"]["relay"], "relay_only");
    let mut open = session_with(&control, bundle.clone()).await;
    open.viewer.says(&call(1), &close()).await;
    let set = put(&of_camera, json!({ "relay": "direct_only" })).await;
    assert_eq!(set.status, 200, "{}", set.body);
    open.viewer.opens(&call(2), &bundle).await;
    let told = |topic: &Topic, message: RtcDown| match message {
        RtcDown::Open {
            ice_servers,
            ice_policy,
            ..
        } => matches!(topic, Topic::RtcDown(_, id) if *id != open.session)
            .then_some((ice_servers, ice_policy)),
        _ => None,
    };
    let (servers, policy) = open.camera.hear(told).await;
    assert_eq!(policy, IcePolicy::All);
    assert!(!servers.is_empty(), "STUN is told");
    assert!(servers.iter().all(|server| server.username.is_empty()));
    control.server.stop().await;
}

#[tokio::test]
async fn a_cap_ends_a_relayed_session_and_says_so() {
    let control = control("").await;
    let mut open = session(&control).await;
    let turn = turn(&open.viewer_servers);
    let child = uclient(turn, &turn.urls[0], 4000).await.spawn().unwrap();
    let server = control.server.turn().unwrap();
    until("packets", || server.usage(open.session.as_str()) > 20_000).await;
    let admin = control.signed_in(ADMIN).await;
    let path = format!("/api/v1/cameras/{}/relay-policy", open.bundle.device);
    let json = [("content-type", "application/json")];
    let cap = json!({ "minutes_per_day": 0 }).to_string();
    assert_eq!(admin.send("PUT", &path, &json, &cap).await.status, 200);
    let (reason, detail) = open.viewer.closed().await;
    assert_eq!(reason, EndReason::Limit);
    assert_eq!(
        detail,
        "the camera's 0 relayed minutes of this day are used up"
    );
    until("the relay's end", || server.stats().allocations == 0).await;
    drop(child);
    control.server.stop().await;
}

fn close() -> heron_protocol::messages::ViewUp {
    heron_protocol::messages::ViewUp::Close {
        seq: 1,
        reason: EndReason::ViewerClosed,
        detail: String::new(),
    }
}
