//! The pixel formats that a camera may deliver.

use std::fmt;
use std::str::FromStr;

use crate::ConfigError;

/// A format of V4L2 that this crate can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PixelFormat {
    /// Luma, then both colour differences interleaved, 4:2:0.
    Nv12,
    /// Three planes, 4:2:0.
    Yu12,
    /// Luma and colour differences interleaved, 4:2:2.
    Yuyv,
    /// A JPEG picture each.
    Mjpeg,
    /// H.264 with start codes, encoded by the camera.
    H264,
    /// H.265 with start codes, encoded by the camera.
    Hevc,
}

impl PixelFormat {
    /// All formats, the one that is preferred among equals first.
    ///
    /// Raw pictures come first, since our encoder can then follow each viewer's bandwidth and make
    /// a key frame when one is asked for; 4:2:0 needs the least conversion and transfer. JPEG costs
    /// a decoder run for each picture. H.264 of a camera is last: it costs us nothing, but its
    /// bitrate and key frames are the camera's own. H.265 is used only where it is named, since not every browser takes
    /// it.
    pub const ALL: [Self; 6] = [
        Self::Nv12,
        Self::Yu12,
        Self::Yuyv,
        Self::Mjpeg,
        Self::H264,
        Self::Hevc,
    ];

    /// Whether the camera encodes by itself, so that its pictures are passed on as they are.
    #[must_use]
    pub const fn is_encoded(self) -> bool {
        matches!(self, Self::H264 | Self::Hevc)
    }

    /// The format of a V4L2 four-character code.
    #[must_use]
    pub fn from_fourcc(fourcc: [u8; 4]) -> Option<Self> {
        match &fourcc {
            // Some drivers call the same thing JPEG.
            b"JPEG" => Some(Self::Mjpeg),
            _ => Self::ALL
                .into_iter()
                .find(|format| format.fourcc() == fourcc),
        }
    }

    /// The V4L2 four-character code.
    #[must_use]
    pub const fn fourcc(self) -> [u8; 4] {
        *match self {
            Self::Nv12 => b"NV12",
            Self::Yu12 => b"YU12",
            Self::Yuyv => b"YUYV",
            Self::Mjpeg => b"MJPG",
            Self::H264 => b"H264",
            Self::Hevc => b"HEVC",
        }
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nv12 => "nv12",
            Self::Yu12 => "yu12",
            Self::Yuyv => "yuyv",
            Self::Mjpeg => "mjpeg",
            Self::H264 => "h264",
            Self::Hevc => "hevc",
        })
    }
}

impl FromStr for PixelFormat {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL
            .into_iter()
            .find(|format| format.to_string() == name)
            .ok_or_else(|| ConfigError::Value {
                field: "format",
                value: format!("\"{name}\""),
                allowed: "\"nv12\", \"yu12\", \"yuyv\", \"mjpeg\", \"h264\", \"hevc\"",
            })
    }
}
