//! How long to wait before what was lost is opened again: a device, or an encoder.

use std::time::{Duration, Instant};

/// The first wait: a camera that re-enumerates needs about this long.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait: what a person who has just plugged a camera in will wait without doubting.
const LONGEST: Duration = Duration::from_secs(2);
/// A source that worked this long has earned a quick first retry again; one that dies sooner keeps
/// backing off.
const PROVEN: Duration = Duration::from_secs(5);

/// Doubling waits between attempts to open something. Pure: the caller passes the time.
#[derive(Debug)]
pub(crate) struct Retry {
    failures: u32,
    opened: Option<Instant>,
    longest: Duration,
    proven: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self::new(LONGEST, PROVEN)
    }
}

impl Retry {
    /// Waits up to `longest`, that begin anew once what was opened has worked for `proven`.
    pub(crate) const fn new(longest: Duration, proven: Duration) -> Self {
        Self {
            failures: 0,
            opened: None,
            longest,
            proven,
        }
    }

    /// It is open and about to deliver.
    pub(crate) fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// Whether it has been open long enough to be trusted.
    pub(crate) fn proven(&self, now: Instant) -> bool {
        self.opened
            .is_some_and(|opened| now.duration_since(opened) >= self.proven)
    }

    /// Opening failed, or what was open is lost: how long to wait before the next attempt.
    pub(crate) fn failed(&mut self, now: Instant) -> Duration {
        if self.proven(now) {
            self.failures = 0;
        }
        self.opened = None;
        let wait = FIRST
            .saturating_mul(1 << self.failures.min(10))
            .min(self.longest);
        self.failures += 1;
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let (mut retry, now) = (Retry::default(), Instant::now());
        let waits: Vec<u128> = (0..6).map(|_| retry.failed(now).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 2000, 2000]);
    }

    #[test]
    fn only_a_source_that_worked_a_while_starts_over() {
        let (mut retry, now) = (Retry::default(), Instant::now());
        retry.failed(now);
        retry.opened(now);
        assert_eq!(retry.failed(now + Duration::from_secs(1)), FIRST * 2);
        retry.opened(now);
        assert_eq!(retry.failed(now + Duration::from_secs(60)), FIRST);
    }
}
