//! Who may say what, without a broker: messages in, messages out.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use heron_protocol::grant::{GrantVerifier, Right};
use heron_protocol::messages::{Candidate, IcePolicy, Presence, ViewerStats};
use heron_protocol::{Label, SigningKey, VerifyingKey};
use parking_lot::Mutex;

use super::*;
use crate::signalling::ice::IceProvisioner;
use crate::signalling::seams::{CameraRecord, Directory};
use crate::signalling::sessions::Limits;
use crate::turn::{RelayMode, Relays, Reports, SecretFile, SharedSecret};

const CAMERA: &str = "front-door-01";
const OFFER: &str = "v=0\r\na=fingerprint:sha-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD\r\n";

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect(text)
}

/// One camera of the tenant `home`; people on a list may watch it.
struct FakeDirectory(Mutex<HashSet<&'static str>>);

#[async_trait]
impl Directory for FakeDirectory {
    async fn camera(&self, device: &DeviceId) -> anyhow::Result<Option<CameraRecord>> {
        Ok((device.as_str() == CAMERA).then(|| CameraRecord {
            tenant: id("home"),
            name: "Front door".into(),
            kept_out: None,
        }))
    }

    async fn may_view(&self, person: &str, _: &DeviceId) -> anyhow::Result<Vec<Right>> {
        Ok(if self.0.lock().contains(person) {
            vec![Right::View, Right::Listen]
        } else {
            Vec::new()
        })
    }
}

struct Bench {
    switchboard: Switchboard,
    directory: Arc<FakeDirectory>,
    browsers: Arc<BrowserRegistry>,
    shared: Shared,
    grant_key: VerifyingKey,
    now: Moment,
}

fn bench() -> Bench {
    let pair = rcgen::KeyPair::generate().expect("key");
    let (private, public) = (pair.serialize_pem(), pair.public_key_pem());
    let directory = Arc::new(FakeDirectory(Mutex::new(HashSet::from(["ada"]))));
    let browsers = Arc::new(BrowserRegistry::new());
    let shared = Shared {
        cameras: Arc::default(),
        counters: Arc::default(),
        changes: broadcast::Sender::new(8),
    };
    let relay = SharedSecret {
        name: "relay".into(),
        stun_url: "stun:192.0.2.1:3478".into(),
        turn_urls: vec!["turn:192.0.2.1:3478?transport=udp".into()],
        secret: Arc::new(SecretFile::given("0123456789abcdef").expect("secret")),
        probe: None,
        reports: Reports::None,
    };
    let relays = Relays::of(vec![Arc::new(relay)], RelayMode::RelayOnly);
    let ice = IceProvisioner::new(Arc::new(relays), browsers.clone());
    let key = SigningKey::from_pem(&private).expect("key");
    let sessions = Sessions::new(Limits {
        per_browser: 2,
        ..Limits::default()
    });
    let opener = Opener {
        directory: directory.clone(),
        grant_key: key,
        ice,
        cameras: shared.cameras.clone(),
    };
    let switchboard = Switchboard::new(opener, browsers.clone(), sessions, shared.clone());
    let grant_key = VerifyingKey::from_pem(&public).expect("key");
    Bench {
        switchboard,
        directory,
        browsers,
        shared,
        grant_key,
        now: Moment::now(),
    }
}

impl Bench {
    /// A bench where the camera is online and a person sits before a browser.
    async fn with(person: &str) -> (Self, BrowserId) {
        let mut bench = bench();
        bench.camera_is(true).await;
        let browser = bench.browser(person, "home");
        (bench, browser)
    }

    fn browser(&self, person: &str, tenant: &str) -> BrowserId {
        self.browsers
            .issue(
                person,
                &id(tenant),
                SystemTime::now(),
                Duration::from_secs(600),
            )
            .browser
    }

    async fn camera_is(&mut self, online: bool) -> Outbox {
        let presence = Presence {
            online,
            reason: None,
            boot_id: "boot".into(),
            firmware: "1.0".into(),
            slot: None,
            last_reason: None,
            seq: 1,
            at_ms: 0,
        };
        let payload = encode(&presence).expect("presence");
        self.says(&Topic::Presence(id(CAMERA)), &payload).await
    }

    async fn says(&mut self, topic: &Topic, payload: &[u8]) -> Outbox {
        self.switchboard
            .message(&topic.to_string(), payload, self.now)
            .await
    }

    async fn view(&mut self, browser: &BrowserId, number: u8, message: &ViewUp) -> Outbox {
        let payload = encode(message).expect("message");
        self.says(
            &Topic::ViewUp(id("home"), browser.clone(), call(number)),
            &payload,
        )
        .await
    }

    async fn open(&mut self, browser: &BrowserId, number: u8) -> Outbox {
        self.view(browser, number, &open_camera(CAMERA)).await
    }

    async fn device(&mut self, device: &str, session: &SessionId, message: &RtcUp) -> Outbox {
        let payload = encode(message).expect("message");
        self.says(&Topic::RtcUp(id(device), session.clone()), &payload)
            .await
    }
}

fn call(number: u8) -> CallId {
    id(&format!("{number:032x}"))
}

fn open_camera(camera: &str) -> ViewUp {
    ViewUp::Open {
        seq: 0,
        camera: id(camera),
        offer: OFFER.into(),
        rights: vec![Right::View],
    }
}

fn answer() -> RtcUp {
    RtcUp::Answer {
        seq: 0,
        sdp: "v=0".into(),
        proof: "proof".into(),
    }
}

fn to_device(outbox: &Outbox) -> Option<(SessionId, RtcDown)> {
    outbox
        .messages
        .iter()
        .find_map(|(topic, payload)| match topic {
            Topic::RtcDown(_, session) => Some((session.clone(), decode(payload).expect("ours"))),
            _ => None,
        })
}

fn to_viewer(outbox: &Outbox) -> Option<ViewDown> {
    outbox
        .messages
        .iter()
        .find_map(|(topic, payload)| match topic {
            Topic::ViewDown(..) => Some(decode(payload).expect("ours")),
            _ => None,
        })
}

fn closed(outbox: &Outbox) -> Option<(EndReason, String)> {
    match to_viewer(outbox) {
        Some(ViewDown::Closed { reason, detail, .. }) => Some((reason, detail)),
        _ => None,
    }
}

#[tokio::test]
async fn a_call_becomes_a_session_with_a_grant_that_the_camera_accepts() {
    let (mut bench, browser) = Bench::with("ada").await;
    let outbox = bench.open(&browser, 1).await;
    let (
        session,
        RtcDown::Open {
            grant,
            offer,
            ice_servers,
            ice_policy,
            ..
        },
    ) = to_device(&outbox).expect("open")
    else {
        panic!("{outbox:?}")
    };
    let mut verifier = GrantVerifier::new(id(CAMERA), bench.grant_key.clone());
    let granted = verifier
        .accept(&grant, &session, &offer, bench.now.unix_s())
        .expect("the grant fits");
    assert_eq!(granted.viewer, "ada");
    assert_eq!(
        granted.rights,
        [Right::View],
        "what was asked for, not all that is allowed"
    );

    let Some(ViewDown::Opened {
        session: told,
        ice_servers: viewer_servers,
        ..
    }) = to_viewer(&outbox)
    else {
        panic!("{outbox:?}")
    };
    assert_eq!((told, ice_policy), (session.clone(), IcePolicy::Relay));
    let name = |servers: &[heron_protocol::messages::IceServer]| servers[1].username.clone();
    assert!(name(&ice_servers).ends_with(&format!(":home.{CAMERA}.{session}.d")));
    assert!(name(&viewer_servers).ends_with(&format!(":home.{CAMERA}.{session}.v")));
    assert!(matches!(&outbox.log[..], [LogLine::Opened(record)] if record.person == "ada"));
}

#[tokio::test]
async fn an_answer_and_candidates_reach_the_browser_that_called() {
    let (mut bench, browser) = Bench::with("ada").await;
    let opened = bench.open(&browser, 1).await;
    let (session, _) = to_device(&opened).expect("open");
    let outbox = bench.device(CAMERA, &session, &answer()).await;
    let topic = Topic::ViewDown(id("home"), browser.clone(), call(1));
    assert!(
        outbox.messages.iter().any(|(to, _)| *to == topic),
        "{outbox:?}"
    );
    let one = Candidate {
        candidate: "candidate:1".into(),
        sdp_mid: None,
        sdp_m_line_index: None,
        username_fragment: None,
    };
    let outbox = bench
        .view(
            &browser,
            1,
            &ViewUp::Candidates {
                seq: 1,
                candidates: vec![one],
            },
        )
        .await;
    assert!(matches!(to_device(&outbox), Some((to, RtcDown::Candidates { .. })) if to == session));
}

#[tokio::test]
async fn who_may_not_watch_learns_no_more_than_that_there_is_no_such_camera() {
    let (mut bench, stranger) = Bench::with("eve").await;
    let ada = bench.browser("ada", "home");
    let refused = closed(&bench.open(&stranger, 1).await);
    let missing = closed(&bench.view(&ada, 2, &open_camera("back-door-01")).await);
    assert_eq!(
        refused.as_ref().map(|(reason, _)| *reason),
        Some(EndReason::NotAllowed)
    );
    assert_eq!(refused, missing);
    assert_eq!(bench.shared.counters.snapshot().denied, 2);
}

#[tokio::test]
async fn a_camera_that_is_offline_is_said_to_be_so() {
    let (mut bench, browser) = Bench::with("ada").await;
    bench.camera_is(false).await;
    assert_eq!(
        closed(&bench.open(&browser, 1).await).map(|(reason, _)| reason),
        Some(EndReason::CameraOffline)
    );
}

#[tokio::test]
async fn a_browser_in_another_tenants_tree_or_without_a_token_is_refused() {
    let (mut bench, _) = Bench::with("ada").await;
    let elsewhere = bench.browser("ada", "office");
    let unknown: BrowserId = id("00000000000000000000000000000000");
    for browser in [elsewhere, unknown] {
        let outbox = bench.open(&browser, 1).await;
        assert_eq!(
            closed(&outbox).map(|(reason, _)| reason),
            Some(EndReason::NotAllowed)
        );
        assert!(to_device(&outbox).is_none());
    }
    assert_eq!(bench.shared.counters.snapshot().foreign, 2);
}

#[tokio::test]
async fn losing_the_right_or_the_sign_in_ends_the_session_on_both_ends() {
    let (mut bench, browser) = Bench::with("ada").await;
    bench.open(&browser, 1).await;
    bench.directory.0.lock().clear();
    let outbox = bench
        .view(
            &browser,
            1,
            &ViewUp::Stats {
                seq: 1,
                stats: ViewerStats::default(),
            },
        )
        .await;
    assert!(matches!(
        to_device(&outbox),
        Some((
            _,
            RtcDown::Close {
                reason: EndReason::NotAllowed,
                ..
            }
        ))
    ));
    assert_eq!(
        closed(&outbox).map(|(reason, _)| reason),
        Some(EndReason::NotAllowed)
    );

    bench.directory.0.lock().insert("ada");
    bench.open(&browser, 2).await;
    bench.browsers.revoke_person("ada");
    let outbox = bench.switchboard.tick(bench.now);
    assert!(matches!(
        to_device(&outbox),
        Some((_, RtcDown::Close { .. }))
    ));
    assert!(matches!(&outbox.log[..], [LogLine::Ended(record)]
        if record.end_reason.as_deref() == Some("the viewer's sign-in ended")));
}

#[tokio::test]
async fn limits_and_bad_offers_are_answered_with_a_reason() {
    let (mut bench, browser) = Bench::with("ada").await;
    let no_fingerprint = ViewUp::Open {
        seq: 0,
        camera: id(CAMERA),
        offer: "v=0\r\n".into(),
        rights: vec![Right::View],
    };
    let (reason, detail) = closed(&bench.view(&browser, 9, &no_fingerprint).await).expect("closed");
    assert_eq!(reason, EndReason::BadMessage);
    assert!(detail.contains("a=fingerprint"), "{detail}");
    bench.open(&browser, 1).await;
    bench.open(&browser, 2).await;
    let (reason, detail) = closed(&bench.open(&browser, 3).await).expect("closed");
    assert_eq!(
        (reason, detail.as_str()),
        (
            EndReason::Limit,
            "there are too many sessions in this browser"
        )
    );
}

#[tokio::test]
async fn a_replayed_open_makes_no_second_session() {
    let (mut bench, browser) = Bench::with("ada").await;
    bench.open(&browser, 1).await;
    let again = bench.open(&browser, 1).await;
    assert!(
        again.messages.is_empty() && again.log.is_empty(),
        "{again:?}"
    );
    assert_eq!(bench.shared.counters.snapshot().duplicates, 1);
}

#[tokio::test]
async fn another_camera_cannot_speak_in_the_session() {
    let (mut bench, browser) = Bench::with("ada").await;
    let opened = bench.open(&browser, 1).await;
    let (session, _) = to_device(&opened).expect("open");
    let outbox = bench.device("back-door-01", &session, &answer()).await;
    assert!(to_viewer(&outbox).is_none());
    assert!(
        matches!(to_device(&outbox), Some((_, RtcDown::Close { .. }))),
        "it is told to stop"
    );
    assert_eq!(bench.shared.counters.snapshot().foreign, 1);
    assert!(
        to_viewer(&bench.device(CAMERA, &session, &answer()).await).is_some(),
        "the session is untouched"
    );
}

#[tokio::test]
async fn figures_for_a_session_of_before_a_restart_are_let_be() {
    let (mut bench, _) = Bench::with("ada").await;
    let stats = RtcUp::Stats {
        seq: 40,
        stats: Default::default(),
    };
    let outbox = bench.device(CAMERA, &SessionId::from_bits(5), &stats).await;
    assert!(
        outbox.messages.is_empty(),
        "the picture goes on: {outbox:?}"
    );
}

#[tokio::test]
async fn malformed_and_oversized_messages_are_counted_and_answered_where_somebody_waits() {
    let (mut bench, browser) = Bench::with("ada").await;
    let topic = Topic::ViewUp(id("home"), browser.clone(), call(1));
    for payload in [
        &b"{"[..],
        b"\xff\xfe",
        b"{\"type\":\"open\"}",
        &[b'x'; 70_000],
    ] {
        let (reason, detail) = closed(&bench.says(&topic, payload).await).expect("an answer");
        assert_eq!(reason, EndReason::BadMessage, "{detail}");
    }
    let opened = bench.open(&browser, 1).await;
    let (session, _) = to_device(&opened).expect("open");
    assert!(
        bench.says(&topic, b"{").await.messages.is_empty(),
        "a running session goes on"
    );
    bench.says(&Topic::RtcUp(id(CAMERA), session), b"[]").await;
    bench
        .says(&Topic::Presence(id(CAMERA)), b"{\"online\":3}")
        .await;
    bench
        .switchboard
        .message("cam/1/zz/front-door-01/up/presence", b"{}", bench.now)
        .await;
    assert_eq!(bench.shared.counters.snapshot().malformed, 8);
    bench
        .says(
            &Topic::Event(id(CAMERA), id::<Label>("motion")),
            b"not for us",
        )
        .await;
}

#[tokio::test]
async fn news_of_a_camera_reaches_its_tenants_browsers_and_the_api() {
    let (mut bench, browser) = Bench::with("ada").await;
    let elsewhere = bench.browser("eve", "office");
    let mut changes = bench.shared.changes.subscribe();
    let outbox = bench.camera_is(false).await;
    let topics: Vec<&Topic> = outbox.messages.iter().map(|(topic, _)| topic).collect();
    assert_eq!(
        topics,
        [&Topic::ViewCamera(id("home"), browser, id(CAMERA))]
    );
    assert!(!topics.iter().any(|topic| {
        topic
            .browser()
            .is_some_and(|(_, browser)| *browser == elsewhere)
    }));
    let change = changes.try_recv().expect("a change");
    assert_eq!(
        change.update.presence.map(|presence| presence.online),
        Some(false)
    );

    let stranger = Topic::Presence(id("back-door-01"));
    assert!(bench.says(&stranger, b"{}").await.messages.is_empty());
    assert_eq!(bench.shared.counters.snapshot().foreign, 1);
}

#[tokio::test]
async fn removing_a_camera_ends_its_sessions() {
    let (mut bench, browser) = Bench::with("ada").await;
    bench.open(&browser, 1).await;
    let outbox = bench
        .switchboard
        .put_out(&id(CAMERA), "the camera was removed", true, bench.now);
    assert_eq!(
        closed(&outbox).map(|(_, detail)| detail).as_deref(),
        Some("the camera was removed")
    );
    assert!(bench.shared.cameras.read().get(&id(CAMERA)).is_none());
}

#[path = "switchboard_restart_tests.rs"]
mod restarts;
