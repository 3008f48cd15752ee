//! One client's relayed addresses, whom they may exchange packets with, and its channels (RFC 8656, sections 7, 9, 12).
//!
//! Permissions and channels are few and looked up for every packet, so they are short lists rather than tables.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::credential::End;
use crate::peer_filter::AllowedPorts;
use crate::rate::Bandwidth;
use crate::stun::Transaction;

const PERMISSION_LIFE: Duration = Duration::from_secs(300);
const CHANNEL_LIFE: Duration = Duration::from_secs(600);

/// Channel numbers that a first byte tells from STUN. RFC 8656 ends at 0x4fff; older clients use the rest.
pub(crate) const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7ffe;

/// The family of a relayed address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// The family that an attribute's first byte names (RFC 8656, section 18.6).
    pub(crate) const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::V4),
            2 => Some(Self::V6),
            _ => None,
        }
    }

    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::V4 => 1,
            Self::V6 => 2,
        }
    }
}

/// A relayed address and its socket, closed by dropping it.
#[derive(Debug)]
pub(crate) struct Relayed<S> {
    pub(crate) socket: S,
    pub(crate) address: SocketAddr,
}

/// At most one relayed address of each family (RFC 8656, section 7.2).
#[derive(Debug)]
pub(crate) struct Relays<S> {
    v4: Option<Relayed<S>>,
    v6: Option<Relayed<S>>,
}

impl<S> Relays<S> {
    pub(crate) fn new(first: Relayed<S>, second: Option<Relayed<S>>) -> Self {
        let mut relays = Self { v4: None, v6: None };
        for relayed in [Some(first), second].into_iter().flatten() {
            let family = Family::of(relayed.address.ip());
            *relays.slot(family) = Some(relayed);
        }
        relays
    }

    pub(crate) const fn of(&self, family: Family) -> Option<&Relayed<S>> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Relayed<S>> {
        self.v4.iter().chain(&self.v6)
    }

    /// Closes one; true if none is left.
    pub(crate) fn close(&mut self, family: Family) -> bool {
        *self.slot(family) = None;
        self.v4.is_none() && self.v6.is_none()
    }

    const fn slot(&mut self, family: Family) -> &mut Option<Relayed<S>> {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// Who holds an allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) username: String,
    pub(crate) session: String,
    pub(crate) end: End,
}

#[derive(Debug)]
struct Permission {
    peer: IpAddr,
    until: Instant,
    ports: AllowedPorts,
}

#[derive(Debug)]
struct Channel {
    number: u16,
    peer: SocketAddr,
    until: Instant,
}

/// An allocation; `S` is the socket on a relayed address.
#[derive(Debug)]
pub(crate) struct Allocation<S> {
    pub(crate) owner: Owner,
    /// Where the owner's user name is among the users.
    pub(crate) user: usize,
    pub(crate) relays: Relays<S>,
    /// The request that made it: the same again is a retransmission, another one a mistake.
    pub(crate) transaction: Transaction,
    pub(crate) since: Instant,
    pub(crate) expires: Instant,
    /// However often it is refreshed, it ends here.
    pub(crate) ends: Instant,
    pub(crate) bandwidth: Bandwidth,
    /// Bytes of data relayed, both ways.
    pub(crate) bytes: u64,
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
}

/// The channel or the peer is already bound otherwise, or there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BindError {
    Taken,
    Full,
}

/// How long an allocation lives: from when, until when at first, and until when at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Life {
    pub(crate) since: Instant,
    pub(crate) expires: Instant,
    pub(crate) ends: Instant,
}

impl<S> Allocation<S> {
    pub(crate) fn new(
        owner: Owner,
        user: usize,
        relays: Relays<S>,
        transaction: Transaction,
        life: Life,
        rate: u64,
    ) -> Self {
        Self {
            owner,
            user,
            relays,
            transaction,
            since: life.since,
            expires: life.expires,
            ends: life.ends,
            bandwidth: Bandwidth::new(rate, life.since),
            bytes: 0,
            permissions: Vec::new(),
            channels: Vec::new(),
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
        self.permissions.retain(|permission| permission.until > now);
        let until = now + PERMISSION_LIFE;
        let full = self.permissions.len() >= most;
        match self.permissions.iter_mut().find(|known| known.peer == peer) {
            Some(known) => (known.until, known.ports) = (until, ports),
            None if full => return false,
            None => self.permissions.push(Permission { peer, until, ports }),
        }
        true
    }

    /// Whether packets may go to that peer and come from it.
    pub(crate) fn permits(&self, peer: SocketAddr, now: Instant) -> bool {
        self.permissions.iter().any(|permission| {
            permission.peer == peer.ip()
                && permission.until > now
                && permission.ports.contains(peer.port())
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
        self.channels.retain(|channel| channel.until > now);
        let same = |channel: &Channel| channel.number == number && channel.peer == peer;
        let known = self.channels.iter().position(same);
        let mut all = self.channels.iter();
        if known.is_none() && all.any(|it| it.number == number || it.peer == peer) {
            return Err(BindError::Taken);
        }
        if known.is_none() && self.channels.len() >= most {
            return Err(BindError::Full);
        }
        if !self.permit(peer.ip(), ports, most, now) {
            return Err(BindError::Full);
        }
        let until = now + CHANNEL_LIFE;
        match known {
            Some(index) => self.channels[index].until = until,
            None => self.channels.push(Channel {
                number,
                peer,
                until,
            }),
        }
        Ok(())
    }

    /// The peer that a channel leads to.
    pub(crate) fn peer_of(&self, number: u16, now: Instant) -> Option<SocketAddr> {
        self.channels
            .iter()
            .find(|channel| channel.number == number && channel.until > now)
            .map(|channel| channel.peer)
    }

    /// The channel that leads to a peer.
    pub(crate) fn channel_of(&self, peer: SocketAddr, now: Instant) -> Option<u16> {
        self.channels
            .iter()
            .find(|channel| channel.peer == peer && channel.until > now)
            .map(|channel| channel.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allocation(now: Instant) -> Allocation<()> {
        let later = now + Duration::from_secs(3600);
        let owner = Owner {
            username: "u".into(),
            session: "s".into(),
            end: End::Viewer,
        };
        let relayed = Relayed {
            socket: (),
            address: peer(1),
        };
        let life = Life {
            since: now,
            expires: later,
            ends: later,
        };
        Allocation::new(owner, 0, Relays::new(relayed, None), [0; 12], life, 1)
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
