//! Messages in a stream of bytes (RFC 8656, section 12.5; RFC 8489, section 6.2.2).
//!
//! The first two bits tell a STUN message from ChannelData, and both say their length in the first four bytes; in a
//! stream, ChannelData is padded to four bytes. Where a stream is out of step there is no way back in: it is closed.

use thiserror::Error;

/// The longest frame that is taken. WebRTC's packets fit a path MTU; the bound is what a connection costs in memory.
const MAX_FRAME: usize = 16 * 1024;

/// The bytes are no frame, or one too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the stream is out of step or has a frame of more than {MAX_FRAME} bytes")]
pub(crate) struct OutOfStep;

/// Splits a stream. Bytes go into [`Frames::room`]; [`Frames::next`] gives frames as they become whole.
pub(crate) struct Frames {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Frames {
    pub(crate) fn new() -> Self {
        Self {
            buffer: vec![0; MAX_FRAME].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// Where to put the next bytes; never empty once [`Frames::next`] gives nothing more.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }

    /// That many bytes were put into the room.
    pub(crate) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The next whole frame, without its padding.
    pub(crate) fn next(&mut self) -> Result<Option<&[u8]>, OutOfStep> {
        let waiting = &self.buffer[self.start..self.end];
        let Some((frame, padded)) = measure(waiting)? else {
            return Ok(None);
        };
        if padded > MAX_FRAME {
            return Err(OutOfStep);
        }
        if waiting.len() < padded {
            return Ok(None);
        }
        let start = self.start;
        self.start += padded;
        Ok(Some(&self.buffer[start..start + frame]))
    }
}

/// How long the frame at the start of `stream` is, without and with its padding; `None` before that is known.
fn measure(stream: &[u8]) -> Result<Option<(usize, usize)>, OutOfStep> {
    let &[kind, _, high, low, ..] = stream else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    match kind >> 6 {
        0 if length % 4 == 0 => Ok(Some((20 + length, 20 + length))),
        1 => Ok(Some((4 + length, (4 + length).next_multiple_of(4)))),
        _ => Err(OutOfStep),
    }
}

/// The frames of a stream that is made of whole ones, each with its padding.
pub(crate) fn split(mut stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = match measure(stream) {
            Ok(Some((_, padded))) => padded.min(stream.len()),
            _ => stream.len(),
        };
        let frame = stream.split_off(..length)?;
        (!frame.is_empty()).then_some(frame)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stun::{Class, Writer, method};

    /// Feeds a stream in pieces of the given sizes, over and over.
    fn read(mut stream: &[u8], pieces: &[usize]) -> Result<Vec<Vec<u8>>, OutOfStep> {
        let (mut frames, mut found) = (Frames::new(), Vec::new());
        let mut pieces = pieces.iter().cycle();
        while !stream.is_empty() {
            let room = frames.room();
            assert!(!room.is_empty());
            let piece = (*pieces.next().unwrap()).clamp(1, stream.len().min(room.len()));
            room[..piece].copy_from_slice(&stream[..piece]);
            frames.filled(piece);
            stream = &stream[piece..];
            while let Some(frame) = frames.next()? {
                found.push(frame.to_vec());
            }
        }
        Ok(found)
    }

    #[test]
    fn frames_are_found_wherever_the_stream_is_cut() {
        let binding = Writer::new(Class::Request, method::BINDING, &[1; 12]).finish(None);
        let channel = b"\x40\x00\x00\x05world";
        let stream = [
            &binding[..],
            channel,
            &[0; 3],
            &binding,
            b"\x40\x01\x00\x00",
        ]
        .concat();
        let expected = vec![
            binding.clone(),
            channel.to_vec(),
            binding,
            b"\x40\x01\x00\x00".to_vec(),
        ];
        for piece in 1..stream.len() {
            assert_eq!(read(&stream, &[piece]), Ok(expected.clone()), "{piece}");
        }
    }

    #[test]
    fn what_is_no_frame_or_too_long_closes_the_stream() {
        for bad in [
            &b"GET / HTTP/1.1\r\n"[..],
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"\x80\x00\x00\x00",
            b"\x00\x01\x00\x03",
            b"\x40\x00\xff\xff",
            b"\x00\x01\xff\xfc",
        ] {
            assert_eq!(read(bad, &[4]), Err(OutOfStep), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_stream_is_split_or_closed(stream: Vec<u8>, pieces in proptest::collection::vec(1usize..100, 1..5)) {
            let _ = read(&stream, &pieces);
        }

        #[test]
        fn what_was_framed_comes_out(
            datas in proptest::collection::vec(proptest::collection::vec(proptest::num::u8::ANY, 0..3000), 0..12),
            pieces in proptest::collection::vec(1usize..5000, 1..5),
        ) {
            let framed: Vec<Vec<u8>> = datas
                .iter()
                .map(|data| [&[0x41, 0], &(data.len() as u16).to_be_bytes()[..], data].concat())
                .collect();
            let mut stream = Vec::new();
            for frame in &framed {
                stream.extend(frame);
                stream.resize(stream.len().next_multiple_of(4), 0);
            }
            let split: Vec<&[u8]> = split(&stream).collect();
            proptest::prop_assert_eq!(split.concat(), &stream[..]);
            let unpadded = split.iter().zip(&framed).map(|(frame, of)| &frame[..of.len()]);
            proptest::prop_assert!(unpadded.eq(framed.iter()) && split.len() == framed.len());
            proptest::prop_assert_eq!(read(&stream, &pieces), Ok(framed));
        }
    }
}
