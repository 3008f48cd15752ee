//! The leaky bucket.

use std::time::{Duration, Instant};

/// Less than this is empty, bytes.
const EMPTY: f64 = 1.0;

#[derive(Debug)]
pub(super) struct Bucket {
    /// What left and has not leaked yet.
    pub bytes: f64,
    leaked: Instant,
    /// Full by a burst, and not empty again since.
    closed: bool,
}

impl Bucket {
    pub fn new(now: Instant) -> Self {
        Self {
            bytes: 0.0,
            leaked: now,
            closed: false,
        }
    }

    /// Time passed at a rate, bits/s.
    pub fn leak(&mut self, bps: f64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.leaked).as_secs_f64();
        self.leaked = self.leaked.max(now);
        self.bytes = (self.bytes - elapsed * bps / 8.0).max(0.0);
        if self.bytes < EMPTY {
            self.closed = false;
        }
    }

    /// Bytes left; more than a burst at the rate closes it. Sound may overfill it, but by no more than a packet may
    /// wait, `longest`.
    pub fn fill(&mut self, bytes: usize, bps: f64, burst: Duration, longest: Duration) {
        let most = bps / 8.0 * longest.as_secs_f64();
        self.bytes = (self.bytes + bytes as f64).min(most.max(bytes as f64));
        self.closed |= self.bytes >= bps / 8.0 * burst.as_secs_f64();
    }

    /// How long until more may leave; `None`: at once.
    pub fn opens(&self, bps: f64) -> Option<Duration> {
        // A microsecond more, so that the bucket is empty then in spite of rounding.
        self.closed.then(|| {
            Duration::from_secs_f64((self.bytes * 8.0 / bps).min(60.0)) + Duration::from_micros(1)
        })
    }
}
