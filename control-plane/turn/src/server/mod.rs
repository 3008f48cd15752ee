//! The sockets around the relay: those that clients talk to, and one for each relayed address.
//!
//! - `shared`: what the tasks share; datagrams of clients.
//! - `peers`: relayed addresses.
//! - `streams`: clients over TCP and TLS.
//! - `socket`, `outbox`: datagrams in batches; what waits for a stream.

mod outbox;
mod peers;
mod shared;
mod socket;
mod streams;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::auth::Authenticator;
use crate::config::{Listener, NatDiscovery, Transport, TurnConfig};
use crate::credential::Secrets;
use crate::discovery::Corners;
use crate::peer_filter::PeerFilter;
use crate::relay::Relay;
use crate::stats::Stats;
use crate::usage::{SessionUsage, Usage};
use peers::{RelayAddresses, UdpPorts};
use shared::{Shared, now};
use socket::{For, Socket};
use streams::Streams;

/// How often draining looks whether anybody is left.
const DRAIN_LOOK: Duration = Duration::from_millis(100);

/// Why the server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A socket for clients could not be opened.
    #[error("cannot listen for TURN on {address}/{transport}: {reason}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// How: `udp`, `tcp` or `tls`.
        transport: String,
        /// What the system said.
        reason: io::Error,
    },
    /// No relayed address could be made.
    #[error("the relay ports are empty: {first}-{last}")]
    NoPorts {
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// NAT discovery is about UDP.
    #[error("NAT discovery wants a UDP listener, and one or two addresses of its family")]
    Discovery,
    /// The thread for datagrams could not be made.
    #[error("no thread for TURN: {0}")]
    Thread(io::Error),
}

/// A running TURN server. Dropping it stops it.
pub struct TurnServer {
    shared: Arc<Shared>,
    local_addrs: Vec<SocketAddr>,
    /// Ends the connections.
    streams: DropGuard,
    /// Ends the thread for datagrams.
    thread: DropGuard,
    thread_ended: oneshot::Receiver<()>,
}

