//! The software H.264 encoder: OpenH264, behind what the pipeline needs of it.

mod options;

use std::sync::Arc;
use std::time::Duration;

use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Level,
    Profile, RateControlMode, SpsPpsStrategy, UsageType, VuiConfig,
};
use openh264::formats::YUVSource;

use super::{BITRATES, EncodeError, Encoded, EncoderSettings, FailureKind, VideoEncoder, level};
use crate::Frame;

/// The name in statistics and messages.
pub(super) const NAME: &str = "OpenH264";

/// Encodes pictures of one size as constrained baseline H.264 (ITU-T H.264 annex A.2.1.1), for real
/// time: no B frames, no frame held back, no frame skipped, one slice.
///
/// ```
/// use heron_media::{EncoderSettings, FramePool, H264Encoder, Timestamp};
///
/// let mut frame = FramePool::new().frame(320, 180, Timestamp::now());
/// frame.data_mut().fill(128);
/// let settings = EncoderSettings { bitrate: 500_000, fps: 30.0, key_interval: 0 };
/// let mut encoder = H264Encoder::new(&frame, settings)?;
/// assert!(encoder.encode(&frame, false)?.key, "the first is a key frame");
/// assert!(!encoder.encode(&frame, false)?.key);
/// assert!(encoder.encode(&frame, true)?.key, "and so is one that was asked for");
/// # Ok::<(), heron_media::EncodeError>(())
/// ```
pub struct H264Encoder {
    encoder: Encoder,
    size: (u32, u32),
    settings: EncoderSettings,
    /// The access unit of the latest submitted picture: software is done when `submit` returns.
    ready: Option<Encoded>,
    /// OpenH264 initialises itself at the first picture, and takes no options before.
    started: bool,
}

impl std::fmt::Debug for H264Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("H264Encoder");
        debug
            .field("size", &self.size)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl H264Encoder {
    /// An encoder for pictures of the frame's size.
    pub fn new(frame: &Frame, settings: EncoderSettings) -> Result<Self, EncodeError> {
        let size = (frame.width(), frame.height());
        let settings = EncoderSettings {
            bitrate: settings.bitrate.clamp(*BITRATES.start(), *BITRATES.end()),
            fps: settings.fps.clamp(1.0, 240.0),
            ..settings
        };
        Ok(Self {
            encoder: open(size, settings)?,
            size,
            settings,
            ready: None,
            started: false,
        })
    }

    /// Whether the encoder was made for pictures of this frame's size.
    #[must_use]
    pub fn fits(&self, frame: &Frame) -> bool {
        self.size == (frame.width(), frame.height())
    }

    /// Encodes a picture, as a key frame if `key`.
    pub fn encode(&mut self, frame: &Frame, key: bool) -> Result<Encoded, EncodeError> {
        let failed = |error| refused((frame.width(), frame.height()), &error);
        if key && self.started {
            self.encoder.force_intra_frame();
        }
        let time = openh264::Timestamp::from_millis(frame.captured().as_nanos() / 1_000_000);
        let stream = self
            .encoder
            .encode_at(&Planes(frame), time)
            .map_err(failed)?;
        self.started = true;
        let key = matches!(stream.frame_type(), FrameType::IDR);
        Ok(Encoded {
            data: stream.to_vec(),
            key,
            captured: frame.captured(),
        })
    }

    /// The bitrate in force.
    #[must_use]
    pub fn bitrate(&self) -> u32 {
        self.settings.bitrate
    }

    /// Changes the bitrate from the next frame on, within [`BITRATES`].
    pub fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), EncodeError> {
        let current = self.settings.bitrate;
        let wanted = bits_per_second.clamp(*BITRATES.start(), *BITRATES.end());
        if wanted == current {
            return Ok(());
        }
        self.settings.bitrate = wanted;
        self.apply(|encoder| options::set_bitrate(encoder, current, wanted))
    }

    /// Tells the rate control how many frames a second really come, when it reckons with another
    /// number.
    pub fn follow_frame_rate(&mut self, measured: f32) -> Result<(), EncodeError> {
        let measured = measured.clamp(1.0, 240.0);
        if (measured / self.settings.fps - 1.0).abs() < 0.15 {
            return Ok(());
        }
        self.settings.fps = measured;
        self.apply(|encoder| options::set_frame_rate(encoder, measured))
    }

    /// Changes an option of the running encoder; one that has not encoded yet is made anew.
    fn apply(
        &mut self,
        change: impl FnOnce(&mut Encoder) -> Result<(), String>,
    ) -> Result<(), EncodeError> {
        if self.started {
            return change(&mut self.encoder).map_err(|reason| refused(self.size, &reason));
        }
        self.encoder = open(self.size, self.settings)?;
        Ok(())
    }
}

