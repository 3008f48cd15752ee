//! Addresses of ours beyond the interfaces': as STUN servers see them, and at TURN servers (RFC 8445 section 5.1.1).
//!
//! One for each session and restart, because the servers' credentials are. Requests to STUN servers leave from the
//! common port, since its mapping is what viewers must reach.
//!
//! TURN servers are asked over UDP first, over TCP and TLS only while nothing has come of that: after
//! [`patience`], or at once when nothing else is under way. What comes of a later way has a lower priority.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use heron_peer::LocalCandidate;
use rtc_shared::{TransportContext, TransportMessage, TransportProtocol};
use rtc_turn::client::{Client, ClientConfig, Event};
use rustls::pki_types::ServerName;
use sansio::Protocol;

use crate::allocation::{Allocation, AllocationEvent};
use crate::interfaces::route_to;
use crate::link::Link;
use crate::servers::{Located, Login, Transport};
use crate::socket::Buffers;

/// Servers of a session that are used; more would only make more of the same.
const MAX_SERVERS: usize = 8;

/// The second address of a server waits so much longer than the first.
const OTHER_FAMILY: Duration = Duration::from_millis(150);

/// How long a way to a server waits for the better ones.
const fn patience(transport: Transport) -> Duration {
    Duration::from_millis(match transport {
        Transport::Udp => 0,
        Transport::Tcp => 250,
        Transport::Tls => 500,
    })
}

/// Relayed addresses are as good as the way to their server (RFC 8445 section 5.1.2.1).
const fn preference(transport: Transport) -> u16 {
    match transport {
        Transport::Udp => u16::MAX,
        Transport::Tcp => u16::MAX / 2,
        Transport::Tls => u16::MAX / 4,
    }
}

/// What came of gathering.
#[derive(Debug)]
pub enum Gathered {
    /// A new address.
    Candidate(LocalCandidate),
    /// A relayed address is gone.
    Lost(SocketAddr),
    /// A datagram to a relayed address.
    Data {
        /// The relayed address.
        to: SocketAddr,
        /// Who sent it.
        from: SocketAddr,
        /// What.
        datagram: BytesMut,
    },
}

/// The servers of one session.
pub struct Gathering {
    /// How TURN servers are spoken to over TLS.
    tls: Option<Arc<rustls::ClientConfig>>,
    bindings: Vec<Binding>,
    allocations: Vec<Allocation>,
    /// Ways to TURN servers that were not tried yet, and when they will be.
    waiting: Vec<(Instant, Way)>,
    /// Every server that was asked, for another network.
    known: Vec<Located>,
}

/// One way to one TURN server.
#[derive(Clone)]
struct Way {
    server: SocketAddr,
    host: String,
    url: String,
    transport: Transport,
    login: Login,
}

/// One of our sockets' address as one STUN server sees it.
struct Binding {
    client: Client,
    server: SocketAddr,
    base: SocketAddr,
}

impl Gathering {
    /// Nothing asked yet.
    pub fn new(tls: Option<Arc<rustls::ClientConfig>>) -> Self {
        Self {
            tls,
            bindings: Vec::new(),
            allocations: Vec::new(),
            waiting: Vec::new(),
            known: Vec::new(),
        }
    }

    /// Asks servers. `bases`: our host addresses on the common port, none where the addresses they are seen at are
    /// not wanted.
    pub fn ask(&mut self, servers: Vec<Located>, bases: &[SocketAddr], now: Instant) {
        for server in &servers {
            self.ask_one(server, bases, now);
        }
        let room = MAX_SERVERS.saturating_sub(self.known.len());
        self.known.extend(servers.into_iter().take(room));
        self.begin_due(now);
    }

    /// Addresses of ours changed: what belonged to one that is gone is over ([`Gathered::Lost`]), and the servers are
    /// asked again where they would see another address now.
    pub fn network_changed(&mut self, ours: &[IpAddr], bases: &[SocketAddr], now: Instant) {
        let is_ours = |ip: IpAddr| ip.is_loopback() || ours.contains(&ip);
        // The same address of ours may be seen at another one now.
        self.bindings.clear();
        let mut kept = false;
        for allocation in &mut self.allocations {
            if is_ours(allocation.local()) {
                kept = true;
            } else {
                allocation.fail("its address of ours is gone");
            }
        }
        let known = std::mem::take(&mut self.known);
        for server in &known {
            let wanted = Located {
                login: server.login.clone().filter(|_| !kept),
                ..server.clone()
            };
            self.ask_one(&wanted, bases, now);
        }
        self.known = known;
        self.begin_due(now);
    }

