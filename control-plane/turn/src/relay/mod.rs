//! The TURN server without its sockets: datagrams in, datagrams out, with the time passed in (RFC 8656).
//!
//! - `requests`: what a client asks for: binding, allocation, refresh, permission, channel.
//! - `allocation`: what it then holds.
//!
//! The data path is here: a packet costs two map look-ups and no allocation when it travels in a channel.

mod allocation;
mod requests;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::auth::{Authenticator, MAX_LIFE_S};
use crate::credential::Secrets;
use crate::peer_filter::PeerFilter;
use crate::stun::{Class, Message, Writer, attribute, method};
use allocation::{Allocation, CHANNELS};

/// How much of the server one client, and all of them together, may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Allocations in all.
    pub allocations: usize,
    /// Allocations with one user name: a client makes one for each of its network interfaces.
    pub per_username: usize,
    /// Permissions, and channels, of one allocation.
    pub peers: usize,
    /// However often it is refreshed, an allocation ends at this age.
    pub age: Duration,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            allocations: 1024,
            per_username: 8,
            peers: 64,
            age: Duration::from_secs(12 * 3600),
        }
    }
}

/// What the server has done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Allocations that live now.
    pub allocations: usize,
    /// Allocations made.
    pub allocated: u64,
    /// Bytes of data relayed, both ways.
    pub bytes_relayed: u64,
    /// Peers refused because of where they are.
    pub refused_peers: u64,
    /// Requests refused because of their credential.
    pub refused_credentials: u64,
    /// Requests refused because a quota was used up.
    pub refused_quota: u64,
    /// Data dropped because the sender had no permission, channel or allocation.
    pub dropped: u64,
    /// Datagrams that were no message of STUN or TURN.
    pub malformed: u64,
}

/// Both clocks: lifetimes run on the steady one, credentials on the calendar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) steady: Instant,
    pub(crate) unix: u64,
}

/// Opens sockets on relayed addresses.
pub(crate) trait Ports {
    /// A socket, closed by dropping the last clone.
    type Socket: Clone;
    /// A socket for that client, on an even port if it asks for one, and the address peers reach it under.
    fn open(&mut self, client: SocketAddr, even: bool) -> io::Result<(Self::Socket, SocketAddr)>;
}

/// What to do with a client's datagram.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<'a, S> {
    /// Nothing.
    Drop,
    /// Answer the client.
    Reply(Vec<u8>),
    /// Send the data from a relayed address to a peer.
    Relay {
        socket: S,
        peer: SocketAddr,
        data: &'a [u8],
    },
}

/// What a session has used, and whether it is over.
#[derive(Debug, Default)]
struct Usage {
    bytes: u64,
    ended: bool,
    /// Unix seconds after which nothing can be asked about it and no credential of it is good.
    forget: u64,
}

/// All state of the server.
pub(crate) struct Relay<P: Ports> {
    auth: Authenticator,
    filter: PeerFilter,
    quotas: Quotas,
    ports: P,
    ipv6: bool,
    allocations: HashMap<SocketAddr, Allocation<P::Socket>>,
    sessions: HashMap<String, Usage>,
    stats: Stats,
}

impl<P: Ports> Relay<P> {
    pub(crate) fn new(
        auth: Authenticator,
        filter: PeerFilter,
        quotas: Quotas,
        ports: P,
        ipv6: bool,
    ) -> Self {
        Self {
            auth,
            filter,
            quotas,
            ports,
            ipv6,
            allocations: HashMap::new(),
            sessions: HashMap::new(),
            stats: Stats::default(),
        }
    }

