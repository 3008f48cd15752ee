//! The ioctls and mappings of V4L2, made safe. The only place that talks to the kernel about video.
//!
//! The `v4l` crate opens the device and brings the kernel's structures; its own streams are not
//! used, since they know neither multi-planar formats nor encoders and panic when a camera is
//! unplugged under them, and neither are its conversions that panic on text or numbers they do not
//! expect.
//!
//! [`Node`] is an open device with its formats, controls and events; [`Queue`] is one side of it,
//! with buffers that the driver and we take turns with.
#![allow(unsafe_code)]

mod control;
mod event;
mod format;
mod mapping;
mod node;
mod queue;

use std::mem;

use v4l::v4l_sys as raw;

pub(crate) use control::ControlInfo;
#[cfg(test)]
pub(crate) use control::ControlRange;
pub(crate) use event::Event;
pub(crate) use format::{PixelLayout, Request};
pub(crate) use mapping::Lent;
pub(crate) use node::{Capability, Node, Readiness};
pub(crate) use queue::{Filled, Memory, Payload, Queue};

/// `enum v4l2_buf_type`: one side of a node. Capture is what comes out of the device, output is
/// what goes into it; the multi-planar kinds may keep a picture in several buffers, of which we use
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub(crate) enum Side {
    Capture = 1,
    Output = 2,
    CaptureMplane = 9,
    OutputMplane = 10,
}

impl Side {
    pub(crate) const fn multi_planar(self) -> bool {
        matches!(self, Self::CaptureMplane | Self::OutputMplane)
    }

    pub(crate) const fn is_output(self) -> bool {
        matches!(self, Self::Output | Self::OutputMplane)
    }
}

/// Structures of which all-zero bytes are a valid value.
///
/// # Safety
///
/// The type must consist of integers, raw pointers, and arrays and unions of those.
unsafe trait Plain {}

macro_rules! plain {
    ($($name:ty),+ $(,)?) => {
        $(
            // SAFETY: a structure of the kernel's interface: integers, raw pointers, unions.
            unsafe impl Plain for $name {}
        )+
    };
}

plain!(
    std::ffi::c_int,
    raw::v4l2_buffer,
    raw::v4l2_capability,
    raw::v4l2_control,
    raw::v4l2_encoder_cmd,
    raw::v4l2_event,
    raw::v4l2_event_subscription,
    raw::v4l2_exportbuffer,
    raw::v4l2_ext_control,
    raw::v4l2_ext_controls,
    raw::v4l2_fmtdesc,
    raw::v4l2_format,
    raw::v4l2_frmsizeenum,
    raw::v4l2_plane,
    raw::v4l2_queryctrl,
    raw::v4l2_querymenu,
    raw::v4l2_requestbuffers,
    raw::v4l2_selection,
    raw::v4l2_streamparm,
);

/// A structure with nothing in it.
fn zeroed<T: Plain>() -> T {
    // SAFETY: what `Plain` promises.
    unsafe { mem::zeroed() }
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
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn odd_names_are_kept_readable() {
        assert_eq!(text(b"HD Camera\0rest"), "HD Camera");
        assert_eq!(text(b"Cam\xe9ra "), "Cam\u{fffd}ra");
    }

    #[test]
    fn a_file_that_is_no_camera_says_so() {
        let node = Node::open(Path::new("/dev/null")).unwrap();
        assert_eq!(
            node.capability().unwrap_err().raw_os_error(),
            Some(libc::ENOTTY)
        );
        assert!(node.formats(Side::Capture).is_empty());
        assert!(node.controls().is_empty());
        assert!(
            node.control_range(raw::V4L2_CID_MPEG_VIDEO_BITRATE)
                .is_none()
        );
        assert!(Queue::new(Arc::new(node), Side::Capture, Memory::Mapped, 4).is_err());
    }
}
