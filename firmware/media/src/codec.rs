//! What a picture is encoded as.

use std::fmt;

use crate::{ExecStream, PixelFormat, SourceConfig};

/// How the pictures that a source's pipeline gives are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum VideoCodec {
    /// ITU-T H.264 with start codes: what our encoders make, and what most cameras that encode by themselves do.
    #[default]
    H264,
    /// ITU-T H.265 with start codes, passed through.
    H265,
    /// AV1, a temporal unit in the low-overhead format for each picture, passed through.
    Av1,
}

impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::Av1 => "AV1",
        })
    }
}

impl SourceConfig {
    /// What this source's pictures reach viewers as.
    ///
    /// H.265 and AV1 only where they are named: a viewer is answered before the source is opened, and not every
    /// browser takes them.
    #[must_use]
    pub fn codec(&self) -> VideoCodec {
        match self {
            Self::V4l2 {
                format: Some(PixelFormat::Hevc),
                ..
            }
            | Self::Exec {
                stream: ExecStream::H265,
                ..
            } => VideoCodec::H265,
            Self::Exec {
                stream: ExecStream::Av1,
                ..
            } => VideoCodec::Av1,
            _ => VideoCodec::H264,
        }
    }
}
