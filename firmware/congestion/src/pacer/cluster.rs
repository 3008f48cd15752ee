//! A probe under way.

use std::time::{Duration, Instant};

use crate::estimator::Probe;

#[derive(Debug)]
pub(super) struct Cluster {
    pub probe: Probe,
    began: Option<Instant>,
    bytes: usize,
    packets: u32,
}

impl Cluster {
    pub fn new(probe: Probe) -> Self {
        Self {
            probe,
            began: None,
            bytes: 0,
            packets: 0,
        }
    }

    /// When its next packet leaves.
    pub fn due(&self, now: Instant) -> Instant {
        let bits = self.bytes as f64 * 8.0;
        let after = bits / f64::from(self.probe.rate_bps.max(1_000));
        self.began.map_or(now, |began| {
            began + Duration::from_secs_f64(after.min(60.0))
        })
    }

    pub fn sent(&mut self, bytes: usize, now: Instant) {
        self.began.get_or_insert(now);
        self.bytes += bytes;
        self.packets += 1;
    }

    pub fn began(&self) -> bool {
        self.began.is_some()
    }

    pub fn complete(&self) -> bool {
        self.bytes >= self.probe.bytes && self.packets >= self.probe.packets
    }
}
