//! What the path to one viewer carries: Google congestion control (draft-ietf-rmcat-gcc-02) at the sender.
//!
//! ```text
//!  sent ──► History ◄── feedback
//!              │ arrivals                                           Reports ◄── receiver reports, REMB
//!     ┌────────┼─────────────┬──────────────┬──────────┐              │ (only without feedback)
//!     ▼        ▼             ▼              ▼          ▼              ▼
//!  Groups   Delay        Throughput       Loss      Probing      ┌────────┐
//!     │   queue│             │              │          │         │ target │
//!     ▼        ▼             ▼              │          │         └────────┘
//!  Trendline ──usage──► RateControl ◄───────┼──lift────┘              ▲      (Busy: usage of a link that collapsed)
//!                            └──► Drain ────┴──── least of both ──────┘
//! ```
//!
//! Where the draft is silent this does what libwebrtc does (trendline instead of Kalman filter, probing), or what a
//! camera needs (the standing queue gates overuse, so that jitter is none; a queue that we made is drained within about
//! half a second; loss that slowing down does not cure is not congestion). `firmware/congestion/NUMBERS.md` says
//! where each number comes from.
//!
//! Failure: feedback for packets never sent, duplicates and reordering are counted and change nothing. A viewer's
//! clock that jumps starts the measurement anew. When feedback stops while packets leave, the target halves every
//! [`Config::silence`] down to the least, and returns by probing.

mod busy;
mod config;
mod delay;
mod drain;
mod estimate;
mod groups;
mod history;
mod loss;
mod measure;
mod packet;
mod probe;
mod rate_control;
mod reports;
mod rtt;
mod throughput;
mod trendline;

use std::time::{Duration, Instant};

use busy::Busy;
pub use config::Config;
use delay::Delay;
use drain::Drain;
pub use estimate::{Counters, Estimate, Usage};
use groups::Groups;
use history::{History, Packet, Report};
use loss::Loss;
pub use packet::{Arrival, Probe, ProbeId, Sent};
use probe::Probing;
use rate_control::RateControl;
use reports::Reports;
use rtt::Rtt;
use throughput::{LONG, SHORT, Throughput};
use trendline::Trendline;

/// The congestion controller of one viewer.
#[derive(Debug)]
pub struct Estimator {
    config: Config,
    epoch: Instant,
    useful: f64,
    history: History,
    groups: Groups,
    trendline: Trendline,
    delay: Delay,
    busy: Busy,
    acked: Throughput,
    sending: Throughput,
    rate: RateControl,
    drain: Drain,
    loss: Loss,
    reports: Reports,
    probing: Probing,
    rtt: Rtt,
    /// That of the newest packet that arrived.
    round_trip: Option<Duration>,
    /// How long the last packet took, in a clock of unknown offset, milliseconds.
    last_way: Option<f64>,
    /// When the newest packet that arrived had left.
    newest: Option<Instant>,
    /// Whether the viewer sends transport-wide feedback at all.
    heard: bool,
    /// The first packet that left since feedback came.
    waiting: Option<Instant>,
    /// The rate before feedback stopped.
    before_silence: Option<f64>,
    counters: Counters,
}

/// A way that differs from the one before by more is a clock that jumped, milliseconds.
const CLOCK_JUMP_MS: f64 = 3000.0;
/// A queue shorter than this, and than a part of the jitter, is none, milliseconds.
const QUEUE_MS: f64 = 4.0;
const QUEUE_PER_JITTER: f64 = 3.0;
/// A queue longer than this is too long even when it no longer grows, milliseconds.
const STANDING_MS: f64 = 100.0;
/// Sending less than this part of the target is less than allowed.
const APP_LIMITED: f64 = 0.65;
/// A packet that is this late is lost, and under jitter a little later.
const REORDER_MS: f64 = 60.0;
/// The target rises no further than this times what is useful.
const ENOUGH: f64 = 1.2;
/// A path that carries less than this part of the target has collapsed: no trend is waited for.
const COLLAPSE: f64 = 0.7;
/// No probe so soon after a decrease.
const CALM: Duration = Duration::from_secs(1);

