//! Even intervals for sources that make their own pictures or sound.

use std::time::{Duration, Instant};

/// The times at which something periodic is due. Pure: the caller passes the time and does the
/// waiting.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    due: Instant,
}

impl Pace {
    /// The first beat is due at `start`.
    pub(crate) fn new(start: Instant, interval: Duration) -> Self {
        Self {
            interval,
            due: start,
        }
    }

    /// How long to wait until the next beat, zero when it is due.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.due.saturating_duration_since(now)
    }

    /// Takes the beat that is due at `now`. One that comes late by more than an interval moves all
    /// later ones: a picture that was missed is not made up for by a burst.
    pub(crate) fn beat(&mut self, now: Instant) {
        self.due += self.interval;
        if self.due < now {
            self.due = now + self.interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_delays_do_not_add_up_and_long_ones_cause_no_burst() {
        let start = Instant::now();
        let interval = Duration::from_millis(40);
        let mut pace = Pace::new(start, interval);
        assert_eq!(pace.wait(start), Duration::ZERO);
        pace.beat(start + Duration::from_millis(7));
        assert_eq!(pace.wait(start), interval);
        let late = start + Duration::from_secs(1);
        pace.beat(late);
        assert_eq!(pace.wait(late), interval);
    }
}
