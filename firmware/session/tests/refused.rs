//! Who gets no session: each refusal has its reason, and costs the camera nothing.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use heron_protocol::grant::{Grant, Right};
use heron_protocol::messages::{EndReason, RtcDown, RtcUp};
use heron_session::{Event, Refusal, Rights};
use support::{Camera, Viewer, key_pair, unix_now};

const FINGERPRINT: &str = "sha-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD";

/// What was said, after making sure that this was all that happened.
async fn refusal(mut camera: Camera, viewer: &Viewer) -> (EndReason, String) {
    let (reason, detail, stats) = camera.closed(&viewer.session).await;
    assert_eq!(stats, None);
    let later = camera.events_so_far();
    assert!(
        later.is_empty(),
        "a refusal is the only event, there was also {later:?}"
    );
    let stats = camera.hub.stats();
    assert_eq!(
        (
            stats.viewers.len(),
            stats.sessions_opened,
            stats.sessions_refused
        ),
        (0, 0, 1)
    );
    (reason, detail)
}

async fn refused_grant(change: impl FnOnce(&mut Grant)) -> String {
    let (camera, viewer) = (Camera::start(|_| {}), Viewer::new(1).await);
    let mut grant = camera.grant(&viewer.session, &viewer.offer);
    change(&mut grant);
    camera.open(&viewer.session, &grant, &viewer.offer);
    let (reason, detail) = refusal(camera, &viewer).await;
    assert_eq!(reason, EndReason::GrantRefused);
    detail
}

#[tokio::test]
async fn a_grant_for_another_camera_or_session() {
    let camera = refused_grant(|grant| grant.camera = "back-door-01".parse().unwrap()).await;
    assert_eq!(camera, "the grant is for another camera");
    let session =
        refused_grant(|grant| grant.session = heron_protocol::SessionId::from_bits(99)).await;
    assert_eq!(session, "the grant is for another session");
}

#[tokio::test]
async fn an_expired_grant() {
    let detail = refused_grant(|grant| {
        grant.issued = unix_now() - 600;
        grant.expires = unix_now() - 540;
    })
    .await;
    assert_eq!(detail, "the grant has expired");
}

#[tokio::test]
async fn a_fingerprint_changed_on_the_way() {
    let detail =
        refused_grant(|grant| grant.offer_fingerprint = FINGERPRINT.parse().unwrap()).await;
    assert_eq!(
        detail,
        "the offer's DTLS fingerprint is not the one granted"
    );
}

#[tokio::test]
async fn a_grant_that_nobody_we_know_signed() {
    let (camera, viewer) = (Camera::start(|_| {}), Viewer::new(1).await);
    let (stranger, _) = key_pair();
    let grant = camera
        .grant(&viewer.session, &viewer.offer)
        .sign(&stranger)
        .unwrap();
    camera.open_with(&viewer.session, grant, &viewer.offer);
    let (reason, detail) = refusal(camera, &viewer).await;
    assert_eq!(
        (reason, detail.as_str()),
        (
            EndReason::GrantRefused,
            "the grant's signature does not match"
        )
    );
}

