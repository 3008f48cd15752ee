//! What time it is, as far as a board can know.
//!
//! Many boards have no battery behind their clock and wake up in 1970, or in the moment of their last
//! shutdown. Two things bound the time from below: this program exists, so it is later than its build;
//! and a control plane whose certificate was checked has said what time it was. [`Clock::now`] is the
//! latest of those and the system's own word, so nothing that expired before them is ever taken for
//! valid. What begins later than such a bound may well have begun: [`Clock::is_bound`] tells a check
//! that it cannot know.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// A clock that is at worst late, never before the build. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct Clock {
    built: SystemTime,
    told: Arc<Mutex<Option<Told>>>,
}

/// What a control plane said, and when it was heard.
#[derive(Debug, Clone, Copy)]
struct Told {
    time: SystemTime,
    heard: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that nobody told anything yet: later than this program's build.
    #[must_use]
    pub fn new() -> Self {
        let seconds = env!("HERON_BUILT").parse().unwrap_or(0);
        Self::built_at(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    /// A clock of a program that was built at another time.
    #[must_use]
    pub fn built_at(built: SystemTime) -> Self {
        Self {
            built,
            told: Arc::default(),
        }
    }

    /// The time, or the best lower bound of it.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        self.at(SystemTime::now(), Instant::now())
    }

    /// Whether [`now`](Self::now) may be far too early: the system's clock is wrong and nobody said better.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.is_bound_at(SystemTime::now())
    }

    /// A trusted control plane said that it is `time`. An earlier word than a known one is not taken.
    pub fn tell(&self, time: SystemTime) {
        self.tell_at(time, Instant::now());
    }

    fn at(&self, system: SystemTime, steady: Instant) -> SystemTime {
        let told = (*self.told.lock())
            .and_then(|told| told.time.checked_add(steady.duration_since(told.heard)));
        system.max(self.built).max(told.unwrap_or(self.built))
    }

    fn is_bound_at(&self, system: SystemTime) -> bool {
        system < self.built && self.told.lock().is_none()
    }

    fn tell_at(&self, time: SystemTime, steady: Instant) {
        // A century away is no time but a mistake.
        const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
        if time < self.built || time.duration_since(self.built).is_ok_and(|far| far > FAR) {
            return;
        }
        let mut told = self.told.lock();
        let known = told.and_then(|told| told.time.checked_add(steady.duration_since(told.heard)));
        if known.is_none_or(|known| known < time) {
            *told = Some(Told {
                time,
                heard: steady,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(days: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(days * 86_400)
    }

    #[test]
    fn a_board_in_1970_lives_after_its_build_and_then_as_it_is_told() {
        let clock = Clock::built_at(day(20_000));
        let start = Instant::now();
        assert_eq!(clock.at(day(1), start), day(20_000));
        assert!(clock.is_bound_at(day(1)));

        clock.tell_at(day(20_100), start);
        let later = start + Duration::from_secs(86_400);
        assert_eq!(clock.at(day(2), later), day(20_101));
        assert!(!clock.is_bound_at(day(2)));

        // A word that is older than what is known, and nonsense, change nothing.
        clock.tell_at(day(20_050), later);
        clock.tell_at(day(3), later);
        clock.tell_at(day(90_000), later);
        assert_eq!(clock.at(day(2), later), day(20_101));
    }

    #[test]
    fn a_clock_that_is_right_is_believed() {
        let clock = Clock::built_at(day(20_000));
        assert_eq!(clock.at(day(20_500), Instant::now()), day(20_500));
        assert!(!clock.is_bound_at(day(20_500)));
    }

    #[test]
    fn this_program_was_built_in_the_past() {
        let clock = Clock::new();
        assert!(clock.built <= SystemTime::now());
        assert!(clock.built > day(19_000), "the build time is known");
    }
}
