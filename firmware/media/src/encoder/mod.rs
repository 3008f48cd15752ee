//! H.264 encoders: the machine's hardware where there is one that fits, OpenH264 where not.
//!
//! [`open`] picks one by an [`EncoderChoice`]; behind [`VideoEncoder`] the pipeline need not know
//! which. Pictures are submitted and access units received apart, since hardware works beside us.
//!
//! An encoder that fails says by [`EncodeError::kind`] what helps: another encoder
//! ([`FailureKind::Refused`], [`FailureKind::Absent`]), or tearing it down and opening it again after
//! a pause ([`FailureKind::Wedged`]).

mod error;
mod hardware;
pub(crate) mod level;
mod software;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

pub use error::{EncodeError, FailureKind};
pub use hardware::HardwareEncoder;
pub use software::H264Encoder;

use crate::v4l2::{self, EncoderInfo};
use crate::{ConfigError, Frame, Timestamp};

/// Bits a second that an encoder can be asked for.
pub const BITRATES: std::ops::RangeInclusive<u32> = 50_000..=20_000_000;

/// A picture as H.264.
#[derive(Debug)]
pub struct Encoded {
    /// The access unit with start codes; a key frame begins with its parameter sets.
    pub data: Vec<u8>,
    /// Whether decoding can begin here.
    pub key: bool,
    /// When the picture was captured.
    pub captured: Timestamp,
}

/// What a new encoder starts with.
#[derive(Debug, Clone, Copy)]
pub struct EncoderSettings {
    /// Bits a second.
    pub bitrate: u32,
    /// Frames a second, as far as known.
    pub fps: f32,
    /// Frames from one key frame to the next, zero for key frames on request only.
    pub key_interval: u32,
}

/// Which encoder to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EncoderChoice {
    /// Hardware where there is one that fits the pictures, software where not and while it is down.
    #[default]
    Auto,
    /// Hardware only.
    Hardware,
    /// Software only.
    Software,
}

/// One encoder instance, for pictures of one size, giving constrained baseline H.264 (ITU-T H.264
/// annex A.2.1.1) without B frames. The first access unit is a key frame.
pub trait VideoEncoder: Send {
    /// What encodes, such as `OpenH264` or `bcm2835-codec (/dev/video11)`.
    fn name(&self) -> &str;

    /// How it is fed, for a person; the same as the name where there is nothing to add.
    fn description(&self) -> String {
        self.name().to_owned()
    }

    /// Whether this encoder was made for pictures of the frame's size.
    fn fits(&self, frame: &Frame) -> bool;

    /// Hands over a picture, to be a key frame if `key`. Software encodes it at once. Hardware takes
    /// a copy, or the camera's own buffer, and waits only while all its buffers are in use; a
    /// picture that finds none is left out, and a key frame asked for with it is the next one.
    fn submit(&mut self, frame: &Arc<Frame>, key: bool) -> Result<(), EncodeError>;

    /// Takes the next access unit, waiting for it at most `timeout`. Each picture gives at most one,
    /// in the order of submission.
    fn receive(&mut self, timeout: Duration) -> Result<Option<Encoded>, EncodeError>;

    /// How many pictures were submitted and may still give an access unit. One that came to nothing, such as a damaged
    /// buffer, is not among them.
    fn due(&self) -> usize;

    /// Changes the bitrate from the next picture on, within [`BITRATES`].
    fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), EncodeError>;

    /// Tells the rate control how many frames a second really come. Small deviations are ignored.
    fn set_frame_rate(&mut self, fps: f32) -> Result<(), EncodeError>;
}

/// An encoder, and what was tried before it.
pub struct Opened {
    /// The encoder.
    pub encoder: Box<dyn VideoEncoder>,
    /// Why the hardware was passed over, if there is one that was tried.
    pub passed_over: Option<EncodeError>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("encoder", &self.encoder.name())
            .field("passed_over", &self.passed_over)
            .finish()
    }
}

