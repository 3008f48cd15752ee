//! A session's signalling through everything that is real: broker, certificates, tokens, WebSocket, store.

use crate::support::mqtt::{PATIENCE, Peer};
use crate::support::{ADMIN, Client, ControlPlane, VIEWER};
use heron_control::identity::Bundle;
use heron_protocol::grant::{GrantVerifier, Right};
use heron_protocol::messages::{
    CameraUpdate, Candidate, CandidateKind, EndReason, Path, Presence, RtcDown, RtcUp,
    SessionStats, ViewDown, ViewUp, ViewerPhases, ViewerStats,
};
use heron_protocol::{BrowserId, CallId, SessionId, TenantId, Topic, VerifyingKey};
use serde_json::{Value, json};

const OFFER: &str = "v=0\r\na=fingerprint:sha-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD\r\n";

pub(crate) fn presence() -> Presence {
    Presence {
        online: true,
        reason: None,
        boot_id: "boot".into(),
        firmware: "1.2.3".into(),
        slot: None,
        last_reason: None,
        seq: 1,
        at_ms: 0,
    }
}

/// A viewer's browser and its part of the topic tree.
pub(crate) struct Viewer {
    pub(crate) peer: Peer,
    pub(crate) http: Client,
    pub(crate) tenant: TenantId,
    pub(crate) browser: BrowserId,
}

impl Viewer {
    pub(crate) async fn of(control: &ControlPlane) -> Self {
        let http = control.signed_in(VIEWER).await;
        let token = http.post("/api/v1/browser-token", &json!({})).await.json();
        let text = |field: &str| token[field].as_str().unwrap().to_owned();
        let (tenant, browser) = (
            text("tenant").parse().unwrap(),
            text("browser").parse().unwrap(),
        );
        let peer = Peer::browser(
            http.clone(),
            control.server.url(),
            &tenant,
            &browser,
            &text("token"),
        )
        .await;
        Self {
            peer,
            http,
            tenant,
            browser,
        }
    }

    pub(crate) fn topic(&self, call: &CallId) -> Topic {
        Topic::ViewUp(self.tenant.clone(), self.browser.clone(), call.clone())
    }

    pub(crate) async fn says(&self, call: &CallId, message: &ViewUp) {
        self.peer.say(&self.topic(call), message).await;
    }

    pub(crate) async fn opens(&self, call: &CallId, bundle: &Bundle) {
        let rights = vec![Right::View, Right::Listen];
        let open = ViewUp::Open {
            seq: 0,
            camera: bundle.device.clone(),
            offer: OFFER.into(),
            rights,
        };
        self.says(call, &open).await;
    }

    pub(crate) async fn closed(&mut self) -> (EndReason, String) {
        let closed = |_: &Topic, message: ViewDown| match message {
            ViewDown::Closed { reason, detail, .. } => Some((reason, detail)),
            _ => None,
        };
        self.peer.hear(closed).await
    }

