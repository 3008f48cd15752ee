//! The one time line of a camera's media: capture instants, RTP timestamps and NTP time all map onto each other.
//!
//! Video and sound carry capture instants of the same monotonic clock. A [`MediaClock`] is made once per viewer and
//! fixes the wall clock's offset for that session, so that a camera whose wall clock is set by NTP in the middle
//! of a session does not tear picture and sound apart (RFC 3550 section 6.4.1: the offset may be wrong, it may
//! not jump).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const NANOS: u128 = 1_000_000_000;

/// Seconds from 1900, where NTP starts, to 1970 (RFC 5905 section 6).
const NTP_EPOCH_S: u128 = 2_208_988_800;

/// Maps `Instant`s and capture instants to NTP time for one session.
#[derive(Debug, Clone, Copy)]
pub struct MediaClock {
    /// NTP time at monotonic zero, in nanoseconds since 1900.
    zero: u128,
    anchor: Instant,
    anchor_ns: u64,
}

impl MediaClock {
    /// A clock for which the instant `now` is `now_ns` nanoseconds of the capture timestamps' clock
    /// (`CLOCK_MONOTONIC`) and the wall clock's `wall`.
    pub fn new(now: Instant, now_ns: u64, wall: SystemTime) -> Self {
        let unix = wall
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO)
            .as_nanos();
        Self {
            zero: (unix + NTP_EPOCH_S * NANOS).saturating_sub(u128::from(now_ns)),
            anchor: now,
            anchor_ns: now_ns,
        }
    }

    /// An instant on the capture timestamps' clock, in nanoseconds.
    pub fn capture_ns(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.anchor).as_nanos();
        self.anchor_ns
            .saturating_add(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// The 64-bit NTP timestamp (32.32 fixed point) of a capture instant.
    pub fn ntp(&self, captured_ns: u64) -> u64 {
        let nanos = self.zero + u128::from(captured_ns);
        let seconds = (nanos / NANOS) as u64;
        let fraction = ((nanos % NANOS) << 32) / NANOS;
        (seconds << 32) | fraction as u64
    }
}

/// A capture instant in units of an RTP clock, before the stream's random offset is added.
pub(crate) fn rtp_units(captured_ns: u64, clock_rate: u32) -> u32 {
    // Truncation is the wrap-around that RTP timestamps are defined to have.
    (u128::from(captured_ns) * u128::from(clock_rate) / NANOS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_counts_from_1900_in_fixed_point() {
        let start = Instant::now();
        let clock = MediaClock::new(start, 5_000_000_000, UNIX_EPOCH + Duration::from_secs(100));
        assert_eq!(clock.ntp(5_000_000_000), (2_208_988_900_u64) << 32);
        assert_eq!(
            clock.ntp(5_500_000_000),
            ((2_208_988_900_u64) << 32) | 0x8000_0000
        );
        assert_eq!(
            clock.capture_ns(start + Duration::from_millis(7)),
            5_007_000_000
        );
    }

    #[test]
    fn rtp_units_follow_the_clock_rate_and_wrap() {
        assert_eq!(rtp_units(1_000_000_000, 90_000), 90_000);
        assert_eq!(rtp_units(20_000_000, 48_000), 960);
        let wrap_ns = (u64::from(u32::MAX) + 1) * 1_000_000_000 / 48_000;
        assert!(rtp_units(wrap_ns + 1_000_000_000, 48_000) < 48_010);
    }
}
