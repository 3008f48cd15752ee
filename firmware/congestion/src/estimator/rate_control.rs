//! The delay-based rate: additive increase, multiplicative decrease (draft-ietf-rmcat-gcc-02 section 5.5).
//!
//! ```text
//!            over                      over
//!   ┌──────────────────► Decrease ◄──────────────┐
//!   │                     │   ▲                  │
//!   │        normal, under│   │over              │
//!   │                     ▼   │       normal     │
//! Increase ◄──────────────── Hold ◄──────────────┘
//!     └────────────────────────►  under
//! ```
//!
//! An increase is multiplicative (8 %/s) while the capacity is unknown, and about one packet per response time
//! near the rate at which overuse was met before. A decrease goes to 0.85 of what arrived. Probes lift the rate
//! directly.

use std::time::{Duration, Instant};

use super::Usage;

/// A decrease goes to this part of what arrived.
const BETA: f64 = 0.85;
/// Beside a competing flow it goes less far, and less often.
const COMPETING_BETA: f64 = 0.95;
const COMPETING_PAUSE: Duration = Duration::from_secs(1);
/// One decrease believes no less than this part of the rate; the next one may follow soon.
const LEAST_ARRIVED: f64 = 0.2;
/// Growth while the capacity is unknown, per second.
const GROWTH: f64 = 1.08;
/// The rate stays below this times what arrives, for more is not confirmed.
const MAX_OVER_ACKED: f64 = 1.5;
/// ... with room for a start from almost nothing, bits/s.
const OVER_ACKED_OFFSET: f64 = 10_000.0;
/// Added to the round trip time: how long overuse takes to be seen.
const DETECTION: Duration = Duration::from_millis(100);
/// One packet, bits.
const PACKET_BITS: f64 = 1200.0 * 8.0;
/// Weight of a new overuse in the capacity.
const ALPHA: f64 = 0.05;

/// What the rate control looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    pub usage: Usage,
    /// Another flow keeps the queue: yielding empties nothing.
    pub competing: bool,
    /// More than this is of no use, bits/s.
    pub useful: f64,
    /// What arrived over the long window, bits/s.
    pub acked: Option<f64>,
    /// What arrived over the short one.
    pub acked_lately: Option<f64>,
    pub rtt: Duration,
    /// Less is sent than allowed, so what arrives says little.
    pub app_limited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Hold,
    Increase,
    Decrease,
}

#[derive(Debug)]
pub(super) struct RateControl {
    bps: f64,
    state: State,
    changed: Instant,
    decreased: Option<Instant>,
    capacity: Option<Capacity>,
}

/// Where overuse was met: mean and variance relative to the mean.
#[derive(Debug, Clone, Copy)]
struct Capacity {
    kbps: f64,
    variance: f64,
}

impl RateControl {
    pub fn new(bps: f64, now: Instant) -> Self {
        Self {
            bps,
            state: State::Hold,
            changed: now,
            decreased: None,
            capacity: None,
        }
    }

    pub fn bps(&self) -> f64 {
        self.bps
    }

    /// When the rate was last decreased.
    pub fn decreased(&self) -> Option<Instant> {
        self.decreased
    }

    /// One step after feedback. True when the rate was decreased.
    pub fn update(&mut self, input: &Input, now: Instant) -> bool {
        self.state = match (input.usage, self.state) {
            (Usage::Over, _) => State::Decrease,
            (Usage::Under, _) => State::Hold,
            (Usage::Normal, State::Hold) => State::Increase,
            (Usage::Normal, state) => state,
        };
        match self.state {
            State::Hold => {
                self.changed = now;
                false
            }
            State::Increase => {
                self.increase(input, now);
                false
            }
            State::Decrease => {
                let decreased = self.decrease(input, now);
                self.state = State::Hold;
                decreased
            }
        }
    }

    /// A probe arrived at this rate.
    pub fn lift(&mut self, bps: f64, now: Instant) {
        if bps > self.bps {
            self.bps = bps;
            self.changed = now;
            if self.capacity.is_some_and(|c| bps > c.upper()) {
                self.capacity = None;
            }
        }
    }

    /// The rate is no more than this from now on (feedback stopped).
    pub fn cap(&mut self, bps: f64, now: Instant) {
        self.bps = self.bps.min(bps);
        self.changed = now;
    }

    /// Keeps the rate within the configured bounds.
    pub fn clamp(&mut self, min: f64, max: f64) {
        self.bps = self.bps.clamp(min, max);
    }

