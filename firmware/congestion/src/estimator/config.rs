use std::time::Duration;

/// Limits of an [`Estimator`](super::Estimator).
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Where to begin, bits/s.
    pub start_bps: u32,
    /// The target never falls below this, bits/s.
    pub min_bps: u32,
    /// The target never rises above this, bits/s.
    pub max_bps: u32,
    /// The target halves each time that packets left for so long (and a round trip) without feedback. Viewers
    /// send transport-wide feedback every 50 to 250 ms.
    pub silence: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            start_bps: 1_000_000,
            min_bps: 50_000,
            max_bps: 20_000_000,
            silence: Duration::from_millis(500),
        }
    }
}

impl Config {
    /// The same with every number usable: nothing zero, least below most, start between.
    pub(super) fn sound(self) -> Self {
        let min_bps = self.min_bps.max(1_000);
        let max_bps = self.max_bps.max(min_bps);
        Self {
            start_bps: self.start_bps.clamp(min_bps, max_bps),
            min_bps,
            max_bps,
            silence: self.silence.max(Duration::from_millis(100)),
        }
    }
}
