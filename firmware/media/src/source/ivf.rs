//! AV1 in IVF, the container that AV1's own tools write to a pipe: a header of 32 bytes, then of each temporal unit its
//! size and time, 12 bytes, and itself. All numbers have their low byte first.

use crate::Timestamp;
use crate::video::{AccessUnit, Rung};

/// What every IVF file begins with.
pub(crate) const MAGIC: &[u8] = b"DKIF";
const CODEC: &[u8] = b"AV01";
const HEADER: usize = 32;
const FRAME_HEADER: usize = 12;
/// A temporal unit larger than this is none of a camera's.
const LARGEST: usize = 8 * 1024 * 1024;

const SEQUENCE_HEADER: u8 = 1;
const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;

/// Makes access units of IVF, with the time of their first byte.
#[derive(Debug, Default)]
pub(crate) struct IvfReader {
    buffer: Vec<u8>,
    /// Of the pictures, once the header was read.
    size: Option<(u32, u32)>,
    began: Option<Timestamp>,
}

impl IvfReader {
    /// Adds bytes that came at `now`, and hands every temporal unit that is whole to `deliver`. Fails with the reason why
    /// this is no AV1 in IVF; the stream cannot be read further then.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
        mut deliver: impl FnMut(AccessUnit),
    ) -> Result<(), String> {
        self.buffer.extend_from_slice(bytes);
        let mut began = *self.began.get_or_insert(now);
        let mut used = 0;
        let (width, height) = match self.size {
            Some(size) => size,
            None => {
                let Some(header) = self.buffer.first_chunk::<HEADER>() else {
                    return Ok(());
                };
                used = HEADER;
                *self.size.insert(read_header(header)?)
            }
        };
        let rest = |used: usize| self.buffer.get(used..).unwrap_or_default();
        while let Some((header, after)) = rest(used).split_first_chunk::<FRAME_HEADER>() {
            let [a, b, c, d, ..] = *header;
            let size = u32::from_le_bytes([a, b, c, d]) as usize;
            if size > LARGEST {
                return Err(format!("has a picture of {size} bytes"));
            }
            let Some(data) = after.get(..size) else {
                break;
            };
            used += FRAME_HEADER + size;
            if !data.is_empty() {
                deliver(AccessUnit {
                    rung: Rung::Main,
                    data: data.to_vec().into(),
                    key: begins_sequence(data),
                    captured: began,
                    width,
                    height,
                });
            }
            began = now;
        }
        self.buffer.drain(..used);
        // What is there of the next unit came with this push, or began the wait for it.
        self.began = (!self.buffer.is_empty()).then_some(began);
        Ok(())
    }
}

fn read_header(header: &[u8; HEADER]) -> Result<(u32, u32), String> {
    if !header.starts_with(MAGIC) {
        return Err("is no IVF".to_owned());
    }
    if &header[8..12] != CODEC {
        let codec = header[8..12].escape_ascii();
        return Err(format!("is IVF with {codec}, not with AV01"));
    }
    let side = |at: usize| u32::from(u16::from_le_bytes([header[at], header[at + 1]]));
    Ok((side(12), side(14)))
}

/// Whether a temporal unit has a sequence header: encoders write one where decoding can begin (AV1 specification,
/// section 7.5), and a decoder can begin nowhere else.
fn begins_sequence(mut unit: &[u8]) -> bool {
    while let Some((header, mut rest)) = unit.split_first() {
        if (header >> 3) & 0x0f == SEQUENCE_HEADER {
            return true;
        }
        if header & HAS_EXTENSION != 0 {
            rest = rest.get(1..).unwrap_or_default();
        }
        if header & HAS_SIZE == 0 {
            return false; // it goes on to the end
        }
        let Some(after) = leb128(rest).and_then(|(size, after)| after.get(size..)) else {
            return false;
        };
        unit = after;
    }
    false
}

/// A number of the AV1 specification's section 4.10.5, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, bytes.get(i + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DELIMITER: &[u8] = &[0x12, 0];
    const SEQUENCE: &[u8] = &[0x0a, 2, 1, 2];
    const FRAME: &[u8] = &[0x32, 3, 7, 8, 9];

    fn header(codec: &[u8]) -> Vec<u8> {
        let mut header = [MAGIC, &[0, 0, 32, 0], codec, &[0x80, 2, 0xe0, 1]].concat();
        header.resize(HEADER, 0);
        header
    }

    fn frame(unit: &[u8]) -> Vec<u8> {
        let size = (unit.len() as u32).to_le_bytes();
        [&size[..], &[0; 8], unit].concat()
    }

    fn read(stream: &[u8], piece: usize) -> Result<Vec<(Vec<u8>, bool)>, String> {
        let mut reader = IvfReader::default();
        let mut units = Vec::new();
        for bytes in stream.chunks(piece) {
            reader.push(bytes, Timestamp::now(), |unit| {
                assert_eq!((unit.width, unit.height), (640, 480));
                units.push((unit.data.to_vec(), unit.key));
            })?;
        }
        Ok(units)
    }

    #[test]
    fn temporal_units_come_out_however_the_bytes_are_cut() {
        let key = [DELIMITER, SEQUENCE, FRAME].concat();
        let other = [DELIMITER, FRAME].concat();
        let stream = [header(CODEC), frame(&key), frame(&other), frame(&key)].concat();
        for piece in 1..stream.len() {
            let units = read(&stream, piece).unwrap();
            let expected = [
                (key.clone(), true),
                (other.clone(), false),
                (key.clone(), true),
            ];
            assert_eq!(units, expected);
        }
    }

    #[test]
    fn what_is_no_av1_is_named() {
        let reason = read(&header(b"VP80"), 7).unwrap_err();
        assert_eq!(reason, "is IVF with VP80, not with AV01");
        assert_eq!(read(&[1; 40], 40).unwrap_err(), "is no IVF");
        let huge = [header(CODEC), vec![0xff; 12]].concat();
        assert_eq!(
            read(&huge, 99).unwrap_err(),
            "has a picture of 4294967295 bytes"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, piece in 1_usize..50) {
            let mut reader = IvfReader::default();
            let stream = [header(CODEC), bytes.clone()].concat();
            for bytes in stream.chunks(piece) {
                if reader.push(bytes, Timestamp::now(), |_| ()).is_err() {
                    break;
                }
            }
            let _ = begins_sequence(&bytes);
        }
    }
}