impl VideoEncoder for H264Encoder {
    fn name(&self) -> &str {
        NAME
    }

    fn fits(&self, frame: &Frame) -> bool {
        Self::fits(self, frame)
    }

    fn submit(&mut self, frame: &Arc<Frame>, key: bool) -> Result<(), EncodeError> {
        self.ready = Some(self.encode(frame, key)?);
        Ok(())
    }

    fn receive(&mut self, _timeout: Duration) -> Result<Option<Encoded>, EncodeError> {
        Ok(self.ready.take())
    }

    fn due(&self) -> usize {
        usize::from(self.ready.is_some())
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), EncodeError> {
        Self::set_bitrate(self, bits_per_second)
    }

    fn set_frame_rate(&mut self, fps: f32) -> Result<(), EncodeError> {
        self.follow_frame_rate(fps)
    }
}

/// OpenH264 said no. It keeps no state that another attempt would have to wait for.
fn refused(size: (u32, u32), reason: &impl ToString) -> EncodeError {
    EncodeError::new(FailureKind::Refused, NAME, size, reason)
}

/// A level of the table in OpenH264's terms.
fn openh264_level(tenths: u8) -> Level {
    match tenths {
        30 => Level::Level_3_0,
        31 => Level::Level_3_1,
        32 => Level::Level_3_2,
        40 => Level::Level_4_0,
        42 => Level::Level_4_2,
        50 => Level::Level_5_0,
        51 => Level::Level_5_1,
        _ => Level::Level_5_2,
    }
}

fn open(size: (u32, u32), settings: EncoderSettings) -> Result<Encoder, EncodeError> {
    let config = EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        .profile(Profile::Baseline)
        .level(openh264_level(level::level(size, settings.fps)))
        .complexity(Complexity::Low)
        .rate_control_mode(RateControlMode::Bitrate)
        .bitrate(BitRate::from_bps(settings.bitrate))
        .max_frame_rate(FrameRate::from_hz(settings.fps))
        .intra_frame_period(IntraFramePeriod::from_num_frames(settings.key_interval))
        // A viewer would rather see a coarse picture than a standing one.
        .skip_frames(false)
        // Key frames come when they are asked for: at a cut they would be the largest and the
        // latest.
        .scene_change_detect(false)
        .sps_pps_strategy(SpsPpsStrategy::ConstantId)
        // Threads need slices, and slices cost quality; a second core has other things to do.
        .num_threads(1)
        .vui(VuiConfig::bt601());
    let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)
        .map_err(|error| refused(size, &error))?;
    options::silence(&mut encoder).map_err(|reason| refused(size, &reason))?;
    Ok(encoder)
}

/// A frame in OpenH264's terms.
struct Planes<'a>(&'a Frame);

impl YUVSource for Planes<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.width() as usize, self.0.height() as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        let width = self.0.width() as usize;
        (width, width / 2, width / 2)
    }

    fn y(&self) -> &[u8] {
        self.0.y()
    }

    fn u(&self) -> &[u8] {
        self.0.u()
    }

    fn v(&self) -> &[u8] {
        self.0.v()
    }
}
