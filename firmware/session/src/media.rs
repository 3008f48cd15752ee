//! What comes in from the encoders, and the packetised form that all viewers share.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use heron_congestion::Rung;
use heron_peer::{AudioFrame, VideoFrame};
use rustix::time::{ClockId, clock_gettime};

use crate::handover::{Handover, Waiting};

/// An encoded access unit.
#[derive(Debug, Clone)]
pub struct VideoUnit {
    /// Which encoding it is of.
    pub rung: Rung,
    /// In the hub's [`video_codec`](crate::HubConfig::video_codec): H.264 or H.265 in Annex-B form, or a temporal unit
    /// of AV1; a key frame carries its parameter sets.
    pub data: Bytes,
    /// Whether a decoder can start here (IDR).
    pub key: bool,
    /// When the picture was captured, in nanoseconds of `CLOCK_MONOTONIC`.
    pub captured_ns: u64,
}

/// An encoded sound packet.
#[derive(Debug, Clone)]
pub struct AudioUnit {
    /// One Opus packet (48 kHz).
    pub data: Bytes,
    /// When its first sample was captured, in nanoseconds of `CLOCK_MONOTONIC`.
    pub captured_ns: u64,
}

/// A packetised picture on its way to viewers.
#[derive(Debug)]
pub struct Picture {
    /// Which encoding it is of.
    pub rung: Rung,
    /// Its payloads.
    pub frame: VideoFrame,
    /// When it was handed over.
    pub handed: Instant,
}

/// Media from the encoders to the driver.
pub type MediaHandover = Handover<Arc<Picture>, Arc<AudioFrame>>;

/// Media that the driver took.
pub type MediaWaiting = Waiting<Arc<Picture>, Arc<AudioFrame>>;

/// Now on the clock of capture timestamps (`CLOCK_MONOTONIC`), in nanoseconds.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}
