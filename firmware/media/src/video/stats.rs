//! What a video pipeline has done, in numbers.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::rate::Rate;
use crate::supervise::Health;
use crate::{AccessUnit, SourceState};

/// The state and the counters of a [`crate::VideoPipeline`] at one moment. Counters only grow.
#[derive(Debug, Clone, Default)]
pub struct VideoStats {
    /// What the source is doing.
    pub source: SourceState,
    /// Pictures that came from the source while somebody watched.
    pub captured: u64,
    /// Pictures that the device dropped, or that were damaged.
    pub lost: u64,
    /// Pictures that were replaced by newer ones before the encoder took them.
    pub dropped_before_encoder: u64,
    /// Access units that went to the viewers.
    pub encoded: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Encoders at work at this moment: one or none, and none for a source that encodes by itself.
    pub encoders_running: u32,
    /// How often the source was lost, or could not be opened.
    pub losses: u64,
    /// The latest trouble, in one line.
    pub last_error: Option<String>,
    /// Width of the latest picture, zero before the first.
    pub width: u32,
    /// Height of the latest picture.
    pub height: u32,
    /// Access units a second, over the last two seconds.
    pub fps: f32,
    /// Bits a second, over the last two seconds.
    pub bitrate: u32,
    /// Bits a second that the encoder was asked for.
    pub target_bitrate: u32,
    /// How long the latest picture took to encode.
    pub encode_time: Duration,
    /// From the capture of the latest picture to its access unit.
    pub latency: Duration,
}

/// The counters behind the statistics.
#[derive(Debug, Default)]
pub(super) struct Counters {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    stats: VideoStats,
    rate: Rate,
}

impl Counters {
    pub(super) fn captured(&self) {
        self.inner.lock().stats.captured += 1;
    }

    pub(super) fn lost(&self, count: u64) {
        self.inner.lock().stats.lost += count;
    }

    pub(super) fn encode_time(&self, time: Duration) {
        self.inner.lock().stats.encode_time = time;
    }

    pub(super) fn encoders(&self, change: i32) {
        let running = &mut self.inner.lock().stats.encoders_running;
        *running = running.saturating_add_signed(change);
    }

    pub(super) fn delivered(&self, unit: &AccessUnit) {
        let mut inner = self.inner.lock();
        inner.rate.add(Instant::now(), unit.data.len());
        let stats = &mut inner.stats;
        stats.encoded += 1;
        stats.key_frames += u64::from(unit.key);
        stats.bytes += unit.data.len() as u64;
        (stats.width, stats.height) = (unit.width, unit.height);
        stats.latency = crate::Timestamp::now().since(unit.captured);
    }

    pub(super) fn stats(&self, health: Health, replaced: u64, target_bitrate: u32) -> VideoStats {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        let (fps, bitrate) = (inner.rate.per_second(now), inner.rate.bits_per_second(now));
        VideoStats {
            source: health.state,
            losses: health.losses,
            last_error: health.last_error,
            dropped_before_encoder: replaced,
            fps,
            bitrate,
            target_bitrate,
            ..inner.stats.clone()
        }
    }
}
