//! Paths that change, go through a TURN server, or are slow.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use heron_protocol::messages::{CandidateKind, IcePolicy, IceServer, RtcDown, RtcUp};
use heron_session::Rung;
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use support::{Camera, Feed, Viewer, access_unit, is_small};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_goes_on_after_an_ice_restart() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = Viewer::new(1).await;
    let grant = camera.grant(&viewer.session, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    let (first, _) = viewer.take_answer(&mut camera).await;
    viewer.wait_connected(&mut camera).await;
    camera.key_frame_wanted().await;
    camera.hub.video(access_unit(0));
    viewer.frame().await;

    let options = RTCOfferOptions { ice_restart: true };
    let offer = viewer.peer.create_offer(Some(options)).await.unwrap();
    let sdp = offer.sdp.clone();
    viewer.peer.set_local_description(offer).await.unwrap();
    let grant = camera.grant(&viewer.session, &sdp);
    camera.hub.handle(
        &viewer.session,
        RtcDown::Restart {
            seq: 1000,
            grant: grant.sign(&camera.control_key).unwrap(),
            offer: sdp,
            ice_servers: vec![],
        },
    );
    let (answer, _) = viewer.take_answer(&mut camera).await;
    assert!(answer.contains("a=candidate:"), "{answer}");
    let credentials = |sdp: &str| {
        sdp.lines()
            .find(|line| line.starts_with("a=ice-pwd"))
            .map(str::to_owned)
    };
    assert_ne!(credentials(&answer), credentials(&first));
    let feed = Feed::start(&camera.hub, Duration::from_millis(20));
    for _ in 0..60 {
        viewer.frame().await;
    }
    feed.stop();
    assert_eq!(camera.hub.stats().sessions_opened, 1);
}

/// Debian's coturn on loopback; ends with the test.
struct Coturn(Child);

impl Coturn {
    fn start(port: u16) -> Self {
        let port = port.to_string();
        let child = Command::new("turnserver")
            .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech"])
            .args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"])
            .args(["--listening-port", &port, "--allow-loopback-peers"])
            .args(["--realm", "heron", "--user", "camera:secret"])
            .args(["--pidfile", "", "--log-file", "stdout"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("turnserver (apt-get install coturn): {error}"));
        Self(child)
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_viewers_are_reached_only_through_a_turn_server() {
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let _server = Coturn::start(port);
    let mut camera = Camera::start(|config| config.stats_interval = Duration::from_millis(300));
    for session in 1..=2 {
        let mut viewer = Viewer::new(session).await;
        let grant = camera.grant(&viewer.session, &viewer.offer);
        let server = IceServer {
            urls: vec![format!("turn:127.0.0.1:{port}")],
            username: "camera".into(),
            credential: "secret".into(),
        };
        let grant = grant.sign(&camera.control_key).unwrap();
        let (session, offer) = (viewer.session.clone(), viewer.offer.clone());
        camera.open_through(&session, grant, &offer, vec![server], IcePolicy::Relay);
        let (answer, _) = viewer.take_answer(&mut camera).await;
        assert!(!answer.contains("a=candidate:"), "{answer}");
        let candidates = camera
            .message(&session, "Candidates", |message| match message {
                RtcUp::Candidates { candidates, .. } => Some(candidates.clone()),
                _ => None,
            })
            .await;
        for candidate in candidates {
            assert!(candidate.candidate.contains("typ relay"), "{candidate:?}");
            let init = RTCIceCandidateInit {
                candidate: candidate.candidate,
                sdp_mline_index: candidate.sdp_m_line_index,
                ..Default::default()
            };
            viewer.peer.add_ice_candidate(init).await.unwrap();
        }
        viewer.wait_connected(&mut camera).await;
        camera.key_frame_wanted().await;
        for number in 0..30 {
            camera.hub.video(access_unit(number));
            let (frame, _) = viewer.frame().await;
            assert!(frame == access_unit(number).data, "frame {number}");
        }
        let path = camera
            .message(&session, "Stats with a path", |message| match message {
                RtcUp::Stats { stats, .. } => stats.path.clone(),
                _ => None,
            })
            .await;
        assert_eq!(path.local, CandidateKind::Relay);
    }
}

/// A bottleneck on the way to the camera: what does not fit in time is lost.
struct Bottleneck {
    stop: Arc<AtomicBool>,
    address: SocketAddr,
}

impl Bottleneck {
    /// Forwards between the first that speaks and `camera`; towards the viewer at most `bps`.
    fn start(camera: SocketAddr, bps: f64) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = near.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        near.set_nonblocking(true).unwrap();
        far.set_read_timeout(Some(Duration::from_millis(2)))
            .unwrap();
        std::thread::spawn(move || {
            let mut viewer = None;
            let mut queue = std::collections::VecDeque::new();
            let mut free_at = Instant::now();
            let mut data = [0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                while let Ok((size, from)) = near.recv_from(&mut data) {
                    viewer = Some(from);
                    let _ = far.send_to(&data[..size], camera);
                }
                if let Ok(size) = far.recv(&mut data) {
                    let now = Instant::now();
                    let takes = Duration::from_secs_f64(size as f64 * 8.0 / bps);
                    // A queue of 200 ms, then loss.
                    if free_at < now + Duration::from_millis(200) {
                        free_at = free_at.max(now) + takes;
                        queue.push_back((free_at, data[..size].to_vec()));
                    }
                }
                while queue.front().is_some_and(|(at, _)| *at <= Instant::now()) {
                    let (_, datagram) = queue.pop_front().unwrap();
                    if let Some(viewer) = viewer {
                        let _ = near.send_to(&datagram, viewer);
                    }
                }
            }
        });
        Self { stop, address }
    }
}

impl Drop for Bottleneck {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_viewer_gets_the_small_picture_and_the_others_keep_theirs() {
    let mut camera = Camera::start(|config| config.stats_interval = Duration::from_millis(300));
    let mut fast = Vec::new();
    for session in 1..=2 {
        let mut viewer = Viewer::new(session).await;
        viewer.connect(&mut camera).await;
        fast.push(viewer);
    }
    let mut slow = Viewer::new(3).await;
    let grant = camera.grant(&slow.session, &slow.offer);
    camera.open(&slow.session, &grant, &slow.offer);
    let (answer, _) = Viewer::answer(&slow.session, &mut camera).await;
    let candidate = answer
        .lines()
        .find_map(|line| line.strip_prefix("a=candidate:"))
        .unwrap();
    let port = candidate.split(' ').nth(5).unwrap();
    let behind = Bottleneck::start(format!("127.0.0.1:{port}").parse().unwrap(), 350_000.0);
    let answer = answer.replace(
        &format!(" {port} "),
        &format!(" {} ", behind.address.port()),
    );
    slow.apply(&answer).await;
    // The camera learns the slow viewer's address from its checks: it comes through the bottleneck.
    let feed = Feed::start(&camera.hub, Duration::from_millis(33));
    loop {
        let (frame, _) = slow.frame().await;
        if is_small(&frame) {
            break;
        }
    }
    let rungs: Vec<_> = camera
        .hub
        .stats()
        .viewers
        .into_iter()
        .filter(|viewer| viewer.session != slow.session)
        .map(|viewer| viewer.rung)
        .collect();
    assert_eq!(rungs, [Some(Rung::Main); 2]);
    for viewer in &mut fast {
        for _ in 0..30 {
            let (frame, _) = viewer.frame().await;
            assert!(!is_small(&frame));
        }
    }
    feed.stop();
}
