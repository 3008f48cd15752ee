//! The ioctls and mappings of V4L2, made safe. The only place that talks to the kernel about video.
//!
//! The `v4l` crate opens the device and brings the kernel's structures; its own streams are not
//! used, since they panic when a camera is unplugged under them, and neither are its conversions
//! that panic on text or numbers they do not expect.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::io;
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use v4l::device::Handle;
use v4l::v4l_sys as raw;
use v4l::v4l2::{self, vidioc};

use crate::Timestamp;

/// Single-planar capture: what cameras on USB and most bridges speak.
pub(crate) const CAPTURE: u32 = v4l::buffer::Type::VideoCapture as u32;
/// Single-planar output, the input side of an encoder.
pub(crate) const OUTPUT: u32 = v4l::buffer::Type::VideoOutput as u32;
/// Multi-planar capture.
pub(crate) const CAPTURE_MPLANE: u32 = v4l::buffer::Type::VideoCaptureMplane as u32;
/// Multi-planar output.
pub(crate) const OUTPUT_MPLANE: u32 = v4l::buffer::Type::VideoOutputMplane as u32;
/// `V4L2_MEMORY_MMAP`.
const MMAP: u32 = 1;
/// `V4L2_FIELD_NONE`: whole pictures.
const PROGRESSIVE: u32 = 1;

/// What `VIDIOC_QUERYCAP` says of a node.
#[derive(Debug, Clone)]
pub(crate) struct Capability {
    pub(crate) driver: String,
    pub(crate) card: String,
    pub(crate) bus: String,
    /// `V4L2_CAP_*` of this node, not of the whole device.
    pub(crate) flags: u32,
}

/// What `VIDIOC_ENUM_FMT` says of a format.
#[derive(Debug, Clone)]
pub(crate) struct FormatInfo {
    pub(crate) fourcc: [u8; 4],
    pub(crate) description: String,
    pub(crate) compressed: bool,
}

/// The format in force after `VIDIOC_S_FMT`, which need not be what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PixelLayout {
    pub(crate) fourcc: [u8; 4],
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) stride: u32,
}

/// An open V4L2 node.
pub(crate) struct Node {
    handle: Arc<Handle>,
}

impl Node {
    /// Opens a node, not blocking.
    pub(crate) fn open(path: &Path) -> io::Result<(v4l::Device, Self)> {
        let device = v4l::Device::with_path(path)?;
        let node = Self {
            handle: device.handle(),
        };
        Ok((device, node))
    }

    /// What the node is and can do.
    pub(crate) fn capability(&self) -> io::Result<Capability> {
        // SAFETY: all-zero bytes are a valid value of this structure of integers.
        let mut caps: raw::v4l2_capability = unsafe { mem::zeroed() };
        self.ioctl(vidioc::VIDIOC_QUERYCAP, &mut caps)?;
        let has_own = caps.capabilities & raw::V4L2_CAP_DEVICE_CAPS != 0;
        Ok(Capability {
            driver: text(&caps.driver),
            card: text(&caps.card),
            bus: text(&caps.bus_info),
            flags: if has_own {
                caps.device_caps
            } else {
                caps.capabilities
            },
        })
    }

    /// The formats of one side of the node.
    pub(crate) fn formats(&self, side: u32) -> Vec<FormatInfo> {
        let mut formats = Vec::new();
        // No driver has this many; a broken one might never say that it is done.
        for index in 0..256 {
            // SAFETY: as above.
            let zeroed = unsafe { mem::zeroed() };
            let mut format = raw::v4l2_fmtdesc {
                index,
                type_: side,
                ..zeroed
            };
            if self.ioctl(vidioc::VIDIOC_ENUM_FMT, &mut format).is_err() {
                break;
            }
            formats.push(FormatInfo {
                fourcc: format.pixelformat.to_le_bytes(),
                description: text(&format.description),
                compressed: format.flags & raw::V4L2_FMT_FLAG_COMPRESSED != 0,
            });
        }
        formats
    }

