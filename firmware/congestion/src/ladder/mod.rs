//! What one camera encodes for all its viewers, and which of it each viewer gets.
//!
//! Each rung is encoded once, so its bitrate is a compromise, and these are its rules:
//!
//! 1. Main runs as fast as its viewers' paths allow: at the least of their budgets. A budget is the viewer's
//!    estimate without sound's share, less a tenth for headers and the encoder's excursions.
//! 2. Nobody holds up the others by more than [`KEEP`]: whose budget is below that part of the best one moves to
//!    Sub. So four fast viewers keep Main at full rate beside a slow one; while all are slow, or there is only one,
//!    Main's bitrate falls instead, which takes no key frame.
//! 3. Below Main's floor a viewer moves to Sub. Below Sub's floor Sub's frames are decimated, if all of its viewers
//!    are that slow; a viewer slower than the rest, or than `min_fps` takes, gets sound only.
//! 4. Down at once, up with care: a lower bitrate applies immediately. A lower level waits for [`DIP`], because a
//!    queue being drained looks like a slow path for a moment; only for [`HELD_UP`] when the others' rate is too
//!    much; and for nothing when the budget is less than half of what the level takes. A higher level wants a
//!    margin for a hold time, which doubles with every rise that had to be taken back.
//!
//! ```text
//!                 joined
//!                    │
//!                    ▼   below STAY × floor for DIP, or KEEP × best for HELD_UP
//!               ┌─────────┐ ─────────────────────────────────────► ┌─────────┐
//!               │  Main   │                                        │   Sub   │
//!               └─────────┘ ◄───────────────────────────────────── └─────────┘
//!                bitrate =     above MARGIN × floor and RETURN × best  bitrate, then frame rate =
//!                least budget  for the hold time                       least budget
//!                                                                     │     ▲
//!                            below least for DIP, or below the floor  │     │ above MARGIN × least
//!                            while others are above it                ▼     │ for the hold time
//!                                                                  ┌───────────┐
//!                                                                  │ AudioOnly │
//!                                                                  └───────────┘
//! ```
//!
//! Without Sub, Main takes its place: it follows its slowest viewer down to the floor, and is decimated below. A
//! source that encodes itself (`adapts: false`) has one rate: its floor is that rate, and nothing is decimated.
//!
//! A viewer that just joined has no measured estimate yet: for [`GRACE`] it neither slows Main nor leaves it, unless
//! its estimate falls.

mod config;
mod rate;
mod viewer;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub use config::{Config, Level, Rung, RungConfig, RungTarget, ViewerId, Wish};
use rate::RungRate;
use viewer::{Bounds, Viewer};

/// The part of a viewer's estimate that pictures get: the rest is headers and the encoder's excursions.
pub const SHARE: f64 = 0.9;
/// A viewer on Main is held up by others there to this part of its budget at most.
pub const KEEP: f64 = 0.7;
/// A viewer returns to Main when its budget is this part of the best one.
pub const RETURN: f64 = 0.85;
/// A viewer leaves Main when its budget is below this part of the floor (of a source that cannot adapt: all of it).
pub const STAY: f64 = 0.8;
/// A viewer rises when its budget is so much above the floor.
pub const MARGIN: f64 = 1.25;
/// A level is left after its floor was missed for so long: a queue being drained looks like a slow path.
pub const DIP: Duration = Duration::from_millis(1500);
/// And so soon when the others' rate is too much, because that does not fall meanwhile.
pub const HELD_UP: Duration = Duration::from_millis(200);
/// How long a viewer's first estimate is only a guess.
pub const GRACE: Duration = Duration::from_millis(1500);

/// A viewer moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Who.
    pub viewer: ViewerId,
    /// From where.
    pub from: Level,
    /// To where; send the new rung from its next key frame on, and ask for one.
    pub to: Level,
}

/// What to encode now, and who moved since the decision before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision<'a> {
    /// In the order of [`Rung::ALL`]; `None`: nobody needs it.
    pub rungs: [Option<RungTarget>; 2],
    /// Who moved.
    pub changes: &'a [Change],
}

/// The controller of one camera.
#[derive(Debug)]
pub struct Ladder {
    config: Config,
    viewers: BTreeMap<ViewerId, Viewer>,
    rates: [RungRate; 2],
    changes: Vec<Change>,
}

impl Ladder {
    /// How long [`decide`](Self::decide) may wait at most.
    pub const INTERVAL: Duration = Duration::from_millis(100);

