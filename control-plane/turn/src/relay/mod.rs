//! The TURN server without its sockets: messages in, messages out, with the time passed in (RFC 8656).
//!
//! - `requests`: what a client asks for, who may ask, and how often: authentication, refresh, permission, channel.
//! - `allocate`: the request that makes an allocation.
//! - `binding`: the request that tells a client where it is (RFC 8489), and its NAT (RFC 5780).
//! - `allocation`, `users`: what clients then hold.
//!
//! The data path is here: a packet costs one table look-up and no memory of its own.

mod allocate;
mod allocation;
mod binding;
mod requests;
mod users;

use std::collections::HashMap;
use std::hash::RandomState;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use crate::auth::{Authenticator, MAX_LIFE_S};
use crate::config::Quotas;
use crate::credential::{Secrets, Username};
use crate::discovery::Corners;
use crate::peer_filter::PeerFilter;
use crate::rate::Floods;
use crate::stats::{Refusal, Stats};
use crate::stun::{Class, Message, append_data_indication, attribute, method};
use crate::usage::{SessionUsage, Sessions, Usage};
use allocation::{Allocation, CHANNELS};
use users::Users;

pub(crate) use allocation::Family;

/// Both clocks: lifetimes run on the steady one, credentials on the calendar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) steady: Instant,
    pub(crate) unix: u64,
}

/// What a client speaks through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Link {
    /// The UDP socket of that number.
    Udp(u16),
    /// The connection of that number; no other ever has it.
    Stream(u64),
}

/// A client as its 5-tuple tells it from others (RFC 8656, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    /// Where it sends to. Of no account for a stream, which is known by its number.
    pub(crate) server: SocketAddr,
    pub(crate) link: Link,
}

impl Client {
    const fn is_stream(&self) -> bool {
        matches!(self.link, Link::Stream(_))
    }
}

/// Opens sockets on relayed addresses.
pub(crate) trait Ports {
    /// A socket, closed by dropping the last clone.
    type Socket: Clone;
    /// Whether there is a relayed address of that family.
    fn has(&self, family: Family) -> bool;
    /// A socket for that client, on an even port if it asks for one, and the address peers reach it under.
    fn open(
        &mut self,
        client: &Client,
        family: Family,
        even: bool,
    ) -> io::Result<(Self::Socket, SocketAddr)>;
}

/// What to do with what a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action<'a, S> {
    /// Nothing.
    Drop,
    /// Answer the client.
    Reply(Vec<u8>),
    /// Answer, but from or to somewhere else than the question (RFC 5780).
    Elsewhere {
        from: SocketAddr,
        to: SocketAddr,
        answer: Vec<u8>,
    },
    /// Send the data from a relayed address to a peer.
    Relay {
        socket: S,
        peer: SocketAddr,
        data: &'a [u8],
    },
}

/// All state of the server.
pub(crate) struct Relay<P: Ports> {
    auth: Authenticator,
    filter: PeerFilter,
    quotas: Quotas,
    ports: P,
    corners: Option<Corners>,
    allocations: HashMap<Client, Allocation<P::Socket>>,
    users: Users,
    sessions: Sessions,
    floods: Floods,
    stats: Stats,
    draining: bool,
}

impl<P: Ports> Relay<P> {
    pub(crate) fn new(
        auth: Authenticator,
        filter: PeerFilter,
        quotas: Quotas,
        ports: P,
        now: Now,
    ) -> Self {
        Self {
            auth,
            filter,
            quotas,
            ports,
            corners: None,
            allocations: HashMap::new(),
            users: Users::default(),
            sessions: Sessions::default(),
            floods: Floods::new(quotas.answers_per_address, RandomState::new(), now.steady),
            stats: Stats::default(),
            draining: false,
        }
    }

    /// From where else questions of RFC 5780 can be answered.
    pub(crate) fn set_corners(&mut self, corners: Corners) {
        self.corners = Some(corners);
    }

