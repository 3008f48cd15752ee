//! Both clocks at once.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A moment: timeouts run on the steady clock, records and credentials on the calendar.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The steady clock.
    pub steady: Instant,
    /// The calendar.
    pub calendar: SystemTime,
}

impl Moment {
    /// The present one.
    pub fn now() -> Self {
        Self {
            steady: Instant::now(),
            calendar: SystemTime::now(),
        }
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_ms(&self) -> u64 {
        let since = self.calendar.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Seconds since the Unix epoch.
    pub fn unix_s(&self) -> u64 {
        self.unix_ms() / 1000
    }
}
