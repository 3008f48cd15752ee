//! The byte stream format of annex B, of ITU-T H.264 and H.265 alike: finding NAL units and access units.

use crate::syntax::{Syntax, Unit};

/// An access unit larger than this is not a camera's, but a stream without start codes.
const LARGEST: usize = 8 * 1024 * 1024;

/// The NAL units of a byte stream, without start codes and trailing zeros.
pub fn nal_units(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = next_start_code(stream, 0).map(|code| code + 3);
    std::iter::from_fn(move || {
        let from = start?;
        let next = next_start_code(stream, from);
        start = next.map(|code| code + 3);
        let unit = &stream[from..next.unwrap_or(stream.len())];
        let end = unit
            .iter()
            .rposition(|&byte| byte != 0)
            .map_or(0, |last| last + 1);
        Some(&unit[..end])
    })
    .filter(|unit| !unit.is_empty())
}

/// The position of the next `00 00 01`.
fn next_start_code(stream: &[u8], from: usize) -> Option<usize> {
    let found = stream
        .get(from..)?
        .windows(3)
        .position(|window| window == [0, 0, 1])?;
    Some(from + found)
}

/// A coded picture cut out of a byte stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitUnit {
    /// The access unit with its start codes.
    pub data: Vec<u8>,
    /// Whether decoding can begin here.
    pub key: bool,
}

/// Cuts a byte stream into access units, following section 7.4.1.2.3 of H.264 or 7.4.2.4.4 of H.265.
///
/// Bytes come in pieces of any size. A unit is complete when the beginning of the next one is seen;
/// a caller that knows that nothing more is coming takes the last one with
/// [`AccessUnitSplitter::flush`]. Of H.264's rules for the first slice of a picture only
/// `first_mb_in_slice == 0` is looked at: cameras do not reorder slices.
#[derive(Debug, Default)]
pub struct AccessUnitSplitter {
    syntax: Syntax,
    buffer: Vec<u8>,
    /// Everything before this has been looked at.
    scanned: usize,
    /// The current unit has a slice.
    picture: bool,
    /// The current unit has a slice that decoding can begin with.
    key: bool,
    /// Bytes before the first start code have been left out.
    synchronised: bool,
}

impl AccessUnitSplitter {
    /// A splitter at the beginning of a stream.
    #[must_use]
    pub fn new(syntax: Syntax) -> Self {
        Self {
            syntax,
            ..Self::default()
        }
    }

