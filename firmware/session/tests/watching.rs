//! A viewer watches: picture, sound, figures, feedback.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::time::Duration;

use heron_protocol::Fingerprint;
use heron_protocol::grant::Right;
use heron_protocol::messages::{CandidateKind, EndReason, RtcUp};
use heron_protocol::proof::Proof;
use heron_session::Event;
use rtc::rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use support::{Camera, Feed, Viewer, access_unit, sound};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn picture_and_sound_arrive_as_they_were_made() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = Viewer::new(1).await;
    let grant = camera.grant(&viewer.session, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    camera.demand(1).await;

    let (answer, proof) = Viewer::answer(&viewer.session, &mut camera).await;
    let expected = Proof {
        session: viewer.session.clone(),
        camera: camera.id.clone(),
        offer_fingerprint: Fingerprint::from_sdp(&viewer.offer).unwrap(),
        answer_fingerprint: Fingerprint::from_sdp(&answer).unwrap(),
    };
    assert_eq!(expected.verify(&proof, &camera.public_key), Ok(()));
    assert!(answer.contains("a=setup:active"), "{answer}");
    assert_eq!(answer.matches("a=sendonly").count(), 2, "{answer}");
    assert!(
        answer.contains("profile-level-id=42e01f") && !answer.contains("VP8"),
        "{answer}"
    );
    let asked_early = camera
        .events_so_far()
        .iter()
        .any(|event| matches!(event, Event::KeyFrameWanted { .. }));
    assert!(
        !asked_early,
        "a key frame before DTLS is up is worth nothing"
    );

    viewer.apply(&answer).await;
    viewer.wait_connected(&mut camera).await;
    camera.key_frame_wanted().await;

    // The encoder is in the middle of a group of pictures: a viewer cannot begin there.
    for number in 25..30 {
        camera.hub.video(access_unit(number));
    }
    let mut sequence = None;
    for number in 30..70 {
        let sent = access_unit(number);
        camera.hub.video(sent.clone());
        let (frame, packets) = viewer.frame().await;
        assert!(frame == sent.data, "frame {number} is not what was sent");
        for packet in packets {
            let in_order = sequence
                .is_none_or(|last: u16| packet.header.sequence_number == last.wrapping_add(1));
            assert!(in_order, "packets leave in order");
            sequence = Some(packet.header.sequence_number);
        }
    }
    camera.hub.audio(sound());
    viewer.packet(RtpCodecKind::Audio).await;

    viewer.close(&camera);
    let (reason, _, stats) = camera.closed(&viewer.session).await;
    assert_eq!(reason, EndReason::ViewerClosed);
    let stats = stats.unwrap();
    let phases = &stats.phases;
    let times = [
        phases.granted_ms,
        phases.answered_ms,
        phases.ice_ms,
        phases.dtls_ms,
        phases.first_packet_ms,
    ];
    let times = times.map(|time| time.expect("every phase was reached"));
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!((stats.frames_sent, stats.frames_dropped), (40, 5));
    assert!(stats.bytes_sent > 40 * 2500);
    let path = stats.path.unwrap();
    assert_eq!(
        (path.local, path.protocol.as_str()),
        (CandidateKind::Host, "udp")
    );
    camera.demand(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_lost_the_picture_gets_a_key_frame_asked_for() {
    let mut camera = Camera::start(|config| config.stats_interval = Duration::from_millis(300));
    let mut viewer = Viewer::new(1).await;
    viewer.connect(&mut camera).await;
    camera.key_frame_wanted().await;
    let _feed = Feed::start(&camera.hub, Duration::from_millis(33));
    viewer.frame().await;

    viewer
        .send_rtcp(|media_ssrc| {
            Box::new(PictureLossIndication {
                sender_ssrc: 1,
                media_ssrc,
            })
        })
        .await;
    camera.key_frame_wanted().await;
    let requests = camera
        .message(
            &viewer.session,
            "Stats with the request and a round trip",
            |message| match message {
                RtcUp::Stats { stats, .. } if stats.rtt_ms.is_some() => {
                    Some(stats.key_frame_requests)
                }
                _ => None,
            },
        )
        .await;
    assert_eq!(requests, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_requests_is_counted_and_throttled() {
    let mut camera = Camera::start(|config| {
        config.key_frame_interval = Duration::from_secs(600);
        config.stats_interval = Duration::from_millis(300);
    });
    let mut viewer = Viewer::new(1).await;
    viewer.connect(&mut camera).await;
    camera.key_frame_wanted().await;
    camera.hub.video(access_unit(0));
    viewer.frame().await;
    for _ in 0..200 {
        let request = |media_ssrc| PictureLossIndication {
            sender_ssrc: 1,
            media_ssrc,
        };
        viewer.send_rtcp(|ssrc| Box::new(request(ssrc))).await;
    }
    camera
        .message(
            &viewer.session,
            "Stats with requests",
            |message| match message {
                RtcUp::Stats { stats, .. } if stats.key_frame_requests > 1 => Some(()),
                _ => None,
            },
        )
        .await;
    assert_eq!(camera.hub.stats().key_frames_wanted, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_intra_request_counts_too() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = Viewer::new(1).await;
    viewer.connect(&mut camera).await;
    camera.key_frame_wanted().await;
    camera.hub.video(access_unit(0));
    viewer.frame().await;
    let request = |ssrc| FullIntraRequest {
        sender_ssrc: 1,
        media_ssrc: ssrc,
        fir: vec![FirEntry {
            ssrc,
            sequence_number: 1,
        }],
    };
    viewer.send_rtcp(|ssrc| Box::new(request(ssrc))).await;
    camera.key_frame_wanted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_receives_only_what_it_was_granted() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = Viewer::new(1).await;
    let mut grant = camera.grant(&viewer.session, &viewer.offer);
    grant.rights = vec![Right::View];
    camera.open(&viewer.session, &grant, &viewer.offer);
    let (answer, _) = viewer.take_answer(&mut camera).await;
    assert!(answer.contains("a=inactive"), "{answer}");
    assert_eq!(answer.matches("a=sendonly").count(), 1, "{answer}");
    viewer.wait_connected(&mut camera).await;
    camera.key_frame_wanted().await;
    camera.hub.audio(sound());
    camera.hub.video(access_unit(0));
    let (frame, _) = viewer.frame().await;
    assert!(frame == access_unit(0).data);
    viewer.close(&camera);
    let (_, _, stats) = camera.closed(&viewer.session).await;
    let per_frame = stats.unwrap().packets_sent;
    assert!(
        per_frame < 12,
        "one frame of 9 kB and no sound, got {per_frame} packets"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_stops_tells_every_viewer() {
    let mut camera = Camera::start(|_| {});
    let mut viewers = [Viewer::new(1).await, Viewer::new(2).await];
    for viewer in &mut viewers {
        viewer.connect(&mut camera).await;
    }
    camera
        .hub
        .close_all(EndReason::CameraShutdown, "the camera's service stopped")
        .await;
    assert!(camera.hub.stats().viewers.is_empty());
    for viewer in &viewers {
        assert_eq!(
            camera.closed(&viewer.session).await.0,
            EndReason::CameraShutdown
        );
    }
}
