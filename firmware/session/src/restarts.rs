//! When a viewer is asked for a restart of ICE; pure, the caller has the clock.
//!
//! Only the viewer can begin one, since it offers. Signalling may be down when the path breaks, often for the same
//! reason, so the wish is repeated until a path is there again.

use std::time::{Duration, Instant};

use heron_protocol::messages::RestartReason;

/// Two wishes are never closer.
const GAP: Duration = Duration::from_secs(1);

/// Without an answer the wish is repeated after so long.
const AGAIN: Duration = Duration::from_secs(3);

/// A restart that has begun may take so long to find a path.
const FINDING: Duration = Duration::from_secs(5);

/// The restarts of one session.
#[derive(Debug, Default)]
pub struct Restarts {
    count: u32,
    wanted: Option<RestartReason>,
    asked: Option<Instant>,
    again: Option<Instant>,
}

impl Restarts {
    /// How many there were.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The path is gone. True when the viewer is to be asked now; else it was a moment ago.
    pub fn want(&mut self, reason: RestartReason, now: Instant) -> bool {
        self.wanted = Some(reason);
        if self.asked.is_some_and(|asked| now < asked + GAP) {
            let soon = self.asked.map(|asked| asked + GAP);
            self.again = self.again.or(soon);
            return false;
        }
        self.asked = Some(now);
        self.again = Some(now + AGAIN);
        true
    }

    /// What to ask for again, when its time has come.
    pub fn repeat(&mut self, now: Instant) -> Option<RestartReason> {
        let reason = self.wanted?;
        let due = self.again.is_some_and(|again| again <= now);
        (due && self.want(reason, now)).then_some(reason)
    }

    /// A restart has begun.
    pub fn begun(&mut self, now: Instant) {
        self.count += 1;
        self.again = Some(now + FINDING);
    }

    /// There is a path.
    pub fn found(&mut self) {
        self.wanted = None;
        self.again = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wish_is_repeated_until_there_is_a_path_and_never_in_haste() {
        let (mut restarts, start) = (Restarts::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let why = RestartReason::PathLost;
        assert!(restarts.want(why, at(0)));
        assert!(!restarts.want(RestartReason::NetworkChanged, at(500)));
        assert_eq!(restarts.repeat(at(2900)), None);
        assert_eq!(
            restarts.repeat(at(3000)),
            Some(RestartReason::NetworkChanged)
        );
        // The network came back: no reason to wait longer.
        assert!(restarts.want(why, at(4100)));
        restarts.begun(at(4200));
        assert_eq!(restarts.repeat(at(9100)), None);
        assert_eq!(restarts.repeat(at(9200)), Some(why));
        restarts.found();
        assert_eq!(restarts.repeat(at(60_000)), None);
        assert_eq!(restarts.count(), 1);
    }
}
