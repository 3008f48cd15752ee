//! The sockets around the relay: one that clients talk to, and one for each allocation.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::task::{AbortHandle, JoinHandle};

use crate::Cidr;
use crate::auth::Authenticator;
use crate::credential::Secrets;
use crate::peer_filter::PeerFilter;
use crate::relay::{Action, Now, Ports, Quotas, Relay, Stats};

/// The largest UDP datagram there is.
const DATAGRAM: usize = 65_535;
/// What is read from a peer at once; WebRTC keeps to path MTUs, and every allocation holds one such buffer.
const PEER_DATAGRAM: usize = 4096;
const TICK: Duration = Duration::from_secs(1);

/// How the server is set up.
#[derive(Debug, Clone)]
pub struct TurnConfig {
    /// Where clients send to.
    pub listen: SocketAddr,
    /// The address that relayed addresses are made of: what peers can reach.
    pub relay_address: IpAddr,
    /// The ports they are made of.
    pub relay_ports: RangeInclusive<u16>,
    /// The realm of the long-term credential mechanism.
    pub realm: String,
    /// The secrets in force.
    pub secrets: Secrets,
    /// Special-purpose blocks that may be relayed to nevertheless.
    pub allow_peers: Vec<Cidr>,
    /// How much clients may hold.
    pub quotas: Quotas,
}

/// Why the server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The socket for clients could not be opened.
    #[error("cannot listen for TURN on {address}/udp: {reason}")]
    Listen {
        /// Where.
        address: SocketAddr,
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
}

/// A running TURN server. Dropping it stops it.
pub struct TurnServer {
    shared: Arc<Shared>,
    local_addr: SocketAddr,
    clients: JoinHandle<()>,
    ticks: JoinHandle<()>,
}

struct Shared {
    relay: Mutex<Relay<UdpPorts>>,
    clients: UdpSocket,
}

impl TurnServer {
    /// Opens the socket for clients and serves them from now on. Call within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StartError`] names the address or the ports that cannot be used.
    pub async fn start(config: TurnConfig) -> Result<Self, StartError> {
        let TurnConfig {
            listen,
            relay_address,
            relay_ports,
            realm,
            secrets,
            allow_peers,
            quotas,
        } = config;
        if relay_ports.is_empty() {
            return Err(StartError::NoPorts {
                first: *relay_ports.start(),
                last: *relay_ports.end(),
            });
        }
        let failed = |reason| StartError::Listen {
            address: listen,
            reason,
        };
        let clients = UdpSocket::bind(listen).await.map_err(failed)?;
        let local_addr = clients.local_addr().map_err(failed)?;
        let filter = PeerFilter::new(allow_peers, relay_address, relay_ports.clone());
        let auth = Authenticator::new(realm, secrets, rand::random());
        let bind = if is_local(relay_address) {
            relay_address
        } else {
            unspecified(relay_address)
        };
        let shared = Arc::new_cyclic(|shared| {
            let ports = UdpPorts {
                shared: shared.clone(),
                advertised: relay_address,
                bind,
                range: relay_ports,
            };
            let relay = Relay::new(auth, filter, quotas, ports, relay_address.is_ipv6());
            Shared {
                relay: Mutex::new(relay),
                clients,
            }
        });
        tracing::info!(%local_addr, %relay_address, "TURN server is listening");
        Ok(Self {
            local_addr,
            clients: tokio::spawn(serve_clients(Arc::clone(&shared))),
            ticks: tokio::spawn(tick(Arc::clone(&shared))),
            shared,
        })
    }

    /// Where it listens; the port that was picked if the configuration left it open.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        self.shared.relay.lock().stats()
    }

    /// Bytes relayed for a session so far, both ends together.
    pub fn usage(&self, session: &str) -> u64 {
        self.shared.relay.lock().usage(session)
    }

    /// The session is over: its allocations close at once and its credentials are refused from now on. Returns the
    /// bytes that were relayed for it.
    pub fn end_session(&self, session: &str) -> u64 {
        self.shared.relay.lock().end_session(session, now())
    }

    /// Rotates: from now on these secrets are in force. Allocations that live go on living.
    pub fn set_secrets(&self, secrets: Secrets) {
        self.shared.relay.lock().set_secrets(secrets);
    }

    /// Closes every socket and returns when they are closed.
    pub async fn stop(mut self) {
        self.clients.abort();
        self.ticks.abort();
        // Cancellation is the outcome that was asked for.
        let _ = (&mut self.clients).await;
        let _ = (&mut self.ticks).await;
    }
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        self.clients.abort();
        self.ticks.abort();
    }
}

fn now() -> Now {
    let unix = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    Now {
        steady: Instant::now(),
        unix,
    }
}

async fn tick(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        shared.relay.lock().tick(now());
    }
}

async fn serve_clients(shared: Arc<Shared>) {
    let mut datagram = vec![0; DATAGRAM];
    loop {
        let (length, client) = match shared.clients.recv_from(&mut datagram).await {
            Ok(received) => received,
            Err(reason) => {
                // Only a passing shortage (ENOBUFS, ENOMEM) gets here: try again, but not at full speed.
                tracing::warn!(%reason, "receiving from TURN clients failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let action = shared
            .relay
            .lock()
            .client_datagram(client, &datagram[..length], now());
        // A full socket buffer drops the packet, as every router on the path would.
        match action {
            Action::Drop => {}
            Action::Reply(answer) => drop(shared.clients.send_to(&answer, client).await),
            Action::Relay { socket, peer, data } => drop(socket.udp.send_to(data, peer)),
        }
    }
}

/// Opens relayed addresses on real ports.
struct UdpPorts {
    shared: Weak<Shared>,
    advertised: IpAddr,
    bind: IpAddr,
    range: RangeInclusive<u16>,
}

/// The socket of one relayed address and the task that reads from it.
struct RelaySocket {
    udp: std::net::UdpSocket,
    reader: AbortHandle,
}

impl Drop for RelaySocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Ports for UdpPorts {
    type Socket = Arc<RelaySocket>;

    fn open(&mut self, client: SocketAddr, even: bool) -> io::Result<(Self::Socket, SocketAddr)> {
        let (first, last) = (*self.range.start(), *self.range.end());
        // A random start makes the next relayed address hard to guess (RFC 8656, section 7.2).
        let start = rand::random_range(first..=last);
        let candidates = (start..=last)
            .chain(first..start)
            .filter(|port| !even || port % 2 == 0);
        let mut bound = candidates.map(|port| std::net::UdpSocket::bind((self.bind, port)));
        let udp = bound.find_map(Result::ok).ok_or(io::ErrorKind::AddrInUse)?;
        udp.set_nonblocking(true)?;
        let relayed = SocketAddr::new(self.advertised, udp.local_addr()?.port());
        let receiving = UdpSocket::from_std(udp.try_clone()?)?;
        let reader =
            tokio::spawn(serve_peers(self.shared.clone(), receiving, client)).abort_handle();
        Ok((Arc::new(RelaySocket { udp, reader }), relayed))
    }
}

/// Reads what peers send to one relayed address, until the allocation's end aborts it.
async fn serve_peers(shared: Weak<Shared>, socket: UdpSocket, client: SocketAddr) {
    let mut data = vec![0; PEER_DATAGRAM];
    let mut framed = Vec::with_capacity(PEER_DATAGRAM + 64);
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut data).await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let wanted =
            shared
                .relay
                .lock()
                .peer_datagram(client, peer, &data[..length], now(), &mut framed);
        if wanted {
            drop(shared.clients.send_to(&framed, client).await);
        }
    }
}

fn is_local(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
