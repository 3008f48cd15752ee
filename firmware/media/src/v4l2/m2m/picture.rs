//! How a raw picture lies in a codec's buffer, and how ours gets there.

use super::Trouble;
use crate::v4l2::sys::PixelLayout;
use crate::{Frame, PixelFormat};

/// How a raw picture lies in a buffer: luma, then colours, in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RawPicture {
    pub(crate) format: PixelFormat,
    /// Bytes from one line of luma to the next.
    pub(crate) stride: usize,
    /// Lines of luma, of which the last ones may be alignment.
    pub(crate) lines: usize,
}

impl RawPicture {
    /// What the driver made of a format that was asked for, if a picture of this size fits in.
    pub(super) fn of(
        layout: PixelLayout,
        wanted: PixelFormat,
        (width, height): (u32, u32),
    ) -> Result<Self, Trouble> {
        if layout.fourcc != wanted.fourcc() {
            return Err(Trouble::refused(format!(
                "takes {} instead of {wanted}",
                layout.fourcc.escape_ascii()
            )));
        }
        if layout.width < width || layout.height < height {
            return Err(Trouble::refused(format!(
                "takes pictures of {}x{} at most",
                layout.width, layout.height
            )));
        }
        if layout.planes != 1 {
            return Err(Trouble::refused(format!(
                "wants {wanted} in {} buffers a picture",
                layout.planes
            )));
        }
        Ok(Self {
            format: wanted,
            // Some drivers leave the stride out where it is what it must be.
            stride: layout.stride.max(layout.width).next_multiple_of(2) as usize,
            lines: layout.height.next_multiple_of(2) as usize,
        })
    }

    /// Bytes of a whole picture.
    pub(crate) fn size(&self) -> usize {
        self.stride * self.lines / 2 * 3
    }

    /// Copies a picture into a buffer. Says how many bytes it takes, or nothing when the buffer is
    /// too small for it.
    pub(super) fn write(&self, frame: &Frame, buffer: &mut [u8]) -> Option<usize> {
        let (width, half) = (frame.width() as usize, frame.width() as usize / 2);
        let (stride, luma) = (self.stride, self.stride * self.lines);
        let picture = buffer.get_mut(..self.size())?;
        if width > stride || frame.height() as usize > self.lines {
            return None;
        }
        let (y, colours) = picture.split_at_mut(luma);
        copy_lines(y, stride, frame.y(), width);
        match self.format {
            PixelFormat::Nv12 => {
                let lines = frame
                    .u()
                    .chunks_exact(half)
                    .zip(frame.v().chunks_exact(half));
                for (to, (u, v)) in colours.chunks_exact_mut(stride).zip(lines) {
                    for ((pair, u), v) in to.chunks_exact_mut(2).zip(u).zip(v) {
                        pair.copy_from_slice(&[*u, *v]);
                    }
                }
            }
            _ => {
                let (u, v) = colours.split_at_mut(luma / 4);
                copy_lines(u, stride / 2, frame.u(), half);
                copy_lines(v, stride / 2, frame.v(), half);
            }
        }
        Some(self.size())
    }
}

fn copy_lines(to: &mut [u8], stride: usize, from: &[u8], width: usize) {
    for (to, from) in to.chunks_exact_mut(stride).zip(from.chunks_exact(width)) {
        to[..width].copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::{self, Layout};
    use crate::encoder::FailureKind;
    use crate::{FramePool, Timestamp};

    fn layout(fourcc: &[u8; 4]) -> PixelLayout {
        PixelLayout {
            fourcc: *fourcc,
            width: 32,
            height: 32,
            stride: 48,
            size: 48 * 48,
            planes: 1,
        }
    }

    #[test]
    fn what_is_written_with_padding_is_what_was_there() {
        let pool = FramePool::new();
        let mut frame = pool.frame(30, 18, Timestamp::now());
        for (number, byte) in frame.data_mut().iter_mut().enumerate() {
            *byte = number as u8;
        }
        for format in [PixelFormat::Nv12, PixelFormat::Yu12] {
            let raw = RawPicture::of(layout(&format.fourcc()), format, (30, 18)).unwrap();
            let mut buffer = vec![0; raw.size() + 7];
            assert_eq!(raw.write(&frame, &mut buffer), Some(raw.size()));
            let mut back = pool.frame(30, 18, Timestamp::now());
            let layout = Layout {
                stride: raw.stride,
                lines: raw.lines,
            };
            match format {
                PixelFormat::Nv12 => convert::nv12(&mut back, &buffer, layout).unwrap(),
                _ => convert::yu12(&mut back, &buffer, layout).unwrap(),
            }
            assert_eq!(back.data(), frame.data(), "{format}");
            assert_eq!(raw.write(&frame, &mut buffer[..raw.size() - 1]), None);
        }
    }

    #[test]
    fn a_driver_s_odd_answers_are_refused_or_mended() {
        let zero = PixelLayout {
            stride: 0,
            ..layout(b"NV12")
        };
        let raw = RawPicture::of(zero, PixelFormat::Nv12, (30, 18)).unwrap();
        assert_eq!(raw.stride, 32);
        for (odd, reason) in [
            (layout(b"YUYV"), "takes YUYV instead of nv12"),
            (
                PixelLayout {
                    height: 16,
                    ..layout(b"NV12")
                },
                "takes pictures of 32x16 at most",
            ),
            (
                PixelLayout {
                    planes: 2,
                    ..layout(b"NV12")
                },
                "wants nv12 in 2 buffers a picture",
            ),
        ] {
            let trouble = RawPicture::of(odd, PixelFormat::Nv12, (30, 18)).unwrap_err();
            assert_eq!(trouble.kind, FailureKind::Refused);
            assert_eq!(trouble.reason, reason);
        }
    }
}
