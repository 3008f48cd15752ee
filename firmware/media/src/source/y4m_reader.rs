//! Reads YUV4MPEG2 (Y4M), the raw video stream format of mjpegtools and ffmpeg.
//!
//! A stream is a header line (`YUV4MPEG2 W640 H480 F30:1 C420jpeg`), then for each picture a line
//! beginning with `FRAME` and the planes without padding. The reader is fed bytes in pieces of any
//! size, and does no IO.

use crate::{Frame, FramePool, Timestamp};

/// What a Y4M stream begins with.
pub(crate) const MAGIC: &[u8] = b"YUV4MPEG2";

/// No sensible header line is longer.
const LONGEST_LINE: usize = 1024;

/// What the stream header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Y4mHeader {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Frames in `rate.1` seconds.
    pub(crate) rate: (u32, u32),
}

/// Turns the bytes of a Y4M stream into frames.
#[derive(Debug)]
pub(crate) struct Y4mReader {
    pool: FramePool,
    header: Option<Y4mHeader>,
    line: Vec<u8>,
    picture: Option<Picture>,
    frames: u64,
}

/// A picture of which a part has been read.
#[derive(Debug)]
struct Picture {
    frame: Frame,
    filled: usize,
}

impl Y4mReader {
    pub(crate) fn new(pool: FramePool) -> Self {
        Self {
            pool,
            header: None,
            line: Vec::new(),
            picture: None,
            frames: 0,
        }
    }

    /// The stream header, once it has been read.
    pub(crate) fn header(&self) -> Option<Y4mHeader> {
        self.header
    }

    /// Complete frames since the header.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Reads up to the end of one frame: how many bytes were used, and the frame if it is complete.
    ///
    /// `now` is when the bytes came; a frame bears the time of its first byte. An error says what
    /// is wrong with the stream, which cannot be read on.
    pub(crate) fn push(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(usize, Option<Frame>), String> {
        let mut used = 0;
        while used < bytes.len() {
            if let Some(mut picture) = self.picture.take() {
                let space = &mut picture.frame.data_mut()[picture.filled..];
                let count = space.len().min(bytes.len() - used);
                space[..count].copy_from_slice(&bytes[used..used + count]);
                used += count;
                if count == space.len() {
                    self.frames += 1;
                    return Ok((used, Some(picture.frame)));
                }
                picture.filled += count;
                self.picture = Some(picture);
            } else {
                used += self.push_line(&bytes[used..], now)?;
            }
        }
        Ok((used, None))
    }

    /// How the stream was cut off, if it ended inside a header or frame.
    pub(crate) fn cut_off(&self) -> Option<String> {
        let frame = self.frames + 1;
        if let Some(picture) = &self.picture {
            let (got, whole) = (picture.filled, picture.frame.data().len());
            return Some(format!(
                "ends in the middle of frame {frame} ({got} of {whole} bytes)"
            ));
        }
        let inside = !self.line.is_empty() || self.header.is_none();
        inside.then(|| match self.header {
            Some(_) => format!("ends in the middle of the header of frame {frame}"),
            None => "ends before its stream header is complete".to_owned(),
        })
    }

    /// Collects a header line; acts on it when it is complete.
    fn push_line(&mut self, bytes: &[u8], now: Timestamp) -> Result<usize, String> {
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        if self.line.len() + part.len() > LONGEST_LINE {
            return Err(format!(
                "has a header line of more than {LONGEST_LINE} bytes"
            ));
        }
        self.line.extend_from_slice(part);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            match self.header {
                None => self.header = Some(Y4mHeader::parse(&line)?),
                Some(header) if is_frame(&line) => {
                    let frame = self.pool.frame(header.width, header.height, now);
                    self.picture = Some(Picture { frame, filled: 0 });
                }
                Some(_) => {
                    return Err(format!(
                        "has no \"FRAME\" line before frame {}",
                        self.frames + 1
                    ));
                }
            }
            return Ok(part.len() + 1);
        }
        Ok(part.len())
    }
}

fn is_frame(line: &[u8]) -> bool {
    line.strip_prefix(b"FRAME")
        .is_some_and(|rest| rest.is_empty() || rest[0] == b' ')
}

impl Y4mHeader {
    fn parse(line: &[u8]) -> Result<Self, String> {
        let line = std::str::from_utf8(line)
            .map_err(|_| "has a stream header that is not text".to_owned())?;
        let mut fields = line.split(' ');
        if fields.next() != Some("YUV4MPEG2") {
            return Err("does not begin with \"YUV4MPEG2\"".to_owned());
        }
        let (mut width, mut height, mut rate) = (None, None, (25, 1));
        for field in fields.filter(|field| !field.is_empty()) {
            let (tag, value) = field.split_at(field.chars().next().map_or(0, char::len_utf8));
            match tag {
                "W" => width = Some(size("width", value)?),
                "H" => height = Some(size("height", value)?),
                "F" => rate = frame_rate(value)?,
                "C" => colour_space(value)?,
                // Interlacing, aspect ratio and comments do not change how the bytes are read.
                _ => {}
            }
        }
        match (width, height) {
            (Some(width), Some(height)) if width.min(height) > 2160 => Err(format!(
                "has pictures of {width}x{height}; allowed: up to 3840x2160 or 2160x3840"
            )),
            (Some(width), Some(height)) => Ok(Self {
                width,
                height,
                rate,
            }),
            _ => Err("has a stream header without width (W) and height (H)".to_owned()),
        }
    }
}

