//! A real camera process without a broker, asked over HTTP as anybody in its network could.
#![allow(dead_code, reason = "each test binary uses a part")]

#[path = "../../../agent/tests/support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use support::{Authority, DEVICE};
use tempfile::TempDir;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const TOKEN: &str = "0123456789abcdef";

/// A camera that draws its picture and serves its local view.
pub struct Camera {
    process: Child,
    _folder: TempDir,
    /// Where the local view is.
    pub view: SocketAddr,
    metrics: SocketAddr,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// By their names in small letters.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Camera {
    /// Starts one; `more` are lines for the end of its configuration, which is the section `[session]`.
    pub fn start(more: &str) -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        // Nobody listens at port 1: this camera has no control plane.
        let bundle = authority.bundle_text(DEVICE, 1, &authority.client(DEVICE));
        fs::write(folder.path().join("bundle.toml"), bundle).unwrap();
        let (view, metrics) = (free_address(), free_address());
        let config = format!(
            "bundle = \"bundle.toml\"\n\
             [video]\nsource = \"pattern\"\nwidth = 320\nheight = 180\nfps = 15\nbitrate_kbps = 300\n\
             [audio]\nsource = \"tone\"\n\
             [metrics]\nlisten = \"{metrics}\"\n\
             [local_view]\nlisten = \"{view}\"\ntoken = \"{TOKEN}\"\n\
             [session]\nbind = [\"127.0.0.1:0\"]\n{more}\n"
        );
        fs::write(folder.path().join("camera.toml"), config).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_heron-camera"))
            .args(["run", "--config", "camera.toml"])
            .current_dir(folder.path())
            .spawn()
            .unwrap();
        let camera = Self {
            process,
            _folder: folder,
            view,
            metrics,
        };
        until("the camera answers", || TcpStream::connect(view).is_ok());
        camera
    }

    /// Asks the local view with its token.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let mut all = vec![("Authorization", bearer.as_str())];
        all.extend(headers);
        self.ask_anonymously(method, path, &all, body)
    }

    /// Asks the local view with these headers and no others.
    pub fn ask_anonymously(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        ask(self.view, method, path, headers, body)
    }

    /// Posts an offer.
    pub fn offer(&self, sdp: &str) -> Answer {
        self.ask("POST", "/whep", &[("Content-Type", "application/sdp")], sdp)
    }

    /// A figure of the camera's exposition, by its name with its labels.
    pub fn figure(&self, name: &str) -> f64 {
        let answer = ask(self.metrics, "GET", "/metrics", &[], "");
        let mut lines = answer.text().lines();
        let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
    }

    /// Waits until a figure is what it should be.
    pub fn until_figure(&self, name: &str, wanted: f64) {
        until(&format!("{name} is {wanted}"), || {
            (self.figure(name) - wanted).abs() < f64::EPSILON
        });
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until it is so.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A loopback address that nobody uses.
pub fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap()
}

/// Asks over plain HTTP.
pub fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A server that has refused a long body may close before it has read it.
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no answer to {method} {path}"));
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    let (first, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let header = |line: &str| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_ascii_lowercase(), value.trim().to_owned())
    };
    Answer {
        status: first.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: rest.lines().map(header).collect(),
        body: answer[end + 4..].to_vec(),
    }
}
