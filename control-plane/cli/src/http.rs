//! One request to the API: a connection, the request, the answer, and the connection is gone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::address::Address;

/// For the whole exchange.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer that is read: a list of a large fleet.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// Talks to one control plane.
pub struct Client {
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    /// What proves who we are.
    cookie: Option<String>,
}

/// What the API answered.
pub struct Answer {
    /// The body; null where there is none.
    pub json: Value,
    /// The cookie that it set, as it is to be sent back.
    pub cookie: Option<String>,
}

impl Client {
    /// `ca`: who signs the server's certificate, PEM; without it the authorities that this machine trusts.
    pub fn new(address: Address, ca: Option<&str>, cookie: Option<String>) -> anyhow::Result<Self> {
        let tls = if address.tls {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots(ca)?)
                .with_no_client_auth();
            Some(Arc::new(config))
        } else {
            None
        };
        Ok(Self {
            address,
            tls,
            cookie,
        })
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.ask(Method::GET, path, None).await?.json)
    }

    /// Does.
    pub async fn post(&self, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        Ok(self.ask(Method::POST, path, body).await?.json)
    }

    /// Removes.
    pub async fn delete(&self, path: &str) -> anyhow::Result<Value> {
        Ok(self.ask(Method::DELETE, path, None).await?.json)
    }

    /// Asks once; a refusal is an error with the API's own line. `path` begins after `/api/v1`.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        timeout(PATIENCE, self.exchange(method, path, body))
            .await
            .unwrap_or_else(|_| bail!("{}: no answer in {PATIENCE:?}", self.address))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(HOST, self.address.authority())
            .header(USER_AGENT, concat!("heron/", env!("CARGO_PKG_VERSION")));
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(text)))?;
        let at = || self.address.to_string();
        let stream = TcpStream::connect((self.address.host.as_str(), self.address.port))
            .await
            .with_context(at)?;
        let (status, cookie, body) = match &self.tls {
            Some(tls) => {
                let name = ServerName::try_from(self.address.host.clone()).with_context(at)?;
                let connector = TlsConnector::from(Arc::clone(tls));
                let stream = connector.connect(name, stream).await;
                let stream = stream.map_err(|error| explained(&error).context(at()))?;
                send(stream, request).await.with_context(at)?
            }
            None => send(stream, request).await.with_context(at)?,
        };
        read(status, cookie, &body)
    }
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Option<String>, Bytes)> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let cookie = head
            .headers
            .get(SET_COOKIE)
            .and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|value| value.split(';').next());
        let body = Limited::new(body, MAX_BODY).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?;
        anyhow::Ok((head.status, cookie.map(str::to_owned), body.to_bytes()))
    };
    tokio::pin!(answer, connection);
    // The connection has to be driven beside the answer; whichever way it ends, the answer tells.
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => {
            ended?;
            answer.await
        }
    }
}

fn read(status: StatusCode, cookie: Option<String>, body: &[u8]) -> anyhow::Result<Answer> {
    let json: Value = match body {
        [] => Value::Null,
        body => serde_json::from_slice(body).unwrap_or(Value::Null),
    };
    if status.is_success() {
        return Ok(Answer { json, cookie });
    }
    let detail = json["detail"].as_str().unwrap_or_default();
    let detail: String = detail.chars().filter(|c| !c.is_control()).collect();
    match (status, detail.as_str()) {
        (StatusCode::UNAUTHORIZED, "") => bail!("nobody is signed in: `heron login` first"),
        (_, "") => bail!("the control plane answered {status}"),
        (_, detail) => bail!("{detail}"),
    }
}

fn roots(ca: Option<&str>) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            bail!("this machine trusts no authorities (package ca-certificates): give --ca");
        }
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.context("--ca: not a certificate in PEM")?)?;
    }
    if roots.is_empty() {
        bail!("--ca: no BEGIN CERTIFICATE in it");
    }
    Ok(roots)
}

/// An error of the handshake, with what to do about the usual one.
fn explained(error: &std::io::Error) -> anyhow::Error {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer)) => {
            anyhow::anyhow!(
                "its certificate is of an authority that is not trusted here: \
                 `heron login` with --ca and root.pem of its data folder"
            )
        }
        _ => anyhow::anyhow!("{error}"),
    }
}
