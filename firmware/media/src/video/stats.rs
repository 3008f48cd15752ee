//! What a video pipeline has done, in numbers.

use std::time::Instant;

use parking_lot::Mutex;

use super::rung::{Rung, RungTarget};
use crate::rate::Rate;
use crate::{AccessUnit, SourceState, Timestamp};
use heron_histogram::{Histogram, Snapshot};

/// The state and the counters of a [`crate::VideoPipeline`] at one moment. Counters only grow.
#[derive(Debug, Clone, Default)]
pub struct VideoStats {
    /// What the source is doing.
    pub source: SourceState,
    /// Pictures that came from the source while somebody watched.
    pub captured: u64,
    /// Pictures that the device dropped, or that were damaged.
    pub lost: u64,
    /// How often the source was lost, or could not be opened.
    pub losses: u64,
    /// The latest trouble with the source, in one line.
    pub last_error: Option<String>,
    /// Whether the source encodes by itself. Such a one has but [`Rung::Main`], whichever is asked
    /// for, and may not follow its target. False until a picture has shown it.
    pub passes_through: bool,
    /// From the kernel's timestamp until the picture was read.
    pub capture: Snapshot,
    /// How long pictures took to convert or decode; empty for a source that needs neither.
    pub convert: Snapshot,
    /// The rungs, in the order of [`Rung::ALL`].
    pub rungs: [RungStats; 2],
}

/// The state and the counters of one rung.
#[derive(Debug, Clone, Default)]
pub struct RungStats {
    /// What its encoder is to give; `None` when nobody watches it.
    pub target: Option<RungTarget>,
    /// Encoders at work at this moment: one or none, and none for a source that encodes by itself.
    pub encoders_running: u32,
    /// What encodes, or did last.
    pub encoder: Option<String>,
    /// How often an encoder failed, or could not be opened.
    pub encoder_failures: u64,
    /// The latest trouble with an encoder, in one line.
    pub last_error: Option<String>,
    /// Pictures left out to give the wanted frame rate.
    pub decimated: u64,
    /// Pictures that were replaced by newer ones before the encoder took them.
    pub dropped: u64,
    /// Access units that went to the viewers.
    pub encoded: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Width of the latest access unit, zero before the first.
    pub width: u32,
    /// Height of the latest access unit.
    pub height: u32,
    /// Access units a second, over the last two seconds.
    pub fps: f32,
    /// Bits a second, over the last two seconds.
    pub bitrate: u32,
    /// How long pictures waited for the encoder.
    pub queue: Snapshot,
    /// How long scaling them down took; empty where they are not scaled.
    pub scale: Snapshot,
    /// From the submission of a picture to its access unit.
    pub encode: Snapshot,
    /// From capture to access unit, all stages together.
    pub total: Snapshot,
}

impl VideoStats {
    /// The figures of one rung.
    #[must_use]
    pub const fn rung(&self, rung: Rung) -> &RungStats {
        &self.rungs[rung.index()]
    }

    /// Encoders at work at this moment, of both rungs.
    #[must_use]
    pub fn encoders_running(&self) -> u32 {
        self.rungs.iter().map(|rung| rung.encoders_running).sum()
    }

    /// Access units of both rungs.
    #[must_use]
    pub fn encoded(&self) -> u64 {
        self.rungs.iter().map(|rung| rung.encoded).sum()
    }

    /// Key frames of both rungs.
    #[must_use]
    pub fn key_frames(&self) -> u64 {
        self.rungs.iter().map(|rung| rung.key_frames).sum()
    }

    /// Pictures that either rung's encoder was too late for.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.rungs.iter().map(|rung| rung.dropped).sum()
    }

    /// Bits a second of both rungs.
    #[must_use]
    pub fn bitrate(&self) -> u32 {
        self.rungs.iter().map(|rung| rung.bitrate).sum()
    }
}

/// The counters of one rung.
#[derive(Debug, Default)]
pub(super) struct RungCounters {
    inner: Mutex<Inner>,
    pub(super) queue: Histogram,
    pub(super) scale: Histogram,
    pub(super) encode: Histogram,
    total: Histogram,
}

#[derive(Debug, Default)]
struct Inner {
    stats: RungStats,
    rate: Rate,
}

impl RungCounters {
    pub(super) fn decimated(&self) {
        self.inner.lock().stats.decimated += 1;
    }

    /// An encoder has begun to work.
    pub(super) fn encoder_started(&self, name: &str) {
        let stats = &mut self.inner.lock().stats;
        stats.encoders_running += 1;
        stats.encoder = Some(name.to_owned());
    }

    /// An encoder is gone.
    pub(super) fn encoder_ended(&self) {
        let running = &mut self.inner.lock().stats.encoders_running;
        *running = running.saturating_sub(1);
    }

    /// An encoder failed, or could not be opened.
    pub(super) fn encoder_failed(&self, line: &str) {
        let stats = &mut self.inner.lock().stats;
        stats.encoder_failures += 1;
        stats.last_error = Some(line.to_owned());
    }

    pub(super) fn delivered(&self, unit: &AccessUnit) {
        self.total.record(Timestamp::now().since(unit.captured));
        let mut inner = self.inner.lock();
        inner.rate.add(Instant::now(), unit.data.len());
        let stats = &mut inner.stats;
        stats.encoded += 1;
        stats.key_frames += u64::from(unit.key);
        stats.bytes += unit.data.len() as u64;
        (stats.width, stats.height) = (unit.width, unit.height);
    }

    pub(super) fn stats(&self, target: Option<RungTarget>, dropped: u64) -> RungStats {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        let (fps, bitrate) = (inner.rate.per_second(now), inner.rate.bits_per_second(now));
        RungStats {
            target,
            dropped,
            fps,
            bitrate,
            queue: self.queue.snapshot(),
            scale: self.scale.snapshot(),
            encode: self.encode.snapshot(),
            total: self.total.snapshot(),
            ..inner.stats.clone()
        }
    }
}
