//! H.264 as a stream of bytes (Annex B): its NAL units and access units.

use std::ops::Range;

/// The types of slices of a primary coded picture.
const SLICES: Range<u8> = 1..6;

/// The NAL units of a stream, without their start codes.
#[must_use]
pub fn units(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at..at + 3] == [0, 0, 1] {
            starts.push(at);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    let units = starts.iter().zip(ends).map(|(start, end)| {
        let unit = &stream[start + 3..end];
        // A start code of four bytes begins with a zero that belongs to no unit.
        let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
        &unit[..unit.len() - zeros]
    });
    units.filter(|unit| !unit.is_empty()).collect()
}

/// The pictures of a stream that has one slice a picture: each slice with what stands before it.
#[must_use]
pub fn pictures(stream: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut pictures = Vec::new();
    let mut picture = Vec::new();
    for unit in units(stream) {
        picture.push(unit);
        if SLICES.contains(&(unit[0] & 31)) {
            pictures.push(std::mem::take(&mut picture));
        }
    }
    pictures
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_codes_of_three_and_four_bytes_part_the_units() {
        let stream = [
            0, 0, 0, 1, 0x67, 9, 0, 0, 0, 1, 0x68, 8, 0, 0, 1, 0x65, 1, 0, 0, 1, 0x61, 2,
        ];
        assert_eq!(
            units(&stream),
            [&[0x67, 9][..], &[0x68, 8], &[0x65, 1], &[0x61, 2]]
        );
        let pictures = pictures(&stream);
        assert_eq!(pictures.len(), 2);
        assert_eq!(pictures[0].len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn no_stream_breaks_it(stream: Vec<u8>) {
            let _ = pictures(&stream);
        }
    }
}
