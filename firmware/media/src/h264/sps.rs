//! Reads the picture size from a sequence parameter set (ITU-T H.264 section 7.3.2.1.1).

use crate::bits::{Bits, without_emulation_prevention};

/// Width and height of the pictures that a sequence parameter set describes; `None` when it cannot
/// be read.
pub(crate) fn picture_size(unit: &[u8]) -> Option<(u32, u32)> {
    let payload = without_emulation_prevention(unit.get(1..)?);
    let mut bits = Bits::new(&payload);
    let profile = bits.read(8)?;
    bits.read(16)?;
    bits.unsigned()?;
    let mut chroma_format = 1;
    if matches!(
        profile,
        100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135
    ) {
        chroma_format = bits.unsigned()?;
        if chroma_format == 3 {
            bits.read(1)?;
        }
        bits.unsigned()?;
        bits.unsigned()?;
        bits.read(1)?;
        if bits.read(1)? == 1 {
            skip_scaling_lists(&mut bits, if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    bits.unsigned()?;
    match bits.unsigned()? {
        0 => _ = bits.unsigned()?,
        1 => skip_order_count_cycle(&mut bits)?,
        _ => {}
    }
    bits.unsigned()?;
    bits.read(1)?;
    let width = bits.unsigned()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.unsigned()?.checked_add(1)?;
    let frame_only = bits.read(1)?;
    let height = map_units.checked_mul(16)?.checked_mul(2 - frame_only)?;
    if frame_only == 0 {
        bits.read(1)?;
    }
    bits.read(1)?;
    let (mut cut_width, mut cut_height) = (0_u32, 0_u32);
    if bits.read(1)? == 1 {
        let unit_width = if matches!(chroma_format, 1 | 2) { 2 } else { 1 };
        let unit_height = if chroma_format == 1 { 2 } else { 1 } * (2 - frame_only);
        cut_width = bits
            .unsigned()?
            .checked_add(bits.unsigned()?)?
            .checked_mul(unit_width)?;
        cut_height = bits
            .unsigned()?
            .checked_add(bits.unsigned()?)?
            .checked_mul(unit_height)?;
    }
    let size = (
        width.checked_sub(cut_width)?,
        height.checked_sub(cut_height)?,
    );
    (size.0 > 0 && size.1 > 0 && size.0 <= 16_384 && size.1 <= 16_384).then_some(size)
}

fn skip_scaling_lists(bits: &mut Bits<'_>, lists: u32) -> Option<()> {
    for list in 0..lists {
        if bits.read(1)? == 1 {
            let (mut last, mut next) = (8_i64, 8_i64);
            for _ in 0..if list < 6 { 16 } else { 64 } {
                if next != 0 {
                    next = (last + bits.signed()?).rem_euclid(256);
                }
                last = if next == 0 { last } else { next };
            }
        }
    }
    Some(())
}

fn skip_order_count_cycle(bits: &mut Bits<'_>) -> Option<()> {
    bits.read(1)?;
    bits.signed()?;
    bits.signed()?;
    for _ in 0..bits.unsigned()?.min(255) {
        bits.signed()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = picture_size(&bytes);
        }
    }

    #[test]
    fn high_profile_with_cropping_is_understood() {
        // 1920x1080 as 120x68 macroblocks, 8 lines cut off.
        let unit = [
            0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00,
            0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xf0, 0x3c, 0x60, 0xc6, 0x58,
        ];
        assert_eq!(picture_size(&unit), Some((1920, 1080)));
    }
}
