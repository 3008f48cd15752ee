//! One HTTPS request: a connection, the request, the answer, and the connection is gone.
//!
//! A camera asks its control plane a handful of times in a year, so nothing is kept open. What can go
//! wrong is sorted by what it means: nobody there, somebody who is not believed, or an answer that
//! makes no sense.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HOST, HeaderMap, HeaderName, RETRY_AFTER, USER_AGENT,
};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::server::ServerUrl;

/// TCP and TLS together; a small board needs a while for its half of TLS.
const CONNECT: Duration = Duration::from_secs(15);
/// The whole exchange.
const EXCHANGE: Duration = Duration::from_secs(30);
/// What we speak (RFC 7301). The control plane asks only those for a certificate who say so.
const HTTP: &[u8] = b"http/1.1";
/// The longest answer that is read.
const MAX_BODY: usize = 256 * 1024;

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HttpsError {
    /// Nobody there: no name, no route, no listener, no answer in time.
    #[error("{0}")]
    Unreachable(String),
    /// The server's certificate was not accepted.
    #[error("{0}")]
    Untrusted(String),
    /// The server did not accept our certificate.
    #[error("{0}")]
    Unaccepted(String),
    /// Something that is not HTTP, or too much of it.
    #[error("{0}")]
    Broken(String),
}

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Ask<'a> {
    /// The path, beginning with a slash.
    pub path: &'a str,
    /// A body and its media type; with one it is a POST, else a GET.
    pub body: Option<(&'static str, String)>,
    /// User and password (RFC 7617).
    pub basic: Option<(&'a str, &'a str)>,
    /// What is wanted back.
    pub accept: &'static str,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its media type, in small letters, without parameters.
    pub media_type: String,
    /// What the server's clock said.
    pub date: Option<SystemTime>,
    /// How long to wait before asking again.
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// The body as one line that a person can read; the status' own words where it is empty.
    pub fn sentence(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let mut line: String = text
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .filter(|c| !c.is_control())
            .take(300)
            .collect();
        if line.trim().is_empty() || self.media_type == "text/html" {
            line = self
                .status
                .canonical_reason()
                .unwrap_or("no reason given")
                .to_ascii_lowercase();
        }
        line.trim().to_owned()
    }
}

/// Asks once.
///
/// # Errors
///
/// [`HttpsError`] when there is no whole answer. A status of refusal is an answer.
pub async fn ask(
    server: &ServerUrl,
    tls: &Arc<ClientConfig>,
    ask: Ask<'_>,
) -> Result<Reply, HttpsError> {
    timeout(EXCHANGE, exchange(server, tls, ask))
        .await
        .unwrap_or_else(|_| {
            Err(HttpsError::Unreachable(format!(
                "{server}: no whole answer in {EXCHANGE:?}"
            )))
        })
}

async fn exchange(
    server: &ServerUrl,
    tls: &Arc<ClientConfig>,
    ask: Ask<'_>,
) -> Result<Reply, HttpsError> {
    let name = ServerName::try_from(server.host.clone())
        .map_err(|error| HttpsError::Unreachable(format!("{server}: {error}")))?;
    let connect = async {
        let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
        TlsConnector::from(Arc::clone(tls))
            .with_alpn(vec![HTTP.to_vec()])
            .connect(name, stream)
            .await
    };
    let stream = match timeout(CONNECT, connect).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(sorted(server, &error)),
        Err(_) => {
            return Err(HttpsError::Unreachable(format!(
                "{server}: no connection in {CONNECT:?}"
            )));
        }
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(server, &error))?;
    let request = request(server, ask)?;
    let answer = async {
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| broken(server, &error))?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, MAX_BODY)
            .collect()
            .await
            .map_err(|error| {
                HttpsError::Broken(format!("{server}: the answer broke off: {error}"))
            })?
            .to_bytes();
        Ok(reply(head.status, &head.headers, body))
    };
    tokio::pin!(answer, connection);
    // The connection has to be driven beside the answer; whichever way it ends, the answer tells.
    tokio::select! {
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            Ok(()) => answer.await,
            Err(error) => Err(broken(server, &error)),
        },
    }
}

fn request(server: &ServerUrl, ask: Ask<'_>) -> Result<Request<Full<Bytes>>, HttpsError> {
    let mut builder = Request::builder()
        .uri(ask.path)
        .header(HOST, server.authority())
        .header(
            USER_AGENT,
            concat!("heron-camera/", env!("CARGO_PKG_VERSION")),
        );
    if !ask.accept.is_empty() {
        builder = builder.header(ACCEPT, ask.accept);
    }
    if let Some((user, password)) = ask.basic {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        builder = builder.header(AUTHORIZATION, format!("Basic {credentials}"));
    }
    let body = match ask.body {
        Some((media_type, body)) => {
            builder = builder
                .method(Method::POST)
                .header(CONTENT_TYPE, media_type);
            Bytes::from(body)
        }
        None => Bytes::new(),
    };
    builder
        .body(Full::new(body))
        .map_err(|error| HttpsError::Broken(format!("{server}: {error}")))
}

fn reply(status: StatusCode, headers: &HeaderMap, body: Bytes) -> Reply {
    let header = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = header(CONTENT_TYPE).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default();
    Reply {
        status,
        media_type: media_type.trim().to_ascii_lowercase(),
        date: header(DATE).and_then(|text| httpdate::parse_http_date(text).ok()),
        retry_after: header(RETRY_AFTER)
            .and_then(|text| text.trim().parse().ok())
            .map(Duration::from_secs),
        body,
    }
}

/// What an error of the connection means.
fn sorted(server: &ServerUrl, error: &std::io::Error) -> HttpsError {
    let text = format!("{server}: {error}");
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_)) => HttpsError::Untrusted(text),
        Some(rustls::Error::AlertReceived(alert)) if is_about_us(*alert) => {
            HttpsError::Unaccepted(text)
        }
        Some(_) => HttpsError::Broken(text),
        None => HttpsError::Unreachable(text),
    }
}

/// An error of hyper's, which may hide one of the connection: TLS 1.3 refuses a client's certificate only after its
/// own handshake is over.
fn broken(server: &ServerUrl, error: &hyper::Error) -> HttpsError {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            return sorted(server, io);
        }
        cause = inner.source();
    }
    HttpsError::Unreachable(format!("{server}: {error}"))
}

/// The TLS error in an error of the connection.
pub fn tls_error(error: &std::io::Error) -> Option<&rustls::Error> {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
}

/// Whether an alert says that our certificate was not accepted (RFC 8446 section 6.2).
pub fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}