impl TurnServer {
    /// Opens the sockets for clients and serves them from now on. Call within a tokio runtime, on which connections
    /// are served; datagrams have a thread of their own.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the address or the ports that cannot be used.
    #[allow(
        clippy::unused_async,
        reason = "within a runtime, as its signature says"
    )]
    pub async fn start(config: TurnConfig) -> Result<Self, StartError> {
        let relays = RelayAddresses {
            v4: config.relay_v4,
            v6: config.relay_v6,
        };
        if relays.iter().next().is_some() && config.relay_ports.is_empty() {
            return Err(StartError::NoPorts {
                first: *config.relay_ports.start(),
                last: *config.relay_ports.end(),
            });
        }
        let stop = CancellationToken::new();
        let (thread, thread_ended) = start_thread(stop.clone())?;
        let thread_guard = stop.drop_guard();

        let bound = { Bound::new(&config.listeners, config.discovery.as_ref(), &thread) }?;
        let own = relays.iter().collect();
        let filter = PeerFilter::new(config.allow_peers, own, config.relay_ports.clone());
        let auth = Authenticator::new(config.realm, config.secrets, rand::random());
        let shared = Arc::new_cyclic(|shared| {
            let ports = UdpPorts {
                shared: shared.clone(),
                addresses: relays,
                range: config.relay_ports,
            };
            let mut relay = Relay::new(auth, filter, config.quotas, ports, now());
            if let Some(corners) = bound.corners {
                relay.set_corners(corners);
            }
            Shared {
                relay: Mutex::new(relay),
                sockets: bound.sockets,
                streams: Streams::new(&config.quotas),
                thread: thread.clone(),
                buffers: Mutex::default(),
            }
        });
        for (number, socket) in shared.sockets.iter().enumerate() {
            let serving = Arc::clone(&shared);
            thread.spawn(shared::serve_clients(
                serving,
                number as u16,
                Arc::clone(socket),
            ));
        }
        thread.spawn(shared::tick(Arc::clone(&shared)));
        for (listener, tls) in bound.streams {
            let accepting = streams::accept(Arc::clone(&shared), listener, tls);
            let stop = shared.streams.stop.clone();
            shared
                .streams
                .tasks
                .spawn(async move { stop.run_until_cancelled(accepting).await });
        }
        for (address, listener) in bound.local_addrs.iter().zip(&config.listeners) {
            tracing::info!(%address, transport = %listener.transport, "TURN server is listening");
        }
        let streams = shared.streams.stop.clone().drop_guard();
        Ok(Self {
            shared,
            streams,
            local_addrs: bound.local_addrs,
            thread: thread_guard,
            thread_ended,
        })
    }

    /// Where the first listener listens; the port that was picked if the configuration left it open. Unspecified
    /// without a listener.
    pub fn local_addr(&self) -> SocketAddr {
        let none = SocketAddr::from(([0; 4], 0));
        self.local_addrs.first().copied().unwrap_or(none)
    }

    /// Where each of the configuration's listeners listens.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local_addrs
    }

    /// Serves a stream that another listener has accepted, over TLS or not, and found to speak STUN: its first byte is
    /// below 0x04. What was read of it must be given again. Ends when the client closes it, when it is of no use, when
    /// there are too many, and when the server stops.
    pub fn serve_stream<S: AsyncRead + AsyncWrite + Send + 'static>(
        &self,
        stream: S,
        client: SocketAddr,
    ) -> impl Future<Output = ()> + Send + 'static + use<S> {
        let shared = Arc::clone(&self.shared);
        let tasks = self.shared.streams.tasks.clone();
        tasks.track_future(streams::serve_accepted(shared, stream, client))
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        Stats {
            connections: self.shared.streams.count(),
            ..self.shared.relay.lock().stats()
        }
    }

    /// Bytes relayed for a session so far, both ends together.
    pub fn usage(&self, session: &str) -> u64 {
        self.session_usage(session).bytes()
    }

    /// What a session has used so far, by its end.
    pub fn session_usage(&self, session: &str) -> SessionUsage {
        self.shared.relay.lock().usage(session, now())
    }

    /// What was used with one user name so far.
    pub fn username_usage(&self, username: &str) -> Usage {
        self.shared.relay.lock().usage_of_name(username, now())
    }

    /// The session is over: its allocations close at once and its credentials are refused from now on. Returns the
    /// bytes that were relayed for it.
    pub fn end_session(&self, session: &str) -> u64 {
        let mut relay = self.shared.relay.lock();
        relay.end_session(session, now()).bytes()
    }

    /// The bandwidth of each end of a session, in bits per second, instead of `quotas.username_rate`; `None` for that
    /// again. Holds for live allocations and for those to come.
    pub fn set_session_rate(&self, session: &str, rate: Option<u64>) {
        let mut relay = self.shared.relay.lock();
        relay.set_session_rate(session, rate, now());
    }

    /// Rotates: from now on these secrets are in force. Allocations that live go on living.
    pub fn set_secrets(&self, secrets: Secrets) {
        self.shared.relay.lock().set_secrets(secrets);
    }

    /// From now on there are no new allocations (508); those that live go on.
    pub fn drain(&self) {
        self.shared.relay.lock().drain();
    }

    /// Waits until the last allocation has ended, at most for `patience`; returns how many are left.
    pub async fn drained(&self, patience: Duration) -> usize {
        let allocations = || self.stats().allocations;
        let emptied = async {
            while allocations() > 0 {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        // Too long is told by the number.
        let _ = tokio::time::timeout(patience, emptied).await;
        allocations()
    }

    /// Closes every socket and returns when they are closed.
    pub async fn stop(self) {
        let Self {
            shared,
            streams,
            thread,
            thread_ended,
            ..
        } = self;
        streams.disarm().cancel();
        shared.streams.tasks.close();
        shared.streams.tasks.wait().await;
        thread.disarm().cancel();
        // The sender is gone when the thread has ended.
        let _ = thread_ended.await;
    }
}

/// The thread that reads all datagrams, until it is told to stop.
fn start_thread(
    stop: CancellationToken,
) -> Result<(runtime::Handle, oneshot::Receiver<()>), StartError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    let handle = runtime.handle().clone();
    let (ended, thread_ended) = oneshot::channel();
    std::thread::Builder::new()
        .name("turn".into())
        .spawn(move || {
            runtime.block_on(stop.cancelled());
            drop(runtime);
            drop(ended);
        })
        .map_err(StartError::Thread)?;
    Ok((handle, thread_ended))
}

