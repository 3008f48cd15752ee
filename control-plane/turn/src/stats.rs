//! What the server has done, and what it has refused to do and why.

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Bytes that are no message, or a message with a broken or missing attribute.
    Malformed,
    /// A method, attribute, transport or address family that the server does not know or have.
    Unsupported,
    /// A name that is not ours, a wrong password or the wrong realm.
    Credential,
    /// A credential past its time.
    Expired,
    /// A credential of a session that is over.
    Ended,
    /// A nonce that is too old or another server's; every client meets this now and then.
    Nonce,
    /// An answer not given because its address had too many.
    Flood,
    /// Too many allocations with one user name.
    UserQuota,
    /// No room: allocations, ports, permissions or channels are used up.
    Capacity,
    /// No new allocations while the server drains.
    Draining,
    /// A peer at a special-purpose address.
    Peer,
    /// A request about an allocation that is not there, or a second one for the same client.
    Mismatch,
    /// A request about the allocation of somebody else.
    Owner,
    /// Data to or from a peer without permission.
    Permission,
    /// Data in a channel that is not bound.
    Channel,
    /// Data for no allocation.
    NoAllocation,
    /// Data beyond the bandwidth of an allocation or a user name.
    Bandwidth,
    /// Data for a client that reads its stream too slowly.
    SlowReader,
    /// A connection beyond the number of all, or of one address.
    Connections,
    /// A connection closed because nothing came of it: half open, or without an allocation for long.
    Idle,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 20] = [
        Self::Malformed,
        Self::Unsupported,
        Self::Credential,
        Self::Expired,
        Self::Ended,
        Self::Nonce,
        Self::Flood,
        Self::UserQuota,
        Self::Capacity,
        Self::Draining,
        Self::Peer,
        Self::Mismatch,
        Self::Owner,
        Self::Permission,
        Self::Channel,
        Self::NoAllocation,
        Self::Bandwidth,
        Self::SlowReader,
        Self::Connections,
        Self::Idle,
    ];

    /// The reason in one word, for monitoring.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::Credential => "credential",
            Self::Expired => "expired",
            Self::Ended => "ended",
            Self::Nonce => "nonce",
            Self::Flood => "flood",
            Self::UserQuota => "user_quota",
            Self::Capacity => "capacity",
            Self::Draining => "draining",
            Self::Peer => "peer",
            Self::Mismatch => "mismatch",
            Self::Owner => "owner",
            Self::Permission => "permission",
            Self::Channel => "channel",
            Self::NoAllocation => "no_allocation",
            Self::Bandwidth => "bandwidth",
            Self::SlowReader => "slow_reader",
            Self::Connections => "connections",
            Self::Idle => "idle",
        }
    }
}

/// How often something was refused, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    /// How often for that reason.
    pub const fn of(&self, reason: Refusal) -> u64 {
        self.0[reason as usize]
    }

    /// How often for each reason.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.0)
    }

    pub(crate) const fn count(&mut self, reason: Refusal) {
        self.0[reason as usize] += 1;
    }
}

/// What the server has done since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Allocations that live now.
    pub allocations: usize,
    /// Connections (TCP and TLS) that are open now.
    pub connections: usize,
    /// Allocations made.
    pub allocated: u64,
    /// Binding requests answered.
    pub bindings: u64,
    /// Bytes of data relayed, both ways.
    pub bytes_relayed: u64,
    /// Packets relayed, both ways.
    pub packets_relayed: u64,
    /// What was not done.
    pub refused: Refusals,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_place_and_a_word_of_its_own() {
        let mut refusals = Refusals::default();
        for (index, reason) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            refusals.count(reason);
        }
        assert!(refusals.iter().all(|(_, count)| count == 1));
        let words: std::collections::HashSet<_> = Refusal::ALL.map(Refusal::as_str).into();
        assert_eq!(words.len(), Refusal::ALL.len());
    }
}
