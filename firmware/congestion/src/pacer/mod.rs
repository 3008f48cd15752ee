//! When the next packet to one viewer may leave.
//!
//! A leaky bucket: bytes that left run out at a factor (2.5, as libwebrtc) times the target, and while the
//! bucket holds less than a burst's worth, more may leave. So a key frame leaves as a train of small bursts
//! instead of one large one that fills the bottleneck's queue. Where the path is known to carry more than there is to
//! send, the burst is longer: an ordinary picture leaves whole, since spreading it would only make it late. The time
//! that anything waits is bounded: what is queued raises the rate until it leaves within [`Config::max_queue_time`].
//!
//! Sound is never held back, but counts. Retransmissions go before video. A [`Probe`] sets the rate for its
//! cluster, and asks for padding when there is no media to make it of.
//!
//! The pacer knows sizes only; the packets wait with the caller, one first-in first-out queue per [`Class`].
//! Nothing is allocated.

mod bucket;
mod cluster;

use std::time::{Duration, Instant};

use bucket::Bucket;
use cluster::Cluster;

use crate::estimator::{Probe, ProbeId};

/// How a [`Pacer`] paces.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Where to begin, bits/s.
    pub target_bps: u32,
    /// Media leaves at so many times the target.
    pub factor: f64,
    /// No packet waits longer than this.
    pub max_queue_time: Duration,
    /// So much may leave at once, as time at the pacing rate: what a batched send takes.
    pub burst: Duration,
    /// The same where the path has room to spare: an ordinary picture leaves whole.
    pub spare_burst: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            target_bps: 1_000_000,
            factor: 2.5,
            max_queue_time: Duration::from_millis(250),
            burst: Duration::from_millis(5),
            spare_burst: Duration::from_millis(20),
        }
    }
}

/// What a packet is; earlier variants go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Sound: never held back.
    Audio,
    /// A packet that the viewer asked for again.
    Retransmission,
    /// A picture's packet.
    Video,
    /// Bytes for a probe only: send old packets again over RTX, or padding. Never queued.
    Padding,
    /// Forward error correction. Never queued: it leaves right behind what it protects, but counts.
    Parity,
}

/// When to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Send the first packet of `class` now, then call [`Pacer::sent`].
    Now {
        /// Whose turn it is.
        class: Class,
        /// The cluster that the packet belongs to, for [`Sent::probe`](crate::Sent::probe).
        probe: Option<ProbeId>,
    },
    /// Nothing may leave before this instant.
    At(Instant),
    /// Nothing is queued.
    Idle,
}

/// The pacer of one viewer.
#[derive(Debug)]
pub struct Pacer {
    config: Config,
    /// The path has room to spare.
    spare: bool,
    /// Bytes that wait with the caller, by class.
    waiting: [usize; 3],
    bucket: Bucket,
    /// The rate that empties what is queued in time, bits/s; holds until nothing is.
    urgent_bps: f64,
    cluster: Option<Cluster>,
    planned: Option<Probe>,
    /// There is nothing to pad with until something is queued.
    dry: bool,
}

/// What is longer is no burst but a queue at the bottleneck.
const LONGEST_BURST: Duration = Duration::from_millis(100);
/// In the order of sending.
const QUEUED: [Class; 3] = [Class::Audio, Class::Retransmission, Class::Video];

impl Pacer {
    /// An empty pacer.
    pub fn new(config: Config, now: Instant) -> Self {
        let config = Config {
            target_bps: config.target_bps.max(1_000),
            factor: if config.factor.is_finite() {
                config.factor.clamp(1.0, 100.0)
            } else {
                Config::default().factor
            },
            max_queue_time: config.max_queue_time.max(Duration::from_millis(10)),
            burst: config.burst.min(LONGEST_BURST),
            spare_burst: config.spare_burst.min(LONGEST_BURST),
        };
        Self {
            config,
            spare: false,
            waiting: [0; 3],
            bucket: Bucket::new(now),
            urgent_bps: 0.0,
            cluster: None,
            planned: None,
            dry: false,
        }
    }

    /// The estimator's target changed, bits/s; `spare`: [`Estimate::spare`](crate::Estimate::spare).
    pub fn set_target(&mut self, bps: u32, spare: bool, now: Instant) {
        self.bucket.leak(self.rate(), now);
        self.config.target_bps = bps.max(1_000);
        self.spare = spare;
    }

