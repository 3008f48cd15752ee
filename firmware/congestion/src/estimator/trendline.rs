//! Whether the queue grows: trendline filter, adaptive threshold and overuse detector
//! (draft-ietf-rmcat-gcc-02 sections 5.3 to 5.5; the trendline replaces the draft's Kalman filter as in libwebrtc).

use super::Usage;
use super::groups::Delta;

/// Groups in the regression.
const WINDOW: usize = 20;
/// So few do at the start.
const FEW: usize = 10;
/// Weight of the past in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// The slope times this and the number of groups is compared with the threshold.
const GAIN: f64 = 4.0;
/// As many groups weigh at most.
const MAX_GROUPS: u32 = 60;
/// The threshold's speed up and down, and its bounds (section 5.4), milliseconds.
const K_UP: f64 = 0.0087;
const K_DOWN: f64 = 0.039;
const THRESHOLD: std::ops::RangeInclusive<f64> = 6.0..=600.0;
const FIRST_THRESHOLD: f64 = 12.5;
/// A trend this far above the threshold does not move it (a sudden route change).
const SPIKE: f64 = 15.0;
/// Overuse lasts at least so long, milliseconds.
const OVERUSE_MS: f64 = 10.0;

#[derive(Debug)]
pub(super) struct Trendline {
    /// Arrival time and smoothed delay, milliseconds; a ring.
    points: [(f64, f64); WINDOW],
    groups: u32,
    first_at: f64,
    accumulated: f64,
    smoothed: f64,
    threshold: f64,
    last_at: f64,
    previous_trend: f64,
    over_ms: f64,
    over_count: u32,
    usage: Usage,
}

impl Trendline {
    pub fn new() -> Self {
        Self {
            points: [(0.0, 0.0); WINDOW],
            groups: 0,
            first_at: 0.0,
            accumulated: 0.0,
            smoothed: 0.0,
            threshold: FIRST_THRESHOLD,
            last_at: 0.0,
            previous_trend: 0.0,
            over_ms: 0.0,
            over_count: 0,
            usage: Usage::Normal,
        }
    }

    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Forgets the delays but not the threshold, which is the path's.
    pub fn reset(&mut self) {
        *self = Self {
            threshold: self.threshold,
            ..Self::new()
        };
    }

    /// Takes the next groups' delta. `queueing` says whether packets wait at all: growth without it is jitter.
    pub fn add(&mut self, delta: Delta, queueing: bool) {
        if self.groups == 0 {
            self.first_at = delta.at_ms;
            self.last_at = delta.at_ms;
        }
        self.accumulated += delta.arrival_ms - delta.send_ms;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        self.points[self.groups as usize % WINDOW] = (delta.at_ms - self.first_at, self.smoothed);
        self.groups = self.groups.saturating_add(1);
        if self.groups == u32::MAX {
            self.groups -= WINDOW as u32; // years from now; keeps the ring's phase near enough
        }
        let known = WINDOW.min(self.groups as usize);
        let slope = if known >= FEW {
            slope(&self.points[..known])
        } else {
            0.0
        };
        self.detect(slope, &delta, queueing);
    }

    fn detect(&mut self, slope: f64, delta: &Delta, queueing: bool) {
        let trend = slope * f64::from(self.groups.min(MAX_GROUPS)) * GAIN;
        if trend > self.threshold && queueing {
            // The first group over the threshold was over it for half of its time, on average.
            self.over_ms += if self.over_count == 0 {
                delta.send_ms / 2.0
            } else {
                delta.send_ms
            };
            self.over_count += 1;
            if self.over_ms > OVERUSE_MS && self.over_count > 1 && slope >= self.previous_trend {
                self.over_ms = 0.0;
                self.over_count = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.over_ms = 0.0;
            self.over_count = 0;
            self.usage = if trend < -self.threshold {
                Usage::Under
            } else {
                Usage::Normal
            };
        }
        self.previous_trend = slope;
        self.adapt(trend, delta.at_ms);
    }

    fn adapt(&mut self, trend: f64, at_ms: f64) {
        let size = trend.abs();
        let elapsed = (at_ms - self.last_at).clamp(0.0, 100.0);
        self.last_at = self.last_at.max(at_ms);
        if size > self.threshold + SPIKE {
            return;
        }
        let k = if size < self.threshold { K_DOWN } else { K_UP };
        self.threshold = (self.threshold + k * (size - self.threshold) * elapsed)
            .clamp(*THRESHOLD.start(), *THRESHOLD.end());
    }
}

/// Least squares through the points; the order does not matter.
fn slope(points: &[(f64, f64)]) -> f64 {
    let n = points.len() as f64;
    let (sum_x, sum_y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / n, sum_y / n);
    let (mut xy, mut xx) = (0.0, 0.0);
    for (x, y) in points {
        xy += (x - mean_x) * (y - mean_y);
        xx += (x - mean_x) * (x - mean_x);
    }
    if xx > 1e-9 { xy / xx } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(growth_ms: f64, groups: u32, queueing: bool) -> Usage {
        let mut trendline = Trendline::new();
        for i in 0..groups {
            let arrival_ms = 20.0 + growth_ms;
            trendline.add(
                Delta {
                    send_ms: 20.0,
                    arrival_ms,
                    at_ms: f64::from(i) * arrival_ms,
                },
                queueing,
            );
        }
        trendline.usage()
    }

    #[test]
    fn growth_is_overuse_and_shrinking_underuse() {
        assert_eq!(run(0.0, 60, true), Usage::Normal);
        assert_eq!(run(4.0, 26, true), Usage::Over);
        assert_eq!(run(-4.0, 26, true), Usage::Under);
    }

    #[test]
    fn growth_without_a_queue_is_jitter() {
        assert_eq!(run(4.0, 26, false), Usage::Normal);
    }
}
