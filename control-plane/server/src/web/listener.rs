//! Accepts connections and serves HTTP/1.1 on them, with bounds on how many there are and how slow they may be.
//!
//! The HTTPS listener is also the way to TURN where only its port is open: a connection whose first byte, in TLS, begins
//! a STUN message (RFC 8489, section 5: the first two bits are zero, and methods are small) goes to the TURN server.
//! HTTP begins with a letter.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::{Extension, Router};
use heron_turn::TurnServer;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::server::Acceptor;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

use super::tls::{HttpsTls, STUN_TURN};
use crate::access::{Arrival, DeviceConnection};
use crate::identity::ShownCertificate;

const CONNECTIONS: usize = 2048;
/// A TLS handshake, or a request's headers, take longer only when somebody means it.
const SLOWEST: Duration = Duration::from_secs(15);
/// What a request's headers may take; also the read buffer of a connection.
const HEADERS: usize = 32 * 1024;
const HEADER_COUNT: usize = 64;
/// After which requests that still run at shutdown are cut off.
const GRACE: Duration = Duration::from_secs(5);
/// Below it is the first byte of a STUN message.
const STUN_BELOW: u8 = 0x04;
/// When no connection can be accepted, most likely all file descriptors are in use: wait for some to close.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How connections are protected.
#[derive(Clone)]
pub enum Security {
    /// By TLS; what is TURN there goes to that server, if there is one.
    Tls(Arc<HttpsTls>, Weak<TurnServer>),
    /// By not leaving this machine.
    Loopback,
}

/// A listener that serves a site until it is stopped.
pub struct HttpListener {
    address: SocketAddr,
    stop: CancellationToken,
    accepting: JoinHandle<()>,
}

impl HttpListener {
    /// Serves from now on, on a listener that is bound to that address.
    pub fn serve(
        listener: TcpListener,
        address: SocketAddr,
        security: Security,
        site: Router,
    ) -> Self {
        let stop = CancellationToken::new();
        let accepting = tokio::spawn(accept(listener, security, site, stop.clone()));
        Self {
            address,
            stop,
            accepting,
        }
    }

    /// Where it listens, with the port that the system chose.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts nothing more, lets running requests end, and returns when all connections are closed.
    pub async fn stop(self) {
        self.stop.cancel();
        if self.accepting.await.is_err() {
            tracing::error!(address = %self.address, "an HTTP listener had broken down");
        }
    }
}

async fn accept(listener: TcpListener, security: Security, site: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => break,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, peer))) => {
                let connection = Connection {
                    peer,
                    place,
                    watcher: graceful.watcher(),
                };
                tokio::spawn(connection.serve(stream, security.clone(), site.clone()));
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (Err(_), _) => break,
        }
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still running at shutdown and are cut off");
    }
}

/// The certificate of a device, if the client showed one.
fn shown_certificate(stream: &TlsStream<TcpStream>) -> Option<ShownCertificate> {
    let chain = stream.get_ref().1.peer_certificates()?;
    ShownCertificate::from_der(chain.first()?)
}

struct Connection {
    peer: SocketAddr,
    place: OwnedSemaphorePermit,
    watcher: Watcher,
}

impl Connection {
    async fn serve(self, stream: TcpStream, security: Security, site: Router) {
        // Answers are small and somebody waits for them.
        let _ = stream.set_nodelay(true);
        match security {
            Security::Loopback => self.serve_http(stream, false, None, site).await,
            Security::Tls(tls, relay) => {
                let handshake = async {
                    let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
                    let config = tls.answer(&begun.client_hello());
                    begun.into_stream(config).await
                };
                match timeout(SLOWEST, handshake).await {
                    Ok(Ok(stream)) => self.serve_tls(stream, relay, site).await,
                    Ok(Err(error)) => {
                        tracing::debug!(peer = %self.peer, %error, "TLS handshake failed");
                    }
                    Err(_) => tracing::debug!(peer = %self.peer, "TLS handshake took too long"),
                }
            }
        }
    }

    /// TURN or HTTP, as the first byte says.
    async fn serve_tls(self, stream: TlsStream<TcpStream>, relay: Weak<TurnServer>, site: Router) {
        let shown = shown_certificate(&stream);
        let is_named = stream.get_ref().1.alpn_protocol() == Some(STUN_TURN);
        let mut stream = BufReader::new(stream);
        let first = match timeout(SLOWEST, stream.fill_buf()).await {
            Ok(Ok(bytes)) => bytes.first().copied(),
            Ok(Err(_)) | Err(_) => None,
        };
        match first {
            None => tracing::debug!(peer = %self.peer, "connection without a word"),
            Some(first) if is_named || first < STUN_BELOW => {
                let serving = relay
                    .upgrade()
                    .map(|relay| relay.serve_stream(stream, self.peer));
                if let Some(serving) = serving {
                    serving.await;
                }
            }
            Some(_) => self.serve_http(stream, true, shown, site).await,
        }
    }

    async fn serve_http(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        secure: bool,
        shown: Option<ShownCertificate>,
        site: Router,
    ) {
        let arrival = Arrival {
            peer: self.peer.ip().to_canonical(),
            secure,
        };
        let site = match shown {
            Some(shown) => site.layer(Extension(DeviceConnection(shown))),
            None => site,
        };
        let service = TowerToHyperService::new(Extension(arrival).layer(site));
        let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(SLOWEST)
            .max_buf_size(HEADERS)
            .max_headers(HEADER_COUNT);
        let connection = builder
            .serve_connection_with_upgrades(TokioIo::new(stream), service)
            .into_owned();
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(peer = %self.peer, %error, "connection ended");
        }
        drop(self.place);
    }
}