    /// A message from a client: a datagram, or a frame of its stream.
    pub(crate) fn client_message<'a>(
        &mut self,
        client: &Client,
        bytes: &'a [u8],
        now: Now,
    ) -> Action<'a, P::Socket> {
        if let Some((number, data)) = channel_data(bytes) {
            return match self.allocations.get(client) {
                Some(allocation) => match allocation.peer_of(number, now.steady) {
                    Some(peer) => self.relay_to_peer(client, peer, data, now),
                    None => self.refuse(Refusal::Channel),
                },
                None => self.refuse(Refusal::NoAllocation),
            };
        }
        let Some(message) = Message::parse(bytes) else {
            return self.refuse(Refusal::Malformed);
        };
        match (message.class, message.method) {
            (Class::Request, method::BINDING) => self.binding(client, &message, now),
            (Class::Request, _) => self
                .request(client, &message, now)
                .map_or(Action::Drop, Action::Reply),
            (Class::Indication, method::SEND) => {
                if !message.unknown(&[]).is_empty() {
                    return self.refuse(Refusal::Unsupported);
                }
                let mut peers = message.addresses(attribute::XOR_PEER_ADDRESS);
                match (peers.next().flatten(), message.get(attribute::DATA)) {
                    (Some(peer), Some(data)) => self.relay_to_peer(client, peer, data, now),
                    _ => self.refuse(Refusal::Malformed),
                }
            }
            // A keep-alive (RFC 8445, section 11), or an answer to a question never asked.
            _ => Action::Drop,
        }
    }

    /// Data that came to a client's relayed address. Appends what the client is to be sent to `out`; false if nothing.
    pub(crate) fn peer_datagram(
        &mut self,
        client: &Client,
        peer: SocketAddr,
        data: &[u8],
        now: Now,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(allocation) = self.allocations.get_mut(client) else {
            return false;
        };
        if allocation.expires <= now.steady || !allocation.permits(peer, now.steady) {
            self.stats.refused.count(Refusal::Permission);
            return false;
        }
        if !count(allocation, &mut self.users, &mut self.stats, data, now) {
            return false;
        }
        match allocation.channel_of(peer, now.steady) {
            Some(number) => {
                out.extend(number.to_be_bytes());
                out.extend((data.len() as u16).to_be_bytes());
                out.extend(data);
                if client.is_stream() {
                    let padding = data.len().next_multiple_of(4) - data.len();
                    out.extend(&[0; 3][..padding]);
                }
            }
            None => append_data_indication(out, &rand::random(), peer, data),
        }
        true
    }

    /// Ends what has outlived its time. Call about once a second.
    pub(crate) fn tick(&mut self, now: Now) {
        self.remove_all(now, |allocation| allocation.expires <= now.steady);
        self.sessions.tick(now.unix);
    }

    /// The client's connection is closed, and its allocation with it (RFC 8656, section 3.1).
    pub(crate) fn disconnected(&mut self, client: &Client, now: Now) {
        self.remove(client, now);
    }

    /// Whether the client holds an allocation.
    pub(crate) fn holds(&self, client: &Client, now: Now) -> bool {
        self.live(client, now).is_some()
    }

    /// Closes the allocations of a session and refuses its credentials from now on.
    pub(crate) fn end_session(&mut self, session: &str, now: Now) -> SessionUsage {
        self.remove_all(now, |allocation| allocation.owner.session == session);
        self.sessions.end(session, forget(now));
        self.sessions.usage(session)
    }

    /// What a session has used so far.
    pub(crate) fn usage(&self, session: &str, now: Now) -> SessionUsage {
        let mut usage = self.sessions.usage(session);
        for allocation in self.allocations.values() {
            if allocation.owner.session == session {
                usage.of(allocation.owner.end).add(used(allocation, now));
            }
        }
        usage
    }

    /// What was used with a user name so far.
    pub(crate) fn usage_of_name(&self, name: &str, now: Now) -> Usage {
        let session = name.parse().map(|name: Username| name.holder.session);
        let mut usage = session.map_or_else(
            |_| Usage::default(),
            |session| self.sessions.usage_of_name(&session, name),
        );
        for allocation in self.allocations.values() {
            if allocation.owner.username == name {
                usage.add(used(allocation, now));
            }
        }
        usage
    }

    /// Sets the bandwidth of each user name of a session, in bits per second; `None` for everybody's.
    pub(crate) fn set_session_rate(&mut self, session: &str, rate: Option<u64>, now: Now) {
        self.sessions.set_rate(session, rate, forget(now));
        for allocation in self.allocations.values() {
            if allocation.owner.session == session
                && let Some(user) = self.users.get_mut(allocation.user)
            {
                user.bandwidth.rate = rate.unwrap_or(self.quotas.username_rate);
            }
        }
    }

    pub(crate) fn set_secrets(&mut self, secrets: Secrets) {
        self.auth.set_secrets(secrets);
    }

    /// From now on nobody gets a new allocation.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
    }

    pub(crate) fn stats(&self) -> Stats {
        Stats {
            allocations: self.allocations.len(),
            ..self.stats
        }
    }

    /// The driver refused something.
    pub(crate) fn count_refusal(&mut self, reason: Refusal) {
        self.stats.refused.count(reason);
    }

    fn refuse<'a>(&mut self, reason: Refusal) -> Action<'a, P::Socket> {
        self.stats.refused.count(reason);
        Action::Drop
    }

    fn relay_to_peer<'a>(
        &mut self,
        client: &Client,
        peer: SocketAddr,
        data: &'a [u8],
        now: Now,
    ) -> Action<'a, P::Socket> {
        let allocation = self.allocations.get_mut(client);
        let Some(allocation) = allocation.filter(|it| it.expires > now.steady) else {
            return self.refuse(Refusal::NoAllocation);
        };
        let relayed = allocation.relays.of(Family::of(peer.ip()));
        let Some(relayed) = relayed.filter(|_| allocation.permits(peer, now.steady)) else {
            return self.refuse(Refusal::Permission);
        };
        let socket = relayed.socket.clone();
        if count(allocation, &mut self.users, &mut self.stats, data, now) {
            Action::Relay { socket, peer, data }
        } else {
            Action::Drop
        }
    }

    fn live(&self, client: &Client, now: Now) -> Option<&Allocation<P::Socket>> {
        self.allocations
            .get(client)
            .filter(|allocation| allocation.expires > now.steady)
    }

    fn remove_all(&mut self, now: Now, which: impl Fn(&Allocation<P::Socket>) -> bool) {
        let found = self.allocations.iter().filter(|(_, it)| which(it));
        for client in found.map(|(client, _)| *client).collect::<Vec<_>>() {
            self.remove(&client, now);
        }
    }

    fn remove(&mut self, client: &Client, now: Now) {
        if let Some(allocation) = self.allocations.remove(client) {
            self.users.leave(allocation.user);
            let owner = &allocation.owner;
            let used = used(&allocation, now);
            self.sessions.add(
                &owner.session,
                owner.end,
                &owner.username,
                used,
                forget(now),
            );
            tracing::debug!(client = %client.address, session = owner.session, bytes = used.bytes, "allocation ended");
        }
    }
}

/// When a session can be forgotten, in Unix seconds: its credentials are past their time then.
const fn forget(now: Now) -> u64 {
    now.unix.saturating_add(MAX_LIFE_S)
}

fn used<S>(allocation: &Allocation<S>, now: Now) -> Usage {
    // A dead allocation is only found by the next tick.
    let until = now.steady.min(allocation.expires);
    Usage {
        bytes: allocation.bytes,
        held: until.saturating_duration_since(allocation.since),
    }
}

/// Counts data as relayed, unless it is beyond the bandwidth of the allocation or of its user name.
fn count<S>(
    allocation: &mut Allocation<S>,
    users: &mut Users,
    stats: &mut Stats,
    data: &[u8],
    now: Now,
) -> bool {
    let user = users.get_mut(allocation.user);
    let fits = user.is_some_and(|user| {
        allocation
            .bandwidth
            .take(&mut user.bandwidth, data.len(), now.steady)
    });
    if fits {
        allocation.bytes += data.len() as u64;
        stats.bytes_relayed += data.len() as u64;
        stats.packets_relayed += 1;
    } else {
        stats.refused.count(Refusal::Bandwidth);
    }
    fits
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
