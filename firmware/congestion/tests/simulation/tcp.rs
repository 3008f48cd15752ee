//! A competing flow: TCP Reno with a bulk transfer.

use std::collections::VecDeque;

pub const SEGMENT: f64 = 1500.0;

#[derive(Debug)]
pub struct Tcp {
    window: f64,
    threshold: f64,
    in_flight: u32,
    /// When acknowledgements and losses become known.
    acks: VecDeque<f64>,
    losses: VecDeque<f64>,
    recovering_until: f64,
    from: f64,
    to: f64,
    pub acked: u64,
}

impl Tcp {
    /// A transfer between two times.
    pub fn new(from: f64, to: f64) -> Self {
        Self {
            window: 10.0,
            threshold: 1e9,
            in_flight: 0,
            acks: VecDeque::new(),
            losses: VecDeque::new(),
            recovering_until: 0.0,
            from,
            to,
            acked: 0,
        }
    }

    pub fn arrived(&mut self, at: f64, back_ms: f64) {
        self.acks.push_back(at + back_ms);
    }

    pub fn lost(&mut self, at: f64, rtt_ms: f64) {
        self.losses.push_back(at + rtt_ms);
    }

    /// How many segments leave now.
    pub fn run(&mut self, now: f64) -> u32 {
        while self.acks.front().is_some_and(|at| *at <= now) {
            self.acks.pop_front();
            self.in_flight = self.in_flight.saturating_sub(1);
            self.acked += 1;
            self.window += if self.window < self.threshold {
                1.0
            } else {
                1.0 / self.window
            };
        }
        while let Some(at) = self.losses.front().copied().filter(|at| *at <= now) {
            self.losses.pop_front();
            self.in_flight = self.in_flight.saturating_sub(1);
            if at > self.recovering_until {
                self.window = (self.window / 2.0).max(2.0);
                self.threshold = self.window;
                self.recovering_until = now + 100.0;
            }
        }
        if now < self.from || now >= self.to {
            return 0;
        }
        let room = (self.window as u32).saturating_sub(self.in_flight).min(20);
        self.in_flight += room;
        room
    }
}
