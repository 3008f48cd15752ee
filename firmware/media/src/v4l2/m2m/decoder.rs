//! A stateful decoder (`Documentation/userspace-api/media/v4l/dev-decoder.rst`): what shows that an
//! encoder's stream can be decoded, by a driver that nobody here wrote.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::setup::Sides;
use crate::convert::{self, Layout};
use crate::v4l2::sys::{Event, Memory, Node, Payload, PixelLayout, Queue, Readiness, Request};
use crate::{Frame, FramePool, PixelFormat, Timestamp};

/// Buffers on each side.
const BUFFERS: u32 = 4;

/// Decodes a stream of access units on a memory-to-memory node. For tests; the camera decodes
/// nothing but JPEG.
pub struct Decoder {
    node: Arc<Node>,
    sides: Sides,
    units: Queue,
    /// From when the driver has found the pictures' size in the stream.
    pictures: Option<(Queue, PixelLayout)>,
    pool: FramePool,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").finish_non_exhaustive()
    }
}

impl Decoder {
    /// The first node that decodes a format, by its four-character code.
    #[must_use]
    pub fn find(coded: [u8; 4]) -> Option<PathBuf> {
        let decodes = |path: &PathBuf| {
            let node = Node::open(path).ok()?;
            let sides = Sides::of(node.capability().ok()?.flags)?;
            let takes = node
                .formats(sides.input)
                .iter()
                .any(|format| format.fourcc == coded);
            // Stateless decoders take other codes; an encoder takes none.
            takes.then_some(())
        };
        crate::v4l2::discover::nodes()
            .into_iter()
            .find(|path| decodes(path).is_some())
    }

    /// Opens a decoder for a format.
    pub fn open(path: &Path, coded: [u8; 4]) -> io::Result<Self> {
        let node = Arc::new(Node::open(path)?);
        let sides = Sides::of(node.capability()?.flags)
            .ok_or_else(|| io::Error::other("is no codec that streams"))?;
        node.set_format(
            sides.input,
            Request {
                fourcc: coded,
                ..Request::default()
            },
        )?;
        node.subscribe();
        let mut units = Queue::new(Arc::clone(&node), sides.input, Memory::Mapped, BUFFERS)?;
        units.start()?;
        Ok(Self {
            node,
            sides,
            units,
            pictures: None,
            pool: FramePool::new(),
        })
    }

    /// Decodes an access unit; none if no picture came of it within `timeout`.
    pub fn decode(&mut self, unit: &[u8], timeout: Duration) -> io::Result<Option<Frame>> {
        let deadline = Instant::now() + timeout;
        while self.units.take()?.is_some() {}
        let free = (0..self.units.count()).find(|&index| !self.units.is_queued(index));
        let index = free.ok_or_else(|| io::Error::other("the decoder keeps all buffers"))?;
        self.units
            .bytes_mut(index)
            .and_then(|buffer| buffer.get_mut(..unit.len()))
            .ok_or_else(|| io::Error::other("the access unit is too large"))?
            .copy_from_slice(unit);
        self.units
            .put(index, Payload::Written(unit.len()), Some(Timestamp::now()))?;
        loop {
            while let Some(event) = self.node.event() {
                if event == Event::SourceChange {
                    self.set_up()?;
                }
            }
            if let Some(frame) = self.picture()? {
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let wanted = Readiness {
                capture: self.pictures.is_some(),
                event: true,
                ..Readiness::default()
            };
            self.node.wait(wanted, left)?;
        }
    }

    /// Takes the pictures' size from the driver, and starts the side where they come out.
    fn set_up(&mut self) -> io::Result<()> {
        self.pictures = None;
        let found = self.node.format(self.sides.output)?;
        let layout = self.node.set_format(
            self.sides.output,
            Request {
                fourcc: PixelFormat::Yu12.fourcc(),
                width: found.width,
                height: found.height,
                ..Request::default()
            },
        )?;
        let mut pictures = Queue::new(
            Arc::clone(&self.node),
            self.sides.output,
            Memory::Mapped,
            BUFFERS,
        )?;
        for index in 0..pictures.count() {
            pictures.put(index, Payload::Empty, None)?;
        }
        pictures.start()?;
        self.pictures = Some((pictures, layout));
        Ok(())
    }

    fn picture(&mut self) -> io::Result<Option<Frame>> {
        let Some((pictures, layout)) = &mut self.pictures else {
            return Ok(None);
        };
        let Some(filled) = pictures.take()? else {
            return Ok(None);
        };
        let mut frame = self
            .pool
            .frame(layout.width, layout.height, Timestamp::now());
        let lines = Layout {
            stride: layout.stride as usize,
            lines: layout.height as usize,
        };
        let copied = convert::yu12(&mut frame, pictures.bytes(&filled), lines);
        pictures.put(filled.index, Payload::Empty, None)?;
        let usable = copied.is_ok() && !filled.damaged;
        Ok(usable.then_some(frame))
    }
}
