//! One picture in memory, and the pool its memory returns to.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::convert::{self, Layout};
use crate::v4l2::{Lent, RawPicture};
use crate::{PixelFormat, Timestamp};

/// Buffers that a pool keeps: one being captured, one waiting in the slot, one being encoded.
const KEPT: usize = 3;

/// A picture as I420 (planar 4:2:0, BT.601, limited range), without padding.
///
/// Width and height are even. Its memory goes back to the [`FramePool`] it came from.
///
/// A camera's picture may stay in the camera's own buffer, for an encoder that reads it there. It is
/// copied into memory of ours when somebody looks at its planes, and the buffer goes back to the
/// camera with the frame.
#[derive(Debug)]
pub struct Frame {
    buffer: Vec<u8>,
    width: u32,
    height: u32,
    captured: Timestamp,
    home: Option<Arc<Mutex<Vec<Vec<u8>>>>>,
    held: Option<Box<Held>>,
}

/// The three planes of a [`Frame`], borrowed for writing.
#[derive(Debug)]
pub struct PlanesMut<'a> {
    /// Luma, one byte a pixel.
    pub y: &'a mut [u8],
    /// Blue difference, one byte for four pixels.
    pub u: &'a mut [u8],
    /// Red difference, one byte for four pixels.
    pub v: &'a mut [u8],
}

impl Frame {
    /// Width in pixels, even.
    #[must_use]
    pub const fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels, even.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// When the picture was captured.
    #[must_use]
    pub const fn captured(&self) -> Timestamp {
        self.captured
    }

    /// The whole picture: luma, then blue, then red difference.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.held
            .as_ref()
            .map_or(&self.buffer, |held| &held.planes(self).buffer)
    }

    /// The whole picture for writing.
    pub fn data_mut(&mut self) -> &mut [u8] {
        self.make_own();
        &mut self.buffer
    }

    /// The luma plane; its stride is [`Frame::width`].
    #[must_use]
    pub fn y(&self) -> &[u8] {
        &self.data()[..self.luma()]
    }

    /// The blue difference plane; its stride is half of [`Frame::width`].
    #[must_use]
    pub fn u(&self) -> &[u8] {
        &self.data()[self.luma()..self.luma() / 4 * 5]
    }

    /// The red difference plane; its stride is half of [`Frame::width`].
    #[must_use]
    pub fn v(&self) -> &[u8] {
        &self.data()[self.luma() / 4 * 5..]
    }

    /// All planes for writing.
    pub fn planes_mut(&mut self) -> PlanesMut<'_> {
        self.make_own();
        let luma = self.luma();
        let (y, chroma) = self.buffer.split_at_mut(luma);
        let (u, v) = chroma.split_at_mut(luma / 4);
        PlanesMut { y, u, v }
    }

    /// The camera's buffer that the picture is in, if it is in one.
    pub(crate) fn lent(&self) -> Option<&LentBuffer> {
        self.held.as_ref().map(|held| &held.buffer)
    }

    fn luma(&self) -> usize {
        self.width as usize * self.height as usize
    }

    /// Moves the picture out of the camera's buffer.
    fn make_own(&mut self) {
        if let Some(held) = self.held.take() {
            held.planes(self);
            if let Some(mut planes) = held.planes.into_inner() {
                std::mem::swap(&mut self.buffer, &mut planes.buffer);
                self.home = planes.home.take();
            }
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let mut buffers = home.lock();
            if buffers.len() < KEPT {
                buffers.push(std::mem::take(&mut self.buffer));
            }
        }
    }
}

/// A picture in a camera's buffer, and its copy once somebody has looked at it.
#[derive(Debug)]
struct Held {
    buffer: LentBuffer,
    planes: OnceLock<Frame>,
    pool: FramePool,
}

impl Held {
    fn planes(&self, frame: &Frame) -> &Frame {
        self.planes.get_or_init(|| {
            let mut planes = self.pool.frame(frame.width, frame.height, frame.captured);
            self.buffer.copy_to(&mut planes);
            planes
        })
    }
}

/// A camera's buffer that another driver can read.
#[derive(Debug)]
pub(crate) struct LentBuffer {
    lent: Lent,
    dmabuf: Arc<OwnedFd>,
    layout: BufferLayout,
}

/// How pictures lie in a camera's buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BufferLayout {
    /// NV12 or YU12.
    pub(crate) format: PixelFormat,
    /// Bytes from one line of luma to the next.
    pub(crate) stride: usize,
    /// Lines of luma.
    pub(crate) lines: usize,
    /// Bytes of a buffer.
    pub(crate) length: usize,
    /// How many buffers the camera has.
    pub(crate) buffers: usize,
}

