//! A small HTTP client for credential APIs and relays: one request, one answer, one connection.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a request and its answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer.
const LARGEST: usize = 1 << 20;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// Posts `body` to an `http:` or `https:` URL. Certificates are checked against the roots of this system.
///
/// # Errors
///
/// One line: the URL is none, the server is not reached, or it does not answer in time.
pub async fn post(url: &str, headers: HeaderMap, body: Bytes) -> anyhow::Result<Answer> {
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
    let exchange = async {
        let host = uri.host().with_context(|| format!("{url:?} has no host"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = TcpStream::connect((bare, port)).await;
        let stream = stream.with_context(|| format!("{host}:{port} is not reached"))?;
        if secure {
            let name = ServerName::try_from(bare.to_owned())?;
            let stream = TlsConnector::from(roots()?).connect(name, stream).await?;
            send(stream, &uri, headers, body).await
        } else {
            send(stream, &uri, headers, body).await
        }
    };
    timeout(PATIENCE, exchange)
        .await
        .with_context(|| format!("no answer within {} s", PATIENCE.as_secs()))?
}

async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    uri: &Uri,
    headers: HeaderMap,
    body: Bytes,
) -> anyhow::Result<Answer> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the answer: what it has to say the answer says too.
    tokio::spawn(connection);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, authority)
        .header(header::CONNECTION, "close")
        .body(Full::new(body))?;
    request.headers_mut().extend(headers);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, LARGEST).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("its answer breaks off: {error}"))?;
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.to_bytes(),
    })
}

/// TLS with the roots of this system, read once.
fn roots() -> anyhow::Result<Arc<ClientConfig>> {
    static ROOTS: LazyLock<Arc<RootCertStore>> = LazyLock::new(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    ensure!(
        !ROOTS.is_empty(),
        "this system has no root certificates (Debian: ca-certificates)"
    );
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::clone(&ROOTS))
        .with_no_client_auth();
    Ok(Arc::new(config))
}
