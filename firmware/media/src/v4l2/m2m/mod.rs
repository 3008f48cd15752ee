//! Codecs of the kernel's Video4Linux: memory-to-memory nodes, where raw pictures go in on one side
//! and a coded stream comes out on the other, by the stateful encoder interface
//! (`Documentation/userspace-api/media/v4l/dev-encoder.rst`).
//!
//! | state of the interface | here |
//! |---|---|
//! | initialisation | `Session::open`: formats, as the driver takes them; visible part; rate; controls; buffers |
//! | encoding | `Session::submit` and `Session::receive` |
//! | drain | `Session::drain`, then `receive` until `Session::drained` |
//! | reset | `Session::restart`, whose first picture is a key frame |
//! | stopped | the session is dropped |
//!
//! What a coded buffer means, what is waited for, and when the codec counts as wedged is decided in
//! `state`, without IO. Nothing that a driver returns is trusted: sizes, strides, flags and
//! times are checked, and what is wrong is counted ([`CodecCounters`]) or ends the session with a
//! reason that a person understands.

mod decoder;
mod limits;
mod picture;
mod session;
mod setup;
mod state;

use std::io;

pub use decoder::Decoder;
pub use limits::Limits;
pub(crate) use picture::RawPicture;
pub(crate) use session::Session;
pub(crate) use setup::{Setup, Sides, highest_level};
pub use state::CodecCounters;

use crate::encoder::FailureKind;

/// Why a codec cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: FailureKind,
    pub(crate) reason: String,
}

impl Trouble {
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Refused,
            reason: reason.into(),
        }
    }

    pub(crate) fn wedged(reason: impl Into<String>) -> Self {
        Self {
            kind: FailureKind::Wedged,
            reason: reason.into(),
        }
    }

    /// What a failed call means. `doing` says what was tried.
    pub(crate) fn call(doing: &str) -> impl FnOnce(io::Error) -> Self {
        move |error| match error.raw_os_error() {
            Some(libc::EBUSY) => Self::wedged(format!("{doing}: it is in use by another program")),
            Some(libc::ENODEV | libc::ENXIO) => {
                Self::wedged(format!("{doing}: the device is gone"))
            }
            Some(libc::EIO) => Self::wedged(format!("{doing}: the driver reports an I/O error")),
            _ => Self::wedged(format!("{doing}: {error}")),
        }
    }
}
