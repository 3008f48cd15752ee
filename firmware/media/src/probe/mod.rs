//! What is plugged in, and what Heron would pick: for `heron-camera devices`.

mod microphones;
mod report;

use crate::PixelFormat;
use crate::encoder::{self, EncoderPick};
use crate::v4l2::{self, CameraInfo, EncoderInfo, Mode, Wanted, best_mode};

pub use microphones::{MicrophoneInfo, default_microphone, microphones};

/// All media devices at one moment, with what would be picked. Its `Display` is a page for a
/// person.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Cameras, by capability.
    pub cameras: Vec<CameraInfo>,
    /// Hardware encoders, by capability.
    pub encoders: Vec<EncoderInfo>,
    /// Microphones, as ALSA names them.
    pub microphones: Vec<MicrophoneInfo>,
    /// What would be picked.
    pub pick: Pick,
}

/// What Heron picks where the configuration leaves it open.
#[derive(Debug, Clone, PartialEq)]
pub struct Pick {
    /// The camera and its mode, none for the pattern.
    pub video: Option<(std::path::PathBuf, Mode)>,
    /// The encoder for the main rung, and why it is this one.
    pub encoder: EncoderPick,
    /// The microphone's name, none for the tone.
    pub audio: Option<String>,
}

/// Looks at all devices, wanting pictures of a size and rate.
#[must_use]
pub fn probe(width: u32, height: u32, fps: u32) -> Report {
    let cameras = v4l2::cameras();
    let wanted = Wanted {
        size: (width, height),
        fps: fps as f32,
        format: None,
    };
    let video = cameras
        .iter()
        .find_map(|camera| Some((camera.path.clone(), best_mode(&camera.offers, &wanted)?)));
    let encoders = v4l2::encoders();
    let encoder = match &video {
        Some((_, mode)) if mode.format == PixelFormat::H264 => EncoderPick {
            name: "none".to_owned(),
            reason: "the camera delivers H.264 itself".to_owned(),
        },
        Some((_, mode)) => encoder::pick(&encoders, (mode.width, mode.height), mode.fps),
        None => encoder::pick(&encoders, (width, height), fps as f32),
    };
    Report {
        cameras,
        encoders,
        microphones: microphones(),
        pick: Pick {
            video,
            encoder,
            audio: default_microphone(),
        },
    }
}