impl Estimator {
    /// Begins at `config.start_bps`.
    pub fn new(config: Config, now: Instant) -> Self {
        let config = config.sound();
        let start = f64::from(config.start_bps);
        Self {
            config,
            epoch: now,
            useful: f64::from(config.max_bps),
            history: History::new(),
            groups: Groups::default(),
            trendline: Trendline::new(),
            delay: Delay::new(),
            busy: Busy::default(),
            acked: Throughput::new(),
            sending: Throughput::new(),
            rate: RateControl::new(start, now),
            drain: Drain::new(),
            loss: Loss::new(now),
            reports: Reports::new(start, now),
            probing: Probing::new(start, now),
            rtt: Rtt::default(),
            round_trip: None,
            last_way: None,
            newest: None,
            heard: false,
            waiting: None,
            before_silence: None,
            counters: Counters::default(),
        }
    }

    /// A packet left. Call it for every packet with a transport-wide number, in order of sending.
    pub fn sent(&mut self, packet: Sent) {
        self.history.push(&packet);
        let size = u32::try_from(packet.size).unwrap_or(u32::MAX);
        self.sending.add(self.micros(packet.at), size);
        if let Some(id) = packet.probe {
            self.probing.sent(id, size, packet.at);
        }
        self.waiting.get_or_insert(packet.at);
    }

    /// A transport-wide feedback message (draft-holmer-rmcat-transport-wide-cc-extensions-01), in its order.
    pub fn feedback(&mut self, arrivals: &[Arrival], now: Instant) {
        let mut known = false;
        for arrival in arrivals {
            match self.history.report(arrival.seq, arrival.at.is_some()) {
                Report::Unknown => self.counters.unknown += 1,
                Report::Duplicate => self.counters.duplicate += 1,
                Report::Missing(packet) => {
                    known = true;
                    if let Some(id) = packet.probe {
                        self.probing.missing(id);
                    }
                }
                Report::Received(packet) => {
                    known = true;
                    self.arrived(&packet, arrival.at.unwrap_or_default());
                }
            }
        }
        if known {
            self.heard(now);
            self.update(now);
        }
    }

    /// A receiver report (RFC 3550 section 6.4.2): the part lost since the report before (0 to 1), of all our
    /// streams. Used only while there is no transport-wide feedback.
    pub fn receiver_report(&mut self, loss: f32, now: Instant) {
        if loss.is_finite() && !self.heard {
            self.reports.report(f64::from(loss.clamp(0.0, 1.0)), now);
            self.clamp();
        }
    }

    /// A REMB (draft-alvestrand-rmcat-remb-03), bits/s: a ceiling while there is no transport-wide feedback.
    pub fn remb(&mut self, bps: u32, now: Instant) {
        self.reports.remb(f64::from(bps), now);
    }

    /// A round trip time, from sender reports or STUN.
    pub fn rtt(&mut self, rtt: Duration) {
        self.rtt.told(rtt);
    }

    /// How long the newest packet that arrived and the word of it took, queues on the way with them. Known some ten
    /// times a second, where reports come once.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What could be sent usefully, bits/s: probes go no higher than a margin above it.
    /// [`Ladder::useful_bps`](crate::Ladder::useful_bps) knows.
    pub fn set_useful(&mut self, bps: u32) {
        self.useful = f64::from(bps.clamp(self.config.min_bps, self.config.max_bps));
    }

