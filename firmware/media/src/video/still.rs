//! Still pictures, for who asks once in a while.
//!
//! Nothing is kept for them while nobody asks but the latest key frame of a source that encodes by
//! itself: holding on to a frame would hold one of the camera's buffers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use parking_lot::{Condvar, Mutex};

use super::{AccessUnit, Rung, Shared};
use crate::{Frame, FramePool, Timestamp, VideoCodec, jpeg};

/// A picture as JPEG.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Still {
    /// The whole file.
    pub jpeg: Bytes,
    /// When the picture was captured.
    pub captured: Timestamp,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Why there is no still picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StillError {
    /// None came in time. The source's latest trouble, if any, is the likely reason.
    #[error("no picture within {waited:?}{}", trouble.as_ref().map(|line| format!(": {line}")).unwrap_or_default())]
    Late {
        /// How long it was waited for.
        waited: Duration,
        /// The source's latest trouble.
        trouble: Option<String>,
    },
    /// A picture came that could not be made a JPEG file.
    #[error("a picture that cannot be used: {0}")]
    Unusable(String),
}

/// The pictures for who waits, and the latest that was made.
#[derive(Debug, Default)]
pub(super) struct Stills {
    state: Mutex<State>,
    changed: Condvar,
    /// Held while one is made, so that several who ask share it.
    latest: Mutex<Option<Still>>,
}

#[derive(Debug, Default)]
struct State {
    waiting: bool,
    /// Pictures captured before this are a camera's first, too dark or too bright.
    settled: Timestamp,
    picture: Option<Picture>,
}

#[derive(Debug, Clone)]
enum Picture {
    Frame(Arc<Frame>),
    KeyFrame(AccessUnit),
}

impl Stills {
    /// The source was opened; its pictures can be used from this time on.
    pub(super) fn opened(&self, settled: Timestamp) {
        self.state.lock().settled = settled;
    }

    /// The source was closed: what it left grows old.
    pub(super) fn closed(&self) {
        self.state.lock().picture = None;
    }

    /// Offers a raw picture.
    pub(super) fn offer_frame(&self, frame: &Arc<Frame>) {
        let mut state = self.state.lock();
        if state.waiting && frame.captured() >= state.settled {
            state.picture = Some(Picture::Frame(Arc::clone(frame)));
            self.changed.notify_all();
        }
    }

    /// Offers an encoded picture.
    pub(super) fn offer_unit(&self, unit: &AccessUnit) {
        if unit.key {
            self.state.lock().picture = Some(Picture::KeyFrame(unit.clone()));
            self.changed.notify_all();
        }
    }

    /// Waits for a picture that is not older than `oldest`; at the end of the wait an older key
    /// frame will do.
    fn wait(&self, oldest: Timestamp, deadline: Instant) -> Option<Picture> {
        let mut state = self.state.lock();
        loop {
            let picture = state.picture.as_ref();
            if picture.is_some_and(|picture| picture.captured() >= oldest) {
                return picture.cloned();
            }
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                return state.picture.clone();
            }
        }
    }
}

impl Picture {
    fn captured(&self) -> Timestamp {
        match self {
            Self::Frame(frame) => frame.captured(),
            Self::KeyFrame(unit) => unit.captured,
        }
    }

    fn to_still(&self) -> Result<Still, StillError> {
        let decoded;
        let frame = match self {
            Self::Frame(frame) => &**frame,
            Self::KeyFrame(unit) => {
                decoded = decode(unit).map_err(StillError::Unusable)?;
                &decoded
            }
        };
        let jpeg = jpeg::encode(frame).map_err(StillError::Unusable)?;
        Ok(Still {
            jpeg: jpeg.into(),
            captured: frame.captured(),
            width: frame.width(),
            height: frame.height(),
        })
    }
}

/// Somebody who waits: the source stays open meanwhile.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.stills.state.lock().waiting = true;
        shared
            .demand
            .want_still(|wanted| shared.supervisor.set_active(wanted));
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let shared = self.0;
        shared
            .demand
            .leave_still(|wanted| shared.supervisor.set_active(wanted));
        let mut state = shared.stills.state.lock();
        state.waiting = false;
        state
            .picture
            .take_if(|picture| matches!(picture, Picture::Frame(_)));
    }
}

/// See [`crate::VideoPipeline::still`].
pub(super) fn take(
    shared: &Shared,
    max_age: Duration,
    patience: Duration,
) -> Result<Still, StillError> {
    let codec = shared.config.source.codec();
    if codec != VideoCodec::H264 {
        let reason = format!("it is {codec}, and of encoded pictures only H.264 is decoded");
        return Err(StillError::Unusable(reason));
    }
    let stills = &shared.stills;
    let (oldest, deadline) = (Timestamp::now().minus(max_age), Instant::now() + patience);
    let late = || StillError::Late {
        waited: patience,
        trouble: shared.supervisor.health().last_error,
    };
    let mut latest = stills.latest.try_lock_until(deadline).ok_or_else(late)?;
    if let Some(still) = latest.as_ref().filter(|still| still.captured >= oldest) {
        return Ok(still.clone());
    }
    let waiting = Waiting::begin(shared);
    if shared.counters.passes_through.load(Ordering::Relaxed) {
        shared.lane(Rung::Main).want_key();
    }
    let picture = stills.wait(oldest, deadline).ok_or_else(late)?;
    drop(waiting);
    let still = picture.to_still()?;
    *latest = Some(still.clone());
    Ok(still)
}

/// The picture of a key frame.
fn decode(unit: &AccessUnit) -> Result<Frame, String> {
    let mut decoder = Decoder::new().map_err(|error| error.to_string())?;
    let decoded = decoder
        .decode(&unit.data)
        .map_err(|error| error.to_string())?;
    let decoded = decoded.ok_or("a key frame without a picture")?;
    let (width, height) = decoded.dimensions();
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX).min(8192);
    let mut frame = FramePool::new().frame(side(width), side(height), unit.captured);
    let width = frame.width() as usize;
    let (luma, blue, red) = decoded.strides();
    let planes = frame.planes_mut();
    for (plane, from, stride, width) in [
        (planes.y, decoded.y(), luma, width),
        (planes.u, decoded.u(), blue, width / 2),
        (planes.v, decoded.v(), red, width / 2),
    ] {
        for (to, from) in plane.chunks_exact_mut(width).zip(from.chunks(stride)) {
            to.copy_from_slice(&from[..width]);
        }
    }
    Ok(frame)
}
