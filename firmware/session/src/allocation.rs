//! A relayed address of ours at a TURN server (RFC 8656), over UDP, TCP or TLS.
//!
//! Permissions are asked for when something is first sent to an address, and what is sent meanwhile waits for a moment;
//! channels, refreshes and new nonces are the client's business. Media goes out as ChannelData (section 12.5) without a
//! copy through the client, once the server has used the channel itself.
//!
//! The relayed address is IPv4 also where the server is reached over IPv6, unless the server decides otherwise: the
//! client cannot ask for another family (section 18.6).
//!
//! An allocation ends when its connection does, when a request goes unanswered, or when the server refuses a refresh.

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

use crate::demux::refused_refresh;
use crate::link::Link;
use crate::servers::{Login, Transport};
use crate::socket::{Buffers, Sent};

/// A nonce that went stale is noticed by then, long before an allocation ends.
const REFRESH: Duration = Duration::from_secs(60);

/// Datagrams that may wait for a permission: the first checks of every pair.
const MAX_WAITING: usize = 32;

/// What happened at the server.
#[derive(Debug)]
pub enum AllocationEvent {
    /// The relayed address is usable.
    Ready(SocketAddr),
    /// The server gives none, or takes it back.
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
    link: Link,
    server: SocketAddr,
    url: String,
    transport: Transport,
    relayed: Option<SocketAddr>,
    /// Why it is of no use any more.
    failed: Option<String>,
    channels: HashMap<SocketAddr, u16>,
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    /// The refresh of a channel goes by the client; media by itself would let it run out.
    next_through_client: Instant,
    framed: Vec<u8>,
}

impl Allocation {
    /// Asks `server`, which has `url`, for an address over `link`.
    ///
    /// # Errors
    ///
    /// When the client refuses the configuration.
    pub fn begin(
        link: Link,
        server: SocketAddr,
        (url, transport): (&str, Transport),
        login: &Login,
        now: Instant,
    ) -> io::Result<Self> {
        let config = ClientConfig {
            turn_serv_addr: server.to_string(),
            local_addr: link.local(),
            transport_protocol: protocol(&link),
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
            link,
            server,
            url: url.to_owned(),
            transport,
            relayed: None,
            failed: None,
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

    /// The server's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How the server is reached.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The address of ours that it is made from.
    pub fn local(&self) -> IpAddr {
        self.link.local().ip()
    }

    /// It is of no use any more, and says so by [`poll_event`](Self::poll_event).
    pub fn fail(&mut self, why: &str) {
        self.failed = Some(why.to_owned());
    }

    /// Wakes the task when something can be read.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.link.poll_readable(cx)
    }

    /// Reads what the server sent. False when nothing was there.
    pub fn receive(&mut self, buffers: &mut Buffers, now: Instant) -> bool {
        let (client, server) = (&mut self.client, self.server);
        let transport = TransportContext {
            local_addr: self.link.local(),
            peer_addr: server,
            transport_protocol: protocol(&self.link),
            ecn: None,
        };
        let mut refused = None;
        let read = self.link.receive(server, buffers, |message| {
            refused = refused.or(refused_refresh(&message));
            let message = TransportMessage {
                now,
                transport,
                message,
            };
            if let Err(error) = client.handle_read(message) {
                tracing::debug!(%error, "the TURN server sent something odd");
            }
        });
        if let Some(code) = refused {
            self.failed = Some(format!("the server refuses a refresh (error {code})"));
        }
        self.flush();
        read.unwrap_or_else(|why| {
            self.failed = Some(why);
            true
        })
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
                Event::TransactionTimeout(_) => {
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
        self.failed.take().map(AllocationEvent::Failed)
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
        self.link
            .send_batch(self.server, channel, batch, &mut self.framed)
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
            self.link.send(self.server, &message.message);
        }
    }
}

fn protocol(link: &Link) -> TransportProtocol {
    if link.is_reliable() {
        TransportProtocol::TCP
    } else {
        TransportProtocol::UDP
    }
}
