//! Emptying the queue that overuse left.
//!
//! GCC falls to 0.85 of the capacity, which empties a queue of 300 ms in two seconds; for a camera those are two
//! seconds of late picture. So after a decrease less is sent for a moment, by the length of the queue. While our
//! own queue empties, more arrives than is sent. When no more arrives and the queue stays, it is another flow's:
//! yielding to it further would only starve the viewer, so for a while the rate control is told that we compete.

use std::time::{Duration, Instant};

/// A queue shorter than this is left alone, milliseconds.
const SHORT_MS: f64 = 15.0;
/// The queue is to be gone after about this, milliseconds.
const WITHIN_MS: f64 = 300.0;
/// No less than this part of the rate is sent.
const LEAST: f64 = 0.5;
/// After this time it is judged whose queue it is.
const JUDGED: Duration = Duration::from_millis(1500);
/// Our queue is emptying while so many times what is sent arrives,
const EMPTYING: f64 = 1.1;
/// and nothing can be said while more than this times the target is sent.
const OBEYED: f64 = 1.15;
/// The longest drain.
const LONGEST: Duration = Duration::from_secs(5);
/// How long we compete before we try again.
const COMPETING: Duration = Duration::from_secs(20);

/// What a drain looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    /// The rate was decreased just now.
    pub decreased: bool,
    pub queue_ms: f64,
    /// Bits/s.
    pub sent: f64,
    pub arrived: f64,
    pub target: f64,
}

#[derive(Debug)]
pub(super) struct Drain {
    since: Option<Instant>,
    competing_until: Option<Instant>,
    factor: f64,
}

impl Drain {
    pub fn new() -> Self {
        Self {
            since: None,
            competing_until: None,
            factor: 1.0,
        }
    }

    /// What part of the rate to send.
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// Whether another flow keeps the queue.
    pub fn competing(&self, now: Instant) -> bool {
        self.competing_until.is_some_and(|until| now < until)
    }

    /// After feedback.
    pub fn update(&mut self, input: &Input, now: Instant) {
        if input.decreased && self.since.is_none() && !self.competing(now) {
            self.since = Some(now);
        }
        let Some(since) = self.since else { return };
        let lasted = now.saturating_duration_since(since);
        let foreign = lasted > JUDGED
            && input.sent <= OBEYED * input.target
            && input.arrived <= EMPTYING * input.sent;
        if foreign {
            self.competing_until = Some(now + COMPETING);
        }
        if foreign || lasted > LONGEST || input.queue_ms < SHORT_MS {
            self.since = None;
            self.factor = 1.0;
        } else {
            self.factor = (1.0 - (input.queue_ms - SHORT_MS) / WITHIN_MS).clamp(LEAST, 1.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(arrived: f64) -> (Drain, Instant) {
        let mut now = Instant::now();
        let mut drain = Drain::new();
        for step in 0..40 {
            let input = Input {
                decreased: step == 0,
                queue_ms: 200.0,
                sent: 5e5,
                arrived,
                target: 5e5,
            };
            drain.update(&input, now);
            now += Duration::from_millis(50);
        }
        (drain, now)
    }

    #[test]
    fn our_own_queue_is_emptied() {
        let (drain, now) = drain(1e6);
        assert!(drain.factor() < 0.7);
        assert!(!drain.competing(now));
    }

    #[test]
    fn a_queue_that_stays_is_another_flows() {
        let (drain, now) = drain(5e5);
        assert!((drain.factor() - 1.0).abs() < 1e-9);
        assert!(drain.competing(now));
        assert!(!drain.competing(now + COMPETING));
    }
}
