//! The rate for a viewer without transport-wide feedback: loss from receiver reports (draft-ietf-rmcat-gcc-02
//! section 6, whose formulas these are) under the ceiling of REMB (draft-alvestrand-rmcat-remb-03), which is the
//! viewer's own delay-based estimate.

use std::time::{Duration, Instant};

/// Growth per second below 2 % loss, without and with a REMB to stop it.
const GROWTH: f64 = 1.08;
const GROWTH_UNDER_REMB: f64 = 1.5;
/// A REMB holds so long; viewers repeat theirs every second or so.
const REMB_LIFE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Reports {
    bps: f64,
    remb: Option<(f64, Instant)>,
    last: Instant,
}

impl Reports {
    pub fn new(bps: f64, now: Instant) -> Self {
        Self {
            bps,
            remb: None,
            last: now,
        }
    }

    pub fn bps(&self) -> f64 {
        self.remb.map_or(self.bps, |(remb, _)| self.bps.min(remb))
    }

    pub fn remb(&mut self, bps: f64, now: Instant) {
        self.remb = Some((bps, now));
    }

    pub fn report(&mut self, loss: f64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.last).as_secs_f64();
        self.last = now;
        if self
            .remb
            .is_some_and(|(_, at)| now.saturating_duration_since(at) > REMB_LIFE)
        {
            self.remb = None;
        }
        if loss > 0.10 {
            self.bps = self.bps() * (1.0 - 0.5 * loss);
        } else if loss < 0.02 {
            let growth = match self.remb {
                Some(_) => GROWTH_UNDER_REMB,
                None => GROWTH,
            };
            self.bps = self.bps() * growth.powf(elapsed.min(2.0));
        }
    }

    pub fn clamp(&mut self, min: f64, max: f64) {
        self.bps = self.bps.clamp(min, max);
    }
}
