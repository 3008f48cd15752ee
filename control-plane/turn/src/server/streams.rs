//! Clients that come over TCP or TLS: how many may, and what each of their connections does.
//!
//! A connection from which nothing comes of use is closed: one that does not finish its handshake, one without an
//! allocation after half a minute, one that is out of step, and one that takes nothing for half a minute.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufWriter};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outbox::Outbox;
use super::shared::{Shared, now};
use super::socket::Runs;
use crate::config::Quotas;
use crate::framing::{self, Frames};
use crate::rate::source;
use crate::relay::{Action, Client, Link};
use crate::stats::Refusal;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may be without an allocation, or take nothing of what it is sent.
const IDLE: Duration = Duration::from_secs(30);

/// All connections.
pub(super) struct Streams {
    next: AtomicU64,
    outboxes: Mutex<HashMap<u64, Arc<Outbox>>>,
    /// How many there are from each source.
    open: Mutex<HashMap<u64, usize>>,
    most: usize,
    most_of_one: usize,
    /// Ends them all.
    pub(super) stop: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Streams {
    pub(super) fn new(quotas: &Quotas) -> Self {
        Self {
            next: AtomicU64::new(0),
            outboxes: Mutex::default(),
            open: Mutex::default(),
            most: quotas.connections,
            most_of_one: quotas.connections_per_address,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    pub(super) fn outbox(&self, number: u64) -> Option<Arc<Outbox>> {
        self.outboxes.lock().get(&number).cloned()
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.open.lock().values().sum()
    }

    fn enter(&self, source: u64) -> bool {
        let mut open = self.open.lock();
        let of_one = open.get(&source).copied().unwrap_or_default();
        let fits = of_one < self.most_of_one && open.values().sum::<usize>() < self.most;
        if fits {
            *open.entry(source).or_default() += 1;
        }
        fits
    }

    fn leave(&self, source: u64) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                open.remove(&source);
            }
        }
    }
}

/// A place among the connections, given back when dropped.
struct Place {
    shared: Arc<Shared>,
    source: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.streams.leave(self.source);
    }
}

impl Shared {
    /// A place for a connection from there, or a refusal that is counted.
    fn place(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let source = source(client);
        if self.streams.enter(source) {
            let shared = Arc::clone(self);
            return Some(Place { shared, source });
        }
        self.relay.lock().count_refusal(Refusal::Connections);
        None
    }
}

/// Takes connections, each served by a task of its own.
pub(super) async fn accept(shared: Arc<Shared>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(reason) => {
                // Out of file descriptors, mostly: others will be closed.
                tracing::warn!(%reason, "accepting TURN clients failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Some(place) = shared.place(client.ip()) else {
            continue;
        };
        let (serving, tls) = (Arc::clone(&shared), tls.clone());
        shared.streams.tasks.spawn(async move {
            let stop = serving.streams.stop.clone();
            stop.run_until_cancelled(greet(serving, stream, client, tls, place))
                .await;
        });
    }
}

async fn greet(
    shared: Arc<Shared>,
    stream: TcpStream,
    client: SocketAddr,
    tls: Option<TlsAcceptor>,
    place: Place,
) {
    // Without it a packet may wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    // Frames are written one by one and go out together.
    let stream = BufWriter::new(stream);
    let Some(tls) = tls else {
        return serve(shared, stream, client, place).await;
    };
    let handshake = async {
        let refused = match tls.accept(stream).into_fallible().await {
            Ok(stream) => return Ok(stream),
            Err(refused) => refused,
        };
        let (reason, mut stream) = refused;
        // The alert that tells the client why.
        let _ = stream.flush().await;
        Err(reason)
    };
    match tokio::time::timeout(HANDSHAKE, handshake).await {
        Ok(Ok(stream)) => serve(shared, stream, client, place).await,
        Ok(Err(reason)) => tracing::debug!(%client, %reason, "no TLS with a TURN client"),
        Err(_) => shared.relay.lock().count_refusal(Refusal::Idle),
    }
}