    fn ask_one(&mut self, server: &Located, bases: &[SocketAddr], now: Instant) {
        let mut other = Duration::ZERO;
        for address in &server.addresses {
            if server.transport == Transport::Udp {
                self.bind(*address, bases, now);
            }
            let Some(login) = &server.login else {
                continue;
            };
            if self.waiting.len() + self.allocations.len() >= MAX_SERVERS {
                return;
            }
            let way = Way {
                server: *address,
                host: server.host.clone(),
                url: server.url.clone(),
                transport: server.transport,
                login: login.clone(),
            };
            self.waiting
                .push((now + patience(server.transport) + other, way));
            other += OTHER_FAMILY;
        }
    }

    /// Asks a STUN server what it sees us at: from the address that leads there.
    fn bind(&mut self, server: SocketAddr, bases: &[SocketAddr], now: Instant) {
        let same = || {
            bases
                .iter()
                .filter(|base| base.is_ipv4() == server.is_ipv4())
        };
        let route = route_to(server);
        let base = same()
            .find(|base| Some(base.ip()) == route)
            .or_else(|| same().next());
        let Some(base) = base.copied() else {
            return;
        };
        let known = |known: &Binding| (known.server, known.base) == (server, base);
        if self.bindings.len() >= MAX_SERVERS || self.bindings.iter().any(known) {
            return;
        }
        match Binding::begin(server, base, now) {
            Ok(binding) => self.bindings.push(binding),
            Err(error) => tracing::debug!(%error, "a STUN server cannot be asked"),
        }
    }

    /// Begins what is due, and the next in line when nothing is under way.
    fn begin_due(&mut self, now: Instant) {
        loop {
            let has_relay = self
                .allocations
                .iter()
                .any(|known| known.relayed().is_some());
            if has_relay {
                self.waiting.clear();
            }
            let first = self
                .waiting
                .iter()
                .enumerate()
                .min_by_key(|(_, (due, _))| *due);
            let Some((at, (due, _))) = first else {
                return;
            };
            if *due > now && !self.allocations.is_empty() {
                return;
            }
            let (_, way) = self.waiting.remove(at);
            let Way { server, url, .. } = &way;
            match self.begin(&way, now) {
                Ok(allocation) => self.allocations.push(allocation),
                Err(error) => tracing::info!(url, %server, %error, "a TURN server cannot be asked"),
            }
        }
    }

    fn begin(&self, way: &Way, now: Instant) -> std::io::Result<Allocation> {
        let no_route = || std::io::Error::other("there is no route to it");
        let local = route_to(way.server).ok_or_else(no_route)?;
        let link = match way.transport {
            Transport::Udp => Link::datagrams(local)?,
            Transport::Tcp => Link::stream(local, way.server, None),
            Transport::Tls => {
                let name = ServerName::try_from(way.host.clone());
                let name = name.map_err(std::io::Error::other)?;
                let no_tls = || std::io::Error::other("TLS is not available");
                let tls = self.tls.clone().ok_or_else(no_tls)?;
                Link::stream(local, way.server, Some((tls, name)))
            }
        };
        let by = (way.url.as_str(), way.transport);
        Allocation::begin(link, way.server, by, &way.login, now)
    }

    /// From now on only what there is already is used: another gathering has taken over.
    pub fn retire(&mut self) {
        self.bindings.clear();
        self.waiting.clear();
        self.known.clear();
        self.allocations.retain(|known| known.relayed().is_some());
    }

    /// Whether `address` is a STUN server that was asked.
    pub fn is_server(&self, address: SocketAddr) -> bool {
        self.bindings.iter().any(|known| known.server == address)
    }

    /// The allocation whose relayed address is `local`.
    pub fn relay(&mut self, local: SocketAddr) -> Option<&mut Allocation> {
        self.allocations
            .iter_mut()
            .find(|allocation| allocation.relayed() == Some(local))
    }

    /// The URL of the TURN server that has the relayed address `local`.
    pub fn url(&self, local: SocketAddr) -> Option<&str> {
        let allocation = self
            .allocations
            .iter()
            .find(|allocation| allocation.relayed() == Some(local));
        allocation.map(Allocation::url)
    }

