//! A relayed address of ours at a TURN server (RFC 8656), on a socket of its own.
//!
//! A server knows an allocation by its 5-tuple (RFC 8656 section 3.2), so two viewers cannot have theirs through one
//! socket. Permissions are asked for when something is first sent to an address, and what is sent meanwhile waits
//! for a moment; channels, refreshes and new nonces are the client's business. Media goes out as ChannelData
//! (section 12.5) without a copy through the client, once the server has used the channel itself.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use heron_peer::Batch;
use rtc_shared::{TransportContext, TransportMessage, TransportProtocol};
use rtc_turn::client::{Client, ClientConfig, Event};
use sansio::Protocol;

use crate::servers::Login;
use crate::socket::{Buffers, Sent, Socket};

/// A nonce that went stale is noticed by then, long before an allocation ends.
const REFRESH: Duration = Duration::from_secs(60);

/// Datagrams that may wait for a permission: the first checks of every pair.
const MAX_WAITING: usize = 32;

/// What happened at the server.
#[derive(Debug)]
pub enum AllocationEvent {
    /// The relayed address is usable.
    Ready(SocketAddr),
    /// The server gives none.
    Failed(String),
    /// A datagram of the other end.
    Data {
        /// Who sent it to the relayed address.
        from: SocketAddr,
        /// What.
        datagram: BytesMut,
    },
}

/// An allocation, or an attempt at one.
pub struct Allocation {
    client: Client,
    socket: Socket,
    server: SocketAddr,
    relayed: Option<SocketAddr>,
    channels: HashMap<SocketAddr, u16>,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    /// The refresh of a channel goes by the client; media by itself would let it run out.
    next_through_client: Instant,
    framed: Vec<u8>,
}

impl Allocation {
    /// Asks `server` for an address, from `local` (any port of it).
    ///
    /// # Errors
    ///
    /// When no socket can be had, or the client refuses the configuration.
    pub fn begin(
        server: SocketAddr,
        login: &Login,
        local: IpAddr,
        now: Instant,
    ) -> io::Result<Self> {
        let socket = Socket::bind(SocketAddr::new(local, 0))?;
        let config = ClientConfig {
            turn_serv_addr: server.to_string(),
            local_addr: socket.local(),
            username: login.username.clone(),
            password: login.password.clone(),
            allocation_refresh_interval_cap: Some(REFRESH),
            ..ClientConfig::default()
        };
        let crypto = rtc_turn::crypto::default_provider().map_err(io::Error::other)?;
        let mut client = Client::new(config, crypto).map_err(io::Error::other)?;
        client.allocate(now).map_err(io::Error::other)?;
        let mut allocation = Self {
            client,
            socket,
            server,
            relayed: None,
            channels: HashMap::new(),
            waiting: VecDeque::new(),
            next_through_client: now,
            framed: Vec::new(),
        };
        allocation.flush();
        Ok(allocation)
    }

    /// The relayed address, once there is one.
    pub fn relayed(&self) -> Option<SocketAddr> {
        self.relayed
    }

    /// Wakes the task when something can be read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_readable(cx)
    }

    /// Reads what the server sent. False when nothing was there.
    pub fn receive(&mut self, buffers: &mut Buffers, now: Instant) -> bool {
        let (client, server) = (&mut self.client, self.server);
        let read = self.socket.receive(buffers, |received| {
            if received.from != server {
                return;
            }
            let message = TransportMessage {
                now,
                transport: TransportContext {
                    local_addr: received.to,
                    peer_addr: received.from,
                    transport_protocol: TransportProtocol::UDP,
                    ecn: None,
                },
                message: BytesMut::from(received.datagram),
            };
            if let Err(error) = client.handle_read(message) {
                tracing::debug!(%error, "the TURN server sent something odd");
            }
        });
        self.flush();
        read
    }

    /// The next thing that happened.
    pub fn poll_event(&mut self, now: Instant) -> Option<AllocationEvent> {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::AllocateResponse(_, relayed) => {
                    self.relayed = Some(relayed);
                    return Some(AllocationEvent::Ready(relayed));
                }
                Event::AllocateError(_, error) => {
                    return Some(AllocationEvent::Failed(error.to_string()));
                }
                Event::TransactionTimeout(_) if self.relayed.is_none() => {
                    let why = "the server does not answer".to_owned();
                    return Some(AllocationEvent::Failed(why));
                }
                Event::CreatePermissionResponse(_, peer) => self.send_waiting(peer, now),
                Event::CreatePermissionError(_, error) => {
                    tracing::debug!(%error, "the TURN server permits no traffic with a viewer's address");
                }
                Event::DataIndicationOrChannelData(channel, from, datagram) => {
                    if let Some(channel) = channel {
                        self.channels.insert(from, channel.0);
                    }
                    return Some(AllocationEvent::Data { from, datagram });
                }
                _ => {}
            }
        }
        None
    }

    /// Sends one datagram to `to`, or keeps it until the server permits that.
    pub fn send(&mut self, to: SocketAddr, datagram: &[u8], now: Instant) {
        let Some(relayed) = self.relayed else {
            return;
        };
        let Ok(mut relay) = self.client.relay(relayed) else {
            return;
        };
        if relay.send_to(now, datagram, to).is_err() {
            if self.waiting.len() >= MAX_WAITING {
                self.waiting.pop_front();
            }
            self.waiting.push_back((to, datagram.to_vec()));
            if let Err(error) = relay.create_permission(now, to) {
                tracing::debug!(%error, "no permission can be asked for");
            }
        }
        self.flush();
    }

    /// Sends the packets of a batch to `to`.
    pub fn send_batch(&mut self, to: SocketAddr, batch: &Batch, now: Instant) -> Sent {
        let channel = self.channels.get(&to).copied();
        let Some(channel) = channel.filter(|_| now < self.next_through_client) else {
            // From time to time by way of the client, which refreshes the channel then.
            self.next_through_client = now + REFRESH;
            for datagram in batch.datagrams() {
                self.send(to, datagram, now);
            }
            return Sent::All;
        };
        for run in batch.runs() {
            self.framed.clear();
            for packet in run.bytes.chunks(run.segment) {
                self.framed.extend(channel.to_be_bytes());
                self.framed.extend((packet.len() as u16).to_be_bytes());
                self.framed.extend(packet);
            }
            let local = self.socket.local().ip();
            let segment = (run.count > 1).then_some(run.segment + 4);
            let sent = self.socket.send(local, self.server, &self.framed, segment);
            if sent != Sent::All {
                return sent;
            }
        }
        Sent::All
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.client.poll_timeout()
    }

    /// Repeats requests, refreshes what runs out.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = self.client.handle_timeout(now);
        self.flush();
    }

    /// Gives the address back.
    pub fn close(&mut self, now: Instant) {
        if let Some(relayed) = self.relayed.take()
            && let Ok(mut relay) = self.client.relay(relayed)
        {
            let _ = relay.close(now);
        }
        self.flush();
    }

    fn send_waiting(&mut self, peer: SocketAddr, now: Instant) {
        for (to, datagram) in std::mem::take(&mut self.waiting) {
            if to == peer {
                self.send(to, &datagram, now);
            } else {
                self.waiting.push_back((to, datagram));
            }
        }
    }

    fn flush(&mut self) {
        while let Some(message) = self.client.poll_write() {
            let local = self.socket.local().ip();
            self.socket
                .send(local, message.transport.peer_addr, &message.message, None);
        }
    }
}
