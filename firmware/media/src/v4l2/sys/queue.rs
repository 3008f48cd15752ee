//! One side of a node with its buffers, which the driver and we take turns with.

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;
use v4l::v4l_sys as raw;
use v4l::v4l2::vidioc;

use super::mapping::Map;
use super::{Lent, Node, Side, zeroed};
use crate::Timestamp;

/// Where the memory of a queue's buffers comes from (`enum v4l2_memory`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Memory {
    /// The driver's own, mapped into ours.
    Mapped = 1,
    /// Another driver's, passed by a file descriptor.
    DmaBuf = 4,
}

/// What goes into the device with a buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Payload<'a> {
    /// Nothing: the device is to fill the buffer.
    Empty,
    /// So many bytes, which were written into the buffer.
    Written(usize),
    /// So many bytes of another driver's memory of this length.
    Imported {
        fd: BorrowedFd<'a>,
        used: usize,
        length: usize,
    },
}

/// A buffer that the driver is done with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filled {
    pub(crate) index: usize,
    /// Bytes in the buffer.
    pub(crate) used: usize,
    /// Where in the buffer they begin.
    pub(crate) offset: usize,
    /// When the driver says that it was captured, none if by another clock than ours. A codec gives
    /// the one that went in.
    pub(crate) captured: Option<Timestamp>,
    /// Counts the pictures of the device, those that found no buffer included.
    pub(crate) sequence: u32,
    /// The driver noticed that data is missing.
    pub(crate) damaged: bool,
    /// The codec says that decoding can begin here.
    pub(crate) key: bool,
    /// The last one of a drain.
    pub(crate) last: bool,
}

/// Buffers shared with the driver.
pub(crate) struct Queue {
    node: Arc<Node>,
    side: Side,
    memory: Memory,
    /// Empty for imported memory.
    maps: Vec<Arc<Map>>,
    /// Whether the driver has the buffer.
    queued: Vec<bool>,
    streaming: bool,
    returned: Arc<Mutex<Vec<usize>>>,
}

impl Queue {
    /// Asks the driver for buffers and maps them. The driver may give another number.
    pub(crate) fn new(
        node: Arc<Node>,
        side: Side,
        memory: Memory,
        buffers: u32,
    ) -> io::Result<Self> {
        let mut queue = Self {
            node,
            side,
            memory,
            maps: Vec::new(),
            queued: Vec::new(),
            streaming: false,
            returned: Arc::default(),
        };
        let count = queue.request(buffers)?;
        if count == 0 {
            return Err(io::Error::from_raw_os_error(libc::ENOMEM));
        }
        queue.queued = vec![false; count as usize];
        if memory == Memory::Mapped {
            for index in 0..count {
                let map = queue.map(index)?;
                queue.maps.push(Arc::new(map));
            }
        }
        Ok(queue)
    }

    /// How many buffers there are.
    pub(crate) fn count(&self) -> usize {
        self.queued.len()
    }

    /// How many of them the driver has.
    pub(crate) fn queued(&self) -> usize {
        self.queued.iter().filter(|&&queued| queued).count()
    }

    /// Whether a buffer is the driver's at this moment.
    pub(crate) fn is_queued(&self, index: usize) -> bool {
        self.queued.get(index).copied().unwrap_or(true)
    }

    /// The node, for controls while it streams.
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(crate) fn start(&mut self) -> io::Result<()> {
        self.stream(vidioc::VIDIOC_STREAMON)?;
        self.streaming = true;
        Ok(())
    }