    /// A datagram of a STUN server, on the common port.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) {
        let asked = self
            .bindings
            .iter_mut()
            .filter(|known| known.server == from);
        for binding in asked {
            let message = TransportMessage {
                now,
                transport: TransportContext {
                    local_addr: binding.base,
                    peer_addr: from,
                    transport_protocol: TransportProtocol::UDP,
                    ecn: None,
                },
                message: BytesMut::from(datagram),
            };
            if let Err(error) = binding.client.handle_read(message) {
                tracing::debug!(%error, "a STUN server sent something odd");
            }
        }
    }

    /// Wakes the task when a TURN server sent something.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ready = false;
        for allocation in &mut self.allocations {
            ready |= allocation.poll_readable(cx).is_ready();
        }
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Reads what TURN servers sent. False when nothing was there.
    pub fn receive(&mut self, buffers: &mut Buffers, now: Instant) -> bool {
        let mut any = false;
        for allocation in &mut self.allocations {
            any |= allocation.receive(buffers, now);
        }
        any
    }

    /// The next thing that came of it.
    pub fn poll(&mut self, now: Instant) -> Option<Gathered> {
        for binding in &mut self.bindings {
            while let Some(event) = binding.client.poll_event() {
                if let Event::BindingResponse(_, seen) = event
                    && seen != binding.base
                {
                    let candidate = LocalCandidate::srflx(seen, binding.base);
                    return Some(Gathered::Candidate(candidate));
                }
            }
        }
        let mut at = 0;
        while let Some(allocation) = self.allocations.get_mut(at) {
            let transport = allocation.transport();
            match allocation.poll_event(now) {
                Some(AllocationEvent::Ready(relayed)) => {
                    // Ways that are worse and have not led anywhere yet are given up.
                    self.waiting.clear();
                    self.allocations.retain(|other| {
                        other.relayed().is_some() || other.transport() <= transport
                    });
                    let candidate = LocalCandidate {
                        preference: preference(transport),
                        ..LocalCandidate::relay(relayed)
                    };
                    return Some(Gathered::Candidate(candidate));
                }
                Some(AllocationEvent::Data { from, datagram }) => {
                    if let Some(to) = allocation.relayed() {
                        return Some(Gathered::Data { to, from, datagram });
                    }
                }
                Some(AllocationEvent::Failed(why)) => {
                    tracing::info!(why, url = allocation.url(), "no relayed address");
                    let lost = allocation.relayed();
                    self.allocations.remove(at);
                    self.begin_due(now);
                    if let Some(lost) = lost {
                        return Some(Gathered::Lost(lost));
                    }
                }
                None => at += 1,
            }
        }
        None
    }

    /// The next request to a STUN server, from which of our addresses, and to where.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, SocketAddr, BytesMut)> {
        self.bindings.iter_mut().find_map(|binding| {
            let message = binding.client.poll_write()?;
            Some((binding.base, binding.server, message.message))
        })
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let bindings = self
            .bindings
            .iter_mut()
            .filter_map(|binding| binding.client.poll_timeout());
        let allocations = self
            .allocations
            .iter_mut()
            .filter_map(Allocation::poll_timeout);
        let waiting = self.waiting.iter().map(|(due, _)| *due);
        bindings.chain(allocations).chain(waiting).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for binding in &mut self.bindings {
            let _ = binding.client.handle_timeout(now);
        }
        for allocation in &mut self.allocations {
            allocation.handle_timeout(now);
        }
        self.begin_due(now);
    }

    /// Gives relayed addresses back.
    pub fn close(&mut self, now: Instant) {
        for allocation in &mut self.allocations {
            allocation.close(now);
        }
    }
}

impl Binding {
    fn begin(server: SocketAddr, base: SocketAddr, now: Instant) -> std::io::Result<Self> {
        let config = ClientConfig {
            local_addr: base,
            ..ClientConfig::default()
        };
        let other = std::io::Error::other::<rtc_shared::error::Error>;
        let crypto = rtc_turn::crypto::default_provider().map_err(std::io::Error::other)?;
        let mut client = Client::new(config, crypto).map_err(other)?;
        client.send_binding_request_to(now, server).map_err(other)?;
        Ok(Self {
            client,
            server,
            base,
        })
    }
}
