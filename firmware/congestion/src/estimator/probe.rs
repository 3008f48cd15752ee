//! Probing: short clusters sent faster than the target, to see whether they fit.
//!
//! GCC grows by 8 %/s; a viewer should not wait half a minute for a sharp picture. Clusters go out
//!
//! - at the start, at 3 and 6 times the first target, and on from there while they succeed; the first waits for the
//!   first picture, before which there is nothing to make it of,
//! - later whenever the target is below what would be useful: after a drop, and while the application sends less
//!   than the target (a viewer on the small rung), where nothing else can tell that there is room.
//!
//! A later probe that fails doubles the time to the next, up to [`MAX_INTERVAL`]; one that succeeds is followed
//! soon by the next. Under jitter clusters last longer, for a short one would measure the jitter.

use std::time::{Duration, Instant};

use super::measure::Measure;
use super::{Probe, ProbeId};

/// The first clusters, times the start rate.
const START: [f64; 2] = [3.0, 6.0];
/// So many of them are sent again, at once, when they arrived all in one moment: a browser that has just been given a
/// picture is busy, and nobody wants to wait for [`MIN_INTERVAL`] then.
const REPEATS: u32 = 3;
/// Later ones, times the target.
const STEP: f64 = 2.0;
/// On a slow path, bits/s, where a cluster takes long.
const SLOW: f64 = 300e3;
const SLOW_STEP: f64 = 1.5;
/// A start probe that gave this part of its rate is followed by one at [`STEP`] times its result.
const GOOD: f64 = 0.7;
/// A probe must give so much more than the target to count.
const GAIN: f64 = 1.05;
/// No probe goes above this times what is useful.
const ABOVE_USEFUL: f64 = 1.15;
/// A cluster has at least so many packets,
const MIN_PACKETS: u32 = 5;
/// and so many bytes, for shapers let two full packets pass at once after a pause,
const MIN_BYTES: f64 = 4800.0;
/// and lasts this long at the start, later, and at most.
const START_LENGTH: Duration = Duration::from_millis(30);
const LENGTH: Duration = Duration::from_millis(40);
const MAX_LENGTH: Duration = Duration::from_millis(120);
/// Between probes: after a success, and bounds after failures.
const SOON: Duration = Duration::from_millis(400);
const MIN_INTERVAL: Duration = Duration::from_millis(1500);
const MAX_INTERVAL: Duration = Duration::from_secs(5);
/// A cluster whose feedback has not come so long after it began failed.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What probing looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    pub target: f64,
    pub useful: f64,
    pub max: f64,
    pub jitter_ms: f64,
    /// Nothing queues and nothing was decreased just now.
    pub calm: bool,
}

#[derive(Debug)]
pub(super) struct Probing {
    next_id: u32,
    /// Rates of start probes yet to send, the next last.
    start: [f64; 2],
    start_left: usize,
    starting: bool,
    /// How many of them may be sent again.
    repeats: u32,
    pending: Option<Pending>,
    next_at: Instant,
    interval: Duration,
}

#[derive(Debug)]
struct Pending {
    probe: Probe,
    /// When it was planned, and once it leaves, when its first packet did.
    since: Instant,
    measure: Measure,
}

impl Probing {
    pub fn new(start_bps: f64, now: Instant) -> Self {
        Self {
            next_id: 0,
            start: [START[1] * start_bps, START[0] * start_bps],
            start_left: START.len(),
            starting: true,
            repeats: REPEATS,
            pending: None,
            next_at: now,
            interval: MIN_INTERVAL,
        }
    }

    /// How many clusters were begun.
    pub fn count(&self) -> u32 {
        self.next_id
    }

    /// When something may be due.
    pub fn next_at(&self) -> Instant {
        match &self.pending {
            Some(pending) => pending.since + TIMEOUT,
            None => self.next_at,
        }
    }