    fn increase(&mut self, input: &Input, now: Instant) {
        let elapsed = now
            .saturating_duration_since(self.changed)
            .as_secs_f64()
            .min(1.0);
        self.changed = now;
        let Some(acked) = input.acked else { return };
        if self.capacity.is_some_and(|c| acked > c.upper()) {
            self.capacity = None;
        }
        let more = if self.capacity.is_some() && !input.competing {
            let response = (input.rtt + DETECTION).as_secs_f64();
            (PACKET_BITS / response).max(4_000.0) * elapsed
        } else {
            self.bps * (GROWTH.powf(elapsed) - 1.0)
        };
        // While less is sent than allowed nothing confirms an increase: probes must.
        if !input.app_limited {
            let limit = MAX_OVER_ACKED * acked + OVER_ACKED_OFFSET;
            self.bps = self.bps.max((self.bps + more).min(limit).min(input.useful));
        }
    }

    fn decrease(&mut self, input: &Input, now: Instant) -> bool {
        // A decrease shows a round trip later; until then the same queue would be counted twice.
        let wait = if input.competing {
            COMPETING_PAUSE
        } else {
            input
                .rtt
                .clamp(Duration::from_millis(50), Duration::from_millis(200))
        };
        if self
            .decreased
            .is_some_and(|last| now.saturating_duration_since(last) < wait)
        {
            return false;
        }
        // The bottleneck is busy now, so what arrives now is what it carries.
        let arrived = input.acked_lately.or(input.acked).unwrap_or(self.bps);
        let beta = if input.competing {
            COMPETING_BETA
        } else {
            BETA
        };
        self.bps = self.bps.min(beta * arrived.max(LEAST_ARRIVED * self.bps));
        self.changed = now;
        self.decreased = Some(now);
        let capacity = self.capacity.get_or_insert(Capacity {
            kbps: arrived / 1e3,
            variance: 0.4,
        });
        capacity.met(arrived / 1e3);
        true
    }
}

impl Capacity {
    fn met(&mut self, kbps: f64) {
        if kbps < self.lower() {
            self.kbps = kbps; // another path: what was known of the old one is void
        }
        let error = self.kbps - kbps;
        self.kbps += ALPHA * (kbps - self.kbps);
        let relative = error * error / self.kbps.max(1.0);
        self.variance = ((1.0 - ALPHA) * self.variance + ALPHA * relative).clamp(0.4, 2.5);
    }

    fn deviation(&self) -> f64 {
        (self.variance * self.kbps).sqrt()
    }

    fn lower(&self) -> f64 {
        (self.kbps - 3.0 * self.deviation()).max(0.0)
    }

    /// Bits/s above which the capacity has plainly grown.
    fn upper(&self) -> f64 {
        (self.kbps + 3.0 * self.deviation()) * 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(usage: Usage, acked: f64) -> Input {
        Input {
            usage,
            competing: false,
            useful: 20e6,
            acked: Some(acked),
            acked_lately: Some(acked),
            rtt: Duration::from_millis(50),
            app_limited: false,
        }
    }

    #[test]
    fn overuse_goes_to_a_part_of_what_arrived_and_then_holds() {
        let now = Instant::now();
        let mut control = RateControl::new(2e6, now);
        assert!(control.update(&input(Usage::Over, 1e6), now));
        assert!((control.bps() - 850_000.0).abs() < 1.0);
        control.update(&input(Usage::Under, 1e6), now);
        assert!((control.bps() - 850_000.0).abs() < 1.0);
    }

    #[test]
    fn growth_is_multiplicative_first_and_additive_near_the_capacity() {
        let start = Instant::now();
        let mut control = RateControl::new(1e6, start);
        for i in 0..=11_u32 {
            let acked = control.bps();
            control.update(&input(Usage::Normal, acked), start + i * DETECTION);
        }
        let grown = control.bps();
        assert!((1.07e6..1.09e6).contains(&grown), "{grown}");

        let now = start + 20 * DETECTION;
        control.update(&input(Usage::Over, 1e6), now);
        for i in 1..=11_u32 {
            control.update(&input(Usage::Normal, 0.9e6), now + i * DETECTION);
        }
        let added = control.bps() - 850_000.0;
        assert!((50_000.0..80_000.0).contains(&added), "{added}");
    }

    #[test]
    fn what_is_not_confirmed_does_not_grow() {
        let start = Instant::now();
        let mut control = RateControl::new(1e6, start);
        for i in 0..100_u32 {
            control.update(&input(Usage::Normal, 200_000.0), start + i * DETECTION);
        }
        assert!((control.bps() - 1e6).abs() < 1.0);
    }
}
