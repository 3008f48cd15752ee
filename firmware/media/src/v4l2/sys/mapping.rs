//! A driver's buffer in our memory.

use std::ffi::c_void;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use parking_lot::Mutex;
use v4l::v4l2;

use super::Node;

/// A buffer of the driver in our memory. Whoever holds one reads and writes only while the buffer is
/// not the driver's, which [`super::Queue`] keeps account of.
pub(super) struct Map {
    start: *mut c_void,
    length: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread; it is written to only by `Queue`
// through an exclusive borrow.
unsafe impl Send for Map {}
// SAFETY: as above; shared borrows only read.
unsafe impl Sync for Map {}

impl Map {
    pub(super) fn new(node: &Node, length: usize, offset: u32) -> io::Result<Self> {
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
                node.as_raw_fd(),
                offset,
            )?
        };
        Ok(Self { start, length })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping is `length` bytes long and lives as long as `self`; the type's
        // holders call this only while the driver does not write.
        unsafe { std::slice::from_raw_parts(self.start.cast::<u8>(), self.length) }
    }

    /// The memory for writing.
    ///
    /// # Safety
    ///
    /// No other borrow of the bytes may be alive: the caller has the only one of the queue.
    #[allow(
        clippy::mut_from_ref,
        reason = "the memory is not part of the structure"
    )]
    pub(super) unsafe fn bytes_mut(&self) -> &mut [u8] {
        // SAFETY: as above, and what the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.start.cast::<u8>(), self.length) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this very mapping, whose bytes nobody borrows any more.
        let _ = unsafe { v4l2::munmap(self.start, self.length) };
    }
}

/// A filled buffer that was lent out of its queue. It stays ours until it is dropped: the queue then
/// finds its number in the return box and may hand it to the driver again. It outlives the queue
/// where need be.
pub(crate) struct Lent {
    pub(super) map: Arc<Map>,
    pub(super) index: usize,
    pub(super) used: usize,
    pub(super) home: Arc<Mutex<Vec<usize>>>,
}

impl std::fmt::Debug for Lent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lent")
            .field("index", &self.index)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

impl Lent {
    /// The buffer's number in its queue.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// What the driver has put into the buffer.
    pub(crate) fn bytes(&self) -> &[u8] {
        let bytes = self.map.bytes();
        &bytes[..self.used.min(bytes.len())]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.lock().push(self.index);
    }
}
