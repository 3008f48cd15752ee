//! Reads the picture size from a sequence parameter set (ITU-T H.265 section 7.3.2.2.1).

use crate::bits::{Bits, without_emulation_prevention};

/// What a profile takes, and what a level takes, in bits (section 7.3.3).
const PROFILE: usize = 88;
const LEVEL: usize = 8;

/// Width and height of the pictures that a sequence parameter set describes; `None` when it cannot be read.
pub(crate) fn picture_size(unit: &[u8]) -> Option<(u32, u32)> {
    let payload = without_emulation_prevention(unit.get(2..)?);
    let mut bits = Bits::new(&payload);
    bits.skip(4);
    let sub_layers = bits.read(3)?;
    bits.skip(1);
    skip_profiles(&mut bits, sub_layers)?;
    bits.unsigned()?;
    let chroma_format = bits.unsigned()?;
    if chroma_format == 3 {
        bits.skip(1);
    }
    let (width, height) = (bits.unsigned()?, bits.unsigned()?);
    let (mut cut_width, mut cut_height) = (0, 0);
    if bits.read(1)? == 1 {
        let unit_width = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_height = if chroma_format == 1 { 2 } else { 1 };
        let mut sides = |unit: u32| {
            bits.unsigned()?
                .checked_add(bits.unsigned()?)?
                .checked_mul(unit)
        };
        cut_width = sides(unit_width)?;
        cut_height = sides(unit_height)?;
    }
    let size = (
        width.checked_sub(cut_width)?,
        height.checked_sub(cut_height)?,
    );
    (size.0 > 0 && size.1 > 0 && size.0 <= 16_384 && size.1 <= 16_384).then_some(size)
}

/// The profile, tier and level of the whole and of `sub_layers` parts in time.
fn skip_profiles(bits: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    bits.skip(PROFILE + LEVEL);
    let mut size = 0;
    for _ in 0..sub_layers {
        size += PROFILE * bits.read(1)? as usize;
        size += LEVEL * bits.read(1)? as usize;
    }
    if sub_layers > 0 {
        // There is room for eight, used or not.
        size += 2 * (8 - sub_layers as usize);
    }
    bits.skip(size);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As x265 writes it; 1080 lines are coded as 1088 with a window of them shown.
    #[test]
    fn main_profile_with_a_window_is_understood() {
        let unit = [
            0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00,
            0x00, 0x03, 0x00, 0x78, 0xa0, 0x03, 0xc0, 0x80, 0x10, 0xe5, 0x96, 0x56, 0x69, 0x24,
            0xca, 0xf0, 0x16, 0x80, 0x80, 0x00, 0x00, 0x03, 0x00, 0x80, 0x00, 0x00, 0x0f, 0x04,
        ];
        assert_eq!(picture_size(&unit), Some((1920, 1080)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = picture_size(&bytes);
        }
    }
}
