//! What H.264 and H.265 have in common: a stream of NAL units between start codes, of which a few tell where a picture
//! begins and what a decoder needs first.

use crate::{h264, h265};

/// Whose NAL units a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// ITU-T H.264, table 7-1.
    #[default]
    H264,
    /// ITU-T H.265, table 7-1.
    H265,
}

/// What a NAL unit is for, as far as cutting and completing a stream wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// A part of a picture.
    Slice {
        /// The picture's first.
        first: bool,
        /// Decoding can begin with the picture.
        key: bool,
    },
    /// A parameter set.
    Set(Set),
    /// An access unit delimiter.
    Delimiter,
    /// Something that stands before a picture, such as supplemental information.
    Leading,
    /// Something else.
    Other,
}

/// A parameter set's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Set {
    /// Video (VPS), of H.265 alone.
    Video,
    /// Sequence (SPS).
    Sequence,
    /// Picture (PPS).
    Picture,
}

impl Unit {
    /// Whether it begins an access unit when it comes after a picture (section 7.4.1.2.3 of H.264, 7.4.2.4.4 of H.265).
    pub(crate) fn begins(self) -> bool {
        !matches!(self, Self::Slice { first: false, .. } | Self::Other)
    }
}

impl Syntax {
    /// Reads a NAL unit, or as much of it as there is; `None`: too little to tell.
    pub(crate) fn unit(self, unit: &[u8]) -> Option<Unit> {
        match self {
            Self::H264 => h264::nal::unit(unit),
            Self::H265 => h265::nal::unit(unit),
        }
    }

    /// Width and height of the pictures that a sequence parameter set describes; `None` when it cannot be read.
    pub(crate) fn picture_size(self, set: &[u8]) -> Option<(u32, u32)> {
        match self {
            Self::H264 => h264::sps::picture_size(set),
            Self::H265 => h265::sps::picture_size(set),
        }
    }

    /// Whether a decoder needs sets of this kind.
    pub(crate) fn needs(self, set: Set) -> bool {
        self == Self::H265 || set != Set::Video
    }
}
