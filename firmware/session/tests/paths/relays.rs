//! Through a TURN server that others wrote: Debian's coturn, over UDP, TCP and TLS.

use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use heron_protocol::messages::{CandidateKind, EndReason, IcePolicy, IceServer, RestartReason};
use heron_session::{HubConfig, Patience};
use rustls::RootCertStore;
use tempfile::TempDir;

use crate::support::{Camera, Feed, Viewer, access_unit};

const NAME: &str = "localhost";

/// Ends with the test.
struct Coturn {
    server: Child,
    port: u16,
    tls_port: u16,
    certificate: rcgen::Certificate,
    _files: TempDir,
}

impl Coturn {
    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let (cert_file, key_file) = (files.path().join("cert.pem"), files.path().join("key.pem"));
        std::fs::write(&cert_file, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        let (port, tls_port) = (free_port(), free_port());
        let server = Command::new("turnserver")
            .args(["-n", "--no-cli", "--no-dtls", "--lt-cred-mech"])
            .args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"])
            .args(["--listening-port", &port.to_string()])
            .args(["--tls-listening-port", &tls_port.to_string()])
            .arg("--cert")
            .arg(cert_file)
            .arg("--pkey")
            .arg(key_file)
            .args(["--realm", "heron", "--user", "camera:secret"])
            .args([
                "--allow-loopback-peers",
                "--pidfile",
                "",
                "--log-file",
                "stdout",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("turnserver (apt-get install coturn): {error}"));
        let coturn = Self {
            server,
            port,
            tls_port,
            certificate,
            _files: files,
        };
        // It listens on all of its ports or on none.
        while std::net::TcpStream::connect(("127.0.0.1", tls_port)).is_err() {
            std::thread::yield_now();
        }
        coturn
    }

    fn url(&self, transport: &str) -> String {
        match transport {
            "tls" => format!("turns:{NAME}:{}?transport=tcp", self.tls_port),
            other => format!("turn:127.0.0.1:{}?transport={other}", self.port),
        }
    }

    fn trust(&self, config: &mut HubConfig) {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        config.turn_roots = Arc::new(roots);
    }

    fn stop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    // Free for both protocols: the first that is.
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        if UdpSocket::bind(address).is_ok() {
            return address.port();
        }
    }
}

fn servers(urls: &[String]) -> Vec<IceServer> {
    vec![IceServer {
        urls: urls.to_vec(),
        username: "camera".into(),
        credential: "secret".into(),
    }]
}

fn start(coturn: &Coturn) -> Camera {
    Camera::start(|config| {
        config.stats_interval = Duration::from_millis(300);
        coturn.trust(config);
    })
}

/// Opens a session of which only relayed candidates are told, until media can flow.
async fn connect(viewer: &mut Viewer, camera: &mut Camera, urls: &[String]) {
    let grant = camera.grant(&viewer.session, &viewer.offer);
    let grant = grant.sign(&camera.control_key).unwrap();
    let (session, offer) = (viewer.session.clone(), viewer.offer.clone());
    camera.open_through(&session, grant, &offer, servers(urls), IcePolicy::Relay);
    let (answer, _) = viewer.take_answer(camera).await;
    assert!(!answer.contains("a=candidate:"), "{answer}");
    for candidate in viewer.take_candidates(camera).await {
        assert!(candidate.candidate.contains("typ relay"), "{candidate:?}");
        assert!(candidate.username_fragment.is_some());
    }
    viewer.wait_connected(camera).await;
}