    /// Adds bytes. They are cut with [`AccessUnitSplitter::next_unit`]; false when no access unit
    /// ended within 8 MiB, which is not a camera's stream.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        self.buffer.extend_from_slice(bytes);
        self.buffer.len() <= LARGEST
    }

    /// The next access unit that is complete.
    pub fn next_unit(&mut self) -> Option<SplitUnit> {
        loop {
            let Some(code) = next_start_code(&self.buffer, self.scanned) else {
                // A start code may begin in the last two bytes.
                self.scanned = self.scanned.max(self.buffer.len().saturating_sub(2));
                return None;
            };
            if !self.synchronised {
                // A zero before the code belongs to its long form.
                let long = code > 0 && self.buffer[code - 1] == 0;
                self.buffer.drain(..if long { code - 1 } else { code });
                self.scanned = 0;
                self.synchronised = true;
                continue;
            }
            // The header, and of a slice the byte after it, decide what begins here.
            let Some(unit) = self.syntax.unit(&self.buffer[code + 3..]) else {
                self.scanned = code;
                return None;
            };
            let complete = (self.picture && unit.begins()).then(|| self.cut(code));
            if let Unit::Slice { key, .. } = unit {
                self.picture = true;
                self.key |= key;
            }
            // After a cut the start code is at the front of the buffer, or behind one zero.
            self.scanned = if complete.is_some() { 4 } else { code + 3 };
            if complete.is_some() {
                return complete;
            }
        }
    }

    /// The last access unit, when its end is known by other means.
    pub fn flush(&mut self) -> Option<SplitUnit> {
        let whole = self.picture.then(|| self.cut(self.buffer.len()));
        if whole.is_some() {
            self.buffer.clear();
            self.scanned = 0;
        }
        whole
    }

    /// Whether a part of an access unit with a picture is waiting for the rest, or for the next one
    /// to begin.
    #[must_use]
    pub fn has_picture(&self) -> bool {
        self.picture
    }

    /// Whether what comes after a flushed unit still belongs to it: the unit was flushed too early.
    /// The rest of it is left out.
    pub fn skip_torn(&mut self) -> bool {
        if !self.synchronised || self.picture || self.buffer.is_empty() {
            return false;
        }
        let zeros = self.buffer.iter().take_while(|&&byte| byte == 0).count();
        let torn = match &self.buffer[zeros..] {
            [] => false,
            // A slice that is not the first of its picture.
            [1, unit @ ..] if zeros >= 2 => {
                matches!(
                    self.syntax.unit(unit),
                    Some(Unit::Slice { first: false, .. })
                )
            }
            _ => true,
        };
        if torn {
            self.buffer.drain(..=zeros);
            self.scanned = 0;
            self.synchronised = false;
        }
        torn
    }

    /// Cuts the unit before the start code at `code`, to whose long form a zero before it belongs.
    fn cut(&mut self, code: usize) -> SplitUnit {
        let long = code > 0 && code < self.buffer.len() && self.buffer[code - 1] == 0;
        let rest = self.buffer.split_off(if long { code - 1 } else { code });
        let data = std::mem::replace(&mut self.buffer, rest);
        self.picture = false;
        SplitUnit {
            data,
            key: std::mem::take(&mut self.key),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPS: &[u8] = &[0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0x01];
    const PPS: &[u8] = &[0, 0, 0, 1, 0x68, 0xce, 0x3c];
    const IDR: &[u8] = &[0, 0, 1, 0x65, 0x88, 0x84, 0x21];
    const IDR_SECOND_SLICE: &[u8] = &[0, 0, 1, 0x65, 0x40, 0x84, 0x22];
    const P: &[u8] = &[0, 0, 0, 1, 0x41, 0x9a, 0x02, 0x03];
    const DELIMITER: &[u8] = &[0, 0, 0, 1, 0x09, 0xf0];

    fn split(stream: &[u8], piece: usize) -> Vec<SplitUnit> {
        let mut splitter = AccessUnitSplitter::new(Syntax::H264);
        let mut units = Vec::new();
        for bytes in stream.chunks(piece) {
            assert!(splitter.push(bytes));
            units.extend(std::iter::from_fn(|| splitter.next_unit()));
        }
        units.extend(splitter.flush());
        units
    }

    #[test]
    fn parameter_sets_belong_to_the_picture_after_them() {
        let stream = [
            SPS,
            PPS,
            IDR,
            IDR_SECOND_SLICE,
            P,
            P,
            SPS,
            PPS,
            IDR,
            DELIMITER,
            P,
        ]
        .concat();
        let units = split(&stream, 5);
        let expected: [(Vec<u8>, bool); 5] = [
            ([SPS, PPS, IDR, IDR_SECOND_SLICE].concat(), true),
            (P.to_vec(), false),
            (P.to_vec(), false),
            ([SPS, PPS, IDR].concat(), true),
            ([DELIMITER, P].concat(), false),
        ];
        let units: Vec<_> = units
            .into_iter()
            .map(|unit| (unit.data, unit.key))
            .collect();
        assert_eq!(units, expected);
    }

    #[test]
    fn h265_is_cut_by_its_own_units() {
        const VPS: &[u8] = &[0, 0, 0, 1, 0x40, 0x01, 0x0c];
        const SPS: &[u8] = &[0, 0, 0, 1, 0x42, 0x01, 0x01];
        const PPS: &[u8] = &[0, 0, 0, 1, 0x44, 0x01, 0xc1];
        const IDR: &[u8] = &[0, 0, 1, 0x26, 0x01, 0xaf, 0x09];
        const IDR_SECOND_SLICE: &[u8] = &[0, 0, 1, 0x26, 0x01, 0x2f, 0x09];
        const TRAIL: &[u8] = &[0, 0, 1, 0x02, 0x01, 0xd0, 0x09];
        const SUFFIX_SEI: &[u8] = &[0, 0, 1, 0x50, 0x01, 0x84, 0x01];
        const CRA: &[u8] = &[0, 0, 1, 0x2a, 0x01, 0xaf, 0x09];
        let key = [VPS, SPS, PPS, IDR, IDR_SECOND_SLICE].concat();
        let second = [TRAIL, SUFFIX_SEI].concat();
        let stream = [&key, &second, TRAIL, CRA].concat();
        for piece in 1..9 {
            let mut splitter = AccessUnitSplitter::new(Syntax::H265);
            let mut units = Vec::new();
            for bytes in stream.chunks(piece) {
                assert!(splitter.push(bytes));
                units.extend(std::iter::from_fn(|| splitter.next_unit()));
            }
            units.extend(splitter.flush());
            let units: Vec<_> = units
                .iter()
                .map(|unit| (&unit.data[..], unit.key))
                .collect();
            let expected = [
                (&key[..], true),
                (&second, false),
                (TRAIL, false),
                (CRA, true),
            ];
            assert_eq!(units, expected);
        }
    }

    #[test]
    fn nal_units_come_without_start_codes_and_zeros() {
        let stream = [SPS, &[0, 0], PPS, IDR].concat();
        let units: Vec<&[u8]> = nal_units(&stream).collect();
        assert_eq!(units, [&SPS[4..], &PPS[4..], &IDR[3..]]);
    }

    #[test]
    fn a_unit_flushed_too_early_is_noticed() {
        let mut splitter = AccessUnitSplitter::new(Syntax::H264);
        assert!(splitter.push(P));
        assert!(splitter.next_unit().is_none());
        assert!(splitter.flush().is_some() && !splitter.skip_torn());
        assert!(splitter.push(&[7, 7, 7, 7]));
        assert!(splitter.skip_torn());
        assert!(splitter.push(IDR) && splitter.next_unit().is_none());
        assert_eq!(
            splitter.flush(),
            Some(SplitUnit {
                data: IDR.to_vec(),
                key: true
            })
        );
    }

    #[test]
    fn a_picture_flushed_between_its_slices_is_noticed() {
        let mut splitter = AccessUnitSplitter::new(Syntax::H264);
        assert!(splitter.push(IDR) && splitter.next_unit().is_none());
        assert!(splitter.flush().is_some());
        assert!(splitter.push(IDR_SECOND_SLICE) && splitter.skip_torn());
        assert!(splitter.push(P) && !splitter.skip_torn() && splitter.next_unit().is_none());
        assert_eq!(splitter.flush().map(|unit| unit.data), Some(P.to_vec()));
    }

    #[test]
    fn a_stream_without_start_codes_is_given_up() {
        let mut splitter = AccessUnitSplitter::new(Syntax::H264);
        assert!(!splitter.push(&vec![1; LARGEST + 1]));
    }

    fn unit() -> impl Strategy<Value = (Vec<u8>, bool)> {
        let body = proptest::collection::vec(1_u8..=255, 0..40);
        (any::<bool>(), any::<bool>(), body).prop_map(|(key, sets, body)| {
            let mut data = if sets {
                [SPS, PPS].concat()
            } else {
                Vec::new()
            };
            data.extend_from_slice(if key { IDR } else { P });
            data.extend(body);
            (data, key)
        })
    }

    proptest! {
        #[test]
        fn units_come_out_however_the_bytes_are_cut(
            units in proptest::collection::vec(unit(), 0..12), piece in 1_usize..70,
        ) {
            let stream: Vec<u8> = units.iter().flat_map(|unit| unit.0.clone()).collect();
            let split: Vec<_> = split(&stream, piece).into_iter().map(|unit| (unit.data, unit.key)).collect();
            prop_assert_eq!(split, units);
        }

        #[test]
        fn any_bytes_come_out_whole_or_not_at_all(
            bytes in proptest::collection::vec(0_u8..9, 0..500), piece in 1_usize..40,
        ) {
            let out: Vec<u8> = split(&bytes, piece).into_iter().flat_map(|unit| unit.data).collect();
            prop_assert!(out.is_empty() || bytes.windows(out.len()).any(|window| window == out));
            let _ = nal_units(&bytes).count();
        }
    }
}