    /// The newest row of the session log, once it is as wanted.
    pub(crate) async fn row(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        let wait = async {
            loop {
                let rows = self.http.get("/api/v1/sessions").await.json();
                if let Some(row) = rows["sessions"].get(0).filter(|row| wanted(row)) {
                    return row.clone();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("the row is written")
    }
}

pub(crate) fn call(number: u8) -> CallId {
    format!("{number:032x}").parse().unwrap()
}

pub(crate) async fn add_camera(control: &ControlPlane) -> Bundle {
    let admin = control.signed_in(ADMIN).await;
    let added = admin
        .post("/api/v1/cameras", &json!({ "name": "Front door" }))
        .await;
    toml::from_str(added.json()["bundle"].as_str().unwrap()).unwrap()
}

fn candidates() -> Vec<Candidate> {
    let candidate = "candidate:1 1 udp 1 192.0.2.1 9 typ host".into();
    vec![Candidate {
        candidate,
        sdp_mid: Some("0".into()),
        sdp_m_line_index: None,
        username_fragment: None,
    }]
}

pub(crate) async fn opened(camera: &mut Peer) -> (SessionId, RtcDown) {
    let open = |topic: &Topic, message: RtcDown| match (topic, &message) {
        (Topic::RtcDown(_, session), RtcDown::Open { .. }) => Some((session.clone(), message)),
        _ => None,
    };
    camera.hear(open).await
}

#[tokio::test]
async fn from_click_to_the_row_in_the_log() {
    let control = ControlPlane::start().await;
    let bundle = add_camera(&control).await;
    let mut viewer = Viewer::of(&control).await;
    let mut camera = Peer::camera(&bundle, presence()).await;

    // The browser sees the camera come.
    let online = |topic: &Topic, update: CameraUpdate| {
        assert!(matches!(topic, Topic::ViewCamera(_, _, device) if *device == bundle.device));
        update
            .presence
            .filter(|presence| presence.online)
            .map(|presence| presence.firmware)
    };
    assert_eq!(viewer.peer.hear(online).await, "1.2.3");

    // The call becomes a session; the camera's key accepts the grant.
    viewer.opens(&call(1), &bundle).await;
    let (session, open) = opened(&mut camera).await;
    let RtcDown::Open {
        grant,
        offer,
        ice_servers,
        ..
    } = open
    else {
        unreachable!()
    };
    let key = VerifyingKey::from_pem(&bundle.grant_key).unwrap();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let grant = GrantVerifier::new(bundle.device.clone(), key)
        .accept(&grant, &session, &offer, now)
        .unwrap();
    assert_eq!(grant.rights, [Right::View, Right::Listen]);
    let turn = ice_servers
        .iter()
        .find(|server| !server.username.is_empty())
        .unwrap();
    assert!(
        turn.urls[0].contains(
            &control
                .server
                .turn()
                .unwrap()
                .local_addr()
                .port()
                .to_string()
        ),
        "{turn:?}"
    );
    assert!(turn.username.ends_with(".d"), "{turn:?}");
    let told = |_: &Topic, message: ViewDown| match message {
        ViewDown::Opened { session, .. } => Some(session),
        _ => None,
    };
    assert_eq!(viewer.peer.hear(told).await, session);

    // Answer and candidates, both ways.
    let up = Topic::RtcUp(bundle.device.clone(), session.clone());
    camera
        .say(
            &up,
            &RtcUp::Answer {
                seq: 0,
                sdp: "v=0".into(),
                proof: "proof".into(),
            },
        )
        .await;
    let answered =
        |_: &Topic, message: ViewDown| matches!(message, ViewDown::Answer { .. }).then_some(());
    viewer.peer.hear(answered).await;
    viewer
        .says(
            &call(1),
            &ViewUp::Candidates {
                seq: 1,
                candidates: candidates(),
            },
        )
        .await;
    let trickled =
        |_: &Topic, message: RtcDown| matches!(message, RtcDown::Candidates { .. }).then_some(());
    camera.hear(trickled).await;

    // What both ends measured ends up in one row.
    let path = Path::new(CandidateKind::Relay, CandidateKind::Relay, "udp");
    let stats = SessionStats {
        bytes_sent: 5000,
        path: Some(path),
        ..SessionStats::default()
    };
    camera.say(&up, &RtcUp::Stats { seq: 1, stats }).await;
    let phases = ViewerPhases {
        first_frame_ms: Some(150.0),
        ..ViewerPhases::default()
    };
    let stats = ViewerStats {
        phases,
        ..ViewerStats::default()
    };
    viewer
        .says(&call(1), &ViewUp::Stats { seq: 2, stats })
        .await;
    let row = viewer
        .row(|row| row["path"] == "relayed" && row["phases"]["first_frame_ms"] == 150.0)
        .await;
    assert_eq!(
        (&row["id"], &row["camera_name"], &row["person_name"]),
        (&json!(session), &json!("Front door"), &json!("Bob"))
    );

    viewer
        .says(
            &call(1),
            &ViewUp::Close {
                seq: 3,
                reason: EndReason::ViewerClosed,
                detail: String::new(),
            },
        )
        .await;
    let close =
        |_: &Topic, message: RtcDown| matches!(message, RtcDown::Close { .. }).then_some(());
    camera.hear(close).await;
    let row = viewer.row(|row| row["ended_ms"].is_number()).await;
    assert_eq!(
        (&row["end_reason"], &row["bytes"]),
        (&json!("the viewer closed it"), &json!(5000))
    );
    control.server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_answered_with_a_reason() {
    let control = ControlPlane::start().await;
    let bundle = add_camera(&control).await;
    let mut viewer = Viewer::of(&control).await;
    viewer.opens(&call(1), &bundle).await;
    assert_eq!(viewer.closed().await.0, EndReason::CameraOffline);

    let mut unknown = bundle.clone();
    unknown.device = "no-such-camera".parse().unwrap();
    viewer.opens(&call(2), &unknown).await;
    assert_eq!(viewer.closed().await.0, EndReason::NotAllowed);

    viewer
        .peer
        .say_bytes(&viewer.topic(&call(3)), b"{\"type\":\"open\"}".to_vec())
        .await;
    let (reason, detail) = viewer.closed().await;
    assert_eq!(reason, EndReason::BadMessage);
    assert!(detail.contains("missing field"), "{detail}");
    control.server.stop().await;
}

#[tokio::test]
async fn removing_the_camera_ends_its_sessions() {
    let control = ControlPlane::start().await;
    let bundle = add_camera(&control).await;
    let mut viewer = Viewer::of(&control).await;
    let mut camera = Peer::camera(&bundle, presence()).await;
    viewer
        .peer
        .hear(|_: &Topic, update: CameraUpdate| update.presence.filter(|presence| presence.online))
        .await;
    viewer.opens(&call(1), &bundle).await;
    opened(&mut camera).await;
    let admin = control.signed_in(ADMIN).await;
    assert_eq!(
        admin
            .delete(&format!("/api/v1/cameras/{}", bundle.device))
            .await
            .status,
        204
    );
    assert_eq!(
        viewer.closed().await,
        (EndReason::NotAllowed, "the camera was removed".into())
    );
    control.server.stop().await;
}

/// A camera with a viewer; both connected, and a session open.
async fn watched(control: &ControlPlane) -> (Bundle, Viewer, Peer) {
    let bundle = add_camera(control).await;
    let mut viewer = Viewer::of(control).await;
    let mut camera = Peer::camera(&bundle, presence()).await;
    viewer
        .peer
        .hear(|_: &Topic, update: CameraUpdate| update.presence.filter(|presence| presence.online))
        .await;
    viewer.opens(&call(1), &bundle).await;
    opened(&mut camera).await;
    (bundle, viewer, camera)
}

/// What follows a revocation, whoever did it, within five seconds.
async fn everything_ends(
    control: &ControlPlane,
    (bundle, mut viewer, _camera): (Bundle, Viewer, Peer),
    reason: &str,
) {
    let ends = async {
        let closed = viewer.closed().await;
        assert_eq!(closed, (EndReason::NotAllowed, reason.into()));
        let figures = control.client();
        while !figures
            .get("/metrics")
            .await
            .body
            .contains("heron_broker_cameras 0")
        {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(5), ends)
        .await
        .expect("within five seconds");
    viewer.opens(&call(2), &bundle).await;
    assert_eq!(
        viewer.closed().await,
        (EndReason::NotAllowed, reason.into()),
        "commands are refused"
    );
    let refused = control.device_of(&bundle).get("/api/v1/device").await;
    assert_eq!((refused.status, refused.detail()), (403, reason.to_owned()));
    let row = viewer.row(|row| row["ended_ms"].is_number()).await;
    assert_eq!(row["end_reason"], reason);
}

#[tokio::test]
async fn revoking_a_camera_ends_what_it_does_and_keeps_it_out() {
    let control = ControlPlane::start().await;
    let parts = watched(&control).await;
    let admin = control.signed_in(ADMIN).await;
    let path = format!("/api/v1/cameras/{}", parts.0.device);
    let lost = json!({ "reason": "stolen" });
    let viewer = control.signed_in(VIEWER).await;
    let revoke = format!("{path}/revoke");
    assert_eq!(viewer.post(&revoke, &lost).await.status, 403);
    assert_eq!(
        admin.post(&revoke, &json!({ "reason": " " })).await.status,
        422
    );
    assert_eq!(admin.post(&revoke, &lost).await.status, 204);
    everything_ends(&control, parts, "the camera was revoked: stolen").await;

    let shown = admin.get(&format!("{path}/identity")).await.json();
    assert_eq!(
        (&shown["state"], &shown["certificates"][0]["state"]),
        (&json!("revoked"), &json!("revoked"))
    );
    let release = admin.post(&format!("{path}/release"), &json!({})).await;
    assert_eq!(release.status, 409, "{}", release.body);
    control.server.stop().await;
}

#[tokio::test]
async fn a_revocation_on_the_command_line_reaches_the_running_server() {
    use clap::Parser as _;

    let control = ControlPlane::start().await;
    let parts = watched(&control).await;
    let config = control.dir.path().join("heron.toml");
    let data = control.dir.path().join("data");
    std::fs::write(&config, format!("[server]\ndata_dir = {data:?}\n")).unwrap();
    let config = config.to_str().unwrap();
    let device = parts.0.device.to_string();
    let run = async |arguments: &[&str]| {
        let arguments = [
            &["heron-control", "camera"],
            arguments,
            &["--config", config],
        ]
        .concat();
        let mut out = Vec::new();
        let cli = heron_control::Cli::try_parse_from(arguments).unwrap();
        let done = cli.run(&mut out).await.map_err(|error| error.to_string());
        done.map(|()| String::from_utf8(out).unwrap())
    };
    let said = run(&["revoke", &device, "--reason", "sold"]).await.unwrap();
    assert_eq!(said, format!("{device} is revoked: sold\n"));
    everything_ends(&control, parts, "the camera was revoked: sold").await;
    let refused = run(&["release", &device]).await.unwrap_err();
    assert!(refused.contains("a revocation is final"), "{refused}");
    let unknown = run(&["revoke", "no-such-camera"]).await.unwrap_err();
    assert_eq!(unknown, "there is no camera \"no-such-camera\"");
    control.server.stop().await;
}

#[tokio::test]
async fn a_quarantined_camera_is_put_out_and_comes_back_when_released() {
    let control = ControlPlane::start().await;
    let parts = watched(&control).await;
    let admin = control.signed_in(ADMIN).await;
    let path = format!("/api/v1/cameras/{}", parts.0.device);
    let odd = json!({ "reason": "sends odd pictures" });
    let quarantine = format!("{path}/quarantine");
    assert_eq!(admin.post(&quarantine, &odd).await.status, 204);
    let bundle = parts.0.clone();
    everything_ends(
        &control,
        parts,
        "the camera is quarantined: sends odd pictures",
    )
    .await;
    let release = format!("{path}/release");
    assert_eq!(admin.post(&release, &json!({})).await.status, 204);
    let device = control.device_of(&bundle);
    assert_eq!(device.get("/api/v1/device").await.status, 200);
    let _camera = Peer::camera(&bundle, presence()).await;
    control.server.stop().await;
}

#[tokio::test]
async fn an_admin_sees_who_watches_and_ends_it() {
    let control = ControlPlane::start().await;
    let bundle = add_camera(&control).await;
    let mut viewer = Viewer::of(&control).await;
    let mut camera = Peer::camera(&bundle, presence()).await;
    let online = |_: &Topic, update: CameraUpdate| update.presence.filter(|one| one.online);
    viewer.peer.hear(online).await;
    viewer.opens(&call(1), &bundle).await;
    let (session, _) = opened(&mut camera).await;
    viewer.row(|row| row["id"] == session.as_str()).await;

    let admin = control.signed_in(ADMIN).await;
    let live = admin.get("/api/v1/sessions?live=true").await.json();
    assert_eq!(live["sessions"][0]["id"], session.as_str());
    assert_eq!(live["sessions"][0]["person_name"], VIEWER.0);
    let path = format!("/api/v1/sessions/{session}/end");
    let reason = json!({ "reason": "guests are here" });
    assert_eq!(viewer.http.post(&path, &reason).await.status, 403);
    let unknown = format!("/api/v1/sessions/{}/end", "0".repeat(32));
    assert_eq!(admin.post(&unknown, &reason).await.status, 404);
    assert_eq!(admin.post(&path, &reason).await.status, 202);

    let (why, detail) = viewer.closed().await;
    assert_eq!(
        (why, &*detail),
        (EndReason::NotAllowed, "Ada ended it: guests are here")
    );
    let close =
        |_: &Topic, message: RtcDown| matches!(message, RtcDown::Close { .. }).then_some(());
    camera.hear(close).await;
    let row = viewer.row(|row| row["ended_ms"].is_i64()).await;
    assert_eq!(row["end_reason"], "Ada ended it: guests are here");
    assert_eq!(
        admin.get("/api/v1/sessions?live=true").await.json()["sessions"],
        json!([])
    );
    assert_eq!(admin.post(&path, &reason).await.status, 409);
    control.server.stop().await;
}
