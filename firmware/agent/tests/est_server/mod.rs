//! An EST server that misbehaves on request: the answers a camera must survive, which a real one gives once in a year.
//! The real one is tried by the camera's own tests.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::VecDeque;
use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::support::{Authority, DEVICE, grant_key};

/// What the next request for a certificate is answered with; when nothing is left, a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A person has to confirm first.
    Later,
    /// A status and a line.
    Status(u16, &'static str),
    /// A certificate is made, and the answer lost.
    Lost,
    /// This body as if it were PKCS#7.
    Body(&'static str),
    /// A certificate for somebody else's key.
    OtherKey,
}

/// A request for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub path: String,
    /// `user:password`.
    pub basic: String,
    /// SHA-256 of the request's public key.
    pub key: Vec<u8>,
    /// Whether the TLS connection had a certificate.
    pub certificate: bool,
}

pub struct EstServer {
    pub port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

struct State {
    authority: Arc<Authority>,
    /// Signs the answers; another one than `authority` where a broker is to refuse them.
    issuer: Arc<Authority>,
    broker: u16,
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
}

impl EstServer {
    pub async fn start(authority: &Arc<Authority>, broker: u16) -> Self {
        Self::issuing(authority, authority, broker).await
    }

    pub async fn issuing(authority: &Arc<Authority>, issuer: &Arc<Authority>, broker: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            authority: Arc::clone(authority),
            issuer: Arc::clone(issuer),
            broker,
            replies: Mutex::default(),
            seen: Mutex::default(),
        });
        let acceptor = TlsAcceptor::from(Arc::new(tls(authority, issuer)));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, state) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let certificate = stream.get_ref().1.peer_certificates().is_some();
                    let service = service_fn(|request| answer(&state, request, certificate));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, state, task }
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.replies.lock().extend(replies);
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().clone()
    }
}

impl Drop for EstServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn tls(authority: &Authority, issuer: &Authority) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    for pem in [authority.pem(), issuer.pem()] {
        roots
            .add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap())
            .unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let clients =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .allow_unauthenticated()
            .build()
            .unwrap();
    let server = authority.server();
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![CertificateDer::from_pem_slice(server.certificate.as_bytes()).unwrap()],
            PrivateKeyDer::from_pem_slice(server.key.as_bytes()).unwrap(),
        )
        .unwrap()
}

async fn answer(
    state: &State,
    request: Request<Incoming>,
    certificate: bool,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let path = request.uri().path().to_owned();
    if path == "/api/v1/device" {
        return Ok(device(state, certificate));
    }
    let basic = request
        .headers()
        .get(AUTHORIZATION)
        .map_or_else(String::new, |value| {
            let encoded = value.to_str().unwrap().strip_prefix("Basic ").unwrap();
            String::from_utf8(STANDARD.decode(encoded).unwrap()).unwrap()
        });
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let csr = STANDARD.decode(&body).unwrap();
    let issued = state.issuer.answer(&csr, DEVICE, -1, 89);
    state.seen.lock().push(Seen {
        path,
        basic,
        key: key_of(&csr),
        certificate,
    });
    let reply = state.replies.lock().pop_front();
    Ok(match reply {
        None => pkcs7(&issued),
        Some(Reply::Later) => status(StatusCode::ACCEPTED, "not yet", Some("1")),
        Some(Reply::Status(code, text)) => status(StatusCode::from_u16(code).unwrap(), text, None),
        Some(Reply::Lost) => return Err(std::io::ErrorKind::ConnectionReset.into()),
        Some(Reply::Body(text)) => typed("application/pkcs7-mime", text.to_owned()),
        Some(Reply::OtherKey) => pkcs7(&state.issuer.client(DEVICE).certificate),
    })
}

fn device(state: &State, certificate: bool) -> Response<Full<Bytes>> {
    if !certificate {
        return status(StatusCode::UNAUTHORIZED, "no certificate", None);
    }
    let text = serde_json::json!({
        "device": DEVICE,
        "tenant": "home",
        "name": "Front door",
        "broker": format!("127.0.0.1:{}", state.broker),
        "ca": state.authority.pem(),
        "grant_key": grant_key(),
        "now_ms": 0,
        "renew_after_ms": 0,
    });
    typed("application/json", text.to_string())
}

fn typed(kind: &str, body: String) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::from(body));
    Response::builder()
        .header(CONTENT_TYPE, format!("{kind}; charset=x"))
        .body(body)
        .unwrap()
}

fn status(status: StatusCode, text: &str, retry_after: Option<&str>) -> Response<Full<Bytes>> {
    let mut builder = Response::builder().status(status);
    if let Some(seconds) = retry_after {
        builder = builder.header(RETRY_AFTER, seconds);
    }
    let body = Full::new(Bytes::from(format!("{text}\n")));
    builder.body(body).unwrap()
}

/// OpenSSL writes the PKCS#7, so that it is not our own idea of it that is read.
fn pkcs7(pem: &str) -> Response<Full<Bytes>> {
    let mut openssl = Command::new("openssl")
        .args([
            "crl2pkcs7",
            "-nocrl",
            "-certfile",
            "/dev/stdin",
            "-outform",
            "DER",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("these tests need openssl");
    openssl
        .stdin
        .take()
        .unwrap()
        .write_all(pem.as_bytes())
        .unwrap();
    let der = openssl.wait_with_output().unwrap().stdout;
    typed("application/pkcs7-mime", STANDARD.encode(der))
}

fn key_of(csr: &[u8]) -> Vec<u8> {
    use x509_parser::prelude::{FromDer, X509CertificationRequest};
    let (_, request) = X509CertificationRequest::from_der(csr).unwrap();
    request.verify_signature().unwrap();
    Sha256::digest(request.certification_request_info.subject_pki.raw).to_vec()
}
