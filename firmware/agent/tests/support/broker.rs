//! A mosquitto of one test: mutual TLS on a loopback port, nothing kept on disk.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::certificates::Authority;

pub struct Broker {
    pub port: u16,
    folder: TempDir,
    process: Child,
}

impl Broker {
    pub fn start(authority: &Authority) -> Self {
        Self::start_at(authority, Ipv4Addr::LOCALHOST)
    }

    /// On an address of the host that this thread is on; the unspecified one for all of them.
    pub fn start_at(authority: &Authority, address: Ipv4Addr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = authority.server();
        let port = free_port();
        let config = format!(
            "listener {port} {address}\ncafile ca.pem\ncertfile server.pem\nkeyfile server.key\n\
             require_certificate true\nuse_identity_as_username true\nallow_anonymous false\n\
             persistence false\nuser root\n"
        );
        for (name, text) in [
            ("ca.pem", authority.pem()),
            ("server.pem", server.certificate),
            ("server.key", server.key),
            ("mosquitto.conf", config),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let process = launch(folder.path(), port);
        Self {
            port,
            folder,
            process,
        }
    }

    /// As a power cut would: nobody gets a goodbye, and nothing is remembered.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn restart(&mut self) {
        self.process = launch(self.folder.path(), self.port);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Returns once the broker accepts connections.
fn launch(folder: &Path, port: u16) -> Child {
    // Debian puts it where only root's PATH looks.
    let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("mosquitto");
    let mut process = Command::new(program)
        .args(["-c", "mosquitto.conf"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("these tests need mosquitto (apt-get install mosquitto): {error}")
        });
    let deadline = Instant::now() + super::PATIENCE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if let Some(status) = process.try_wait().unwrap() {
            panic!("mosquitto ended at once: {status}");
        }
        assert!(Instant::now() < deadline, "mosquitto does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
    process
}