#[tokio::test]
async fn something_that_is_no_grant() {
    for nonsense in ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        let (camera, viewer) = (Camera::start(|_| {}), Viewer::new(1).await);
        camera.open_with(&viewer.session, nonsense.to_owned(), &viewer.offer);
        let (reason, detail) = refusal(camera, &viewer).await;
        assert_eq!(
            (reason, detail.as_str()),
            (EndReason::GrantRefused, "the grant is malformed")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_used_before() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = Viewer::new(1).await;
    let grant = camera.grant(&viewer.session, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    viewer.take_answer(&mut camera).await;
    viewer.close(&camera);
    assert_eq!(
        camera.closed(&viewer.session).await.0,
        EndReason::ViewerClosed
    );
    camera.demand(0).await;

    camera.open(&viewer.session, &grant, &viewer.offer);
    let (reason, detail, _) = camera.closed(&viewer.session).await;
    assert_eq!(
        (reason, detail.as_str()),
        (EndReason::GrantRefused, "the grant was used before")
    );
    assert_eq!(camera.hub.stats().sessions_opened, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_that_comes_twice_is_answered_once() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = Viewer::new(1).await;
    let grant = camera.grant(&viewer.session, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    viewer.take_answer(&mut camera).await;
    viewer.wait_connected(&mut camera).await;
    let stats = camera.hub.stats();
    assert_eq!((stats.sessions_opened, stats.sessions_refused), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_viewers_than_allowed() {
    let mut camera = Camera::start(|config| config.max_viewers = 1);
    let mut first = Viewer::new(1).await;
    first.connect(&mut camera).await;
    let second = Viewer::new(2).await;
    camera.open(
        &second.session,
        &camera.grant(&second.session, &second.offer),
        &second.offer,
    );
    let (reason, detail, _) = camera.closed(&second.session).await;
    assert_eq!(reason, EndReason::Limit);
    assert!(detail.contains("1 viewers"), "{detail}");
    assert_eq!(camera.hub.stats().viewers.len(), 1);
}

#[tokio::test]
async fn an_offer_that_cannot_be_answered() {
    type Change = fn(&str) -> String;
    let cases: [(Change, &[Right], &str); 4] = [
        (
            |offer| offer.replace("H264", "H265"),
            &[Right::View],
            "takes none",
        ),
        (
            |offer| offer.replace("a=recvonly", "a=sendrecv"),
            &[Right::View],
            "must be a=recvonly",
        ),
        (
            |offer| offer.to_owned(),
            &[],
            "no video or audio section that the grant allows",
        ),
        (
            |offer| offer.replace("a=ice-pwd:", "a=ice-pwt:"),
            &[Right::View],
            "no usable a=ice-pwd",
        ),
    ];
    for (change, rights, expected) in cases {
        let mut camera = Camera::start(|_| {});
        let viewer = Viewer::new(1).await;
        let offer = change(&viewer.offer);
        let mut grant = camera.grant(&viewer.session, &offer);
        grant.rights = rights.to_vec();
        camera.open(&viewer.session, &grant, &offer);
        let (reason, detail, _) = camera.closed(&viewer.session).await;
        assert!(
            matches!(reason, EndReason::BadMessage | EndReason::Failed),
            "{reason:?}"
        );
        assert!(detail.contains(expected), "{detail}");
        camera.demand(0).await;
        let stats = camera.hub.stats();
        assert_eq!((stats.sessions_opened, stats.sessions_refused), (0, 1));
    }
}

#[tokio::test]
async fn a_local_offer_that_cannot_be_answered_opens_no_session() {
    let mut camera = Camera::start(|config| config.max_viewers = 1);
    let viewer = Viewer::new(1).await;
    for offer in ["v=0", &viewer.offer.replace("H264", "H265")] {
        let refusal = camera.hub.watch_locally(offer, Rights::WATCH).await;
        assert!(matches!(refusal, Err(Refusal::Offer(_))), "{refusal:?}");
        camera.demand(0).await;
    }
    let stats = camera.hub.stats();
    assert_eq!((stats.sessions_opened, stats.sessions_refused), (0, 2));
    // It took no place, and one that can be answered takes it.
    let watch = || camera.hub.watch_locally(&viewer.offer, Rights::WATCH);
    watch().await.unwrap();
    assert_eq!(watch().await, Err(Refusal::Full(1)));
    let stats = camera.hub.stats();
    assert_eq!((stats.sessions_opened, stats.sessions_refused), (1, 3));
}

#[tokio::test]
async fn messages_for_sessions_that_do_not_exist_do_nothing() {
    let mut camera = Camera::start(|_| {});
    let viewer = Viewer::new(1).await;
    let reason = EndReason::ViewerClosed;
    camera
        .hub
        .handle(&viewer.session, RtcDown::Close { seq: 1, reason });
    camera.hub.handle(
        &viewer.session,
        RtcDown::Candidates {
            seq: 2,
            candidates: vec![],
        },
    );
    let (grant, offer) = ("x".to_owned(), viewer.offer.clone());
    camera.hub.handle(
        &viewer.session,
        RtcDown::Restart {
            seq: 3,
            grant,
            offer,
            ice_servers: vec![],
        },
    );
    assert!(camera.events_so_far().is_empty());
    // Nor do they stand in the way of the session when it opens.
    camera.open(
        &viewer.session,
        &camera.grant(&viewer.session, &viewer.offer),
        &viewer.offer,
    );
    let answered = |event: &Event| {
        matches!(
            event,
            Event::Send {
                message: RtcUp::Answer { .. },
                ..
            }
        )
        .then_some(())
    };
    camera.event("Answer", answered).await;
}

#[tokio::test]
async fn a_restart_of_a_session_that_the_camera_does_not_know() {
    let (camera, viewer) = (Camera::start(|_| {}), Viewer::new(1).await);
    let grant = camera.grant(&viewer.session, &viewer.offer);
    let restart = |grant: String| {
        let message = RtcDown::Restart {
            seq: 7,
            grant,
            offer: viewer.offer.clone(),
            ice_servers: vec![],
        };
        camera.hub.handle(&viewer.session, message);
    };
    restart("no grant".to_owned());
    let grant = grant.sign(&camera.control_key).unwrap();
    // A message may come twice.
    restart(grant.clone());
    restart(grant);
    let (reason, detail) = refusal(camera, &viewer).await;
    assert_eq!(reason, EndReason::Failed);
    assert_eq!(detail, "the camera does not know this session");
}
