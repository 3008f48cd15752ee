//! Viewers whose networks let only TCP through (RFC 6544).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::cell::OnceCell;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use heron_protocol::messages::{EndReason, RtcUp};
use heron_session::Rung;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use support::{Camera, Feed, Viewer, access_unit, sound};

/// Where the camera listens, by its answer.
fn listens_at(answer: &str) -> SocketAddr {
    let mut candidates = answer
        .lines()
        .filter(|line| line.contains("tcptype passive"));
    let words: Vec<&str> = candidates
        .next()
        .expect("a TCP candidate")
        .split(' ')
        .collect();
    format!("{}:{}", words[4], words[5]).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn picture_sound_and_calls_come_through_tcp() {
    let mut camera = Camera::start(|config| config.stats_interval = Duration::from_millis(300));
    let mut viewer = Viewer::over_tcp(1).await;
    viewer
        .connect_over_tcp(&mut camera, |address| address)
        .await;
    camera.key_frame_wanted().await;
    for number in 0..60 {
        camera.hub.video(access_unit(number));
        let (frame, _) = viewer.frame().await;
        assert!(frame == access_unit(number).data, "frame {number}");
    }
    camera.hub.audio(sound());
    viewer.packet(RtpCodecKind::Audio).await;
    viewer.reach().await;
    let stats = viewer.call("stats", serde_json::json!({})).await;
    assert_eq!(stats["result"]["path"]["protocol"], "tcp", "{stats}");
    let protocol = camera
        .message(
            &viewer.session,
            "Stats with a path",
            |message| match message {
                RtcUp::Stats { stats, .. } => Some(stats.path.clone()?.protocol),
                _ => None,
            },
        )
        .await;
    assert_eq!(protocol, "tcp");
    let stats = camera.hub.stats();
    assert_eq!((stats.tcp_refused, stats.tcp_dropped), (0, 0));
    assert!(stats.tcp_connections >= 1);
    viewer.close(&camera);
    camera.demand(0).await;
    assert_eq!(camera.hub.stats().tcp_connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_over_tcp_and_udp_share_one_feed() {
    let mut camera = Camera::start(|_| {});
    let mut viewers = Vec::new();
    for session in 1..=2 {
        let mut viewer = Viewer::over_tcp(session).await;
        viewer
            .connect_over_tcp(&mut camera, |address| address)
            .await;
        viewers.push(viewer);
    }
    let mut viewer = Viewer::new(3).await;
    viewer.connect(&mut camera).await;
    viewers.push(viewer);
    let feed = Feed::start(&camera.hub, Duration::from_millis(20));
    for viewer in &mut viewers {
        for _ in 0..60 {
            viewer.frame().await;
        }
    }
    feed.stop();
}

/// Something in the way of a TCP connection, such as a phone that goes out of reach.
struct Relay {
    address: SocketAddr,
    connections: mpsc::Receiver<(TcpStream, TcpStream)>,
}

impl Relay {
    /// Passes on between whoever connects and `camera`; what comes from the camera only up to `most` bytes.
    fn start(camera: SocketAddr, most: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, connections) = mpsc::channel();
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let near = near.unwrap();
                let far = TcpStream::connect(camera).unwrap();
                let ends = || (near.try_clone().unwrap(), far.try_clone().unwrap());
                let (mut from, mut to) = ends();
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                let (mut to, from) = ends();
                std::thread::spawn(move || std::io::copy(&mut from.take(most), &mut to));
                if sender.send(ends()).is_err() {
                    return;
                }
            }
        });
        Self {
            address,
            connections,
        }
    }

    fn cut(&self) {
        while let Ok((near, far)) = self.connections.try_recv() {
            let _ = near.shutdown(Shutdown::Both);
            let _ = far.shutdown(Shutdown::Both);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_whose_connection_breaks_is_let_go() {
    let mut camera = Camera::start(|config| {
        config.patience.disconnected = Duration::from_millis(300);
    });
    let mut viewer = Viewer::over_tcp(1).await;
    let relay = OnceCell::new();
    let through = |camera| relay.get_or_init(|| Relay::start(camera, u64::MAX)).address;
    viewer.connect_over_tcp(&mut camera, through).await;
    camera.key_frame_wanted().await;
    camera.hub.video(access_unit(0));
    viewer.frame().await;
    relay.into_inner().unwrap().cut();
    let (reason, _, _) = camera.closed(&viewer.session).await;
    assert_eq!(reason, EndReason::ViewerVanished);
    assert_eq!(camera.hub.stats().tcp_connections, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_that_stops_reading_harms_nobody() {
    let mut camera = Camera::start(|_| {});
    let mut other = Viewer::new(1).await;
    other.connect(&mut camera).await;
    let mut stalled = Viewer::over_tcp(2).await;
    // Room for the handshake and some pictures.
    stalled
        .connect_over_tcp(&mut camera, |camera| Relay::start(camera, 100_000).address)
        .await;
    let feed = Feed::start(&camera.hub, Duration::from_millis(10));
    stalled.frame().await;
    let mut last = None;
    for _ in 0..300 {
        let (_, packets) = other.frame().await;
        for packet in packets {
            let next = packet.header.sequence_number;
            assert!(last.is_none_or(|last: u16| next == last.wrapping_add(1)));
            last = Some(next);
        }
    }
    feed.stop();
    let stats = camera.hub.stats();
    let other = stats
        .viewers
        .iter()
        .find(|viewer| viewer.session == other.session);
    let other = other.unwrap();
    assert_eq!((other.rung, other.sends_blocked), (Some(Rung::Main), 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_cut_off_and_harm_nobody() {
    let mut camera = Camera::start(|_| {});
    let mut viewer = Viewer::new(1).await;
    let grant = camera.grant(&viewer.session, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    let (answer, _) = viewer.take_answer(&mut camera).await;
    let address = listens_at(&answer);
    for nonsense in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0, 1, 0x80], &[0xff; 4096]] {
        let mut stranger = TcpStream::connect(address).unwrap();
        stranger.write_all(nonsense).unwrap();
        // The end, or a reset where it had not read everything.
        assert!(matches!(stranger.read(&mut [0; 16]), Ok(0) | Err(_)));
    }
    viewer.wait_connected(&mut camera).await;
    camera.key_frame_wanted().await;
    camera.hub.video(access_unit(0));
    viewer.frame().await;
    let stats = camera.hub.stats();
    assert_eq!((stats.tcp_refused, stats.tcp_connections), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_viewer_may_guess_no_other_viewers_name() {
    let mut camera = Camera::start(|_| {});
    let viewer = Viewer::new(1).await;
    let grant = camera.grant(&viewer.session, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    let (answer, _) = Viewer::answer(&viewer.session, &mut camera).await;
    let ufrag = answer
        .lines()
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"))
        .unwrap();
    // A check with the right name and no password is not answered, and the connection nobody's.
    let name = format!("{ufrag}:them");
    let mut value = name.clone().into_bytes();
    value.resize(value.len().next_multiple_of(4), 0);
    let mut check = vec![0, 1, 0, 4 + value.len() as u8];
    check.extend(0x2112_a442_u32.to_be_bytes());
    check.extend([7; 12]);
    check.extend([0, 6, 0, name.len() as u8]);
    check.extend(value);
    let mut framed = (check.len() as u16).to_be_bytes().to_vec();
    framed.extend(check);
    let mut stranger = TcpStream::connect(listens_at(&answer)).unwrap();
    stranger.write_all(&framed).unwrap();
    // What only the viewer may say ends it.
    stranger.write_all(&[0, 2, 0x80, 0x60]).unwrap();
    assert!(matches!(stranger.read(&mut [0; 16]), Ok(0) | Err(_)));
    assert_eq!(camera.hub.stats().tcp_refused, 1);
}

#[tokio::test]
async fn tcp_can_be_switched_off() {
    let mut camera = Camera::start(|config| config.tcp = false);
    let viewer = Viewer::new(1).await;
    let grant = camera.grant(&viewer.session, &viewer.offer);
    camera.open(&viewer.session, &grant, &viewer.offer);
    let (answer, _) = Viewer::answer(&viewer.session, &mut camera).await;
    assert!(
        answer.contains(" udp ") && !answer.contains(" tcp "),
        "{answer}"
    );
}
