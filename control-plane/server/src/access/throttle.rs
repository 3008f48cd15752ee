//! Slows down guessing: a token bucket for each peer and each account name. Pure; the caller has the clock.
//!
//! The buckets live in tables of fixed size and are found by a keyed hash, so no stranger can make them grow or aim
//! at somebody else's. Two that share a bucket share its tries, which is harmless at this size.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const BUCKETS: usize = 4096;
/// One try comes back every so often.
const REFILL: Duration = Duration::from_secs(15);
/// Tries at once from one peer.
const BURST_PEER: u32 = 8;
/// Tries at once for one name, from wherever: more, as a stranger can use them up for its owner.
const BURST_NAME: u32 = 24;

/// How much guessing has been going on.
pub struct Throttle {
    hasher: RandomState,
    peers: Vec<Bucket>,
    names: Vec<Bucket>,
}

/// The moment at which a bucket will be full again says it all (the generic cell rate algorithm).
#[derive(Clone, Copy, Default)]
struct Bucket {
    full_at: Option<Instant>,
}

impl Bucket {
    /// Takes one try, or says how long until there is one.
    fn take(&mut self, burst: u32, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.filter(|&at| at > now).unwrap_or(now) + REFILL;
        let room = now + REFILL * burst;
        if full_at > room {
            return Err(full_at - room);
        }
        self.full_at = Some(full_at);
        Ok(())
    }

    fn give_back(&mut self) {
        self.full_at = self.full_at.and_then(|at| at.checked_sub(REFILL));
    }
}

impl Throttle {
    /// Nothing tried yet.
    pub fn new() -> Self {
        let empty = vec![Bucket::default(); BUCKETS];
        Self {
            hasher: RandomState::new(),
            peers: empty.clone(),
            names: empty,
        }
    }

    /// Takes a try from both buckets before the password is looked at.
    ///
    /// # Errors
    ///
    /// How long to wait; then nothing was taken.
    pub fn take(&mut self, peer: IpAddr, name: &str, now: Instant) -> Result<(), Duration> {
        let (peer, name) = (self.index(network(peer)), self.index(name.to_lowercase()));
        self.peers[peer].take(BURST_PEER, now)?;
        self.names[name]
            .take(BURST_NAME, now)
            .inspect_err(|_| self.peers[peer].give_back())
    }

    /// The password was right: it cost nothing.
    pub fn give_back(&mut self, peer: IpAddr, name: &str) {
        let (peer, name) = (self.index(network(peer)), self.index(name.to_lowercase()));
        self.peers[peer].give_back();
        self.names[name].give_back();
    }

    fn index(&self, key: impl Hash) -> usize {
        (self.hasher.hash_one(key) % BUCKETS as u64) as usize
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self::new()
    }
}

/// One subscriber has a whole /64 of IPv6 (RFC 6177), so that counts as one peer.
fn network(peer: IpAddr) -> u128 {
    match peer.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() & !u128::from(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn guessing_from_one_peer_is_slowed_and_comes_back_with_time() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        for _ in 0..BURST_PEER {
            assert_eq!(throttle.take(peer("192.0.2.1"), "ada", now), Ok(()));
        }
        assert_eq!(throttle.take(peer("192.0.2.1"), "bob", now), Err(REFILL));
        assert_eq!(throttle.take(peer("192.0.2.2"), "ada", now), Ok(()));
        assert_eq!(
            throttle.take(peer("192.0.2.1"), "bob", now + REFILL),
            Ok(())
        );
        assert_eq!(
            throttle.take(peer("192.0.2.1"), "bob", now + REFILL),
            Err(REFILL)
        );
    }

    #[test]
    fn guessing_one_name_from_everywhere_is_slowed_too() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        let tries = (0..200u8)
            .filter(|&i| {
                throttle
                    .take(IpAddr::from([198, 51, 100, i]), "Ada", now)
                    .is_ok()
            })
            .count();
        assert_eq!(tries, BURST_NAME as usize);
        assert!(
            throttle.take(peer("203.0.113.9"), "ada", now).is_err(),
            "case does not matter"
        );
    }

    #[test]
    fn the_right_password_costs_nothing() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        for _ in 0..100 {
            assert_eq!(throttle.take(peer("192.0.2.1"), "ada", now), Ok(()));
            throttle.give_back(peer("192.0.2.1"), "ada");
        }
    }

    #[test]
    fn a_whole_ipv6_subscriber_is_one_peer() {
        assert_eq!(
            network(peer("2001:db8::1")),
            network(peer("2001:db8::ffff:1"))
        );
        assert_ne!(
            network(peer("2001:db8::1")),
            network(peer("2001:db8:0:1::1"))
        );
        assert_eq!(
            network(peer("::ffff:192.0.2.1")),
            network(peer("192.0.2.1"))
        );
    }
}