    /// Bytes were queued, of one packet or of several.
    pub fn queued(&mut self, class: Class, bytes: usize, now: Instant) {
        self.bucket.leak(self.rate(), now);
        let Some(waiting) = self.waiting.get_mut(class as usize) else {
            return;
        };
        *waiting = waiting.saturating_add(bytes);
        self.dry = false;
        // First in, first out: what empties the queue in time from now on sends this packet in time.
        let bits = (self.queued_bytes() as f64 + self.bucket.bytes) * 8.0;
        self.urgent_bps = self
            .urgent_bps
            .max(bits / self.config.max_queue_time.as_secs_f64());
    }

    /// Queued bytes were thrown away instead of sent; `usize::MAX`: all of the class.
    pub fn dropped(&mut self, class: Class, bytes: usize) {
        if let Some(waiting) = self.waiting.get_mut(class as usize) {
            *waiting = waiting.saturating_sub(bytes);
        }
        if self.waiting == [0; 3] {
            self.urgent_bps = 0.0;
        }
    }

    /// A packet left.
    pub fn sent(&mut self, class: Class, bytes: usize, now: Instant) {
        let rate = self.rate();
        self.bucket.leak(rate, now);
        let burst = if self.spare {
            self.config.spare_burst
        } else {
            self.config.burst
        };
        self.bucket
            .fill(bytes, rate, burst, self.config.max_queue_time);
        if class != Class::Audio
            && let Some(cluster) = &mut self.cluster
        {
            cluster.sent(bytes, now);
            if cluster.complete() {
                self.cluster = None;
            }
        }
        self.dropped(class, bytes);
    }

    /// Sends a probe as soon as the one before is through; only the last one waits.
    pub fn probe(&mut self, probe: Probe, now: Instant) {
        self.bucket.leak(self.rate(), now);
        self.planned = Some(probe);
    }

    /// There is nothing to pad with: the probe ends with what it has. One that has not begun waits until something is
    /// queued: before the first picture there is nothing, and that is when the first probes are planned.
    pub fn end_probe(&mut self) {
        self.dry = true;
        if let Some(cluster) = self.cluster.take()
            && !cluster.began()
        {
            self.planned.get_or_insert(cluster.probe);
        }
    }

    /// What may be sent, or when. Nothing changes until [`sent`](Self::sent), so asking twice is harmless.
    pub fn next(&mut self, now: Instant) -> When {
        let rate = self.rate();
        self.bucket.leak(rate, now);
        let Some(class) = self.first() else {
            if self.dry {
                return When::Idle;
            }
            return self
                .next_in_cluster(Class::Padding, now)
                .unwrap_or(When::Idle);
        };
        if class == Class::Audio {
            return When::Now { class, probe: None };
        }
        if let Some(when) = self.next_in_cluster(class, now) {
            return when;
        }
        match self.bucket.opens(rate) {
            None => When::Now { class, probe: None },
            Some(wait) => When::At(now + wait),
        }
    }

    /// Bytes that wait.
    pub fn queued_bytes(&self) -> usize {
        self.waiting
            .iter()
            .fold(0, |all, bytes| all.saturating_add(*bytes))
    }

    /// How long the last queued byte will wait at the present rate.
    pub fn queue_time(&self) -> Duration {
        let bits = (self.queued_bytes() as f64 + self.bucket.bytes) * 8.0;
        Duration::from_secs_f64((bits / self.rate()).min(3600.0))
    }

    /// The class whose turn it is.
    fn first(&self) -> Option<Class> {
        let waits = |class: &Class| self.waiting[*class as usize] > 0;
        QUEUED.into_iter().find(waits)
    }

    fn next_in_cluster(&mut self, class: Class, now: Instant) -> Option<When> {
        if self.cluster.is_none() {
            self.cluster = self.planned.take().map(Cluster::new);
        }
        let cluster = self.cluster.as_ref()?;
        if self.urgent_bps > f64::from(cluster.probe.rate_bps) {
            return None; // a large frame waits: it goes first, and faster
        }
        let due = cluster.due(now);
        Some(if due > now {
            When::At(due)
        } else {
            When::Now {
                class,
                probe: Some(cluster.probe.id),
            }
        })
    }

    /// The present rate, bits/s.
    fn rate(&self) -> f64 {
        (f64::from(self.config.target_bps) * self.config.factor).max(self.urgent_bps)
    }
}
