//! Controls: numbers, choices and buttons of a node.

use std::io;

use v4l::v4l_sys as raw;
use v4l::v4l2::vidioc;

use super::{Node, text, zeroed};

/// More controls than any driver has, and more entries than any menu; a broken one might never say that it is done.
const MOST: u32 = 1024;

/// A control as the node describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ControlInfo {
    pub(crate) id: u32,
    /// `V4L2_CTRL_TYPE_*`.
    pub(crate) kind: u32,
    /// The driver's name for it.
    pub(crate) name: String,
    pub(crate) range: ControlRange,
    pub(crate) default: i32,
    /// `V4L2_CTRL_FLAG_*`.
    pub(crate) flags: u32,
}

/// What `VIDIOC_QUERYCTRL` says of a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ControlRange {
    pub(crate) min: i32,
    pub(crate) max: i32,
    pub(crate) step: i32,
}

impl Node {
    /// All controls of the node whose value is one number, in the order of their ids.
    pub(crate) fn controls(&self) -> Vec<ControlInfo> {
        let mut controls = Vec::new();
        let mut last = 0;
        for _ in 0..MOST {
            let mut query: raw::v4l2_queryctrl = zeroed();
            query.id = last | raw::V4L2_CTRL_FLAG_NEXT_CTRL;
            // Drivers that do not know the flag end here, as do those that would go in circles.
            if self.ioctl(vidioc::VIDIOC_QUERYCTRL, &mut query).is_err() || query.id <= last {
                break;
            }
            last = query.id;
            controls.push(ControlInfo {
                id: query.id,
                kind: query.type_,
                name: text(&query.name),
                range: ControlRange {
                    min: query.minimum,
                    max: query.maximum,
                    step: query.step,
                },
                default: query.default_value,
                flags: query.flags,
            });
        }
        controls
    }

    /// The entries of a menu with their values; a menu may have gaps.
    pub(crate) fn menu(&self, control: &ControlInfo) -> Vec<(i32, String)> {
        let numbers = control.kind == raw::v4l2_ctrl_type_V4L2_CTRL_TYPE_INTEGER_MENU;
        let ControlRange { min, max, .. } = control.range;
        let indices = (min.max(0)..=max).take(MOST as usize);
        let entries = indices.filter_map(|value| {
            let mut entry: raw::v4l2_querymenu = zeroed();
            entry.id = control.id;
            entry.index = value.cast_unsigned();
            self.ioctl(vidioc::VIDIOC_QUERYMENU, &mut entry).ok()?;
            let said = entry.__bindgen_anon_1;
            let label = if numbers {
                // SAFETY: every pattern of bits is a number.
                unsafe { said.value }.to_string()
            } else {
                // SAFETY: every pattern of bits is an array of bytes.
                text(&unsafe { said.name })
            };
            Some((value, label))
        });
        entries.collect()
    }

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
