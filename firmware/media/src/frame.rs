//! One picture in memory, and the pool its memory returns to.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::Timestamp;

/// Buffers that a pool keeps: one being captured, one waiting in the slot, one being encoded.
const KEPT: usize = 3;

/// A picture as I420 (planar 4:2:0, BT.601, limited range), without padding.
///
/// Width and height are even. Its memory goes back to the [`FramePool`] it came from.
#[derive(Debug)]
pub struct Frame {
    buffer: Vec<u8>,
    width: u32,
    height: u32,
    captured: Timestamp,
    home: Option<Arc<Mutex<Vec<Vec<u8>>>>>,
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
        &self.buffer
    }

    /// The whole picture for writing.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    /// The luma plane; its stride is [`Frame::width`].
    #[must_use]
    pub fn y(&self) -> &[u8] {
        &self.buffer[..self.luma()]
    }

    /// The blue difference plane; its stride is half of [`Frame::width`].
    #[must_use]
    pub fn u(&self) -> &[u8] {
        &self.buffer[self.luma()..self.luma() / 4 * 5]
    }

    /// The red difference plane; its stride is half of [`Frame::width`].
    #[must_use]
    pub fn v(&self) -> &[u8] {
        &self.buffer[self.luma() / 4 * 5..]
    }

    /// All planes for writing.
    pub fn planes_mut(&mut self) -> PlanesMut<'_> {
        let luma = self.luma();
        let (y, chroma) = self.buffer.split_at_mut(luma);
        let (u, v) = chroma.split_at_mut(luma / 4);
        PlanesMut { y, u, v }
    }

    fn luma(&self) -> usize {
        self.width as usize * self.height as usize
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
}