/// Serves a stream that somebody else accepted, if there is a place for it.
pub(super) async fn serve_accepted(
    shared: Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Send,
    client: SocketAddr,
) {
    if let Some(place) = shared.place(client.ip()) {
        let stop = shared.streams.stop.clone();
        stop.run_until_cancelled(serve(shared, stream, client, place))
            .await;
    }
}

async fn serve(
    shared: Arc<Shared>,
    stream: impl AsyncRead + AsyncWrite + Send,
    address: SocketAddr,
    _place: Place,
) {
    let number = shared.streams.next.fetch_add(1, Ordering::Relaxed);
    let client = Client {
        address: SocketAddr::new(address.ip().to_canonical(), address.port()),
        server: (Ipv6Addr::UNSPECIFIED, 0).into(),
        link: Link::Stream(number),
    };
    let connection = Connection {
        client,
        number,
        outbox: Arc::default(),
        shared,
    };
    connection.open();
    let (reader, writer) = tokio::io::split(stream);
    tokio::select! {
        () = connection.read(reader) => {}
        () = connection.write(writer) => {}
        () = connection.idle() => {}
    }
}

/// One connection; its allocation ends with it.
struct Connection {
    shared: Arc<Shared>,
    client: Client,
    number: u64,
    outbox: Arc<Outbox>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.streams.outboxes.lock().remove(&self.number);
        self.shared.relay.lock().disconnected(&self.client, now());
    }
}

impl Connection {
    fn open(&self) {
        let mut outboxes = self.shared.streams.outboxes.lock();
        outboxes.insert(self.number, Arc::clone(&self.outbox));
    }

    /// Until the stream ends or is out of step.
    async fn read(&self, reader: impl AsyncRead) {
        let mut reader = std::pin::pin!(reader);
        let mut frames = Frames::new();
        let mut runs = Runs::default();
        loop {
            match reader.read(frames.room()).await {
                Ok(0) | Err(_) => return,
                Ok(count) => frames.filled(count),
            }
            if !self.take(&mut frames, &mut runs) {
                return;
            }
        }
    }

    /// Does what the frames say; false if the stream is out of step.
    fn take(&self, frames: &mut Frames, runs: &mut Runs) -> bool {
        let now = now();
        let mut relay = self.shared.relay.lock();
        let in_step = loop {
            let frame = match frames.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break true,
                Err(reason) => {
                    tracing::debug!(client = %self.client.address, %reason, "a TURN client is cut off");
                    relay.count_refusal(Refusal::Malformed);
                    break false;
                }
            };
            match relay.client_message(&self.client, frame, now) {
                Action::Drop | Action::Elsewhere { .. } => {}
                Action::Reply(answer) => {
                    if !self.outbox.push(&answer) {
                        relay.count_refusal(Refusal::SlowReader);
                    }
                }
                Action::Relay { socket, peer, data } => {
                    runs.push(&socket.socket, None, peer, data);
                }
            }
        };
        drop(relay);
        runs.flush();
        in_step
    }

    /// Until the client takes nothing any more.
    ///
    /// Each frame is a write of its own, and so a TLS record of its own: clients that take a record for a message are
    /// about (coturn's `turnutils_uclient` is one), and would lose all but the first.
    async fn write(&self, writer: impl AsyncWrite) {
        let mut writer = std::pin::pin!(writer);
        let mut buffer = Vec::new();
        loop {
            self.outbox.take(&mut buffer).await;
            let writing = async {
                for frame in framing::split(&buffer) {
                    writer.write_all(frame).await?;
                }
                writer.flush().await
            };
            match tokio::time::timeout(IDLE, writing).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) => return self.shared.relay.lock().count_refusal(Refusal::SlowReader),
            }
        }
    }

    /// Until the client has been without an allocation for long.
    async fn idle(&self) {
        loop {
            tokio::time::sleep(IDLE).await;
            let mut relay = self.shared.relay.lock();
            if !relay.holds(&self.client, now()) {
                return relay.count_refusal(Refusal::Idle);
            }
        }
    }
}
