//! The whole camera as a service, against a real broker: from the start to SIGTERM.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../../agent/tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use heron_protocol::messages::{Offline, ReportedState, Section, Telemetry};
use heron_protocol::{Topic, decode};
use support::{Authority, Broker, DEVICE, Observer, PATIENCE};
use tempfile::TempDir;

/// A camera with the pattern and the tone, as systemd would start it.
struct Camera {
    process: Child,
    folder: TempDir,
    told: mpsc::Receiver<String>,
    metrics: u16,
}

impl Camera {
    fn start(authority: &Authority, broker: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let metrics = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let metrics = metrics.local_addr().unwrap().port();
        let bundle = authority.bundle_text(DEVICE, broker, &authority.client(DEVICE));
        fs::write(folder.path().join("bundle.toml"), bundle).unwrap();
        let config = format!(
            "bundle = \"bundle.toml\"\n[video]\nsource = \"pattern\"\nwidth = 320\nheight = 180\n\
             [audio]\nsource = \"tone\"\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n"
        );
        fs::write(folder.path().join("camera.toml"), config).unwrap();
        let socket = folder.path().join("notify");
        let told = listen(&UnixDatagram::bind(&socket).unwrap());
        Self {
            process: launch(folder.path()),
            folder,
            told,
            metrics,
        }
    }

    /// As systemd does after a crash.
    fn crash_and_start_again(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = launch(self.folder.path());
    }

    /// Waits until systemd would have been told this.
    fn told(&self, wanted: &str) {
        while self.told.recv_timeout(PATIENCE).expect(wanted) != wanted {}
    }

    fn metrics(&self) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.metrics)).unwrap();
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn terminate(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        let pid = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        (self.process.wait().unwrap(), started.elapsed())
    }
}

fn launch(folder: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_heron-camera"))
        .args(["run", "--config", "camera.toml"])
        .current_dir(folder)
        .env("NOTIFY_SOCKET", folder.join("notify"))
        .env("WATCHDOG_USEC", "400000")
        .spawn()
        .unwrap()
}

/// Reads at once, as systemd does: whoever is slow to read makes the sender wait.
fn listen(notify: &UnixDatagram) -> mpsc::Receiver<String> {
    let notify = notify.try_clone().unwrap();
    let (sender, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(length) = notify.recv(&mut buffer) {
            let lines = std::str::from_utf8(&buffer[..length]).unwrap().lines();
            for line in lines.map(str::to_owned) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        }
    });
    told
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_service_from_start_to_stop() {
    let authority = Authority::new();
    let broker = Broker::start(&authority);
    let mut observer = Observer::start(&authority, broker.port).await;
    let mut camera = Camera::start(&authority, broker.port);
    camera.told("READY=1");

    let presence = observer.presence().await;
    assert!(presence.online);
    assert_eq!(presence.firmware, env!("CARGO_PKG_VERSION"));

    let (mut video, mut telemetry) = (None, None);
    let (video, telemetry) = observer
        .next(|seen| {
            match seen.topic {
                Topic::ReportedState(_, Section::Video) => {
                    video = Some(decode::<ReportedState>(&seen.body));
                }
                Topic::Telemetry(_) => telemetry = Some(decode::<Telemetry>(&seen.body)),
                _ => {}
            }
            video.clone().zip(telemetry.clone())
        })
        .await;
    let (video, telemetry) = (video.unwrap(), telemetry.unwrap());
    assert_eq!(video.state["source"], "pattern");
    assert_eq!(video.state["state"], "idle", "nobody watches");
    assert_eq!((telemetry.viewers, telemetry.encoders_running), (0, 0));
    assert!(telemetry.resident_bytes > 1_000_000);

    let metrics = camera.metrics();
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
    assert!(
        metrics.contains("\nheron_encoders_running 0\n"),
        "{metrics}"
    );
    assert!(
        metrics.contains("\nheron_broker_connected 1\n"),
        "{metrics}"
    );
    camera.told("WATCHDOG=1");

    let (status, took) = camera.terminate();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    camera.told("STOPPING=1");
    let presence = observer.presence().await;
    assert_eq!(
        (presence.online, presence.reason),
        (false, Some(Offline::Shutdown))
    );
}

#[tokio::test]
async fn a_camera_without_a_broker_runs_and_stops_all_the_same() {
    let authority = Authority::new();
    let mut camera = Camera::start(&authority, 1);
    camera.told("READY=1");
    camera.told("WATCHDOG=1");
    assert!(camera.metrics().contains("\nheron_broker_connected 0\n"));
    let (status, took) = camera.terminate();
    assert!(status.success(), "{status}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn after_a_crash_the_camera_says_why_it_was_away() {
    let authority = Authority::new();
    let broker = Broker::start(&authority);
    let mut observer = Observer::start(&authority, broker.port).await;
    let mut camera = Camera::start(&authority, broker.port);
    let first = observer.presence().await;
    assert_eq!((first.online, first.last_reason), (true, None));

    camera.crash_and_start_again();
    let mut again = observer.presence().await;
    while !again.online {
        assert_eq!(
            again.reason,
            Some(Offline::ConnectionLost),
            "all a will can say"
        );
        again = observer.presence().await;
    }
    assert_eq!(again.last_reason, Some(Offline::Crash));
    assert_eq!(again.boot_id, first.boot_id);

    // A stop and a start are told too.
    camera.terminate();
    camera.process = launch(camera.folder.path());
    let mut again = observer.presence().await;
    while !again.online {
        again = observer.presence().await;
    }
    assert_eq!(again.last_reason, Some(Offline::Shutdown));
}
