//! An open V4L2 node: what it is, what it offers, and one ioctl of any kind.

use std::ffi::c_void;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use v4l::device::Handle;
use v4l::v4l_sys as raw;
use v4l::v4l2::{self, vidioc};

use super::{Plain, Side, text, zeroed};

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

/// What a node has for us (`poll`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// A captured or coded buffer can be taken.
    pub(crate) capture: bool,
    /// A buffer that went in is done with.
    pub(crate) output: bool,
    /// An event waits.
    pub(crate) event: bool,
    /// Nothing streams, no buffer is queued, or the driver has given up.
    pub(crate) error: bool,
}

/// An open V4L2 node.
pub(crate) struct Node {
    handle: Arc<Handle>,
}

impl AsRawFd for Node {
    fn as_raw_fd(&self) -> RawFd {
        self.handle.fd()
    }
}

impl Node {
    /// Opens a node, not blocking.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // The crate's own conversion to a C string panics.
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(io::Error::other("the path contains a NUL"));
        }
        let device = v4l::Device::with_path(path)?;
        Ok(Self {
            handle: device.handle(),
        })
    }

    /// What the node is and can do.
    pub(crate) fn capability(&self) -> io::Result<Capability> {
        let mut caps: raw::v4l2_capability = zeroed();
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
    pub(crate) fn formats(&self, side: Side) -> Vec<FormatInfo> {
        let mut formats = Vec::new();
        // No driver has this many; a broken one might never say that it is done.
        for index in 0..256 {
            let mut format = raw::v4l2_fmtdesc {
                index,
                type_: side as u32,
                ..zeroed()
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

    /// Waits until the node has something, or the time is up.
    pub(crate) fn wait(&self, wanted: Readiness, timeout: Duration) -> io::Result<Readiness> {
        // Rounded up: a wait of less than a millisecond is not none.
        let millis = timeout.as_nanos().div_ceil(1_000_000);
        let millis = i32::try_from(millis).unwrap_or(i32::MAX);
        let flag = |wanted: bool, flag: i16| if wanted { flag } else { 0 };
        let events = flag(wanted.capture, libc::POLLIN)
            | flag(wanted.output, libc::POLLOUT)
            | flag(wanted.event, libc::POLLPRI);
        let mut poll = libc::pollfd {
            fd: self.handle.fd(),
            events,
            revents: 0,
        };
        // SAFETY: one valid structure, and the file is open as long as the handle lives.
        let result = unsafe { libc::poll(&raw mut poll, 1, millis) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::Interrupted => Ok(Readiness::default()),
                _ => Err(error),
            };
        }
        let set = |flag: i16| poll.revents & flag != 0;
        Ok(Readiness {
            capture: set(libc::POLLIN),
            output: set(libc::POLLOUT),
            event: set(libc::POLLPRI),
            error: set(libc::POLLERR | libc::POLLHUP | libc::POLLNVAL),
        })
    }

    /// One ioctl, again when a signal interrupts it.
    pub(super) fn ioctl<T: Plain>(
        &self,
        request: vidioc::_IOC_TYPE,
        argument: &mut T,
    ) -> io::Result<()> {
        // A request's number contains the size of what it reads and writes.
        let size = (request >> 16) & 0x3fff;
        if size as usize != mem::size_of::<T>() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        loop {
            // SAFETY: the file is open as long as the handle lives, and the kernel reads and
            // writes no more than the structure. Callers that put a pointer into it keep what it
            // points to during the call.
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
