//! Addresses of ours beyond the interfaces': as STUN servers see them, and at TURN servers (RFC 8445 section 5.1.1).
//!
//! One for each session, because the servers' credentials are a session's. Requests to STUN servers leave from the
//! common port, since its mapping is what viewers must reach.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::BytesMut;
use heron_peer::LocalCandidate;
use rtc_shared::{TransportContext, TransportMessage, TransportProtocol};
use rtc_turn::client::{Client, ClientConfig, Event};
use sansio::Protocol;

use crate::allocation::{Allocation, AllocationEvent};
use crate::servers::Located;
use crate::socket::Buffers;

/// Servers of a session that are used; more would only make more of the same.
const MAX_SERVERS: usize = 8;

/// What came of gathering.
#[derive(Debug)]
pub enum Gathered {
    /// A new address.
    Candidate(LocalCandidate),
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
#[derive(Default)]
pub struct Gathering {
    bindings: Vec<Binding>,
    allocations: Vec<Allocation>,
}

/// One of our sockets' address as one STUN server sees it.
struct Binding {
    client: Client,
    server: SocketAddr,
    base: SocketAddr,
}

impl Gathering {
    /// Asks a server. `bases`: our host addresses on the common port; `reflexive`: whether the addresses they are
    /// seen at are wanted.
    pub fn ask(&mut self, server: &Located, bases: &[SocketAddr], reflexive: bool, now: Instant) {
        for address in &server.addresses {
            if self.bindings.len() + self.allocations.len() >= MAX_SERVERS {
                return;
            }
            let base = bases
                .iter()
                .find(|base| base.is_ipv4() == address.is_ipv4());
            let Some(base) = base.copied() else {
                continue;
            };
            if reflexive && !self.bindings.iter().any(|known| known.server == *address) {
                match Binding::begin(*address, base, now) {
                    Ok(binding) => self.bindings.push(binding),
                    Err(error) => tracing::debug!(%error, "a STUN server cannot be asked"),
                }
            }
            if let Some(login) = &server.login {
                match Allocation::begin(*address, login, base.ip(), now) {
                    Ok(allocation) => {
                        self.allocations.push(allocation);
                        // One address at a server is enough.
                        return;
                    }
                    Err(error) => tracing::info!(%error, "a TURN server cannot be asked"),
                }
            }
        }
    }

    /// Whether a relayed address is there or on its way.
    pub fn has_relay(&self) -> bool {
        !self.allocations.is_empty()
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
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let ready = self
            .allocations
            .iter()
            .filter(|allocation| allocation.poll_readable(cx).is_ready());
        if ready.count() > 0 {
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
        let mut failed = Vec::new();
        let mut found = None;
        for (at, allocation) in self.allocations.iter_mut().enumerate() {
            match allocation.poll_event(now) {
                Some(AllocationEvent::Ready(relayed)) => {
                    found = Some(Gathered::Candidate(LocalCandidate::relay(relayed)));
                }
                Some(AllocationEvent::Data { from, datagram }) => {
                    found = allocation
                        .relayed()
                        .map(|to| Gathered::Data { to, from, datagram });
                }
                Some(AllocationEvent::Failed(why)) => {
                    tracing::info!(why, "no relayed address");
                    failed.push(at);
                }
                None => {}
            }
            if found.is_some() {
                break;
            }
        }
        for at in failed.into_iter().rev() {
            self.allocations.remove(at);
        }
        found
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
        bindings.chain(allocations).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for binding in &mut self.bindings {
            let _ = binding.client.handle_timeout(now);
        }
        for allocation in &mut self.allocations {
            allocation.handle_timeout(now);
        }
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