impl BufferLayout {
    /// Fails unless an encoder reads pictures where the camera puts them.
    pub(crate) fn check(&self, theirs: &RawPicture) -> Result<(), String> {
        let (format, stride, lines) = (theirs.format, theirs.stride, theirs.lines);
        if (format, stride, lines) == (self.format, self.stride, self.lines) {
            return Ok(());
        }
        Err(format!(
            "the camera's pictures are {} with {} lines of {} bytes, the encoder's {format} with {lines} of {stride}",
            self.format, self.lines, self.stride
        ))
    }
}

impl LentBuffer {
    pub(crate) fn new(lent: Lent, dmabuf: Arc<OwnedFd>, layout: BufferLayout) -> Self {
        Self {
            lent,
            dmabuf,
            layout,
        }
    }

    /// The buffer for another driver.
    pub(crate) fn dmabuf(&self) -> BorrowedFd<'_> {
        self.dmabuf.as_fd()
    }

    pub(crate) fn layout(&self) -> BufferLayout {
        self.layout
    }

    /// The buffer's number at the camera.
    pub(crate) fn index(&self) -> usize {
        self.lent.index()
    }

    fn copy_to(&self, frame: &mut Frame) {
        let layout = Layout {
            stride: self.layout.stride,
            lines: self.layout.lines,
        };
        let copied = match self.layout.format {
            PixelFormat::Nv12 => convert::nv12(frame, self.lent.bytes(), layout),
            _ => convert::yu12(frame, self.lent.bytes(), layout),
        };
        if copied.is_err() {
            // The camera has seen to it that the picture is whole.
            frame.data_mut().fill(128);
        }
    }
}

/// Memory for frames, used again and again: a fresh 720p buffer costs a page fault for every 4 KiB.
#[derive(Debug, Clone, Default)]
pub struct FramePool {
    buffers: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl FramePool {
    /// An empty pool.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame to write a picture into; odd sizes are rounded down to even ones.
    ///
    /// The old content of the memory is not erased: the caller writes every byte.
    #[must_use]
    pub fn frame(&self, width: u32, height: u32, captured: Timestamp) -> Frame {
        let (width, height) = (width & !1, height & !1);
        let length = width as usize * height as usize * 3 / 2;
        let mut buffer = self.buffers.lock().pop().unwrap_or_default();
        buffer.resize(length, 0);
        Frame {
            buffer,
            width,
            height,
            captured,
            home: Some(Arc::clone(&self.buffers)),
            held: None,
        }
    }

    /// A frame whose picture stays in the camera's buffer. The caller has checked that it is whole.
    pub(crate) fn lent_frame(
        &self,
        width: u32,
        height: u32,
        captured: Timestamp,
        buffer: LentBuffer,
    ) -> Frame {
        Frame {
            buffer: Vec::new(),
            width: width & !1,
            height: height & !1,
            captured,
            home: None,
            held: Some(Box::new(Held {
                buffer,
                planes: OnceLock::new(),
                pool: self.clone(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn planes_cover_the_whole_picture() {
        let mut frame = FramePool::new().frame(65, 49, Timestamp::now());
        assert_eq!((frame.width(), frame.height()), (64, 48));
        assert_eq!(
            frame.y().len() + frame.u().len() + frame.v().len(),
            frame.data().len()
        );
        frame.planes_mut().v.fill(7);
        assert!(frame.v().iter().all(|&byte| byte == 7) && frame.v().len() == 32 * 24);
    }

    #[test]
    fn memory_returns_to_its_pool() {
        let pool = FramePool::new();
        let first = pool.frame(64, 64, Timestamp::now());
        let address = first.data().as_ptr();
        drop(first);
        assert_eq!(
            pool.frame(64, 64, Timestamp::now()).data().as_ptr(),
            address
        );
    }

    #[test]
    fn an_encoder_reads_the_camera_s_buffer_only_where_both_agree() {
        let camera = BufferLayout {
            format: PixelFormat::Nv12,
            stride: 640,
            lines: 360,
            length: 345_600,
            buffers: 8,
        };
        let encoder = RawPicture {
            format: PixelFormat::Nv12,
            stride: 640,
            lines: 360,
        };
        assert!(camera.check(&encoder).is_ok());
        let aligned = RawPicture {
            lines: 368,
            ..encoder
        };
        let line = camera.check(&aligned).unwrap_err();
        assert!(
            line.ends_with("360 lines of 640 bytes, the encoder's nv12 with 368 of 640"),
            "{line}"
        );
    }
}