    /// Stops streaming: all buffers are ours again.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        self.stream(vidioc::VIDIOC_STREAMOFF)?;
        self.streaming = false;
        self.queued.fill(false);
        Ok(())
    }

    /// Gives a buffer to the driver, with a time that a codec hands through.
    pub(crate) fn put(
        &mut self,
        index: usize,
        payload: Payload<'_>,
        captured: Option<Timestamp>,
    ) -> io::Result<()> {
        let mut plane: raw::v4l2_plane = zeroed();
        let mut buffer = self.buffer(index as u32, &mut plane);
        if let Some(captured) = captured {
            let micros = captured.as_nanos() / 1000;
            #[allow(
                clippy::useless_conversion,
                reason = "the parts of a timeval are narrower on 32-bit systems"
            )]
            if let (Ok(seconds), Ok(rest)) = (
                (micros / 1_000_000).try_into(),
                (micros % 1_000_000).try_into(),
            ) {
                buffer.timestamp.tv_sec = seconds;
                buffer.timestamp.tv_usec = rest;
            }
        }
        let (used, length, fd) = match payload {
            Payload::Empty => (0, 0, None),
            Payload::Written(used) => (used, 0, None),
            Payload::Imported { fd, used, length } => (used, length, Some(fd.as_raw_fd())),
        };
        if self.side.multi_planar() {
            plane.bytesused = used as u32;
            plane.length = length as u32;
            if let Some(fd) = fd {
                plane.m.fd = fd;
            }
            buffer.m.planes = &raw mut plane;
        } else {
            buffer.bytesused = used as u32;
            buffer.length = length as u32;
            if let Some(fd) = fd {
                buffer.m.fd = fd;
            }
        }
        self.node.ioctl(vidioc::VIDIOC_QBUF, &mut buffer)?;
        if let Some(queued) = self.queued.get_mut(index) {
            *queued = true;
        }
        Ok(())
    }

    /// Takes a buffer that the driver is done with; none when it has none ready.
    pub(crate) fn take(&mut self) -> io::Result<Option<Filled>> {
        let mut plane: raw::v4l2_plane = zeroed();
        let mut buffer = self.buffer(0, &mut plane);
        match self.node.ioctl(vidioc::VIDIOC_DQBUF, &mut buffer) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        let index = buffer.index as usize;
        let Some(queued) = self.queued.get_mut(index) else {
            return Err(io::Error::other(
                "the driver gave a buffer that it never had",
            ));
        };
        *queued = false;
        let flags = buffer.flags;
        let clock = flags & raw::V4L2_BUF_FLAG_TIMESTAMP_MASK;
        let known = clock == raw::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC
            || clock == raw::V4L2_BUF_FLAG_TIMESTAMP_COPY;
        #[allow(
            clippy::useless_conversion,
            reason = "the parts of a timeval are narrower on 32-bit systems"
        )]
        let time = (
            i64::from(buffer.timestamp.tv_sec),
            i64::from(buffer.timestamp.tv_usec),
        );
        let (used, offset) = if self.side.multi_planar() {
            (
                (plane.bytesused as usize).saturating_sub(plane.data_offset as usize),
                plane.data_offset as usize,
            )
        } else {
            (buffer.bytesused as usize, 0)
        };
        Ok(Some(Filled {
            index,
            used,
            offset,
            captured: known.then(|| Timestamp::from_parts(time.0, time.1.saturating_mul(1000))),
            sequence: buffer.sequence,
            damaged: flags & raw::V4L2_BUF_FLAG_ERROR != 0,
            key: flags & raw::V4L2_BUF_FLAG_KEYFRAME != 0,
            last: flags & raw::V4L2_BUF_FLAG_LAST != 0,
        }))
    }

    /// The bytes of a buffer that is ours; nothing of one that is not.
    pub(crate) fn bytes(&self, filled: &Filled) -> &[u8] {
        let Some(map) = self.ours(filled.index) else {
            return &[];
        };
        let bytes = map.bytes();
        let start = filled.offset.min(bytes.len());
        &bytes[start..start.saturating_add(filled.used).min(bytes.len())]
    }

    /// A buffer that is ours, for writing; none when it is the driver's.
    pub(crate) fn bytes_mut(&mut self, index: usize) -> Option<&mut [u8]> {
        let map = self.ours(index)?;
        // A lent buffer has another owner beside the queue, who may be reading.
        if Arc::strong_count(map) > 1 {
            return None;
        }
        // SAFETY: the queue is borrowed exclusively, the driver does not have the buffer, and
        // nobody else holds the mapping.
        Some(unsafe { map.bytes_mut() })
    }

    /// Lends a buffer out, until it is dropped and [`Queue::returned`] names it.
    pub(crate) fn lend(&self, filled: &Filled) -> Option<Lent> {
        let map = self.ours(filled.index).filter(|_| filled.offset == 0)?;
        Some(Lent {
            map: Arc::clone(map),
            index: filled.index,
            used: filled.used,
            home: Arc::clone(&self.returned),
        })
    }

    /// A buffer that was lent and has come back.
    pub(crate) fn returned(&self) -> Option<usize> {
        self.returned.lock().pop()
    }

    /// A buffer as a file descriptor that another driver can import.
    pub(crate) fn export(&self, index: usize) -> io::Result<OwnedFd> {
        let mut export: raw::v4l2_exportbuffer = zeroed();
        export.type_ = self.side as u32;
        export.index = index as u32;
        export.flags = (libc::O_CLOEXEC | libc::O_RDWR).cast_unsigned();
        self.node.ioctl(vidioc::VIDIOC_EXPBUF, &mut export)?;
        if export.fd < 0 {
            return Err(io::Error::from_raw_os_error(libc::EBADF));
        }
        // SAFETY: the driver has just made this descriptor for us.
        Ok(unsafe { OwnedFd::from_raw_fd(export.fd) })
    }

    /// Bytes that a mapped buffer has room for.
    pub(crate) fn room(&self, index: usize) -> usize {
        self.maps.get(index).map_or(0, |map| map.bytes().len())
    }

    fn ours(&self, index: usize) -> Option<&Arc<Map>> {
        self.maps.get(index).filter(|_| !self.is_queued(index))
    }

    fn map(&self, index: u32) -> io::Result<Map> {
        let mut plane: raw::v4l2_plane = zeroed();
        let mut buffer = self.buffer(index, &mut plane);
        self.node.ioctl(vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
        let (length, offset) = if self.side.multi_planar() {
            // SAFETY: with mapped memory the driver fills in the offset.
            (plane.length, unsafe { plane.m.mem_offset })
        } else {
            // SAFETY: as above.
            (buffer.length, unsafe { buffer.m.offset })
        };
        if length == 0 {
            return Err(io::Error::other("the driver gave a buffer without memory"));
        }
        Map::new(&self.node, length as usize, offset)
    }

    /// A buffer structure of this queue. It may point to the plane, which must outlive its use.
    fn buffer(&self, index: u32, plane: &mut raw::v4l2_plane) -> raw::v4l2_buffer {
        let mut buffer: raw::v4l2_buffer = zeroed();
        buffer.index = index;
        buffer.type_ = self.side as u32;
        buffer.memory = self.memory as u32;
        if self.side.multi_planar() {
            buffer.length = 1;
            buffer.m.planes = std::ptr::from_mut(plane);
        }
        buffer
    }

    /// Asks for a number of buffers; the driver's number comes back.
    fn request(&self, count: u32) -> io::Result<u32> {
        let mut request: raw::v4l2_requestbuffers = zeroed();
        request.count = count;
        request.type_ = self.side as u32;
        request.memory = self.memory as u32;
        self.node.ioctl(vidioc::VIDIOC_REQBUFS, &mut request)?;
        // The kernel's own limit; a broken driver's number shall not become our memory.
        Ok(request.count.min(32))
    }

    fn stream(&self, request: vidioc::_IOC_TYPE) -> io::Result<()> {
        let mut side = self.side as c_int;
        self.node.ioctl(request, &mut side)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // An unplugged device refuses all of this, and has forgotten the buffers anyway.
        let _ = self.stream(vidioc::VIDIOC_STREAMOFF);
        self.maps.clear();
        let _ = self.request(0);
    }
}
