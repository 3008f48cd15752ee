//! Consent (RFC 7675) and silence: whether the viewer still wants what it gets, and whether it can be heard.
//!
//! Consent is what the viewer gives by answering a check, for [`FAILED`]; nothing else counts (section 5.1). Long
//! before it runs out the path may be broken. While media flows something is heard ten times a second, so a path that
//! says nothing for [`QUIET`] is checked again and again, and called disconnected after [`SILENT`]: early enough for a
//! restart to bring the picture back within seconds.

use std::time::{Duration, Instant};

use super::{Agent, FAILED, Pair};
use crate::ice::IceState;
use crate::path::Path;

/// How often a valid pair is checked. The RFC allows up to 5 s; 2 s keep round trip times and NAT bindings fresh.
const CONSENT_INTERVAL: Duration = Duration::from_secs(2);
/// Nothing heard on the path in use for so long: it is checked more often.
pub(super) const QUIET: Duration = Duration::from_millis(400);
/// How often then.
const QUIET_CHECK: Duration = Duration::from_millis(100);
/// Nothing heard for so long, and two round trips: it is broken for now.
const SILENT: Duration = Duration::from_millis(900);
/// A pair that is taken into use has so long to say something, if it was silent till then.
const GRACE: Duration = Duration::from_millis(500);
/// What round trips may add.
const SLOWEST: Duration = Duration::from_secs(2);
/// Another pair without a word for this long is no match for a live one of lower priority.
const STALE: Duration = Duration::from_secs(4);

impl Agent {
    /// Something authentic of the viewer's arrived over `path`.
    pub fn notice(&mut self, path: Path, now: Instant) {
        let used = self.selected.map(|at| self.describe(&self.pairs[at]).path);
        if used == Some(path) {
            self.alive(now);
        }
    }

    /// The path in use speaks.
    pub(super) fn alive(&mut self, now: Instant) {
        self.noticed = now;
        self.move_to(IceState::Connected);
    }

    /// A pair is in use from now on.
    pub(super) fn taken(&mut self, at: usize, now: Instant) {
        let heard = self.pairs[at].heard.unwrap_or(now);
        let silent_since = now.checked_sub(SILENT.saturating_sub(GRACE)).unwrap_or(now);
        self.noticed = heard.max(silent_since);
        self.move_to(IceState::Connected);
    }

    /// Until the next check of a valid pair, spread so that viewers do not march in step (RFC 7675 section 5.1).
    pub(super) fn consent_interval(&self) -> Duration {
        let spread = (self.transactions ^ self.tie_breaker) % 400;
        CONSENT_INTERVAL * (800 + spread as u32) / 1000
    }

    /// When a pair is to be checked.
    pub(super) fn due(&self, at: usize) -> Instant {
        let pair = &self.pairs[at];
        if self.selected != Some(at) {
            return pair.next_check;
        }
        let quiet = self.noticed + QUIET;
        let again = pair.checked.map_or(quiet, |at| quiet.max(at + QUIET_CHECK));
        pair.next_check.min(again)
    }

    /// Whether a pair was heard lately.
    pub(super) fn is_fresh(&self, at: usize, now: Instant) -> bool {
        if self.selected == Some(at) {
            return now < self.noticed + self.silence() && !self.has_successor();
        }
        let heard = self.pairs[at].heard;
        heard.is_some_and(|heard| now.saturating_duration_since(heard) < STALE)
    }

    /// Whether a check from an address that was never seen comes from a socket whose path is nominated: a NAT on the
    /// way has mapped it anew. Not every viewer nominates again then, so the nomination moves with it; the path is
    /// taken only once the old one is quiet.
    pub(super) fn has_moved(&self, local: usize, priority: Option<u32>) -> bool {
        let same = |pair: &Pair| pair.local == local && pair.told_priority == priority;
        priority.is_some() && self.pairs.iter().any(|pair| pair.nominated && same(pair))
    }

    /// Whether the path in use was quiet when the viewer was heard at another address of its.
    fn has_successor(&self) -> bool {
        let later = |heard: Instant| heard >= self.noticed + QUIET;
        let taken_over = |pair: &Pair| pair.moved && pair.answered.is_some_and(later);
        self.pairs.iter().any(taken_over)
    }

    /// Moves that were looked at are over: they are taken at once or not at all.
    pub(super) fn settle_moves(&mut self) {
        for pair in &mut self.pairs {
            pair.moved &= pair.answered.is_none();
        }
    }

    /// When the path in use will be called silent, or given up.
    pub(super) fn silent_at(&self) -> Instant {
        match self.selected {
            Some(_) if self.state == IceState::Connected => self.noticed + self.silence(),
            _ => self.hope_ends(),
        }
    }

    pub(super) fn judge_silence(&mut self, now: Instant) {
        if now >= self.hope_ends() {
            self.selected = None;
            self.pairs.clear();
            self.pending.clear();
            self.move_to(IceState::Failed);
        } else if self.selected.is_some() && now >= self.noticed + self.silence() {
            self.move_to(IceState::Disconnected);
        }
    }

    /// When consent runs out; without a path, when none is hoped for any more.
    fn hope_ends(&self) -> Instant {
        let consent = self.selected.and_then(|at| self.pairs[at].answered);
        consent.unwrap_or(self.started) + FAILED
    }

    fn silence(&self) -> Duration {
        SILENT + (self.rtt.unwrap_or_default() * 2).min(SLOWEST)
    }
}
