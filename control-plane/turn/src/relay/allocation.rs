//! One client's relayed address, whom it may exchange packets with, and its channels (RFC 8656, sections 7, 9, 12).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::peer_filter::AllowedPorts;
use crate::stun::Transaction;

const PERMISSION_LIFE: Duration = Duration::from_secs(300);
const CHANNEL_LIFE: Duration = Duration::from_secs(600);

/// Channel numbers that a first byte tells from STUN. RFC 8656 ends at 0x4fff; older clients use the rest.
pub(crate) const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7ffe;

#[derive(Debug)]
struct Permission {
    until: Instant,
    ports: AllowedPorts,
}

#[derive(Debug)]
struct Channel {
    until: Instant,
    peer: SocketAddr,
}

/// An allocation; `S` is the socket on its relayed address, closed by dropping it.
#[derive(Debug)]
pub(crate) struct Allocation<S> {
    pub(crate) username: String,
    pub(crate) session: String,
    pub(crate) socket: S,
    pub(crate) relayed: SocketAddr,
    /// The request that made it: the same again is a retransmission, another one a mistake.
    pub(crate) transaction: Transaction,
    pub(crate) expires: Instant,
    /// However often it is refreshed, it ends here.
    pub(crate) ends: Instant,
    /// Bytes of data relayed, both ways.
    pub(crate) bytes: u64,
    permissions: HashMap<IpAddr, Permission>,
    channels: HashMap<u16, Channel>,
    numbers: HashMap<SocketAddr, u16>,
}

/// The channel or the peer is already bound otherwise, or there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindError {
    Taken,
    Full,
}

impl<S> Allocation<S> {
    pub(crate) fn new(
        username: String,
        session: String,
        (socket, relayed): (S, SocketAddr),
        transaction: Transaction,
        expires: Instant,
        ends: Instant,
    ) -> Self {
        Self {
            username,
            session,
            socket,
            relayed,
            transaction,
            expires,
            ends,
            bytes: 0,
            permissions: HashMap::new(),
            channels: HashMap::new(),
            numbers: HashMap::new(),
        }
    }

    /// Installs or refreshes a permission; false if there are `most` others already.
    pub(crate) fn permit(
        &mut self,
        peer: IpAddr,
        ports: AllowedPorts,
        most: usize,
        now: Instant,
    ) -> bool {
        self.permissions
            .retain(|_, permission| permission.until > now);
        if self.permissions.len() >= most && !self.permissions.contains_key(&peer) {
            return false;
        }
        self.permissions.insert(
            peer,
            Permission {
                until: now + PERMISSION_LIFE,
                ports,
            },
        );
        true
    }

    /// Whether packets may go to that peer and come from it.
    pub(crate) fn permits(&self, peer: SocketAddr, now: Instant) -> bool {
        self.permissions.get(&peer.ip()).is_some_and(|permission| {
            permission.until > now && permission.ports.contains(peer.port())
        })
    }

    /// Binds a channel to a peer, or refreshes that binding, and the peer's permission with it.
    pub(crate) fn bind(
        &mut self,
        number: u16,
        peer: SocketAddr,
        ports: AllowedPorts,
        most: usize,
        now: Instant,
    ) -> Result<(), BindError> {
        self.drop_dead_channels(now);
        let other_peer = self
            .channels
            .get(&number)
            .is_some_and(|channel| channel.peer != peer);
        let other_number = self
            .numbers
            .get(&peer)
            .is_some_and(|bound| *bound != number);
        if other_peer || other_number {
            return Err(BindError::Taken);
        }
        if self.channels.len() >= most && !self.channels.contains_key(&number) {
            return Err(BindError::Full);
        }
        if !self.permit(peer.ip(), ports, most, now) {
            return Err(BindError::Full);
        }
        self.channels.insert(
            number,
            Channel {
                until: now + CHANNEL_LIFE,
                peer,
            },
        );
        self.numbers.insert(peer, number);
        Ok(())
    }

    /// The peer that a channel leads to.
    pub(crate) fn peer_of(&self, number: u16, now: Instant) -> Option<SocketAddr> {
        self.channels
            .get(&number)
            .filter(|channel| channel.until > now)
            .map(|channel| channel.peer)
    }

    /// The channel that leads to a peer.
    pub(crate) fn channel_of(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        self.numbers
            .get(&peer)
            .copied()
            .filter(|number| self.peer_of(*number, now).is_some())
    }

    fn drop_dead_channels(&mut self, now: Instant) {
        self.channels.retain(|_, channel| channel.until > now);
        let channels = &self.channels;
        self.numbers
            .retain(|_, number| channels.contains_key(number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(now: Instant) -> Allocation<()> {
        let later = now + Duration::from_secs(3600);
        Allocation::new("u".into(), "s".into(), ((), peer(1)), [0; 12], later, later)
    }

    fn peer(last: u8) -> SocketAddr {
        SocketAddr::from(([8, 8, 8, last], 5000))
    }

    #[test]
    fn a_permission_is_for_an_address_and_five_minutes() {
        let now = Instant::now();
        let mut allocation = allocation(now);
        assert!(!allocation.permits(peer(1), now));
        assert!(allocation.permit(peer(1).ip(), AllowedPorts::Any, 8, now));
        assert!(allocation.permits(peer(1), now + PERMISSION_LIFE - Duration::from_secs(1)));
        assert!(!allocation.permits(peer(1), now + PERMISSION_LIFE));
        assert!(!allocation.permits(peer(2), now));
    }

    #[test]
    fn a_permission_can_be_for_some_ports_only() {
        let now = Instant::now();
        let mut allocation = allocation(now);
        assert!(allocation.permit(peer(1).ip(), AllowedPorts::Only(5000..=5001), 8, now));
        assert!(allocation.permits(peer(1), now));
        assert!(!allocation.permits(SocketAddr::new(peer(1).ip(), 22), now));
    }

    #[test]
    fn a_channel_leads_to_one_peer_and_a_peer_has_one_channel() {
        let now = Instant::now();
        let mut allocation = allocation(now);
        let mut bind = |number, peer, now| allocation.bind(number, peer, AllowedPorts::Any, 2, now);
        assert_eq!(bind(0x4000, peer(1), now), Ok(()));
        assert_eq!(
            bind(0x4000, peer(1), now),
            Ok(()),
            "the same again refreshes"
        );
        assert_eq!(bind(0x4000, peer(2), now), Err(BindError::Taken));
        assert_eq!(bind(0x4001, peer(1), now), Err(BindError::Taken));
        assert_eq!(bind(0x4001, peer(2), now), Ok(()));
        assert_eq!(bind(0x4002, peer(3), now), Err(BindError::Full));
        assert_eq!(
            bind(0x4000, peer(3), now + CHANNEL_LIFE),
            Ok(()),
            "after its time it is free"
        );
        assert_eq!(allocation.channel_of(peer(1), now + CHANNEL_LIFE), None);
        assert_eq!(
            allocation.channel_of(peer(3), now + CHANNEL_LIFE),
            Some(0x4000)
        );
    }
}
