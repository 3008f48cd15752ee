//! H.265 as bytes: what its NAL units are, and its sequence parameter set. Nothing here decodes a picture; finding units
//! and completing streams is shared with H.264.

pub(crate) mod sps;

/// NAL unit types of ITU-T H.265 table 7-1 that matter here.
pub(crate) mod nal {
    use crate::syntax::{Set, Unit};

    /// The first 32 types are slices.
    const LAST_SLICE: u8 = 31;
    /// Pictures that decoding can begin with: BLA, IDR and CRA, and two types that are kept for more of them.
    const FIRST_KEY: u8 = 16;
    const LAST_KEY: u8 = 23;
    const VPS: u8 = 32;
    const SPS: u8 = 33;
    const PPS: u8 = 34;
    const DELIMITER: u8 = 35;

    pub(crate) fn unit(unit: &[u8]) -> Option<Unit> {
        let [header, _, after, ..] = unit else {
            return None;
        };
        Some(match (header >> 1) & 0x3f {
            kind @ 0..=LAST_SLICE => Unit::Slice {
                // first_slice_segment_in_pic_flag
                first: after & 0x80 != 0,
                key: (FIRST_KEY..=LAST_KEY).contains(&kind),
            },
            VPS => Unit::Set(Set::Video),
            SPS => Unit::Set(Set::Sequence),
            PPS => Unit::Set(Set::Picture),
            DELIMITER => Unit::Delimiter,
            // Prefix SEI, and what section 7.4.2.4.4 keeps for what stands in front.
            39 | 41..=44 | 48..=55 => Unit::Leading,
            _ => Unit::Other,
        })
    }
}
