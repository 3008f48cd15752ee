//! The clock in the picture that a machine reads.
//!
//! A row of 48 square-ish blocks along the very top of the picture, black (luma 16) or white (luma
//! 235), most significant bit first: the low 40 bits of the unix time in milliseconds, then an
//! 8-bit checksum (the sum of the five bytes). Each block is `width / 48` wide, rounded down to
//! even, and 16 pixels or `height / 24` high, whichever is more, rounded down to even. Large blocks
//! of two levels survive H.264 at any bitrate that still shows a picture; a reader samples the
//! block centres and compares with the time it is showing the picture.
//!
//! ```
//! use heron_media::{FramePool, Timestamp, clock};
//!
//! let mut frame = FramePool::new().frame(640, 360, Timestamp::now());
//! clock::draw(&mut frame, 1_790_000_000_123);
//! let read = clock::read(frame.y(), 640, 640, 360).unwrap();
//! assert_eq!(clock::age_ms(read, 1_790_000_000_150), 27);
//! ```

use crate::Frame;

/// Blocks in the row.
pub const BLOCKS: usize = 48;

/// Bits of the time; it comes round every 34 years.
const TIME_BITS: u32 = 40;
const WHITE: u8 = 235;
const BLACK: u8 = 16;

/// The size of one block in a picture of the given size, `None` when the picture is too small to
/// carry the clock.
#[must_use]
pub fn block_size(width: u32, height: u32) -> Option<(u32, u32)> {
    let block = ((width / BLOCKS as u32) & !1, (height / 24).max(16) & !1);
    (block.0 >= 2 && block.1 <= height).then_some(block)
}

/// Draws the clock into a frame; a picture that is too small is left as it is.
pub fn draw(frame: &mut Frame, unix_ms: u64) {
    let (width, height) = (frame.width(), frame.height());
    let Some((block_width, block_height)) = block_size(width, height) else {
        return;
    };
    let (stride, block_width, rows) = (width as usize, block_width as usize, block_height as usize);
    let bits = encode(unix_ms);
    let planes = frame.planes_mut();
    let (first, rest) = planes.y.split_at_mut(stride);
    for (index, block) in first.chunks_exact_mut(block_width).take(BLOCKS).enumerate() {
        let bit = bits >> (BLOCKS - 1 - index) & 1;
        block.fill(if bit == 1 { WHITE } else { BLACK });
    }
    let drawn = block_width * BLOCKS;
    for row in rest.chunks_exact_mut(stride).take(rows - 1) {
        row[..drawn].copy_from_slice(&first[..drawn]);
    }
    for plane in [planes.u, planes.v] {
        for row in plane.chunks_exact_mut(stride / 2).take(rows / 2) {
            row[..drawn / 2].fill(128);
        }
    }
}

/// Reads the clock from a luma plane: the low 40 bits of the unix time in milliseconds, `None` when
/// the checksum does not fit (no clock, or a damaged picture).
#[must_use]
pub fn read(luma: &[u8], stride: usize, width: u32, height: u32) -> Option<u64> {
    let (block_width, block_height) = block_size(width, height)?;
    let row = luma.get(block_height as usize / 2 * stride..)?;
    let mut bits = 0_u64;
    for index in 0..BLOCKS {
        let centre = index * block_width as usize + block_width as usize / 2;
        let white = *row.get(centre)? > u8::midpoint(WHITE, BLACK);
        bits = bits << 1 | u64::from(white);
    }
    let time = bits >> 8;
    // A black picture would read as time zero.
    (bits != 0 && encode(time) == bits).then_some(time)
}

/// How many milliseconds before `now_unix_ms` the clock was drawn (negative: after).
#[must_use]
pub fn age_ms(read: u64, now_unix_ms: u64) -> i64 {
    let modulus = 1_i64 << TIME_BITS;
    let difference = (now_unix_ms as i64 - read as i64).rem_euclid(modulus);
    if difference < modulus / 2 {
        difference
    } else {
        difference - modulus
    }
}

fn encode(unix_ms: u64) -> u64 {
    let time = unix_ms & ((1 << TIME_BITS) - 1);
    let sum = time
        .to_be_bytes()
        .iter()
        .fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    time << 8 | u64::from(sum)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{FramePool, Timestamp};

    proptest! {
        #[test]
        fn what_is_drawn_is_read(time in 1..1_u64 << 40, width in 48_u32..700, height in 16_u32..500) {
            let mut frame = FramePool::new().frame(width * 2, height * 2, Timestamp::now());
            clock_roundtrip(&mut frame, time);
        }

        #[test]
        fn any_picture_can_be_read_without_panic(luma in proptest::collection::vec(any::<u8>(), 0..4096),
            stride in 0_usize..200, width in 0_u32..200, height in 0_u32..100) {
            let _ = read(&luma, stride, width, height);
        }
    }

    fn clock_roundtrip(frame: &mut Frame, time: u64) {
        draw(frame, time);
        let (width, height) = (frame.width(), frame.height());
        assert_eq!(read(frame.y(), width as usize, width, height), Some(time));
    }

    #[test]
    fn a_picture_without_clock_gives_nothing() {
        let mut frame = FramePool::new().frame(640, 360, Timestamp::now());
        for grey in [0, 16, 200] {
            frame.data_mut().fill(grey);
            assert_eq!(read(frame.y(), 640, 640, 360), None);
        }
        let mut small = FramePool::new().frame(64, 64, Timestamp::now());
        draw(&mut small, 1);
        assert_eq!(read(small.y(), 64, 64, 64), None);
    }

    #[test]
    fn age_survives_the_wrap() {
        assert_eq!(age_ms(0xff_ffff_fff0, 1 << 40 | 4), 20);
        assert_eq!(age_ms(1000, 990), -10);
    }

    #[test]
    fn blocks_follow_the_rule() {
        assert_eq!(block_size(1280, 720), Some((26, 30)));
        assert_eq!(block_size(640, 360), Some((12, 16)));
        assert_eq!(block_size(94, 360), None);
    }
}
