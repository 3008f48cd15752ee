//! Packetised media, shared by all viewers.

use bytes::Bytes;

use crate::codec::VideoCodec;
use crate::packetise::{MAX_PAYLOAD, av1, h264, h265};

/// An access unit as RTP payloads. Made once, behind an `Arc` for all viewers.
#[derive(Debug, Clone)]
pub struct VideoFrame {
    /// The payloads in sending order; the last one ends the access unit.
    pub payloads: Vec<Bytes>,
    /// Whether a decoder can start here.
    pub key: bool,
    /// When it was captured, in nanoseconds of `CLOCK_MONOTONIC`.
    pub captured_ns: u64,
}

impl VideoFrame {
    /// Packetises a picture: an access unit of H.264 or H.265 in Annex-B form, or a temporal unit of AV1 in the
    /// low-overhead format (AV1 specification, section 5.2).
    pub fn new(codec: VideoCodec, picture: &Bytes, key: bool, captured_ns: u64) -> Self {
        let packetise = match codec {
            VideoCodec::H264 => h264::packetise,
            VideoCodec::H265 => h265::packetise,
            VideoCodec::Av1 => av1::packetise,
        };
        Self {
            payloads: packetise(picture, MAX_PAYLOAD),
            key,
            captured_ns,
        }
    }

    /// Packetises an H.264 access unit in Annex-B form.
    pub fn h264(access_unit: &Bytes, key: bool, captured_ns: u64) -> Self {
        Self::new(VideoCodec::H264, access_unit, key, captured_ns)
    }

    /// Bytes of all payloads.
    pub fn len(&self) -> usize {
        self.payloads.iter().map(Bytes::len).sum()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.payloads.is_empty()
    }
}

/// A sound packet as RTP payload.
#[derive(Debug, Clone)]
pub struct AudioFrame {
    /// One Opus packet.
    pub payload: Bytes,
    /// When its first sample was captured, in nanoseconds of `CLOCK_MONOTONIC`.
    pub captured_ns: u64,
}
