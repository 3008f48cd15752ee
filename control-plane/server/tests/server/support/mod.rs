//! A whole control plane in this process, and a small HTTP client for it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part; a failure here is a failed test"
)]

pub mod database;
pub mod devices;
pub mod mqtt;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use heron_control::access::Role;
use heron_control::{Config, Server};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub const ADMIN: (&str, &str) = ("Ada", "correct horse");
pub const VIEWER: (&str, &str) = ("Bob", "battery staple");

/// All ports chosen by the system, everything in `dir`.
pub fn config(dir: &Path) -> Config {
    Config::parse(&text(dir), Path::new("test.toml")).unwrap()
}

fn text(dir: &Path) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\npublic_host = \"127.0.0.1\"\n\
         data_dir = {:?}\n[broker]\ndevices = \"127.0.0.1:0\"\ncontrol = \"127.0.0.1:0\"\n\
         [turn]\nlisten = \"127.0.0.1:0\"\nrelay_address = \"127.0.0.1\"\n",
        dir.join("data")
    )
}

/// The same as a file, with the database at `store` unless that is the file in the data directory.
pub fn config_file(dir: &Path, store: Option<&str>) -> std::path::PathBuf {
    let store = store.map(|url| format!("[store]\nurl = {url:?}\n"));
    let file = dir.join("heron-control.toml");
    std::fs::write(&file, text(dir) + &store.unwrap_or_default()).unwrap();
    file
}

/// `heron-control` with this file.
pub fn heron_control(arguments: &[&str], config: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_heron-control"));
    command.args(arguments).arg("--config").arg(config);
    command
}

/// A running control plane with two people.
pub struct ControlPlane {
    pub server: Server,
    pub dir: tempfile::TempDir,
}

impl ControlPlane {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(config(dir.path())).await.unwrap();
        for ((name, password), role) in [(ADMIN, Role::Admin), (VIEWER, Role::Viewer)] {
            server
                .home()
                .add_person(name, password, role)
                .await
                .unwrap();
        }
        Self { server, dir }
    }

    /// A client that trusts the CA that this control plane made.
    pub fn client(&self) -> Client {
        let root = std::fs::read(self.dir.path().join("data/root.pem")).unwrap();
        Client {
            address: self.server.https_address(),
            tls: trusting(&root),
            cookie: None,
        }
    }

    pub async fn signed_in(&self, (name, password): (&str, &str)) -> Client {
        let mut client = self.client();
        let answer = client
            .post(
                "/api/v1/sign-in",
                &serde_json::json!({ "name": name, "password": password }),
            )
            .await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        client.cookie = answer.cookie();
        client
    }
}

/// TLS that trusts one CA.
pub fn trusting(root_pem: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(root_pem).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    TlsConnector::from(Arc::new(
        builder.with_root_certificates(roots).with_no_client_auth(),
    ))
}

/// An HTTP client that opens a connection for each request.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub tls: TlsConnector,
    pub cookie: Option<String>,
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next()
    }

    pub fn cookie(&self) -> Option<String> {
        self.header("set-cookie")?
            .split(';')
            .next()
            .map(str::to_owned)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The detail of a problem.
    pub fn detail(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{}",
            self.head
        );
        self.json()["detail"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(
            "POST",
            path,
            &[("content-type", "application/json")],
            &body.to_string(),
        )
        .await
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let host = ServerName::from(self.address.ip());
        let stream = self
            .tls
            .connect(host, TcpStream::connect(self.address).await.unwrap())
            .await
            .unwrap();
        let cookie: Vec<(&str, &str)> = self
            .cookie
            .iter()
            .map(|cookie| ("cookie", cookie.as_str()))
            .collect();
        exchange(
            stream,
            self.address,
            method,
            path,
            &[headers, &cookie].concat(),
            body,
        )
        .await
    }
}

/// One request and its answer on a fresh connection.
pub async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    host: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(request, "{name}: {value}\r\n").unwrap();
    }
    write!(request, "content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