    /// When [`handle_timeout`](Self::handle_timeout) and [`poll_probe`](Self::poll_probe) are to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let may_probe = self.may_probe() && self.before_silence.is_none();
        let probe = may_probe.then(|| self.probing.next_at());
        match (probe, self.silent_at()) {
            (Some(probe), Some(silent)) => Some(probe.min(silent)),
            (one, other) => one.or(other),
        }
    }

    /// Time passed: backs off when feedback stopped.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.silent_at().is_some_and(|at| now >= at) {
            let rate = self.rate.bps();
            if self.before_silence.is_none() {
                self.counters.silences += 1;
                self.before_silence = Some(rate);
            }
            self.rate.cap(rate / 2.0, now);
            self.probing.decreased(now);
            self.clamp();
            self.waiting = None; // the next packet that leaves waits anew
        }
    }

    /// A probe that is to be sent now; give it to [`Pacer::probe`](crate::Pacer::probe).
    pub fn poll_probe(&mut self, now: Instant) -> Option<Probe> {
        if !self.may_probe() || self.before_silence.is_some() {
            return None;
        }
        let lately = self
            .rate
            .decreased()
            .is_some_and(|at| now.saturating_duration_since(at) < CALM);
        let input = probe::Input {
            target: self.target(),
            useful: self.useful,
            max: f64::from(self.config.max_bps),
            jitter_ms: self.delay.jitter_ms(),
            calm: !lately && !self.queueing() && self.trendline.usage() == Usage::Normal,
        };
        self.probing.poll(&input, now)
    }

    /// The estimate now.
    pub fn estimate(&self) -> Estimate {
        let max = f64::from(self.config.max_bps);
        Estimate {
            target_bps: self.target() as u32,
            delay_bps: self.rate.bps() as u32,
            loss_bps: self.loss.bps().min(max) as u32,
            acked_bps: self.acked.bps(LONG, None).map(|bps| bps as u32),
            usage: self.trendline.usage(),
            loss: self.loss.loss() as f32,
            rtt: self.rtt.get(),
            queue_delay: Duration::from_secs_f64(self.delay.queue_ms().min(1e6) / 1e3),
            spare: self.heard
                && self.target() >= self.useful
                && self.trendline.usage() == Usage::Normal
                && !self.queueing(),
        }
    }

    /// What could not be used so far.
    pub fn counters(&self) -> Counters {
        Counters {
            probes: u64::from(self.probing.count()),
            ..self.counters
        }
    }

    /// Feedback came: a silence is over.
    fn heard(&mut self, now: Instant) {
        self.heard = true;
        self.waiting = None;
        if let Some(before) = self.before_silence.take() {
            self.probing.again(before, now);
        }
        if let Some(newest) = self.newest {
            let rtt = now.saturating_duration_since(newest);
            self.rtt.seen(rtt);
            self.round_trip = Some(rtt);
        }
    }

    /// A packet arrived, by the viewer's clock.
    fn arrived(&mut self, packet: &Packet, at: Duration) {
        let at_us = micros(at);
        let at_ms = at_us as f64 / 1e3;
        let way = at_ms - self.micros(packet.at) as f64 / 1e3;
        let jumped = self
            .last_way
            .replace(way)
            .is_some_and(|last| (way - last).abs() > CLOCK_JUMP_MS);
        if jumped {
            self.counters.clock_jumps += 1;
            self.groups.reset();
            self.trendline.reset();
            self.delay = Delay::new();
            self.busy.reset();
            self.acked = Throughput::new();
        }
        self.newest = self.newest.max(Some(packet.at));
        self.acked.add(at_us, packet.size);
        if let Some(id) = packet.probe {
            // A cluster makes a queue of its own for a moment: that is no overuse.
            self.probing.arrived(id, packet.at, at_ms, packet.size);
            return;
        }
        self.delay.add(packet.at, way);
        let waited = way - self.delay.shortest_ms();
        self.busy
            .add(at_ms, waited, self.delay.jitter_ms(), packet.size);
        if let Some(delta) = self.groups.add(packet.at, at_ms) {
            let queueing = self.queueing();
            self.trendline.add(delta, queueing);
        }
    }

    /// The rates after feedback.
    fn update(&mut self, now: Instant) {
        let queue_ms = self.delay.queue_ms() - QUEUE_PER_JITTER * self.delay.jitter_ms();
        let competing = self.drain.competing(now);
        let usage = match self.trendline.usage() {
            // A full buffer grows no more, and a deep one grew while the trendline still learned.
            Usage::Normal if queue_ms > STANDING_MS && !competing => Usage::Over,
            usage => usage,
        };
        let acked = self.acked.bps(LONG, None);
        let sending = self.sending.bps(LONG, Some(self.micros(now)));
        let target = self.target();
        let collapsed = self
            .busy
            .capacity()
            .filter(|capacity| *capacity < COLLAPSE * target);
        let usage = collapsed.map_or(usage, |_| Usage::Over);
        let decreased = self.rate.update(
            &rate_control::Input {
                usage,
                competing,
                useful: self.useful * ENOUGH,
                acked,
                acked_lately: collapsed.or_else(|| self.acked.bps(SHORT, None)),
                rtt: self.rtt.get(),
                app_limited: sending.is_none_or(|bps| bps < APP_LIMITED * target),
            },
            now,
        );
        if decreased {
            self.probing.decreased(now);
        }
        self.drain.update(
            &drain::Input {
                decreased,
                queue_ms,
                sent: sending.unwrap_or(target),
                arrived: acked.unwrap_or(target),
                target,
            },
            now,
        );

        if let Some(newest) = self.newest {
            let late = REORDER_MS + 2.0 * self.delay.jitter_ms();
            let late = Duration::from_secs_f64(late.min(1e3) / 1e3);
            if let Some(until) = newest.checked_sub(late) {
                let (received, lost) = self.history.settle(until);
                let settled = loss::Settled {
                    received,
                    lost,
                    until,
                    sent_bps: sending.unwrap_or(target),
                    arrived_bps: acked.unwrap_or(0.0),
                    queueing: self.queueing(),
                };
                self.loss.settled(&settled, now);
            }
        }
        if let Some(bps) = self.probing.result(target, now)
            && self.trendline.usage() != Usage::Over
        {
            self.rate.lift(bps, now);
            self.loss.lift(bps);
        }
        self.clamp();
    }

    fn clamp(&mut self) {
        let (min, max) = (
            f64::from(self.config.min_bps),
            f64::from(self.config.max_bps),
        );
        self.rate.clamp(min, max);
        self.loss.clamp(min, max);
        self.reports.clamp(min, max);
    }

    fn target(&self) -> f64 {
        let bps = if self.heard {
            (self.rate.bps() * self.drain.factor()).min(self.loss.bps())
        } else {
            self.reports.bps()
        };
        bps.clamp(
            f64::from(self.config.min_bps),
            f64::from(self.config.max_bps),
        )
    }

    /// Whether packets wait at the bottleneck.
    fn queueing(&self) -> bool {
        self.delay.queue_ms() > QUEUE_MS + QUEUE_PER_JITTER * self.delay.jitter_ms()
    }

    /// Without feedback a probe tells nothing; the first ones find out whether there is any.
    fn may_probe(&self) -> bool {
        self.heard || self.probing.count() == 0
    }

    /// When the feedback missing by then is a silence.
    fn silent_at(&self) -> Option<Instant> {
        let waiting = self.waiting.filter(|_| self.heard)?;
        Some(waiting + self.config.silence + self.rtt.get())
    }

    fn micros(&self, at: Instant) -> i64 {
        micros(at.saturating_duration_since(self.epoch))
    }
}

/// Microseconds, up to 35 years: a clock beyond is as good as one at them.
fn micros(duration: Duration) -> i64 {
    let seconds = duration.as_secs().min(1 << 30) as i64;
    seconds * 1_000_000 + i64::from(duration.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_is_that_of_the_newest_packet() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut estimator = Estimator::new(Config::default(), start);
        for (seq, ms) in [(0, 0), (1, 80)] {
            estimator.sent(Sent {
                seq,
                size: 1200,
                at: at(ms),
                probe: None,
            });
        }
        assert_eq!(estimator.round_trip(), None);
        let arrivals = [0, 1].map(|seq| Arrival {
            seq,
            at: Some(Duration::from_millis(150 + u64::from(seq))),
        });
        estimator.feedback(&arrivals, at(400));
        assert_eq!(estimator.round_trip(), Some(Duration::from_millis(320)));
    }
}