async fn watch(viewer: &mut Viewer, camera: &mut Camera) {
    camera.key_frame_wanted().await;
    for number in 0..30 {
        camera.hub.video(access_unit(number));
        let (frame, _) = viewer.frame().await;
        assert!(frame == access_unit(number).data, "frame {number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_are_reached_only_through_a_turn_server_over_udp_tcp_and_tls() {
    let coturn = Coturn::start();
    let mut camera = start(&coturn);
    for (session, transport) in [(1, "udp"), (2, "udp"), (3, "tcp"), (4, "tls")] {
        let mut viewer = Viewer::new(session).await;
        let url = coturn.url(transport);
        connect(&mut viewer, &mut camera, std::slice::from_ref(&url)).await;
        watch(&mut viewer, &mut camera).await;
        let stats = camera.stats(&viewer.session, |stats| stats.path.is_some());
        let stats = stats.await;
        let path = stats.path.unwrap();
        assert_eq!(path.local, CandidateKind::Relay);
        assert_eq!(path.relay, Some(url));
        assert!(path.local_address.is_some() && stats.phases.gathered_ms.is_some());
        assert_eq!(stats.pairs[0].path.relay, path.relay);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_is_used_where_udp_is_not_answered_and_only_there() {
    let coturn = Coturn::start();
    let mut camera = start(&coturn);
    // A server behind a firewall that lets no datagram through.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let blocked = format!("turn:{}?transport=udp", silent.local_addr().unwrap());
    for (session, udp, expected) in [(1, blocked, "tcp"), (2, coturn.url("udp"), "udp")] {
        let urls = [udp, coturn.url("tcp"), coturn.url("tls")];
        let mut viewer = Viewer::new(session).await;
        connect(&mut viewer, &mut camera, &urls).await;
        watch(&mut viewer, &mut camera).await;
        let stats = camera.stats(&viewer.session, |stats| stats.path.is_some());
        let stats = stats.await;
        assert_eq!(stats.path.unwrap().relay, Some(coturn.url(expected)));
        // No more addresses than needed: all pairs are of that one.
        for pair in stats.pairs {
            assert_eq!(pair.path.relay, Some(coturn.url(expected)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_server_that_nobody_vouches_for_is_not_used() {
    let coturn = Coturn::start();
    let mut camera = Camera::start(|config| {
        config.patience = Patience {
            connect: Duration::from_secs(2),
            ..Patience::default()
        };
    });
    let viewer = Viewer::new(1).await;
    let grant = camera.grant(&viewer.session, &viewer.offer);
    let grant = grant.sign(&camera.control_key).unwrap();
    camera.open_through(
        &viewer.session,
        grant,
        &viewer.offer,
        servers(&[coturn.url("tls")]),
        IcePolicy::Relay,
    );
    let (reason, _, stats) = camera.closed(&viewer.session).await;
    assert_eq!(reason, EndReason::NoPath);
    let gathered = stats.unwrap().phases.gathered_ms;
    assert_eq!(gathered, None, "an address came of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_picture_comes_back_by_another_server_when_the_chosen_one_dies() {
    for transport in ["udp", "tcp"] {
        let (mut chosen, other) = (Coturn::start(), Coturn::start());
        let mut camera = start(&chosen);
        let mut viewer = Viewer::new(1).await;
        connect(&mut viewer, &mut camera, &[chosen.url(transport)]).await;
        watch(&mut viewer, &mut camera).await;
        let feed = Feed::start(&camera.hub, Duration::from_millis(20));
        viewer.frame().await;
        chosen.stop();
        let reason = camera.restart_wanted(&viewer.session).await;
        assert_eq!(reason, RestartReason::RelayLost, "{transport}");
        let urls = [chosen.url("udp"), other.url(transport)];
        viewer.restart(&mut camera, servers(&urls)).await;
        viewer.take_candidates(&mut camera).await;
        while viewer.seen.try_recv().is_ok() {}
        for _ in 0..30 {
            viewer.frame().await;
        }
        feed.stop();
        let by_other =
            |path: &heron_protocol::messages::Path| path.relay == Some(other.url(transport));
        let stats = camera.stats(&viewer.session, |stats| {
            stats.path.as_ref().is_some_and(by_other)
        });
        assert_eq!(stats.await.restarts, 1);
    }
}