fn size(name: &str, value: &str) -> Result<u32, String> {
    let pixels = value
        .parse()
        .ok()
        .filter(|pixels| (16..=3840).contains(pixels) && pixels % 2 == 0);
    pixels.ok_or_else(|| format!("has {name} \"{value}\"; allowed: even numbers from 16 to 3840"))
}

fn frame_rate(value: &str) -> Result<(u32, u32), String> {
    let parsed = value
        .split_once(':')
        .and_then(|(num, den)| Some((num.parse().ok()?, den.parse().ok()?)));
    match parsed {
        // 0:0 means unknown.
        Some((0, 0)) => Ok((25, 1)),
        Some((num, den)) if den > 0 && num > 0 && num / den <= 240 && den / num <= 60 => {
            Ok((num, den))
        }
        _ => Err(format!(
            "has frame rate \"{value}\"; allowed: N:D from one in a minute to 240 in a second"
        )),
    }
}

fn colour_space(value: &str) -> Result<(), String> {
    match value {
        "420" | "420jpeg" | "420mpeg2" | "420paldv" => Ok(()),
        _ => Err(format!(
            "has colour space \"{value}\"; allowed: 420, 420jpeg, 420mpeg2, 420paldv (8 bit)"
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a stream in pieces of the given size; the frames' bytes, or what is wrong.
    fn read(stream: &[u8], piece: usize) -> (Result<Vec<Vec<u8>>, String>, Y4mReader) {
        let mut reader = Y4mReader::new(FramePool::new());
        let mut frames = Vec::new();
        for mut bytes in stream.chunks(piece) {
            while !bytes.is_empty() {
                match reader.push(bytes, Timestamp::now()) {
                    Ok((used, frame)) => {
                        frames.extend(frame.map(|frame| frame.data().to_vec()));
                        bytes = &bytes[used..];
                    }
                    Err(reason) => return (Err(reason), reader),
                }
            }
        }
        (Ok(frames), reader)
    }

    fn stream(width: u32, height: u32, frames: &[u8]) -> Vec<u8> {
        let mut stream =
            format!("YUV4MPEG2 W{width} H{height} F30:1 Ip A1:1 C420jpeg XCOMMENT\n").into_bytes();
        for &value in frames {
            stream.extend_from_slice(b"FRAME\n");
            stream.extend(std::iter::repeat_n(
                value,
                width as usize * height as usize * 3 / 2,
            ));
        }
        stream
    }

    proptest! {
        #[test]
        fn frames_come_out_however_the_bytes_are_cut(
            width in 8_u32..40, height in 8_u32..40, values in proptest::collection::vec(any::<u8>(), 0..5),
            piece in 1_usize..5000,
        ) {
            let (width, height) = (width * 2, height * 2);
            let (frames, reader) = read(&stream(width, height, &values), piece);
            let frames = frames.unwrap();
            prop_assert_eq!(frames.len(), values.len());
            for (frame, value) in frames.iter().zip(&values) {
                prop_assert!(frame.iter().all(|byte| byte == value));
            }
            prop_assert_eq!(reader.cut_off(), None);
        }

        #[test]
        fn a_stream_cut_anywhere_loses_only_its_last_frame(cut in 1_usize..2_200, piece in 1_usize..999) {
            let whole = stream(16, 16, &[1, 2, 3, 4, 5]);
            let header = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
            let length = cut.min(whole.len());
            let (frames, reader) = read(&whole[..length], piece);
            let per_frame = 6 + 384;
            let complete = length.saturating_sub(header) / per_frame;
            prop_assert_eq!(frames.unwrap().len(), complete);
            let clean = length >= header && (length - header) % per_frame == 0;
            prop_assert_eq!(reader.cut_off().is_none(), clean);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), piece in 1_usize..50) {
            let _ = read(&bytes, piece);
            let mut behind_magic = b"YUV4MPEG2 ".to_vec();
            behind_magic.extend(bytes);
            let _ = read(&behind_magic, piece);
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_what_is_allowed() {
        for (header, word) in [
            ("YUV4MPEG2 W641 H480\n", "even"),
            ("YUV4MPEG2 W640 H99999\n", "3840"),
            ("YUV4MPEG2 W3840 H3840\n", "2160"),
            ("YUV4MPEG2 W640 H480 C444\n", "420jpeg"),
            ("YUV4MPEG2 W640 H480 F1:0\n", "frame rate"),
            ("YUV4MPEG2 H480\n", "width"),
            ("RIFF....\n", "YUV4MPEG2"),
            ("YUV4MPEG2 W16 H16\nFRAMES\n", "FRAME"),
        ] {
            let (result, _) = read(header.as_bytes(), 7);
            let reason = result.unwrap_err();
            assert!(reason.contains(word), "{reason}");
        }
        assert!(read(&[b'a'; 5000], 100).0.unwrap_err().contains("1024"));
    }
}
