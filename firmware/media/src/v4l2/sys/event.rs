//! Events, and the command that begins a drain.

use std::io;
use std::mem;

use v4l::v4l_sys as raw;
use v4l::v4l2::vidioc;

use super::{Node, zeroed};

/// `_IOC` of the kernel's `ioctl.h`, for requests that are not in the `v4l` crate: direction 1
/// writes to the kernel, 2 reads from it, 3 does both.
pub(super) const fn request<T>(direction: u32, number: u32) -> vidioc::_IOC_TYPE {
    let size = mem::size_of::<T>() as u32;
    (direction << 30 | size << 16 | (b'V' as u32) << 8 | number) as vidioc::_IOC_TYPE
}

const VIDIOC_DQEVENT: vidioc::_IOC_TYPE = request::<raw::v4l2_event>(2, 89);
const VIDIOC_SUBSCRIBE_EVENT: vidioc::_IOC_TYPE = request::<raw::v4l2_event_subscription>(1, 90);

/// What a codec tells beside its buffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The last buffer before the end of a drain is there.
    EndOfStream,
    /// The pictures have another size from here on.
    SourceChange,
    /// Something else.
    Other,
}

impl Node {
    /// Asks to be told of the end of a drain and of new sizes. Drivers need not have either.
    pub(crate) fn subscribe(&self) {
        for kind in [raw::V4L2_EVENT_EOS, raw::V4L2_EVENT_SOURCE_CHANGE] {
            let mut subscription: raw::v4l2_event_subscription = zeroed();
            subscription.type_ = kind;
            if let Err(error) = self.ioctl(VIDIOC_SUBSCRIBE_EVENT, &mut subscription) {
                tracing::trace!(kind, "no such event: {error}");
            }
        }
    }

    /// Takes the next event, if there is one.
    pub(crate) fn event(&self) -> Option<Event> {
        let mut event: raw::v4l2_event = zeroed();
        self.ioctl(VIDIOC_DQEVENT, &mut event).ok()?;
        Some(match event.type_ {
            raw::V4L2_EVENT_EOS => Event::EndOfStream,
            raw::V4L2_EVENT_SOURCE_CHANGE => Event::SourceChange,
            _ => Event::Other,
        })
    }

    /// Tells an encoder that no more pictures come: it finishes those it has.
    pub(crate) fn stop_encoder(&self) -> io::Result<()> {
        let mut command: raw::v4l2_encoder_cmd = zeroed();
        command.cmd = raw::V4L2_ENC_CMD_STOP;
        self.ioctl(vidioc::VIDIOC_ENCODER_CMD, &mut command)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernel_s_numbers() {
        // By one that the `v4l` crate has too.
        assert_eq!(
            request::<raw::v4l2_encoder_cmd>(3, 77),
            vidioc::VIDIOC_ENCODER_CMD
        );
        assert_eq!(
            request::<raw::v4l2_capability>(2, 0),
            vidioc::VIDIOC_QUERYCAP
        );
    }
}
