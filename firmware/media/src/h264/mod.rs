//! H.264 as bytes: NAL units, access units, parameter sets. Nothing here decodes a picture.

pub(crate) mod annexb;
pub(crate) mod parameter_sets;
pub(crate) mod sps;

pub use annexb::{AccessUnitSplitter, SplitUnit, nal_units};

/// NAL unit types of ITU-T H.264 table 7-1 that matter here.
pub(crate) mod nal {
    pub(crate) const SLICE: u8 = 1;
    pub(crate) const IDR_SLICE: u8 = 5;
    pub(crate) const SPS: u8 = 7;
    pub(crate) const PPS: u8 = 8;
    pub(crate) const DELIMITER: u8 = 9;

    /// The type of a NAL unit, by its first byte.
    pub(crate) fn kind(unit: &[u8]) -> u8 {
        unit.first().map_or(0, |byte| byte & 0x1f)
    }
}
