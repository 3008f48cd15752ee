//! Controls: numbers, choices and buttons of a node.

use std::io;

use v4l::v4l_sys as raw;
use v4l::v4l2::vidioc;

use super::{Node, zeroed};

/// What `VIDIOC_QUERYCTRL` says of a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlRange {
    pub(crate) min: i32,
    pub(crate) max: i32,
    pub(crate) step: i32,
}

impl Node {
    /// The range of a control, none when the node has no such control.
    pub(crate) fn control_range(&self, id: u32) -> Option<ControlRange> {
        let mut query: raw::v4l2_queryctrl = zeroed();
        query.id = id;
        self.ioctl(vidioc::VIDIOC_QUERYCTRL, &mut query).ok()?;
        let usable = query.flags & raw::V4L2_CTRL_FLAG_DISABLED == 0;
        usable.then_some(ControlRange {
            min: query.minimum,
            max: query.maximum,
            step: query.step,
        })
    }

    /// Sets a control: an integer, a choice by its number, or a button, which ignores the value.
    ///
    /// By `VIDIOC_S_EXT_CTRLS`, which encoders must have, and by the older `VIDIOC_S_CTRL` where a
    /// driver has only that.
    pub(crate) fn set_control(&self, id: u32, value: i32) -> io::Result<()> {
        let mut control: raw::v4l2_ext_control = zeroed();
        control.id = id;
        control.__bindgen_anon_1.value = value;
        let mut controls: raw::v4l2_ext_controls = zeroed();
        controls.count = 1;
        // Lives until after the call.
        controls.controls = &raw mut control;
        match self.ioctl(vidioc::VIDIOC_S_EXT_CTRLS, &mut controls) {
            Err(error) if error.raw_os_error() == Some(libc::ENOTTY) => {
                self.ioctl(vidioc::VIDIOC_S_CTRL, &mut raw::v4l2_control { id, value })
            }
            result => result,
        }
    }

    /// Reads a control.
    pub(crate) fn control(&self, id: u32) -> io::Result<i32> {
        let mut control = raw::v4l2_control { id, value: 0 };
        self.ioctl(vidioc::VIDIOC_G_CTRL, &mut control)?;
        Ok(control.value)
    }
}
