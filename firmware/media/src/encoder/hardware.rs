//! The hardware encoder: a V4L2 codec (see [`crate::v4l2::m2m`]), behind what the pipeline needs of
//! it.
//!
//! Pictures that are still in the camera's buffer are read there by the encoder (DMABUF), where both
//! drivers can; this is tried once with each encoder that is opened, and where it fails, the
//! pictures are copied. The encoder's name says `zero-copy` where they are not, and
//! [`VideoEncoder::description`] why they are.

use std::sync::Arc;
use std::time::Duration;

use super::{BITRATES, EncodeError, Encoded, EncoderSettings, FailureKind, VideoEncoder, level};
use crate::Frame;
use crate::frame::BufferLayout;
use crate::v4l2::EncoderInfo;
use crate::v4l2::m2m::{CodecCounters, Session, Setup, Trouble};

/// Encodes pictures of one size on a memory-to-memory node.
pub struct HardwareEncoder {
    info: EncoderInfo,
    name: String,
    coded: [u8; 4],
    size: (u32, u32),
    settings: EncoderSettings,
    session: Session,
    feed: Feed,
}

/// How pictures get into the encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Feed {
    /// Read out of the camera's buffers.
    Import(BufferLayout),
    /// Copied; with why, where the camera would have lent its buffers.
    Copy(Option<String>),
}

impl Feed {
    fn name(&self, info: &EncoderInfo) -> String {
        match self {
            Self::Import(_) => format!("{}, zero-copy", info.name()),
            Self::Copy(_) => info.name(),
        }
    }
}

impl std::fmt::Debug for HardwareEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("HardwareEncoder");
        debug
            .field("name", &self.name)
            .field("size", &self.size)
            .field("settings", &self.settings)
            .field("feed", &self.feed)
            .finish_non_exhaustive()
    }
}

impl HardwareEncoder {
    /// An H.264 encoder for pictures like `frame` on this node.
    pub fn new(
        info: &EncoderInfo,
        frame: &Frame,
        settings: EncoderSettings,
    ) -> Result<Self, EncodeError> {
        Self::with_format(info, *b"H264", frame, settings)
    }

    /// An encoder of another format, by its four-character code, for whoever can decode it.
    pub fn with_format(
        info: &EncoderInfo,
        coded: [u8; 4],
        frame: &Frame,
        settings: EncoderSettings,
    ) -> Result<Self, EncodeError> {
        let size = (frame.width(), frame.height());
        let name = info.name();
        let settings = EncoderSettings {
            bitrate: settings.bitrate.clamp(*BITRATES.start(), *BITRATES.end()),
            fps: settings.fps.clamp(1.0, 240.0),
            ..settings
        };
        info.limits
            .check(size, settings.fps)
            .map_err(|reason| EncodeError::new(FailureKind::Refused, &*name, size, &reason))?;
        let (session, feed) = start(info, coded, frame, settings)
            .map_err(|trouble| EncodeError::new(trouble.kind, &*name, size, &trouble.reason))?;
        Ok(Self {
            info: info.clone(),
            name: feed.name(info),
            coded,
            size,
            settings,
            session,
            feed,
        })
    }

    /// Lets the encoder finish the pictures it has; they are received as usual.
    pub fn drain(&mut self) -> Result<(), EncodeError> {
        let drained = self.session.drain();
        self.told(drained)
    }

    /// Whether all pictures of a drain were received.
    #[must_use]
    pub fn drained(&self) -> bool {
        self.session.drained()
    }

    /// What the driver did that it should not have.
    #[must_use]
    pub fn counters(&self) -> CodecCounters {
        self.session.counters()
    }

    /// The bitrate in force, by the driver; none if it has no such control.
    #[must_use]
    pub fn bitrate(&self) -> Option<u32> {
        self.session.bitrate()
    }

    /// Whether the encoder reads the camera's own buffers.
    #[must_use]
    pub fn is_zero_copy(&self) -> bool {
        matches!(self.feed, Feed::Import(_))
    }

    /// Whether it has yet to show that it can read the camera's buffers.
    fn is_trying(&self) -> bool {
        self.is_zero_copy() && self.session.counters().delivered == 0
    }

