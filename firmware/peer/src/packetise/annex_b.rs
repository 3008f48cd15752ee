//! Splitting an Annex-B byte stream (ITU-T H.264, annex B) into NAL units.

use bytes::Bytes;

/// The NAL units of an access unit, without start codes; each shares the memory of `stream`.
///
/// Bytes before the first start code are ignored, as are empty units. Trailing zero bytes belong to the byte
/// stream, not to the unit before them.
pub(crate) fn nal_units(stream: &Bytes) -> impl Iterator<Item = Bytes> + '_ {
    let mut rest = start_code(stream, 0).map(|(_, after)| after);
    std::iter::from_fn(move || {
        let begin = rest?;
        let end = match start_code(stream, begin) {
            Some((at, after)) => {
                rest = Some(after);
                at
            }
            None => {
                rest = None;
                stream.len()
            }
        };
        let trailing = stream[begin..end]
            .iter()
            .rev()
            .take_while(|byte| **byte == 0)
            .count();
        Some(stream.slice(begin..end - trailing))
    })
    .filter(|unit| !unit.is_empty())
}

/// The next `00 00 01` at or after `from`: where it begins and where the bytes after it begin.
fn start_code(stream: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while at + 3 <= stream.len() {
        match stream[at + 2] {
            // Neither this byte nor the two before it can begin a start code.
            2.. => at += 3,
            1 if stream[at] == 0 && stream[at + 1] == 0 => return Some((at, at + 3)),
            _ => at += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(stream: &[u8]) -> Vec<Vec<u8>> {
        nal_units(&Bytes::copy_from_slice(stream))
            .map(|unit| unit.to_vec())
            .collect()
    }

    #[test]
    fn both_start_codes_are_understood() {
        assert_eq!(
            split(&[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2]),
            [vec![0x67, 1], vec![0x68, 2]]
        );
    }

    #[test]
    fn trailing_zeroes_and_empty_units_are_dropped() {
        assert_eq!(
            split(&[0, 0, 1, 0x65, 7, 0, 0, 0, 0, 1, 0, 0, 1, 0x41, 9, 0]),
            [vec![0x65, 7], vec![0x41, 9]]
        );
        assert!(split(&[]).is_empty());
        assert!(split(&[0x65, 1, 2]).is_empty());
        assert!(split(&[0, 0, 1]).is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_split(stream: Vec<u8>) {
            for unit in split(&stream) {
                prop_assert!(!unit.is_empty());
            }
        }

        /// Units that contain no start code and do not end in zero come back as they were written.
        #[test]
        fn units_survive(units in prop::collection::vec(prop::collection::vec(2_u8.., 1..40), 0..8), long: bool) {
            let code: &[u8] = if long { &[0, 0, 0, 1] } else { &[0, 0, 1] };
            let stream: Vec<u8> = units.iter().flat_map(|unit| [code, unit].concat()).collect();
            prop_assert_eq!(split(&stream), units);
        }
    }
}
