//! Many viewers at once, and viewers that come to grief.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::mpsc as blocking;
use std::time::{Duration, Instant};

use heron_protocol::grant::Right;
use heron_protocol::messages::{EndReason, RtcDown};
use heron_session::Patience;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use support::{Camera, Feed, PATIENCE, Seen, Viewer};

const FRAME_TIME: Duration = Duration::from_millis(20);

/// A connected viewer whose whole machine can be made to stand still: its tasks run on one thread, which blocks.
struct Stalling {
    stall: blocking::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Stalling {
    /// Connects, then plays until it is stalled. The caller carries the signalling.
    async fn connect(camera: &mut Camera, session: u128) -> (Self, heron_protocol::SessionId) {
        let (stall, stalled) = blocking::channel::<()>();
        let (offers, offer) = tokio::sync::oneshot::channel();
        let (answers, answer) = tokio::sync::oneshot::channel::<String>();
        let (connecteds, connected) = tokio::sync::oneshot::channel();
        let hub = camera.hub.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let viewer = runtime.block_on(async {
                let mut viewer = Viewer::new(session).await;
                offers
                    .send((viewer.session.clone(), viewer.offer.clone()))
                    .unwrap();
                let answer = answer.await.unwrap();
                let answer =
                    webrtc::peer_connection::RTCSessionDescription::answer(answer).unwrap();
                viewer.peer.set_remote_description(answer).await.unwrap();
                let mut seq = 1;
                loop {
                    match viewer.next().await {
                        Seen::Candidate(init) => {
                            let candidate = heron_protocol::messages::Candidate {
                                candidate: init.candidate,
                                sdp_mid: init.sdp_mid,
                                sdp_m_line_index: init.sdp_mline_index,
                                username_fragment: None,
                            };
                            hub.handle(
                                &viewer.session,
                                RtcDown::Candidates {
                                    seq,
                                    candidates: vec![candidate],
                                },
                            );
                            seq += 1;
                        }
                        Seen::Rtp(RtpCodecKind::Video, _) => break,
                        _ => {}
                    }
                }
                connecteds.send(()).unwrap();
                viewer
            });
            // Nothing runs from here on: packets pile up in the socket.
            stalled.recv().ok();
            drop(viewer);
            runtime.shutdown_background();
        });
        let (session, sdp) = offer.await.unwrap();
        let mut grant = camera.grant(&session, &sdp);
        grant.rights = vec![Right::View, Right::Listen];
        camera.open(&session, &grant, &sdp);
        let answer = camera
            .message(&session, "Answer", |message| match message {
                heron_protocol::messages::RtcUp::Answer { sdp, .. } => Some(sdp.clone()),
                _ => None,
            })
            .await;
        answers.send(answer).unwrap();
        tokio::time::timeout(PATIENCE, connected)
            .await
            .expect("the viewer sees a packet")
            .unwrap();
        (Self { stall, thread }, session)
    }

    fn end(self) {
        drop(self.stall);
        self.thread.join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_viewers_share_one_feed_and_a_stalled_one_harms_nobody() {
    let mut camera = Camera::start(|_| {});
    let mut viewers = Vec::new();
    for session in 1..=4 {
        let mut viewer = Viewer::new(session).await;
        viewer.connect(&mut camera).await;
        viewers.push(viewer);
    }
    let feed = Feed::start(&camera.hub, FRAME_TIME);
    let (stalled, _) = Stalling::connect(&mut camera, 5).await;
    assert_eq!(
        camera
            .hub
            .stats()
            .viewers
            .iter()
            .filter(|viewer| viewer.connected)
            .count(),
        5
    );

    let watching = viewers.into_iter().map(|mut viewer| {
        tokio::spawn(async move {
            // From a key frame on, a second and a half of pictures.
            viewer.frame().await;
            let start = Instant::now();
            for _ in 0..75 {
                viewer.frame().await;
            }
            start.elapsed()
        })
    });
    for viewer in watching.collect::<Vec<_>>() {
        let took = viewer.await.unwrap();
        assert!(took < FRAME_TIME * 75 * 3 / 2, "75 frames took {took:?}");
    }
    let made = feed.stop();
    assert!(made >= 75);
    stalled.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_vanishes_is_reaped() {
    let mut camera = Camera::start(|config| {
        config.patience = Patience {
            silence: Duration::from_millis(1500),
            ..Patience::default()
        };
    });
    let _feed = Feed::start(&camera.hub, FRAME_TIME);
    let (vanished, session) = Stalling::connect(&mut camera, 1).await;
    let (reason, _, stats) = camera.closed(&session).await;
    assert_eq!(reason, EndReason::ViewerVanished);
    assert!(stats.unwrap().frames_sent > 0);
    camera.demand(0).await;
    assert!(camera.hub.stats().viewers.is_empty());
    vanished.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_closes_without_a_word_is_noticed_at_once() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = Viewer::new(1).await;
    viewer.connect(&mut camera).await;
    camera.key_frame_wanted().await;
    viewer.peer.close().await.unwrap();
    let (reason, _, _) = camera.closed(&viewer.session).await;
    assert_eq!(reason, EndReason::ViewerClosed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_without_a_path_is_given_up() {
    let mut camera = Camera::start(|config| {
        config.patience = Patience {
            connect: Duration::from_millis(500),
            ..Patience::default()
        };
    });
    let viewer = Viewer::new(1).await;
    // It takes the answer nowhere and sends no candidates.
    camera.open(
        &viewer.session,
        &camera.grant(&viewer.session, &viewer.offer),
        &viewer.offer,
    );
    camera.demand(1).await;
    let (reason, _, stats) = camera.closed(&viewer.session).await;
    assert_eq!(reason, EndReason::NoPath);
    assert_eq!(stats.unwrap().phases.dtls_ms, None);
    camera.demand(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_that_beat_the_offer_are_used() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = Viewer::new(1).await;
    let Seen::Candidate(init) = viewer.next().await else {
        panic!("a viewer gathers first")
    };
    viewer.send_candidate(&camera, &init);
    camera.open(
        &viewer.session,
        &camera.grant(&viewer.session, &viewer.offer),
        &viewer.offer,
    );
    // The viewer is told none of the camera's candidates: the camera must make the first step.
    let (answer, _) = Viewer::answer(&viewer.session, &mut camera).await;
    let told = answer.lines().filter(|line| !line.contains("candidate"));
    let told: String = told.flat_map(|line| [line, "\r\n"]).collect();
    viewer.apply(&told).await;
    loop {
        if let Seen::State(webrtc::peer_connection::RTCPeerConnectionState::Connected) =
            viewer.next().await
        {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_nonsense_among_the_candidates_do_no_harm() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = Viewer::new(1).await;
    for line in [
        "candidate:1 1 udp 2122260223 0e4a0b7e-5a4b-4c6d-9e0f-000000000000.local 50123 typ host",
        "candidate:nonsense 1 udp x 192.0.2.1 99999 typ moon",
        "",
    ] {
        let init = rtc::peer_connection::transport::RTCIceCandidateInit {
            candidate: line.into(),
            ..Default::default()
        };
        viewer.send_candidate(&camera, &init);
    }
    viewer.connect(&mut camera).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_viewers_and_garbage_share_one_port() {
    let mut camera = Camera::start(|_| {});
    let mut ports = std::collections::HashSet::new();
    let mut viewers = Vec::new();
    for session in 1..=10 {
        let mut viewer = Viewer::new(session).await;
        let grant = camera.grant(&viewer.session, &viewer.offer);
        camera.open(&viewer.session, &grant, &viewer.offer);
        let (answer, _) = viewer.take_answer(&mut camera).await;
        let candidates = answer
            .lines()
            .filter_map(|line| line.strip_prefix("a=candidate:"));
        ports.extend(candidates.map(|line| line.split(' ').nth(5).unwrap().to_owned()));
        viewer.wait_connected(&mut camera).await;
        viewers.push(viewer);
    }
    assert_eq!(ports.len(), 1, "one port for all: {ports:?}");
    let port: u16 = ports.into_iter().next().unwrap().parse().unwrap();

    let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let stun = [
        &[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42][..],
        &[7; 12],
        b"\0\x06\0\x04ab:c",
    ]
    .concat();
    for first in 0..=255_u8 {
        let garbage = [&[first; 3][..], &[first ^ 0x55; 200]].concat();
        stranger.send_to(&garbage, ("127.0.0.1", port)).unwrap();
        stranger.send_to(&stun, ("127.0.0.1", port)).unwrap();
    }

    let feed = Feed::start(&camera.hub, FRAME_TIME);
    for viewer in &mut viewers {
        for _ in 0..10 {
            viewer.frame().await;
        }
    }
    feed.stop();
    let stats = camera.hub.stats();
    assert_eq!(
        stats
            .viewers
            .iter()
            .filter(|viewer| viewer.connected)
            .count(),
        10
    );
    assert_eq!(stats.strange_datagrams, 512);
    assert!(
        stats.packetise.count() >= 10 && stats.pace.count() >= 100 && stats.send.count() >= 100
    );
    assert!(
        stats
            .viewers
            .iter()
            .all(|viewer| viewer.first_frame.is_some())
    );
}