    /// Sets size and format of the captured pictures; the driver's choice comes back.
    pub(crate) fn set_format(
        &self,
        fourcc: [u8; 4],
        width: u32,
        height: u32,
    ) -> io::Result<PixelLayout> {
        // SAFETY: as above; the union's members are structures of integers too.
        let mut format: raw::v4l2_format = unsafe { mem::zeroed() };
        format.type_ = CAPTURE;
        // SAFETY: as above.
        let zeroed: raw::v4l2_pix_format = unsafe { mem::zeroed() };
        let pixelformat = u32::from_le_bytes(fourcc);
        format.fmt.pix = raw::v4l2_pix_format {
            width,
            height,
            pixelformat,
            field: PROGRESSIVE,
            ..zeroed
        };
        self.ioctl(vidioc::VIDIOC_S_FMT, &mut format)?;
        // SAFETY: for this type the driver fills in this member of the union.
        let pix = unsafe { format.fmt.pix };
        Ok(PixelLayout {
            fourcc: pix.pixelformat.to_le_bytes(),
            width: pix.width,
            height: pix.height,
            stride: pix.bytesperline,
        })
    }

    /// Sets the time between two pictures as a fraction of seconds; the driver's choice comes back,
    /// none when the driver knows no rates.
    pub(crate) fn set_interval(
        &self,
        (numerator, denominator): (u32, u32),
    ) -> io::Result<Option<(u32, u32)>> {
        // SAFETY: as above.
        let mut parm: raw::v4l2_streamparm = unsafe { mem::zeroed() };
        parm.type_ = CAPTURE;
        self.ioctl(vidioc::VIDIOC_G_PARM, &mut parm)?;
        // SAFETY: for this type the driver fills in this member of the union.
        let mut capture = unsafe { parm.parm.capture };
        if capture.capability & raw::V4L2_CAP_TIMEPERFRAME == 0 {
            return Ok(None);
        }
        capture.timeperframe = raw::v4l2_fract {
            numerator,
            denominator,
        };
        parm.parm.capture = capture;
        self.ioctl(vidioc::VIDIOC_S_PARM, &mut parm)?;
        // SAFETY: as above.
        let chosen = unsafe { parm.parm.capture.timeperframe };
        Ok(Some((chosen.numerator, chosen.denominator)))
    }

    /// Sets a control: an integer, or a button, which ignores the value.
    pub(crate) fn set_control(&self, id: u32, value: i32) -> io::Result<()> {
        self.ioctl(vidioc::VIDIOC_S_CTRL, &mut raw::v4l2_control { id, value })
    }