/// Everything that clients are served on, opened.
struct Bound {
    sockets: Vec<Arc<Socket>>,
    streams: Vec<(TcpListener, Option<TlsAcceptor>)>,
    local_addrs: Vec<SocketAddr>,
    corners: Option<Corners>,
}

impl Bound {
    fn new(
        listeners: &[Listener],
        discovery: Option<&NatDiscovery>,
        thread: &runtime::Handle,
    ) -> Result<Self, StartError> {
        let mut bound = Self {
            sockets: Vec::new(),
            streams: Vec::new(),
            local_addrs: Vec::new(),
            corners: None,
        };
        for listener in listeners {
            let address = bound
                .add(listener, thread)
                .map_err(|reason| StartError::Listen {
                    address: listener.address,
                    transport: listener.transport.to_string(),
                    reason,
                })?;
            bound.local_addrs.push(address);
        }
        if let Some(discovery) = discovery {
            bound.add_corners(discovery, thread)?;
        }
        Ok(bound)
    }

    fn add(&mut self, listener: &Listener, thread: &runtime::Handle) -> io::Result<SocketAddr> {
        let tls = match &listener.transport {
            Transport::Udp => return self.add_udp(listener.address, thread),
            Transport::Tcp => None,
            Transport::Tls(config) => Some(TlsAcceptor::from(Arc::clone(config))),
        };
        let accepting = self.listen(listener.address)?;
        let address = accepting.local_addr()?;
        self.streams.push((accepting, tls));
        Ok(address)
    }

    fn add_udp(&mut self, address: SocketAddr, thread: &runtime::Handle) -> io::Result<SocketAddr> {
        let _entered = thread.enter();
        let socket = Socket::bind(address, For::Clients)?;
        let local = socket.local();
        self.sockets.push(Arc::new(socket));
        Ok(local)
    }

    /// Where any port will do, the one that UDP has at this address is nicest: a client is told one port for both.
    fn listen(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let like_udp = { self.sockets.iter().map(|socket| socket.local()) }
            .find(|local| address.port() == 0 && local.ip() == address.ip());
        let listener = match like_udp.map(StdListener::bind) {
            Some(Ok(listener)) => listener,
            _ => StdListener::bind(address)?,
        };
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    }

    /// Opens the corners of NAT discovery that no listener has.
    fn add_corners(
        &mut self,
        discovery: &NatDiscovery,
        thread: &runtime::Handle,
    ) -> Result<(), StartError> {
        let addresses = &discovery.addresses;
        let first = { self.sockets.first() }
            .ok_or(StartError::Discovery)?
            .local();
        let family = |address: &std::net::IpAddr| address.is_ipv4() == first.is_ipv4();
        if !(1..=2).contains(&addresses.len()) || !addresses.iter().all(family) {
            return Err(StartError::Discovery);
        }
        let mut ports = [first.port(), discovery.port];
        for port in &mut ports {
            for address in addresses {
                let corner = SocketAddr::new(*address, *port);
                if *port != 0 && self.sockets.iter().any(|socket| socket.is_at(corner)) {
                    continue;
                }
                // A listener on every address has its second port there, too.
                let address = match first.ip().is_unspecified() {
                    true => SocketAddr::new(first.ip(), *port),
                    false => corner,
                };
                let opened = self.add_udp(address, thread);
                *port = { opened }
                    .map_err(|reason| StartError::Listen {
                        address,
                        transport: Transport::Udp.to_string(),
                        reason,
                    })?
                    .port();
            }
        }
        self.corners = Some(Corners::new(addresses.clone(), ports));
        Ok(())
    }
}
