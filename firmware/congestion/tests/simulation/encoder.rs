//! A camera's encoder with a rate control that is right on average.

use heron_congestion::RungTarget;

use crate::random::Random;

#[derive(Debug)]
pub struct Encoder {
    next: f64,
    key: bool,
    /// What key frames took too much, bytes; the next frames save it.
    debt: f64,
    random: Random,
    running: bool,
}

/// An encoded frame.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    pub bytes: f64,
    pub key: bool,
}

impl Encoder {
    pub fn new(seed: u64) -> Self {
        Self {
            next: 0.0,
            key: true,
            debt: 0.0,
            random: Random::new(seed),
            running: false,
        }
    }

    pub fn request_key_frame(&mut self) {
        self.key = true;
    }

    /// The frame that is due, if any.
    pub fn run(&mut self, now: f64, target: Option<RungTarget>) -> Option<Frame> {
        let Some(target) = target else {
            self.running = false;
            return None;
        };
        if !self.running {
            // It takes a moment to open, and begins with a key frame.
            *self = Self {
                next: now + 50.0,
                random: self.random.clone(),
                ..Self::new(1)
            };
            self.running = true;
        }
        if now < self.next {
            return None;
        }
        self.next += 1000.0 / f64::from(target.fps);
        let mean = f64::from(target.bitrate) / 8.0 / f64::from(target.fps);
        let key = std::mem::take(&mut self.key);
        let size = if key {
            mean * 5.0
        } else {
            let saved = (self.debt / 10.0).min(mean * 0.5);
            (mean - saved) * (0.75 + 0.5 * self.random.unit())
        };
        self.debt = (self.debt + size - mean).max(0.0);
        Some(Frame { bytes: size, key })
    }
}