/// Opens an encoder for pictures like `frame`.
///
/// [`EncoderChoice::Auto`] falls back to software when no hardware encoder takes such pictures, or
/// when the hardware fails to start; why is in [`Opened::passed_over`].
pub fn open(
    choice: EncoderChoice,
    frame: &Frame,
    settings: EncoderSettings,
) -> Result<Opened, EncodeError> {
    let hardware = match choice {
        EncoderChoice::Software => None,
        EncoderChoice::Auto | EncoderChoice::Hardware => Some(open_hardware(frame, settings)),
    };
    let passed_over = match (hardware, choice) {
        (Some(Ok(encoder)), _) => {
            return Ok(Opened {
                encoder: Box::new(encoder),
                passed_over: None,
            });
        }
        (Some(Err(error)), EncoderChoice::Hardware) => return Err(error),
        // A machine without hardware passes nothing over.
        (Some(Err(error)), _) => Some(error).filter(|error| error.kind() != FailureKind::Absent),
        (None, _) => None,
    };
    Ok(Opened {
        encoder: Box::new(H264Encoder::new(frame, settings)?),
        passed_over,
    })
}

/// The first hardware encoder that takes such pictures.
fn open_hardware(frame: &Frame, settings: EncoderSettings) -> Result<HardwareEncoder, EncodeError> {
    let size = (frame.width(), frame.height());
    let absent = "this machine has none for H.264";
    let mut refusal = EncodeError::new(FailureKind::Absent, "hardware encoder", size, &absent);
    for info in v4l2::encoders().iter().filter(|info| info.gives_h264()) {
        match HardwareEncoder::new(info, frame, settings) {
            Ok(encoder) => return Ok(encoder),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// Which encoder [`EncoderChoice::Auto`] would open for pictures of a size and rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderPick {
    /// Its name.
    pub name: String,
    /// Why this one, in a few words.
    pub reason: String,
}

/// Which of these hardware encoders would be opened, or software, and why.
#[must_use]
pub fn pick(encoders: &[EncoderInfo], size: (u32, u32), fps: f32) -> EncoderPick {
    let software = |reason: String| EncoderPick {
        name: software::NAME.to_owned(),
        reason,
    };
    let mut refusal = None;
    for info in encoders.iter().filter(|info| info.gives_h264()) {
        match info.limits.check(size, fps) {
            Ok(()) => {
                return EncoderPick {
                    name: info.name(),
                    reason: format!("hardware, {}", info.limits),
                };
            }
            Err(reason) => refusal = Some(format!("{}: {reason}", info.name())),
        }
    }
    match refusal {
        Some(refusal) => software(refusal),
        None if encoders.is_empty() => software("there is no hardware encoder".to_owned()),
        None => software("no hardware encoder makes H.264 of nv12 or yu12".to_owned()),
    }
}

impl fmt::Display for EncoderChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Hardware => "hardware",
            Self::Software => "software",
        })
    }
}

impl FromStr for EncoderChoice {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        [Self::Auto, Self::Hardware, Self::Software]
            .into_iter()
            .find(|choice| choice.to_string() == name)
            .ok_or_else(|| ConfigError::Value {
                field: "encoder",
                value: format!("\"{name}\""),
                allowed: "\"auto\", \"hardware\", \"software\"",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v4l2::m2m::Limits;

    fn block(formats: &[&str]) -> EncoderInfo {
        EncoderInfo {
            path: "/dev/video11".into(),
            card: "bcm2835-codec-encode".to_owned(),
            driver: "bcm2835-codec".to_owned(),
            formats: formats.iter().map(|&format| format.to_owned()).collect(),
            inputs: vec!["YU12".to_owned()],
            limits: Limits::new("bcm2835-codec", Some((1920, 1920)), Some(42)),
        }
    }

    #[test]
    fn the_automatic_choice_is_explained() {
        let reason = |encoders: &[EncoderInfo], size, fps| {
            let pick = pick(encoders, size, fps);
            format!("{}: {}", pick.name, pick.reason)
        };
        let blocks = [block(&["JPEG"]), block(&["MJPG", "H264"])];
        assert_eq!(
            reason(&blocks, (1280, 720), 30.0),
            "bcm2835-codec (/dev/video11): hardware, up to 1920x1080 at 30 fps, 1280x720 at 68 fps"
        );
        assert_eq!(
            reason(&blocks, (1920, 1080), 60.0),
            "OpenH264: bcm2835-codec (/dev/video11): 1920x1080 at 60 fps is too much: \
             1920x1080 at 30 fps is the most"
        );
        assert_eq!(
            reason(&blocks[..1], (1280, 720), 30.0),
            "OpenH264: no hardware encoder makes H.264 of nv12 or yu12"
        );
        assert_eq!(
            reason(&[], (1280, 720), 30.0),
            "OpenH264: there is no hardware encoder"
        );
    }
}
