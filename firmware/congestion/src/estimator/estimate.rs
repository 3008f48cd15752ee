//! What an estimator says.

use std::time::Duration;

/// What the delay says of the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// The queue neither grows nor shrinks.
    Normal,
    /// The queue grows: more is sent than fits.
    Over,
    /// The queue shrinks.
    Under,
}

/// The estimate of one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// What may be sent in all (media, repair and probes), bits/s.
    pub target_bps: u32,
    /// The delay-based part, bits/s.
    pub delay_bps: u32,
    /// The loss-based part, bits/s.
    pub loss_bps: u32,
    /// What arrives, bits/s; `None` until measured.
    pub acked_bps: Option<u32>,
    /// What the delay says.
    pub usage: Usage,
    /// Part of the packets lost lately, 0 to 1.
    pub loss: f32,
    /// The smoothed round trip time; zero until measured.
    pub rtt: Duration,
    /// How much longer than the shortest way packets take now: the standing queue.
    pub queue_delay: Duration,
    /// The path carries more than could be sent usefully, and nothing waits on it.
    pub spare: bool,
}

/// What an [`Estimator`](super::Estimator) was told that it could not use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Feedback for packets never sent, or sent too long ago.
    pub unknown: u64,
    /// Feedback for packets that were reported before.
    pub duplicate: u64,
    /// Times that the viewer's or our clock jumped.
    pub clock_jumps: u64,
    /// Times that feedback stopped while packets left.
    pub silences: u64,
    /// Probe clusters sent.
    pub probes: u64,
}