    /// Waits for a picture; false when none came in time.
    fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        match self.handle.poll(libc::POLLIN, millis) {
            Ok(ready) => Ok(ready > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One ioctl, again when a signal interrupts it.
    fn ioctl<T>(&self, request: vidioc::_IOC_TYPE, argument: &mut T) -> io::Result<()> {
        loop {
            // SAFETY: the file is open as long as the handle lives. Each caller in this module
            // passes the structure that the request names, valid in all its bytes; requests with
            // pointers inside are not used.
            let result = unsafe {
                v4l2::ioctl(
                    self.handle.fd(),
                    request,
                    std::ptr::from_mut(argument).cast::<c_void>(),
                )
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// A picture in one of the queue's buffers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Filled {
    index: usize,
    used: usize,
    /// When the driver says that it was captured, none if by another clock than ours.
    pub(crate) captured: Option<Timestamp>,
    /// Counts the pictures of the device, those that found no buffer included.
    pub(crate) sequence: u32,
    /// The driver noticed that data is missing.
    pub(crate) damaged: bool,
}

/// Buffers shared with the driver, streaming from creation to drop.
pub(crate) struct Queue {
    node: Node,
    maps: Vec<Map>,
}

impl Queue {
    /// Asks the driver for buffers, maps them, hands them over and starts the stream.
    pub(crate) fn start(node: Node, buffers: u32) -> io::Result<Self> {
        let mut queue = Self {
            node,
            maps: Vec::new(),
        };
        let count = queue.request(buffers)?;
        for index in 0..count {
            let mut buffer = empty_buffer(index);
            queue.node.ioctl(vidioc::VIDIOC_QUERYBUF, &mut buffer)?;
            // SAFETY: with mapped memory the driver fills in the offset.
            let offset = unsafe { buffer.m.offset };
            queue
                .maps
                .push(Map::new(&queue.node, buffer.length as usize, offset)?);
        }
        for index in 0..count {
            queue.hand_over(index)?;
        }
        queue.stream(vidioc::VIDIOC_STREAMON)?;
        Ok(queue)
    }

    /// Waits for a picture and takes it out of the driver's hands; none within the timeout.
    pub(crate) fn take(&self, timeout: Duration) -> io::Result<Option<Filled>> {
        if !self.node.wait(timeout)? {
            return Ok(None);
        }
        let mut buffer = empty_buffer(0);
        match self.node.ioctl(vidioc::VIDIOC_DQBUF, &mut buffer) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        }
        let monotonic = buffer.flags & raw::V4L2_BUF_FLAG_TIMESTAMP_MASK
            == raw::V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
        #[allow(
            clippy::useless_conversion,
            reason = "the parts of a timeval are narrower on 32-bit systems"
        )]
        let time = (
            i64::from(buffer.timestamp.tv_sec),
            i64::from(buffer.timestamp.tv_usec),
        );
        Ok(Some(Filled {
            index: buffer.index as usize,
            used: buffer.bytesused as usize,
            captured: monotonic.then(|| Timestamp::from_parts(time.0, time.1.saturating_mul(1000))),
            sequence: buffer.sequence,
            damaged: buffer.flags & raw::V4L2_BUF_FLAG_ERROR != 0,
        }))
    }

    /// The bytes of a picture.
    pub(crate) fn bytes(&self, filled: &Filled) -> &[u8] {
        self.maps
            .get(filled.index)
            .map_or(&[], |map| map.bytes(filled.used))
    }

    /// Gives the buffer of a picture back to the driver. Taking the picture by value ends its use.
    pub(crate) fn give_back(&self, filled: Filled) -> io::Result<()> {
        self.hand_over(filled.index as u32)
    }

    /// The node, for controls while it streams.
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    fn hand_over(&self, index: u32) -> io::Result<()> {
        self.node
            .ioctl(vidioc::VIDIOC_QBUF, &mut empty_buffer(index))
    }

    /// Asks for a number of buffers; the driver's number comes back.
    fn request(&self, count: u32) -> io::Result<u32> {
        // SAFETY: all-zero bytes are a valid value of this structure of integers.
        let zeroed = unsafe { mem::zeroed() };
        let mut request = raw::v4l2_requestbuffers {
            count,
            type_: CAPTURE,
            memory: MMAP,
            ..zeroed
        };
        self.node.ioctl(vidioc::VIDIOC_REQBUFS, &mut request)?;
        Ok(request.count)
    }

    fn stream(&self, request: vidioc::_IOC_TYPE) -> io::Result<()> {
        let mut side = CAPTURE as c_int;
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

/// A buffer of the driver in our memory.
struct Map {
    start: *mut c_void,
    length: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and only its owner reads it.
unsafe impl Send for Map {}

impl Map {
    fn new(node: &Node, length: usize, offset: u32) -> io::Result<Self> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        let offset = libc::off_t::from(offset);
        // SAFETY: a new mapping at an address that the kernel chooses, of the length and offset
        // that the driver named.
        let start = unsafe {
            v4l2::mmap(
                std::ptr::null_mut(),
                length,
                protection,
                flags,
                node.handle.fd(),
                offset,
            )?
        };
        Ok(Self { start, length })
    }

    fn bytes(&self, used: usize) -> &[u8] {
        // SAFETY: the mapping is `length` bytes long and lives as long as `self`. The driver does
        // not write while the buffer is ours: a `Filled` exists only between taking and giving
        // back.
        unsafe { std::slice::from_raw_parts(self.start.cast::<u8>(), used.min(self.length)) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this very mapping, whose bytes nobody borrows any more.
        let _ = unsafe { v4l2::munmap(self.start, self.length) };
    }
}

fn empty_buffer(index: u32) -> raw::v4l2_buffer {
    // SAFETY: all-zero bytes are a valid value: integers, and a union whose pointer is not used
    // with mapped memory.
    let mut buffer: raw::v4l2_buffer = unsafe { mem::zeroed() };
    buffer.index = index;
    buffer.type_ = CAPTURE;
    buffer.memory = MMAP;
    buffer
}

/// The text in a fixed field: up to its first zero, and whatever it contains.
fn text(field: &[u8]) -> String {
    let end = field
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_kept_readable() {
        assert_eq!(text(b"HD Camera\0rest"), "HD Camera");
        assert_eq!(text(b"Cam\xe9ra "), "Cam\u{fffd}ra");
    }

    #[test]
    fn a_file_that_is_no_camera_says_so() {
        let (_device, node) = Node::open(Path::new("/dev/null")).unwrap();
        assert_eq!(
            node.capability().unwrap_err().raw_os_error(),
            Some(libc::ENOTTY)
        );
        assert!(node.formats(CAPTURE).is_empty());
        assert!(Queue::start(node, 4).is_err());
    }
}
