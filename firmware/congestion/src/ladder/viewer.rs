//! One viewer's way up and down the ladder.

use std::time::{Duration, Instant};

use super::{Config, DIP, GRACE, HELD_UP, Level, SHARE, Wish};

/// How long the margin must hold before a rise, at first and at most.
const HOLD: Duration = Duration::from_secs(2);
const MAX_HOLD: Duration = Duration::from_secs(60);
/// A rise that is taken back within this time had failed.
const FAILED: Duration = Duration::from_secs(15);
/// Below this part of what a level takes it is left at once.
const AT_ONCE: f64 = 0.5;

/// Where a viewer falls or rises, bits/s of budget.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Below this it falls to `below`.
    pub stay: f64,
    /// Below this it holds up the others, who do not slow down for it.
    pub others: f64,
    pub below: Level,
    /// From this on it rises to Main.
    pub main: f64,
    /// From this on it rises to Sub, if there is one.
    pub sub: Option<f64>,
}

#[derive(Debug)]
pub(super) struct Viewer {
    pub wish: Wish,
    level: Level,
    bps: f64,
    first_bps: f64,
    joined: Instant,
    /// Since when the level takes more than there is.
    low: Option<Instant>,
    /// Since when there is enough for more, and for what.
    high: Option<(Level, Instant)>,
    hold: Duration,
    rose: Option<Instant>,
}

impl Viewer {
    pub fn new(wish: Wish, level: Level, bps: u32, now: Instant) -> Self {
        Self {
            wish,
            level,
            bps: f64::from(bps),
            first_bps: f64::from(bps),
            joined: now,
            low: None,
            high: None,
            hold: HOLD,
            rose: None,
        }
    }

    pub fn level(&self) -> Level {
        self.level
    }

    pub fn estimate(&mut self, bps: u32) {
        self.bps = f64::from(bps);
    }

    /// Whether the estimate is still the first guess, or better.
    pub fn fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.joined) < GRACE && self.bps >= self.first_bps
    }

    /// What pictures may take, bits/s.
    pub fn budget(&self, config: &Config) -> f64 {
        let audio = if self.wish.audio { config.audio_bps } else { 0 };
        ((self.bps - f64::from(audio)) * SHARE).max(0.0)
    }

    /// Moves by the budget; gives the new level.
    pub fn step(&mut self, budget: f64, bounds: &Bounds, now: Instant) -> Option<Level> {
        self.fall(budget, bounds, now)
            .or_else(|| self.rise(budget, bounds, now))
    }

    fn fall(&mut self, budget: f64, bounds: &Bounds, now: Instant) -> Option<Level> {
        if budget >= bounds.stay || self.level <= bounds.below || self.fresh(now) {
            self.low = None;
            return None;
        }
        let since = *self.low.get_or_insert(now);
        let waited = now.saturating_duration_since(since);
        let patience = if budget < bounds.others { HELD_UP } else { DIP };
        if waited < patience && budget >= AT_ONCE * bounds.stay {
            return None;
        }
        let failed = self
            .rose
            .take()
            .is_some_and(|rose| now.saturating_duration_since(rose) < FAILED);
        self.hold = if failed {
            (self.hold * 2).min(MAX_HOLD)
        } else {
            HOLD
        };
        self.go(bounds.below)
    }

    fn rise(&mut self, budget: f64, bounds: &Bounds, now: Instant) -> Option<Level> {
        let to = if budget >= bounds.main {
            Level::Main
        } else if bounds.sub.is_some_and(|sub| budget >= sub) {
            Level::Sub
        } else {
            Level::AudioOnly
        };
        let to = match (to.min(self.wish.best), bounds.sub) {
            (Level::Sub, None) => Level::Main, // a small tile of a camera without Sub
            (to, _) => to,
        };
        if to <= self.level {
            self.high = None;
            return None;
        }
        let since = match self.high {
            // Still enough for what it waited for, or for more.
            Some((wanted, since)) if wanted <= to => since,
            _ => {
                self.high = Some((to, now));
                now
            }
        };
        if now.saturating_duration_since(since) < self.hold {
            return None;
        }
        self.rose = Some(now);
        self.go(self.high.map_or(to, |(wanted, _)| wanted))
    }

    fn go(&mut self, level: Level) -> Option<Level> {
        self.level = level;
        self.low = None;
        self.high = None;
        Some(level)
    }
}
