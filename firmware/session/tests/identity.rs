//! The camera's key is renewed while somebody watches, and its calendar is not the system's.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::{Duration, SystemTime};

use heron_protocol::Fingerprint;
use heron_protocol::messages::EndReason;
use heron_protocol::proof::Proof;
use heron_session::Calendar;
use support::{Camera, Viewer, access_unit, key_pair};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_key_signs_the_next_answer_and_who_watches_goes_on() {
    let mut camera = Camera::start(|_| {});
    let mut first = Viewer::new(1).await;
    first.connect(&mut camera).await;
    camera.key_frame_wanted().await;

    let (key, public_key) = key_pair();
    camera.hub.renew(key);
    for number in 0..5 {
        let sent = access_unit(30 + number);
        camera.hub.video(sent.clone());
        let (frame, _) = first.frame().await;
        assert!(frame == sent.data);
    }

    let second = Viewer::new(2).await;
    let grant = camera.grant(&second.session, &second.offer);
    camera.open(&second.session, &grant, &second.offer);
    let (answer, proof) = Viewer::answer(&second.session, &mut camera).await;
    let proven = Proof {
        session: second.session.clone(),
        camera: camera.id.clone(),
        offer_fingerprint: Fingerprint::from_sdp(&second.offer).unwrap(),
        answer_fingerprint: Fingerprint::from_sdp(&answer).unwrap(),
    };
    assert_eq!(proven.verify(&proof, &public_key), Ok(()));
    assert!(proven.verify(&proof, &camera.public_key).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_are_judged_by_the_owners_calendar() {
    let hour = Duration::from_secs(3600);
    let mut camera =
        Camera::start(|config| config.calendar = Calendar::new(move || SystemTime::now() + hour));
    let viewer = Viewer::new(1).await;
    let mut grant = camera.grant(&viewer.session, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    let (reason, detail, _) = camera.closed(&viewer.session).await;
    assert_eq!(reason, EndReason::GrantRefused, "{detail}");

    let viewer = Viewer::new(2).await;
    grant = camera.grant(&viewer.session, &viewer.offer);
    (grant.issued, grant.expires) = (grant.issued + 3600, grant.expires + 3600);
    camera.open(&viewer.session, &grant, &viewer.offer);
    Viewer::answer(&viewer.session, &mut camera).await;
}
