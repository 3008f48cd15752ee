//! How often the encoder may be asked for a key frame.
//!
//! Key frames are many times the size of other frames. Viewers that lose packets ask again and again, and many
//! viewers ask at once: one request per interval serves them all. A request that comes too early is not lost, it
//! is delayed to the interval's end (a viewer that joins then still gets its picture).

use std::time::{Duration, Instant};

/// The throttle; pure, the caller has the clock.
#[derive(Debug)]
pub struct KeyFrameThrottle {
    interval: Duration,
    last: Option<Instant>,
    wanted: bool,
}

impl KeyFrameThrottle {
    /// At most one request per `interval`.
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: None,
            wanted: false,
        }
    }

    /// Somebody needs a key frame. Returns when to call [`take`](Self::take).
    pub fn want(&mut self, now: Instant) -> Instant {
        self.wanted = true;
        self.last.map_or(now, |last| now.max(last + self.interval))
    }

    /// True when the encoder is to be asked now; then nothing is wanted any more.
    pub fn take(&mut self, now: Instant) -> bool {
        let due = self.wanted && self.last.is_none_or(|last| now >= last + self.interval);
        if due {
            self.wanted = false;
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(300);

    #[test]
    fn the_first_request_is_served_at_once() {
        let now = Instant::now();
        let mut throttle = KeyFrameThrottle::new(INTERVAL);
        assert!(!throttle.take(now));
        assert_eq!(throttle.want(now), now);
        assert!(throttle.take(now));
        assert!(!throttle.take(now));
    }

    #[test]
    fn a_burst_gives_one_now_and_one_at_the_end() {
        let start = Instant::now();
        let mut throttle = KeyFrameThrottle::new(INTERVAL);
        let mut served = Vec::new();
        for ms in 0..1000 {
            let now = start + Duration::from_millis(ms);
            // Twenty viewers ask during the first 100 ms, then all are quiet.
            if ms < 100 && ms % 5 == 0 {
                throttle.want(now);
            }
            if throttle.take(now) {
                served.push(ms);
            }
        }
        assert_eq!(served, [0, 300]);
    }
}
