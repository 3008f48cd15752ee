//! One rung's bitrate and frame rate over time.

use std::time::{Duration, Instant};

use super::{RungConfig, RungTarget};

/// Smaller changes are not worth an encoder's trouble.
const DOWN: f64 = 0.98;
const UP: f64 = 1.03;
/// A rung that will be left runs at no less than this part of its floor.
const DIPPED: f64 = 0.5;
/// A rise is at most this factor, this often: a probe can be wrong.
const STEP: f64 = 1.5;
const PAUSE: Duration = Duration::from_millis(200);
/// More frames come back after there was enough for them this long.
const HOLD: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct RungRate {
    current: Option<RungTarget>,
    raised: Option<Instant>,
    /// Since when there is enough for more frames.
    roomy: Option<Instant>,
}

impl RungRate {
    pub fn new() -> Self {
        Self {
            current: None,
            raised: None,
            roomy: None,
        }
    }

    /// The target when the least budget is `bps`; `None`: nobody is on the rung. Without `min_fps` frames are never
    /// decimated, for who is that slow will leave.
    pub fn update(
        &mut self,
        bps: Option<f64>,
        config: &RungConfig,
        min_fps: Option<u32>,
        now: Instant,
    ) -> Option<RungTarget> {
        let Some(bps) = bps else {
            *self = Self::new();
            return None;
        };
        let max = f64::from(config.max_bps);
        let target = if config.adapts {
            let least = match min_fps {
                Some(min_fps) => config.least(min_fps),
                None => config.floor() * DIPPED,
            };
            let wanted = bps.clamp(least, max);
            RungTarget {
                bitrate: self.bitrate(wanted, max, now),
                fps: match min_fps {
                    Some(min_fps) => self.fps(wanted, config, min_fps, now),
                    None => config.fps,
                },
            }
        } else {
            RungTarget {
                bitrate: config.max_bps,
                fps: config.fps,
            }
        };
        self.current = Some(target);
        self.current
    }

    fn bitrate(&mut self, wanted: f64, max: f64, now: Instant) -> u32 {
        let Some(current) = self.current else {
            self.raised = Some(now);
            return wanted as u32;
        };
        let old = f64::from(current.bitrate);
        if wanted < old * DOWN {
            return wanted as u32;
        }
        let rises = wanted > old * UP || wanted >= max && old < max;
        let paused = self
            .raised
            .is_none_or(|raised| now.saturating_duration_since(raised) >= PAUSE);
        if rises && paused {
            self.raised = Some(now);
            return wanted.min(old * STEP) as u32;
        }
        current.bitrate
    }

    /// A whole part of the full rate: fewer frames of the same quality.
    fn fps(&mut self, wanted: f64, config: &RungConfig, min_fps: u32, now: Instant) -> u32 {
        let most = (config.fps / min_fps.max(1)).max(1);
        let divisor = (config.floor() / wanted.max(1.0)).ceil() as u32;
        let fps = (config.fps / divisor.clamp(1, most)).max(1);
        let Some(current) = self.current else {
            return fps;
        };
        if fps <= current.fps {
            self.roomy = None;
            return fps;
        }
        let since = *self.roomy.get_or_insert(now);
        if now.saturating_duration_since(since) < HOLD {
            return current.fps;
        }
        self.roomy = None;
        fps
    }
}