    /// A datagram from a client.
    pub(crate) fn client_datagram<'a>(
        &mut self,
        client: SocketAddr,
        datagram: &'a [u8],
        now: Now,
    ) -> Action<'a, P::Socket> {
        if let Some((number, data)) = channel_data(datagram) {
            let peer = self
                .live(client, now)
                .and_then(|allocation| allocation.peer_of(number, now.steady));
            return self.relay_to_peer(client, peer, data, now);
        }
        let Some(message) = Message::parse(datagram) else {
            self.stats.malformed += 1;
            return Action::Drop;
        };
        match (message.class, message.method) {
            (Class::Request, _) => Action::Reply(self.request(client, &message, now)),
            (Class::Indication, method::SEND) if message.unknown().is_empty() => {
                let peer = message
                    .addresses(attribute::XOR_PEER_ADDRESS)
                    .next()
                    .flatten();
                match message.get(attribute::DATA) {
                    Some(data) => self.relay_to_peer(client, peer, data, now),
                    None => Action::Drop,
                }
            }
            // A keep-alive (RFC 8445, section 11), or an answer to a question never asked.
            _ => Action::Drop,
        }
    }

    /// Data that came to a client's relayed address. Fills `out` with what the client is to be sent; false if nothing.
    pub(crate) fn peer_datagram(
        &mut self,
        client: SocketAddr,
        peer: SocketAddr,
        data: &[u8],
        now: Now,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(allocation) = self.allocations.get_mut(&client) else {
            return false;
        };
        if allocation.expires <= now.steady || !allocation.permits(peer, now.steady) {
            self.stats.dropped += 1;
            return false;
        }
        allocation.bytes += data.len() as u64;
        self.stats.bytes_relayed += data.len() as u64;
        out.clear();
        match allocation.channel_of(peer, now.steady) {
            Some(number) => {
                out.extend(number.to_be_bytes());
                out.extend((data.len() as u16).to_be_bytes());
                out.extend(data);
            }
            None => {
                let indication = Writer::new(Class::Indication, method::DATA, &rand::random())
                    .add_address(attribute::XOR_PEER_ADDRESS, peer)
                    .add(attribute::DATA, data);
                out.extend(indication.unsigned());
            }
        }
        true
    }

    /// Ends what has outlived its time. Call about once a second.
    pub(crate) fn tick(&mut self, now: Now) {
        let expired = self
            .allocations
            .iter()
            .filter(|(_, allocation)| allocation.expires <= now.steady);
        for client in expired.map(|(client, _)| *client).collect::<Vec<_>>() {
            self.remove(client, now);
        }
        self.sessions.retain(|_, usage| usage.forget > now.unix);
    }

    /// Closes the allocations of a session and refuses its credentials from now on. Returns the bytes it relayed.
    pub(crate) fn end_session(&mut self, session: &str, now: Now) -> u64 {
        let of_session = self
            .allocations
            .iter()
            .filter(|(_, allocation)| allocation.session == session);
        for client in of_session.map(|(client, _)| *client).collect::<Vec<_>>() {
            self.remove(client, now);
        }
        let usage = self.sessions.entry(session.to_owned()).or_default();
        usage.ended = true;
        usage.forget = now.unix.saturating_add(MAX_LIFE_S);
        usage.bytes
    }

    /// The bytes a session has relayed so far.
    pub(crate) fn usage(&self, session: &str) -> u64 {
        let live = self
            .allocations
            .values()
            .filter(|allocation| allocation.session == session);
        let live: u64 = live.map(|allocation| allocation.bytes).sum();
        self.sessions.get(session).map_or(0, |usage| usage.bytes) + live
    }

    pub(crate) fn set_secrets(&mut self, secrets: Secrets) {
        self.auth.set_secrets(secrets);
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            allocations: self.allocations.len(),
            ..self.stats
        }
    }

    fn relay_to_peer<'a>(
        &mut self,
        client: SocketAddr,
        peer: Option<SocketAddr>,
        data: &'a [u8],
        now: Now,
    ) -> Action<'a, P::Socket> {
        let allocation = self
            .allocations
            .get_mut(&client)
            .filter(|allocation| allocation.expires > now.steady);
        let permitted = allocation
            .zip(peer)
            .filter(|(allocation, peer)| allocation.permits(*peer, now.steady));
        let Some((allocation, peer)) = permitted else {
            self.stats.dropped += 1;
            return Action::Drop;
        };
        allocation.bytes += data.len() as u64;
        self.stats.bytes_relayed += data.len() as u64;
        Action::Relay {
            socket: allocation.socket.clone(),
            peer,
            data,
        }
    }

    fn live(&self, client: SocketAddr, now: Now) -> Option<&Allocation<P::Socket>> {
        self.allocations
            .get(&client)
            .filter(|allocation| allocation.expires > now.steady)
    }

    fn remove(&mut self, client: SocketAddr, now: Now) {
        if let Some(allocation) = self.allocations.remove(&client) {
            let usage = self.sessions.entry(allocation.session).or_default();
            usage.bytes += allocation.bytes;
            usage.forget = now.unix.saturating_add(MAX_LIFE_S);
        }
    }
}

/// The number and the data of a ChannelData message (RFC 8656, section 12.4).
fn channel_data(datagram: &[u8]) -> Option<(u16, &[u8])> {
    let (head, rest) = datagram.split_at_checked(4)?;
    let number = u16::from_be_bytes([head[0], head[1]]);
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    CHANNELS
        .contains(&number)
        .then_some(number)
        .zip(rest.get(..length))
}

#[cfg(test)]
mod tests;
