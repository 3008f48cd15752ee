//! The one clock of the media path.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// When a picture or a sound was captured: nanoseconds of the kernel's `CLOCK_MONOTONIC`.
///
/// V4L2 and ALSA stamp their buffers with this clock, so a kernel timestamp travels from the driver
/// to the network without a conversion. Sources without a kernel timestamp use [`Timestamp::now`]
/// at the moment they draw or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time at this moment.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        Self::from_parts(time.tv_sec, time.tv_nsec)
    }

    /// A time from nanoseconds since the clock's start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A time from the seconds and nanoseconds of a kernel structure; negative parts count as zero.
    pub(crate) fn from_parts(seconds: i64, nanos: i64) -> Self {
        let seconds = u64::try_from(seconds).unwrap_or(0);
        let nanos = u64::try_from(nanos).unwrap_or(0);
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
    }

    /// Nanoseconds since the clock's start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time that passed from `earlier` to this moment, zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This moment plus a duration.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    /// This moment minus a duration, not before the clock's start.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// Keeps a driver's timestamp only when it can be true: not in the future and not older than
    /// `oldest`.
    ///
    /// Drivers that stamp with another clock than they declare exist; their timestamps would end up
    /// as absurd latencies on the viewer's side.
    pub(crate) fn plausible(self, now: Self, oldest: Duration) -> Self {
        let slack = Duration::from_millis(5);
        if self > now.plus(slack) || now.since(self) > oldest {
            now
        } else {
            self.min(now)
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward() {
        let first = Timestamp::now();
        let second = Timestamp::now();
        assert!(second >= first && first.as_nanos() > 0);
    }

    #[test]
    fn an_impossible_driver_timestamp_is_replaced() {
        let now = Timestamp::from_nanos(100_000_000_000);
        let oldest = Duration::from_secs(2);
        let recent = now.minus(Duration::from_millis(30));
        assert_eq!(recent.plausible(now, oldest), recent);
        assert_eq!(Timestamp::from_nanos(0).plausible(now, oldest), now);
        assert_eq!(now.plus(Duration::from_secs(9)).plausible(now, oldest), now);
    }
}