    /// Without viewers.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            viewers: BTreeMap::new(),
            rates: [RungRate::new(), RungRate::new()],
            changes: Vec::new(),
        }
    }

    /// A viewer connected; `bps` is its estimate so far. A known viewer begins anew. Returns its first level.
    pub fn joined(&mut self, viewer: ViewerId, wish: Wish, bps: u32, now: Instant) -> Level {
        let level = match wish.best {
            Level::Sub if self.config.sub.is_none() => Level::Main,
            best => best,
        };
        self.viewers
            .insert(viewer, Viewer::new(wish, level, bps, now));
        level
    }

    /// A viewer left.
    pub fn left(&mut self, viewer: ViewerId) {
        self.viewers.remove(&viewer);
    }

    /// A viewer's estimate ([`Estimate::target_bps`](crate::Estimate::target_bps)), bits/s; only remembered
    /// until [`decide`](Self::decide).
    pub fn estimate(&mut self, viewer: ViewerId, bps: u32, _now: Instant) {
        if let Some(viewer) = self.viewers.get_mut(&viewer) {
            viewer.estimate(bps);
        }
    }

    /// Decides by what is known now. Cheap; call it after feedback, and at the latest every
    /// [`INTERVAL`](Self::INTERVAL).
    pub fn decide(&mut self, now: Instant) -> Decision<'_> {
        self.changes.clear();
        let best = |level| self.budgets(level, now).fold(0.0, f64::max);
        let sub_best = best(Level::Sub);
        let best = best(Level::Main).min(f64::from(self.config.main.max_bps));
        let config = self.config;
        for (id, viewer) in &mut self.viewers {
            let from = viewer.level();
            let budget = viewer.budget(&config);
            let bounds = bounds(&config, from, best, sub_best);
            if let Some(to) = viewer.step(budget, &bounds, now) {
                self.changes.push(Change {
                    viewer: *id,
                    from,
                    to,
                });
            }
        }
        let rungs = Rung::ALL.map(|rung| self.target(rung, best, now));
        Decision {
            rungs,
            changes: &self.changes,
        }
    }

    /// Which level a viewer is on; `None`: unknown viewer.
    pub fn level(&self, viewer: ViewerId) -> Option<Level> {
        self.viewers.get(&viewer).map(Viewer::level)
    }

    /// What could be sent to a viewer usefully, bits/s, for
    /// [`Estimator::set_useful`](crate::Estimator::set_useful).
    pub fn useful_bps(&self, viewer: ViewerId) -> u32 {
        let config = &self.config;
        let wish = self.viewers.get(&viewer).map(|viewer| viewer.wish);
        let wish = wish.unwrap_or_default();
        let pictures = match (wish.best, config.sub) {
            (Level::AudioOnly, _) => 0,
            (Level::Sub, Some(sub)) => sub.max_bps,
            (Level::Sub, None) | (Level::Main, _) => config.main.max_bps,
        };
        let audio = if wish.audio { config.audio_bps } else { 0 };
        ((f64::from(pictures) / SHARE) as u32).saturating_add(audio)
    }

    /// The budgets of a level's viewers; of those that just joined only if there are no others.
    fn budgets(&self, level: Level, now: Instant) -> impl Iterator<Item = f64> {
        let on = move |viewer: &&Viewer| viewer.level() == level;
        let measured = move |viewer: &Viewer| !viewer.fresh(now);
        let any = self.viewers.values().filter(on).any(measured);
        self.viewers
            .values()
            .filter(on)
            .filter(move |viewer| !any || measured(viewer))
            .map(|viewer| viewer.budget(&self.config))
    }

    /// What a rung is to give, if anybody is on it: the least budget of its viewers. On Main those that it will not
    /// wait for do not count.
    fn target(&mut self, rung: Rung, best: f64, now: Instant) -> Option<RungTarget> {
        let (config, level) = match rung {
            Rung::Main => (self.config.main, Level::Main),
            Rung::Sub => (self.config.sub?, Level::Sub),
        };
        let (held_up, min_fps) = match (rung, self.config.sub) {
            (Rung::Main, Some(_)) => (KEEP * best, None),
            _ => (0.0, Some(self.config.min_fps)),
        };
        let least = self
            .budgets(level, now)
            .filter(|bps| *bps >= held_up)
            .chain(self.budgets(level, now).reduce(f64::max))
            .reduce(f64::min);
        self.rates[rung as usize].update(least, &config, min_fps, now)
    }
}

/// Where a viewer on `level` falls or rises.
fn bounds(config: &Config, level: Level, best: f64, sub_best: f64) -> Bounds {
    let Some(sub) = &config.sub else {
        let floor = last_floor(&config.main, config.min_fps, best);
        return Bounds {
            stay: if level == Level::Main { floor } else { 0.0 },
            others: 0.0,
            below: Level::AudioOnly,
            main: MARGIN * floor,
            sub: None,
        };
    };
    let floor = last_floor(sub, config.min_fps, sub_best);
    let (stay, below) = match level {
        Level::Main => (config.main.stay().max(KEEP * best), Level::Sub),
        Level::Sub => (floor, Level::AudioOnly),
        Level::AudioOnly => (0.0, Level::AudioOnly),
    };
    Bounds {
        stay,
        others: if level == Level::Main {
            KEEP * best
        } else {
            0.0
        },
        below,
        main: (MARGIN * config.main.floor())
            .min(f64::from(config.main.max_bps))
            .max(RETURN * best),
        sub: Some(MARGIN * floor),
    }
}

/// The least that the last rung gives: decimated when even its best viewer is below the floor.
fn last_floor(rung: &RungConfig, min_fps: u32, best: f64) -> f64 {
    if best < rung.floor() {
        rung.least(min_fps)
    } else {
        rung.floor()
    }
}