    /// The next probe, if one is due.
    pub fn poll(&mut self, input: &Input, now: Instant) -> Option<Probe> {
        if let Some(pending) = &mut self.pending
            && now >= pending.since + TIMEOUT
        {
            if pending.measure.began() {
                self.pending = None;
                self.failed(now);
            } else {
                // Nothing could leave yet: there is no path, or no picture. It says nothing, and still waits.
                pending.since = now;
            }
        }
        if self.pending.is_some() || now < self.next_at {
            return None;
        }
        let ceiling = (input.useful * ABOVE_USEFUL).min(input.max);
        if self.start_left > 0 {
            self.start_left -= 1;
            let rate = self.start[self.start_left].min(ceiling);
            if rate >= ceiling {
                self.start_left = 0;
            }
            if rate > input.target {
                return Some(self.plan(rate, START_LENGTH, now));
            }
        }
        if input.target >= ceiling * 0.98 {
            self.next_at = now + MIN_INTERVAL;
            return None;
        }
        if !input.calm {
            self.next_at = now + SOON / 4;
            return None;
        }
        let step = if input.target < SLOW { SLOW_STEP } else { STEP };
        let rate = (input.target * step).min(ceiling);
        let length = LENGTH.max(Duration::from_secs_f64(input.jitter_ms.max(0.0) * 2.5e-3));
        Some(self.plan(rate, length.min(MAX_LENGTH), now))
    }

    fn plan(&mut self, rate: f64, length: Duration, now: Instant) -> Probe {
        let probe = Probe {
            id: ProbeId(self.next_id),
            rate_bps: rate as u32,
            bytes: (rate / 8.0 * length.as_secs_f64()).max(MIN_BYTES) as usize,
            packets: MIN_PACKETS,
        };
        self.next_id = self.next_id.wrapping_add(1);
        self.pending = Some(Pending {
            probe,
            since: now,
            measure: Measure::default(),
        });
        probe
    }

    /// Feedback is back after a silence: tries half of what was, then all of it.
    pub fn again(&mut self, before: f64, now: Instant) {
        self.start = [before, before / 2.0];
        self.start_left = self.start.len();
        self.starting = true;
        self.repeats = REPEATS;
        self.pending = None;
        self.next_at = now;
        self.interval = MIN_INTERVAL;
    }

    /// A packet of a cluster left.
    pub fn sent(&mut self, id: ProbeId, size: u32, now: Instant) {
        if let Some(pending) = self.of(id) {
            if !pending.measure.began() {
                pending.since = now;
            }
            pending.measure.sent(size);
        }
    }

    /// A packet of a cluster arrived.
    pub fn arrived(&mut self, id: ProbeId, sent: Instant, arrived_ms: f64, size: u32) {
        if let Some(pending) = self.of(id) {
            pending.measure.arrived(sent, arrived_ms, size);
        }
    }

    /// A packet of a cluster is missing.
    pub fn missing(&mut self, id: ProbeId) {
        if let Some(pending) = self.of(id) {
            pending.measure.missing();
        }
    }

    fn of(&mut self, id: ProbeId) -> Option<&mut Pending> {
        self.pending.as_mut().filter(|p| p.probe.id == id)
    }

    /// After feedback: what the cluster measured, once all of it is known and more than `target`.
    pub fn result(&mut self, target: f64, now: Instant) -> Option<f64> {
        let pending = self.pending.as_ref()?;
        if !pending.measure.complete(&pending.probe) {
            return None;
        }
        let rate = f64::from(pending.probe.rate_bps);
        let measured = pending.measure.bps();
        let held_up = measured.is_none() && pending.measure.held_up();
        self.pending = None;
        if self.starting && held_up && self.repeats > 0 {
            self.repeats -= 1;
            self.start_left += 1;
            self.next_at = now;
            return None;
        }
        let good = measured.filter(|bps| *bps > target * GAIN);
        if self.starting {
            let bps = measured.unwrap_or(0.0);
            if bps < GOOD * rate {
                self.start_left = 0;
            }
            if self.start_left == 0 && (bps < GOOD * rate || good.is_none()) {
                self.starting = false;
            }
        }
        match good {
            Some(_) => {
                self.interval = MIN_INTERVAL;
                self.next_at = if self.starting { now } else { now + SOON };
            }
            None => self.failed(now),
        }
        good
    }

    fn failed(&mut self, now: Instant) {
        self.starting = false;
        self.start_left = 0;
        self.next_at = now + self.interval;
        self.interval = (self.interval * 2).min(MAX_INTERVAL);
    }

    /// The rate was decreased: what the cluster under way measures is void, and the next one waits.
    pub fn decreased(&mut self, now: Instant) {
        self.pending = None;
        self.failed(now);
    }
}
