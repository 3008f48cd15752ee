//! The one time line of a camera's media: capture instants, RTP timestamps and NTP time all map onto each other.
//!
//! Video and sound carry capture instants of the same monotonic clock. A [`MediaClock`] is made once per viewer and
//! fixes the wall clock's offset for that session, so that a camera whose wall clock is set by NTP in the middle
//! of a session does not tear picture and sound apart (RFC 3550 section 6.4.1: the offset may be wrong, it may
//! not jump).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

const NANOS: u128 = 1_000_000_000;

/// Seconds from 1900, where NTP starts, to 1970 (RFC 5905 section 6).
const NTP_EPOCH_S: u128 = 2_208_988_800;

/// Now on the clock of capture timestamps (`CLOCK_MONOTONIC`), in nanoseconds.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Maps capture instants to NTP time for one session.
#[derive(Debug, Clone, Copy)]
pub struct MediaClock {
    /// NTP time at monotonic zero, in nanoseconds since 1900.
    zero: u128,
}

impl MediaClock {
    /// A clock for which monotonic `now_ns` is the wall clock's `wall`.
    pub fn new(now_ns: u64, wall: SystemTime) -> Self {
        let unix = wall
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_nanos();
        Self {
            zero: (unix + NTP_EPOCH_S * NANOS).saturating_sub(u128::from(now_ns)),
        }
    }

    /// A clock anchored at this moment.
    pub fn anchored_now() -> Self {
        Self::new(monotonic_ns(), SystemTime::now())
    }

    /// The 64-bit NTP timestamp (32.32 fixed point) of a capture instant.
    pub fn ntp(&self, captured_ns: u64) -> u64 {
        let nanos = self.zero + u128::from(captured_ns);
        let seconds = (nanos / NANOS) as u64;
        let fraction = ((nanos % NANOS) << 32) / NANOS;
        (seconds << 32) | fraction as u64
    }

    /// The middle 32 bits of the NTP timestamp, as report blocks quote them (RFC 3550 section 4).
    pub fn ntp_middle(&self, captured_ns: u64) -> u32 {
        (self.ntp(captured_ns) >> 16) as u32
    }
}

/// A capture instant in units of an RTP clock, before the stream's random offset is added.
pub fn rtp_units(captured_ns: u64, clock_rate: u32) -> u32 {
    // Truncation is the wrap-around that RTP timestamps are defined to have.
    (u128::from(captured_ns) * u128::from(clock_rate) / NANOS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_counts_from_1900_in_fixed_point() {
        let clock = MediaClock::new(5_000_000_000, UNIX_EPOCH + Duration::from_secs(100));
        assert_eq!(clock.ntp(5_000_000_000), (2_208_988_900_u64) << 32);
        assert_eq!(
            clock.ntp(5_500_000_000),
            ((2_208_988_900_u64) << 32) | 0x8000_0000
        );
        assert_eq!(
            clock.ntp_middle(5_500_000_000),
            ((2_208_988_900_u64 << 16) as u32) | 0x8000
        );
    }

    #[test]
    fn rtp_units_follow_the_clock_rate_and_wrap() {
        assert_eq!(rtp_units(1_000_000_000, 90_000), 90_000);
        assert_eq!(rtp_units(20_000_000, 48_000), 960);
        let wrap_ns = (u64::from(u32::MAX) + 1) * 1_000_000_000 / 48_000;
        assert!(rtp_units(wrap_ns + 1_000_000_000, 48_000) < 48_010);
    }

    #[test]
    fn the_monotonic_clock_advances() {
        let before = monotonic_ns();
        assert!(before > 0 && monotonic_ns() >= before);
    }
}
