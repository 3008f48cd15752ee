//! One direction of a path: a token bucket with a queue, then delay, jitter, loss and reordering. Times are
//! milliseconds of virtual time.

use std::collections::VecDeque;

use crate::random::Random;

/// What the link does to packets.
#[derive(Debug, Clone)]
pub struct Path {
    /// Capacity from a time on, bits/s.
    pub rates: Vec<(f64, f64)>,
    /// What may wait, as time at the present rate.
    pub queue_ms: f64,
    /// What passes at once after a pause, bytes.
    pub burst: f64,
    pub delay_ms: f64,
    /// Uniform from 0.
    pub jitter_ms: f64,
    /// Whether jitter keeps the order (a queue elsewhere) or not (several ways).
    pub in_order: bool,
    pub loss: f64,
    /// The part of the feedback that is lost on its way back.
    pub feedback_loss: f64,
    /// Between the viewer's feedback messages.
    pub feedback_ms: f64,
}

impl Path {
    pub fn new(bps: f64) -> Self {
        Self {
            rates: vec![(0.0, bps)],
            queue_ms: 300.0,
            burst: 3028.0,
            delay_ms: 20.0,
            jitter_ms: 0.0,
            in_order: true,
            loss: 0.0,
            feedback_loss: 0.0,
            feedback_ms: 50.0,
        }
    }

    /// Capacity from time to time.
    pub fn steps(rates: &[(f64, f64)]) -> Self {
        Self {
            rates: rates.to_vec(),
            ..Self::new(0.0)
        }
    }

    pub fn rate(&self, at: f64) -> f64 {
        self.rates
            .iter()
            .rev()
            .find(|(from, _)| *from <= at)
            .map_or(1e9, |(_, bps)| *bps)
    }
}

/// A packet on its way.
#[derive(Debug, Clone)]
pub struct Packet<T> {
    pub bytes: f64,
    pub entered: f64,
    pub what: T,
}

/// What became of a packet.
#[derive(Debug)]
pub enum Fate<T> {
    /// At this time.
    Arrived(f64, Packet<T>),
    /// Dropped by the queue or lost after it, at this time.
    Lost(f64, Packet<T>),
}

#[derive(Debug)]
pub struct Link<T> {
    pub path: Path,
    queue: VecDeque<Packet<T>>,
    queued: f64,
    tokens: f64,
    at: f64,
    last_arrival: f64,
    random: Random,
    dropped: Vec<(f64, Packet<T>)>,
}

impl<T> Link<T> {
    pub fn new(path: Path, seed: u64) -> Self {
        Self {
            tokens: path.burst,
            path,
            queue: VecDeque::new(),
            queued: 0.0,
            at: 0.0,
            last_arrival: 0.0,
            random: Random::new(seed),
            dropped: Vec::new(),
        }
    }

    pub fn send(&mut self, now: f64, bytes: f64, what: T) {
        let packet = Packet {
            bytes,
            entered: now,
            what,
        };
        let limit = (self.path.rate(now) / 8e3 * self.path.queue_ms).max(3000.0);
        if self.queued + bytes > limit {
            self.dropped.push((now, packet));
        } else {
            self.queued += bytes;
            self.queue.push_back(packet);
        }
    }

    /// What waits, as time at the present rate.
    pub fn standing_ms(&self, now: f64) -> f64 {
        self.queued * 8e3 / self.path.rate(now)
    }

    /// What leaves the bottleneck before `until`.
    pub fn run(&mut self, until: f64, mut fate: impl FnMut(Fate<T>)) {
        for (at, packet) in self.dropped.drain(..) {
            fate(Fate::Lost(at, packet));
        }
        while let Some(front) = self.queue.front() {
            let start = self.at.max(front.entered);
            let per_ms = self.path.rate(start) / 8e3;
            let tokens = (self.tokens + (start - self.at) * per_ms).min(self.path.burst);
            let wait = ((front.bytes - tokens) / per_ms).max(0.0);
            if start + wait >= until {
                break;
            }
            self.tokens = tokens + wait * per_ms - front.bytes;
            self.at = start + wait;
            self.queued -= front.bytes;
            let Some(packet) = self.queue.pop_front() else {
                break;
            };
            if self.random.chance(self.path.loss) {
                fate(Fate::Lost(self.at, packet));
                continue;
            }
            let mut arrival =
                self.at + self.path.delay_ms + self.random.unit() * self.path.jitter_ms;
            if self.path.in_order {
                arrival = arrival.max(self.last_arrival);
            }
            self.last_arrival = self.last_arrival.max(arrival);
            fate(Fate::Arrived(arrival, packet));
        }
    }
}
