//! What comes in from the encoders, and the packetised form that all viewers share.

use bytes::Bytes;

use crate::packetise::{MAX_PAYLOAD, packetise_h264};

/// An encoded access unit.
#[derive(Debug, Clone)]
pub struct VideoUnit {
    /// H.264 in Annex-B form; a key frame carries its parameter sets.
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

/// An access unit as RTP payloads.
#[derive(Debug)]
pub struct VideoFrame {
    /// The payloads in sending order; the last one ends the access unit.
    pub payloads: Vec<Bytes>,
    /// Whether a decoder can start here.
    pub key: bool,
    /// When it was captured.
    pub captured_ns: u64,
}

/// A sound packet as RTP payload.
#[derive(Debug)]
pub struct AudioFrame {
    /// The payload.
    pub payload: Bytes,
    /// When it was captured.
    pub captured_ns: u64,
}

impl From<VideoUnit> for VideoFrame {
    fn from(unit: VideoUnit) -> Self {
        Self {
            payloads: packetise_h264(&unit.data, MAX_PAYLOAD),
            key: unit.key,
            captured_ns: unit.captured_ns,
        }
    }
}

impl From<AudioUnit> for AudioFrame {
    fn from(unit: AudioUnit) -> Self {
        Self {
            payload: unit.data,
            captured_ns: unit.captured_ns,
        }
    }
}
