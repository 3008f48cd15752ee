//! H.264 as bytes: NAL units, access units, parameter sets. Nothing here decodes a picture. What H.265 does in the same
//! way is done here for both ([`Syntax`]).

pub(crate) mod annexb;
pub(crate) mod parameter_sets;
pub(crate) mod sps;

pub use crate::syntax::Syntax;
pub use annexb::{AccessUnitSplitter, SplitUnit, nal_units};

/// NAL unit types of ITU-T H.264 table 7-1 that matter here.
pub(crate) mod nal {
    pub(crate) const SLICE: u8 = 1;
    pub(crate) const IDR_SLICE: u8 = 5;
    pub(crate) const SPS: u8 = 7;
    pub(crate) const PPS: u8 = 8;
    pub(crate) const DELIMITER: u8 = 9;

    use crate::syntax::{Set, Unit};

    /// What a NAL unit is for.
    pub(crate) fn unit(unit: &[u8]) -> Option<Unit> {
        let [header, after, ..] = unit else {
            return None;
        };
        Some(match header & 0x1f {
            kind @ SLICE..=IDR_SLICE => Unit::Slice {
                // first_mb_in_slice is 0; the second and third part of a data partition have none.
                first: matches!(kind, SLICE | 2 | IDR_SLICE) && after & 0x80 != 0,
                key: kind == IDR_SLICE,
            },
            SPS => Unit::Set(Set::Sequence),
            PPS => Unit::Set(Set::Picture),
            DELIMITER => Unit::Delimiter,
            6 | 14..=18 => Unit::Leading,
            _ => Unit::Other,
        })
    }

    /// The type of a NAL unit, by its first byte.
    pub(crate) fn kind(unit: &[u8]) -> u8 {
        unit.first().map_or(0, |byte| byte & 0x1f)
    }
}