    fn error(&self, trouble: &Trouble) -> EncodeError {
        EncodeError::new(trouble.kind, &*self.name, self.size, &trouble.reason)
    }

    fn told<T>(&self, result: Result<T, Trouble>) -> Result<T, EncodeError> {
        result.map_err(|trouble| self.error(&trouble))
    }

    /// The driver would not read the camera's buffers after all: from now on pictures are copied.
    fn copy_instead(&mut self, trouble: &Trouble) -> Result<(), EncodeError> {
        tracing::info!("{}: copies its pictures: {}", self.name, trouble.reason);
        let setup = setup(&self.info, self.coded, self.size, self.settings, None);
        // Each open file is an encoder of its own: the old one goes when the new one is there.
        let opened = Session::open(&setup);
        self.session = self.told(opened)?;
        self.feed = Feed::Copy(Some(trouble.reason.clone()));
        self.name = self.feed.name(&self.info);
        Ok(())
    }
}

impl VideoEncoder for HardwareEncoder {
    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> String {
        match &self.feed {
            Feed::Import(_) | Feed::Copy(None) => self.name.clone(),
            Feed::Copy(Some(reason)) => format!("{}, by copy: {reason}", self.name),
        }
    }

    fn fits(&self, frame: &Frame) -> bool {
        let same = match (&self.feed, frame.lent()) {
            (Feed::Import(layout), lent) => lent.is_some_and(|lent| lent.layout() == *layout),
            (Feed::Copy(_), _) => true,
        };
        same && self.size == (frame.width(), frame.height())
    }

    fn submit(&mut self, frame: &Arc<Frame>, key: bool) -> Result<(), EncodeError> {
        match self.session.submit(frame, key) {
            Err(trouble) if self.is_trying() => {
                self.copy_instead(&trouble)?;
                let submitted = self.session.submit(frame, key);
                self.told(submitted)
            }
            submitted => self.told(submitted),
        }
    }

    fn receive(&mut self, timeout: Duration) -> Result<Option<Encoded>, EncodeError> {
        match self.session.receive(timeout) {
            Err(trouble) if self.is_trying() => self.copy_instead(&trouble).map(|()| None),
            received => self.told(received),
        }
    }

    fn due(&self) -> usize {
        self.session.due()
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), EncodeError> {
        let wanted = bits_per_second.clamp(*BITRATES.start(), *BITRATES.end());
        if wanted == self.settings.bitrate {
            return Ok(());
        }
        let set = self.session.set_bitrate(wanted);
        self.told(set)?;
        self.settings.bitrate = wanted;
        Ok(())
    }

    fn set_frame_rate(&mut self, fps: f32) -> Result<(), EncodeError> {
        let fps = fps.clamp(1.0, 240.0);
        if (fps / self.settings.fps - 1.0).abs() >= 0.15 {
            self.settings.fps = fps;
            self.session.set_frame_rate(fps);
        }
        Ok(())
    }
}

/// Opens a session that reads the camera's buffers if it can, and one that copies if not.
fn start(
    info: &EncoderInfo,
    coded: [u8; 4],
    frame: &Frame,
    settings: EncoderSettings,
) -> Result<(Session, Feed), Trouble> {
    let size = (frame.width(), frame.height());
    let mut reason = None;
    if let Some(layout) = frame.lent().map(crate::frame::LentBuffer::layout) {
        match Session::open(&setup(info, coded, size, settings, Some(layout))) {
            Ok(session) => return Ok((session, Feed::Import(layout))),
            Err(trouble) => {
                tracing::info!("{}: copies its pictures: {}", info.name(), trouble.reason);
                reason = Some(trouble.reason);
            }
        }
    }
    let session = Session::open(&setup(info, coded, size, settings, None))?;
    Ok((session, Feed::Copy(reason)))
}

fn setup(
    info: &EncoderInfo,
    coded: [u8; 4],
    size: (u32, u32),
    settings: EncoderSettings,
    import: Option<BufferLayout>,
) -> Setup<'_> {
    Setup {
        path: &info.path,
        coded,
        size,
        import,
        bitrate: settings.bitrate,
        fps: settings.fps,
        key_interval: settings.key_interval,
        level: level::level(size, settings.fps),
    }
}
