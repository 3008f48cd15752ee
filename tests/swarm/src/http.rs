//! The control plane's HTTP API, over connections that are kept.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The longest answer that is read, in bytes: a list of ten thousand cameras fits.
const ANSWER: usize = 64 * 1024 * 1024;

/// TCP or TLS.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Somebody with an account.
#[derive(Debug, Clone)]
pub struct Person {
    /// The account's name.
    pub name: String,
    /// Its password.
    pub password: String,
}

/// A control plane and how to reach it; signed in, also as whom. Clones share nothing but the address.
#[derive(Clone)]
pub struct Control {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    cookie: Option<String>,
}

impl Control {
    /// `https://HOST:PORT` with the CA in `ca_pem`, or `http://HOST:PORT` for this machine's own.
    ///
    /// # Errors
    ///
    /// An address that is neither, or a CA that is none.
    pub fn new(url: &str, ca_pem: Option<&[u8]>) -> Result<Self> {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (host, port) = rest
            .trim_end_matches('/')
            .rsplit_once(':')
            .context("--control must be http://HOST:PORT or https://HOST:PORT")?;
        let tls = match (scheme, ca_pem) {
            ("http", _) => None,
            ("https", Some(ca)) => Some(trusting(ca)?),
            ("https", None) => bail!("https needs the CA that the control plane made (--ca)"),
            _ => bail!("--control must begin with http:// or https://"),
        };
        Ok(Self {
            host: host.to_owned(),
            port: port.parse().context("--control has no port")?,
            tls,
            cookie: None,
        })
    }

    /// Signs in; what is asked from now on is asked as that person.
    ///
    /// # Errors
    ///
    /// What the control plane says, or that it cannot be reached.
    pub async fn sign_in(&mut self, person: &Person) -> Result<()> {
        let body = serde_json::json!({ "name": person.name, "password": person.password });
        let mut connection = self.connect().await?;
        let answer = connection
            .send("POST", "/api/v1/sign-in", Some(&body))
            .await?;
        let cookie = answer.headers().get(SET_COOKIE).context("no cookie")?;
        let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
        self.cookie = Some(cookie.to_owned());
        Ok(())
    }

    /// Asks for `path`, on a connection of its own.
    ///
    /// # Errors
    ///
    /// Any status but 2xx, with what the control plane says.
    pub async fn get(&self, path: &str) -> Result<String> {
        let mut connection = self.connect().await?;
        text(connection.send("GET", path, None).await?).await
    }

    pub(crate) async fn connect(&self) -> Result<Connection> {
        let (sender, connection) = http1::handshake(TokioIo::new(self.stream().await?)).await?;
        // It ends with its sender.
        tokio::spawn(connection);
        Ok(Connection {
            sender,
            control: self.clone(),
        })
    }

    /// A fresh connection, with TLS where the address says so.
    pub(crate) async fn stream(&self) -> Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(self.host.clone())?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }

    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    pub(crate) fn origin(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

/// One kept connection.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    control: Control,
}

impl Connection {
    /// Posts JSON and reads JSON.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        let answer = self.send("POST", path, Some(body)).await?;
        Ok(serde_json::from_str(&text(answer).await?)?)
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<hyper::body::Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.control.authority());
        if let Some(cookie) = &self.control.cookie {
            request = request.header(COOKIE, cookie);
        }
        let body = match body {
            Some(body) => {
                request = request.header(CONTENT_TYPE, "application/json");
                Full::from(body.to_string())
            }
            None => Full::default(),
        };
        self.sender.ready().await?;
        let answer = self.sender.send_request(request.body(body)?).await?;
        let status = answer.status();
        if !status.is_success() {
            let said = text_of(answer).await.unwrap_or_default();
            bail!("{method} {path} is answered {status}: {said}");
        }
        Ok(answer)
    }
}

async fn text(answer: Response<hyper::body::Incoming>) -> Result<String> {
    ensure!(answer.status().is_success(), "{}", answer.status());
    text_of(answer).await
}

async fn text_of(answer: Response<hyper::body::Incoming>) -> Result<String> {
    let body = Limited::new(answer.into_body(), ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(String::from_utf8(body.to_bytes().to_vec())?)
}

/// TLS that trusts one CA.
fn trusting(ca_pem: &[u8]) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem).context("not a CA in PEM")?)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
