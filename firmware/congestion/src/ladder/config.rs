//! Rungs, levels and what a camera can do.

/// One encoding of the camera's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// Full size.
    Main,
    /// Smaller, for slow viewers and small views.
    Sub,
}

impl Rung {
    /// Both, largest first; the index of [`Decision::rungs`](super::Decision::rungs).
    pub const ALL: [Rung; 2] = [Rung::Main, Rung::Sub];
}

/// What an encoder is to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RungTarget {
    /// Bits/s.
    pub bitrate: u32,
    /// Frames/s.
    pub fps: u32,
}

/// What a viewer gets; better levels are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Sound without picture: not even the lowest rung fits.
    AudioOnly,
    /// The small rung.
    Sub,
    /// The full rung.
    Main,
}

impl Level {
    /// The rung to send, if any.
    pub fn rung(self) -> Option<Rung> {
        match self {
            Level::AudioOnly => None,
            Level::Sub => Some(Rung::Sub),
            Level::Main => Some(Rung::Main),
        }
    }
}

/// Names a viewer; the caller's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ViewerId(pub u64);

/// What a viewer asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// No better than this: a small tile asks for [`Level::Sub`].
    pub best: Level,
    /// Whether it gets sound too: its share is subtracted from the estimate.
    pub audio: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            best: Level::Main,
            audio: true,
        }
    }
}

/// What an encoder of one rung can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RungConfig {
    /// At most, bits/s.
    pub max_bps: u32,
    /// Below this the picture at full frame rate is not worth sending, bits/s.
    pub floor_bps: u32,
    /// At most, frames/s.
    pub fps: u32,
    /// False: the source encodes itself and its bitrate cannot be changed (pass-through); it runs at `max_bps`
    /// or not at all.
    pub adapts: bool,
}

/// A camera's rungs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The full rung.
    pub main: RungConfig,
    /// The small rung, if the camera has one.
    pub sub: Option<RungConfig>,
    /// Sound's share with headers, bits/s.
    pub audio_bps: u32,
    /// Frames are decimated to no fewer than this, frames/s; below, audio only.
    pub min_fps: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            main: RungConfig {
                max_bps: 2_500_000,
                floor_bps: 600_000,
                fps: 30,
                adapts: true,
            },
            sub: Some(RungConfig {
                max_bps: 800_000,
                floor_bps: 150_000,
                fps: 30,
                adapts: true,
            }),
            audio_bps: 50_000,
            min_fps: 5,
        }
    }
}

impl RungConfig {
    /// The least that the full frame rate takes.
    pub(super) fn floor(&self) -> f64 {
        let floor = if self.adapts {
            self.floor_bps.min(self.max_bps)
        } else {
            // A source's rate is an average: a path a little short of it will do.
            self.max_bps / 10 * 9
        };
        f64::from(floor.max(1))
    }

    /// Below this the rung is left for a lower one.
    pub(super) fn stay(&self) -> f64 {
        let part = if self.adapts { super::STAY } else { 1.0 };
        self.floor() * part
    }

    /// The least that any picture takes, with frames decimated to `min_fps`.
    pub(super) fn least(&self, min_fps: u32) -> f64 {
        if !self.adapts || self.fps == 0 {
            return self.floor();
        }
        self.floor() * f64::from(min_fps.clamp(1, self.fps)) / f64::from(self.fps)
    }
}
