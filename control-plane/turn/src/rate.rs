//! Token buckets: bandwidth of allocations, and answers to addresses that have shown no credential.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How much bandwidth may be used at once after silence: a key frame in a burst.
const BANDWIDTH_BURST: Duration = Duration::from_millis(500);
/// The same for answers.
const ANSWER_BURST: Duration = Duration::from_secs(4);
/// Addresses whose answers are counted apart. Where two share a place they share its rate, so memory has a bound.
const PLACES: usize = 4096;

/// A token bucket, as the time at which everything taken so far would have been sent at the allowed rate.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    free_at: Instant,
}

impl Bucket {
    /// A full bucket.
    const fn new(now: Instant) -> Self {
        Self { free_at: now }
    }

    /// When `cost` more would be sent; `None` if that is further away than `burst`.
    fn after(&self, cost: Duration, burst: Duration, now: Instant) -> Option<Instant> {
        let after = self.free_at.max(now) + cost;
        (after - now <= burst).then_some(after)
    }
}

/// What an allocation, or a user name, may send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bandwidth {
    bucket: Bucket,
    /// Bits per second.
    pub(crate) rate: u64,
}

impl Bandwidth {
    pub(crate) const fn new(rate: u64, now: Instant) -> Self {
        Self {
            bucket: Bucket::new(now),
            rate,
        }
    }

    fn after(&self, bytes: usize, now: Instant) -> Option<Instant> {
        let cost = Duration::from_nanos(bytes as u64 * 8_000_000_000 / self.rate.max(1));
        self.bucket.after(cost, BANDWIDTH_BURST, now)
    }

    /// Takes `bytes` here and there, or from neither.
    pub(crate) fn take(&mut self, other: &mut Self, bytes: usize, now: Instant) -> bool {
        match (self.after(bytes, now), other.after(bytes, now)) {
            (Some(here), Some(there)) => {
                self.bucket.free_at = here;
                other.bucket.free_at = there;
                true
            }
            _ => false,
        }
    }
}

/// How many answers go to addresses that may be spoofed.
pub(crate) struct Floods {
    hasher: RandomState,
    places: Vec<Bucket>,
    cost: Duration,
}

impl Floods {
    /// At most `per_second` answers to one address. The hasher's key is random, so that nobody can choose addresses
    /// which share another's place.
    pub(crate) fn new(per_second: u32, hasher: RandomState, now: Instant) -> Self {
        Self {
            hasher,
            places: vec![Bucket::new(now); PLACES],
            cost: Duration::from_secs(1) / per_second.max(1),
        }
    }

    /// Whether one more answer may go there.
    pub(crate) fn take(&mut self, address: IpAddr, now: Instant) -> bool {
        let place = self.hasher.hash_one(source(address)) as usize % PLACES;
        let bucket = &mut self.places[place];
        match bucket.after(self.cost, ANSWER_BURST, now) {
            Some(after) => {
                bucket.free_at = after;
                true
            }
            None => false,
        }
    }
}

/// What counts as one source: an IPv4 address, or the /64 of an IPv6 address, within which anybody has them all.
pub(crate) fn source(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => (u128::from(address) >> 64) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_is_what_the_narrower_bucket_allows() {
        let start = Instant::now();
        let mut wide = Bandwidth::new(8_000_000, start);
        let mut narrow = Bandwidth::new(800_000, start);
        let mut sent = 0;
        // 10 s of packets of 1000 bytes, one each millisecond: 8 Mbit/s.
        for millisecond in 0..10_000 {
            let now = start + Duration::from_millis(millisecond);
            sent += usize::from(wide.take(&mut narrow, 1000, now));
        }
        // 100 packets a second, and the burst of half a second.
        assert!((1049..=1051).contains(&sent), "{sent}");
    }

    #[test]
    fn what_one_bucket_refuses_the_other_keeps() {
        let now = Instant::now();
        let mut one = Bandwidth::new(1_000_000, now);
        let mut other = Bandwidth::new(1_000, now);
        assert!(!one.take(&mut other, 1000, now));
        assert_eq!((one.bucket.free_at, other.bucket.free_at), (now, now));
    }

    #[test]
    fn answers_to_one_address_have_a_burst_and_a_rate() {
        let start = Instant::now();
        let mut floods = Floods::new(10, RandomState::new(), start);
        let address = "198.51.100.1".parse().unwrap();
        let mut taken =
            |now| std::iter::from_fn(|| floods.take(address, now).then_some(())).count();
        assert_eq!(taken(start), 40);
        assert_eq!(taken(start + Duration::from_secs(1)), 10);
        assert_eq!(taken(start + Duration::from_secs(3600)), 40);
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let source = |text: &str| source(text.parse().unwrap());
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }
}
