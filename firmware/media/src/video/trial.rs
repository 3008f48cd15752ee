//! Hardware that is to take over from the software that encodes: on trial until it answers.
//!
//! An encoder in trouble often opens and starts as if nothing were wrong, and then gives nothing. In the place of the
//! software it would cost viewers a second at each attempt; beside it, it costs them nothing. Its answer is thrown away:
//! the software has shown that picture already.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::rung::RungTarget;
use crate::{EncodeError, FailureKind, Frame, VideoEncoder};

/// An encoder that gives nothing this long is wedged.
pub(super) const SILENCE: Duration = Duration::from_secs(1);

/// An encoder that has yet to show that it works.
pub(super) struct Trial {
    pub(super) encoder: Box<dyn VideoEncoder>,
    /// What it was set up for.
    pub(super) target: RungTarget,
    /// When it was given its latest picture.
    since: Instant,
}

impl Trial {
    pub(super) fn new(encoder: Box<dyn VideoEncoder>, target: RungTarget) -> Self {
        Self {
            encoder,
            target,
            since: Instant::now(),
        }
    }

    /// Whether it has encoded a picture. It is given one at a time: each may be in one of the camera's own buffers, and
    /// the camera needs them.
    pub(super) fn passed(&mut self, frame: &Arc<Frame>) -> Result<bool, EncodeError> {
        if self.encoder.receive(Duration::ZERO)?.is_some() {
            return Ok(true);
        }
        if self.encoder.due() == 0 {
            self.encoder.submit(frame, false)?;
            self.since = Instant::now();
        } else if self.since.elapsed() >= SILENCE {
            return Err(silent(&*self.encoder, (frame.width(), frame.height())));
        }
        Ok(false)
    }
}

/// What to say of an encoder that has given nothing for [`SILENCE`].
pub(super) fn silent(encoder: &dyn VideoEncoder, size: (u32, u32)) -> EncodeError {
    let reason = format!("has given nothing for {} s", SILENCE.as_secs());
    EncodeError::new(FailureKind::Wedged, encoder.name(), size, &reason)
}
