//! What a picture may be encoded as.

use std::fmt;

/// How the camera's picture is encoded. One camera has one codec: what its source delivers, or H.264.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum VideoCodec {
    /// H.264 (RFC 6184): what our encoders make, and every browser takes.
    #[default]
    H264,
    /// H.265 (RFC 7798), from a source that delivers it.
    H265,
    /// AV1 (AV1 RTP payload format 1.0), from a source that delivers it.
    Av1,
}

impl VideoCodec {
    /// As it stands in SDP.
    pub(crate) const fn rtpmap(self) -> &'static str {
        match self {
            Self::H264 => "H264/90000",
            Self::H265 => "H265/90000",
            Self::Av1 => "AV1/90000",
        }
    }
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
