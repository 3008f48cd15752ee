//! The loss-based rate (draft-ietf-rmcat-gcc-02 section 6), made robust against loss that is not congestion.
//!
//! The draft lowers the rate above 10 % loss, holds it between 2 and 10 %, and raises it below. A radio that
//! always loses 5 % would hold a rate for ever, and one that loses 12 % would starve it. Loss by congestion falls
//! when less is sent; loss that stays is the path's own. So the bound begins open, and loss that remained after
//! the rate was lowered is learned as [`Loss::own`] and subtracted from then on. It is unlearned at once when
//! less is lost.

use std::time::{Duration, Instant};

/// Above this the rate is lowered, below [`FINE`] it grows.
const CONGESTED: f64 = 0.10;
const FINE: f64 = 0.02;
/// No path's own loss is taken for more than this.
const MAX_OWN: f64 = 0.25;
/// A window closes with so many packets,
const PACKETS: u32 = 100;
/// or when so many of fewer are gone that chance is no excuse,
const FEW_PACKETS: u32 = 20;
const PLAIN: f64 = 0.30;
/// or after this time.
const WINDOW: Duration = Duration::from_secs(1);
/// And lasts no less.
const MIN_WINDOW: Duration = Duration::from_millis(200);
/// The bound is lowered to no less than this part of what arrives.
const ARRIVED: f64 = 0.85;
/// The bound's growth per second, and above the rate that loss led to.
const GROWTH: f64 = 1.5;
const SLOW_GROWTH: f64 = 1.05;

/// What became of packets since the feedback before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    pub received: u32,
    pub lost: u32,
    /// The newest of them left then.
    pub until: Instant,
    /// What left and what arrived lately, bits/s.
    pub sent_bps: f64,
    pub arrived_bps: f64,
    /// The delay shows congestion.
    pub queueing: bool,
}

#[derive(Debug)]
pub(super) struct Loss {
    /// Bits/s; infinite: not binding.
    bound: f64,
    /// What arrived when loss last lowered the bound.
    met: f64,
    received: u32,
    lost: u32,
    began: Instant,
    /// When growth was last considered.
    grown: Instant,
    /// When the bound was lowered last.
    lowered: Option<Instant>,
    /// The window before: its rate and loss.
    before: Option<(f64, f64)>,
    /// The path's own loss.
    own: f64,
    /// Smoothed, to show.
    shown: f64,
}

impl Loss {
    pub fn new(now: Instant) -> Self {
        Self {
            bound: f64::INFINITY,
            met: 0.0,
            received: 0,
            lost: 0,
            began: now,
            grown: now,
            lowered: None,
            before: None,
            own: 0.0,
            shown: 0.0,
        }
    }

    pub fn bps(&self) -> f64 {
        self.bound
    }

    pub fn loss(&self) -> f64 {
        self.shown
    }

    /// After feedback.
    pub fn settled(&mut self, settled: &Settled, now: Instant) {
        if self.lowered.is_some_and(|lowered| settled.until < lowered) {
            self.began = now;
            return; // sent before the bound was lowered: that has been answered
        }
        self.received += settled.received;
        self.lost += settled.lost;
        let packets = self.received + self.lost;
        let elapsed = now.saturating_duration_since(self.began);
        if packets == 0 || elapsed < MIN_WINDOW {
            return;
        }
        if self.lost == 0 && packets >= FEW_PACKETS {
            self.grow(now); // no need to wait for the window's end
        }
        let loss = f64::from(self.lost) / f64::from(packets);
        let enough = packets >= PACKETS
            || packets >= FEW_PACKETS && (loss >= PLAIN || elapsed >= WINDOW)
            || elapsed >= 5 * WINDOW;
        if enough {
            (self.received, self.lost, self.began) = (0, 0, now);
            self.window(loss, settled, now);
        }
    }

    fn window(&mut self, loss: f64, settled: &Settled, now: Instant) {
        let sent_bps = settled.sent_bps;
        self.shown += 0.5 * (loss - self.shown);
        self.own = self.own.min(loss + FINE);
        if let Some((rate, lost)) = self.before.replace((sent_bps, loss)) {
            let slower = sent_bps < 0.97 * rate;
            if slower && !settled.queueing && loss > 0.8 * lost {
                self.own = self.own.max(loss.min(lost).min(MAX_OWN));
            }
        }
        let excess = loss - self.own;
        if excess > CONGESTED {
            let factor = if excess > PLAIN {
                1.0 - excess // so much arrives
            } else {
                1.0 - 0.5 * excess
            };
            // What arrives fits, and a little less of it fits without loss.
            let lowered = (self.bound.min(sent_bps) * factor).max(ARRIVED * settled.arrived_bps);
            self.bound = self.bound.min(lowered);
            self.met = self.bound.max(settled.arrived_bps);
            self.lowered = Some(now);
            self.grown = now;
        } else if excess < FINE.max(0.5 * self.own) {
            self.grow(now);
        } else {
            self.grown = now;
        }
    }

    fn grow(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.grown).min(2 * WINDOW);
        let growth = if self.bound < self.met {
            GROWTH
        } else {
            SLOW_GROWTH
        };
        self.bound *= growth.powf(elapsed.as_secs_f64());
        self.grown = now;
    }

    /// A probe arrived at this rate.
    pub fn lift(&mut self, bps: f64) {
        self.bound = self.bound.max(bps);
    }

    /// Keeps the bound within the configured limits; above `max` it is open.
    pub fn clamp(&mut self, min: f64, max: f64) {
        self.bound = self.bound.max(min);
        if self.bound > max {
            self.bound = f64::INFINITY;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as much as the bound and `wanted` allow through `lossy` for some seconds; returns the bound.
    fn run(wanted: f64, seconds: u32, lossy: impl Fn(f64) -> f64) -> f64 {
        let start = Instant::now();
        let mut loss = Loss::new(start);
        for step in 0..seconds * 10 {
            let rate = loss.bps().min(wanted);
            let packets = rate / 10.0 / 9600.0;
            let lost = (packets * lossy(rate)).round();
            let now = start + step * MIN_WINDOW / 2;
            let settled = Settled {
                received: (packets - lost).max(0.0) as u32,
                lost: lost as u32,
                until: now,
                sent_bps: rate,
                arrived_bps: rate * (1.0 - lossy(rate)),
                queueing: false,
            };
            loss.settled(&settled, now);
            loss.clamp(50e3, 20e6);
        }
        loss.bps().min(wanted)
    }

    #[test]
    fn a_policer_is_met_near_its_rate() {
        let rate = run(3e6, 60, |rate| ((rate - 1e6) / rate).max(0.0));
        assert!((0.8e6..1.2e6).contains(&rate), "{rate}");
    }

    #[test]
    fn constant_loss_does_not_starve() {
        for own in [0.03, 0.05, 0.12, 0.18] {
            let rate = run(3e6, 60, |_| own);
            assert!(rate > 2.5e6, "{own}: {rate}");
        }
    }
}
