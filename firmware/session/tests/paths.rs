//! Paths that change, go through a TURN server, or are slow.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "paths/networks.rs"]
mod networks;
#[path = "paths/relays.rs"]
mod relays;
mod support;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use heron_protocol::messages::PairState;
use heron_session::Rung;
use support::{Camera, Feed, Viewer, access_unit, is_small};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_goes_on_after_an_ice_restart() {
    let mut camera = Camera::start(|config| config.stats_interval = Duration::from_millis(300));
    let mut viewer = Viewer::new(1).await;
    let grant = camera.grant(&viewer.session, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    let (first, _) = viewer.take_answer(&mut camera).await;
    viewer.wait_connected(&mut camera).await;
    camera.key_frame_wanted().await;
    camera.hub.video(access_unit(0));
    viewer.frame().await;

    let answer = viewer.restart(&mut camera, vec![]).await;
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
    let stats = camera.stats(&viewer.session, |stats| stats.restarts == 1);
    let stats = stats.await;
    let chosen = &stats.pairs[0];
    assert!(chosen.chosen && chosen.state == PairState::Succeeded);
    assert_eq!(Some(&chosen.path), stats.path.as_ref());
    assert_eq!(chosen.path.relay, None);
    let remote = chosen.path.remote_address.as_deref().unwrap();
    assert!(remote.starts_with("127.0.0.1:"), "{remote}");
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
