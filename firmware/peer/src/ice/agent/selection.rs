//! Which pair is used.
//!
//! The viewer nominates, and of what it has nominated the best is taken. Only after a restart that was made because the
//! path was broken is media sent on whichever pair answers, until there is a nomination (RFC 8445 section 12.1.1): a
//! browser holds on to its old pair for up to 3.5 s, though it listens on the new ones, when the new ones are of lower
//! priority.

use std::time::Instant;

use super::consent::QUIET;
use super::{Agent, Change, Pair};

impl Agent {
    /// Whether there is no path that says anything.
    pub(super) fn is_stranded(&self, now: Instant) -> bool {
        match self.selected {
            Some(_) => now >= self.noticed + QUIET,
            // It was lost, or the restart before this one has found nothing.
            None => true,
        }
    }

    /// Takes the best of the pairs that may be used.
    pub(super) fn select(&mut self, now: Instant) {
        let nominated = |pair: &Pair| pair.answered.is_some() && pair.nominated;
        let any_valid = self.stranded && !self.pairs.iter().any(nominated);
        let usable = |pair: &Pair| pair.answered.is_some() && (pair.nominated || any_valid);
        let Some(best) = (0..self.pairs.len())
            .filter(|at| usable(&self.pairs[*at]))
            // Of two that are as good, the one that came later.
            .max_by_key(|at| (self.is_fresh(*at, now), self.priority(&self.pairs[*at])))
        else {
            return;
        };
        let silent = self.selected.filter(|at| !self.is_fresh(*at, now));
        self.settle_moves();
        if self.selected != Some(best) {
            if let Some(silent) = silent {
                // No match for any other until it is heard again.
                self.pairs[silent].heard = None;
            }
            self.selected = Some(best);
            self.rtt = None;
            self.changes
                .push_back(Change::Selected(self.describe(&self.pairs[best])));
            self.taken(best, now);
        }
    }
}
