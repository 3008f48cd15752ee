//! Pictures and sound for a camera: capture, convert, encode. No network, no async runtime.
//!
//! # Place
//!
//! `heron-camera` starts a [`VideoPipeline`] and an [`AudioPipeline`], and moves what they deliver
//! into `heron-session`, which packetises it once for all viewers. This crate knows neither network
//! nor protocol.
//!
//! # Flow
//!
//! ```text
//! v4l2 | y4m | exec | pattern ── Frame ─┬─> LatestSlot ──> VideoEncoder ───────> AccessUnit Main ─┬─> sink
//!            │                           └─> LatestSlot ──> scale, VideoEncoder ─> AccessUnit Sub ──┤
//!            └──────────────── H.264 that the source encoded itself ───────────────────────────────┘
//! alsa | tone ── samples ──> blocks of 20 ms ──> Opus ──> OpusPacket ──> sink
//! a talker's packets ──> jitter buffer ──> Opus ──> limiter ──> alsa
//! ```
//!
//! - Frames are never queued before the encoder. The slot holds one; a newer one replaces it, and
//!   the drop is counted.
//! - A capture [`Timestamp`] is the kernel's own where the device gives one, and stays with its
//!   picture or sound.
//! - Nothing is encoded while nobody watches: [`VideoPipeline::set_target`] starts and ends the
//!   encoder of a [`Rung`]. There is one for all viewers of it, and it follows their targets.
//! - An encoder that fails is torn down and opened again; software takes over from hardware
//!   meanwhile, if [`EncoderChoice`] allows it.
//! - A device that is unplugged, a child that dies, a file that ends in the middle of a frame: one
//!   clear line in the log and in the statistics, then the source is opened again, at growing
//!   intervals of up to two seconds.
//!
//! # Example
//!
//! ```
//! use std::sync::{Arc, mpsc};
//!
//! use heron_media::{Rung, RungTarget, SourceConfig, VideoConfig, VideoPipeline};
//!
//! let (sender, units) = mpsc::channel();
//! let config = VideoConfig { source: SourceConfig::Pattern, width: 320, height: 180, ..VideoConfig::default() };
//! let pipeline = VideoPipeline::start(config, Arc::new(move |unit| _ = sender.send(unit)))?;
//!
//! pipeline.set_target(Rung::Main, Some(RungTarget { bitrate: 800_000, fps: 30 }));
//! assert!(units.recv()?.key, "the first access unit is a key frame");
//! pipeline.set_target(Rung::Main, Some(RungTarget { bitrate: 300_000, fps: 15 }));
//! pipeline.request_key_frame(Rung::Main);
//! assert_eq!(pipeline.stats().encoders_running(), 1);
//! pipeline.stop();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod audio;
pub mod clock;
pub mod encoder;
pub mod h264;
pub mod probe;
pub mod source;
pub mod v4l2;
pub mod video;

mod bits;
mod codec;
mod convert;
mod error;
mod format;
mod frame;
mod h265;
mod jpeg;
mod rate;
mod retry;
mod scale;
mod slot;
mod supervise;
mod syntax;
mod timestamp;

pub use audio::{
    AudioConfig, AudioPipeline, AudioSink, AudioSourceConfig, AudioStats, EchoCanceller,
    OpusApplication, OpusPacket, Speaker, SpeakerConfig, SpeakerStats,
};
pub use codec::VideoCodec;
pub use encoder::{
    EncodeError, Encoded, EncoderChoice, EncoderSettings, FailureKind, H264Encoder,
    HardwareEncoder, VideoEncoder,
};
pub use error::{ConfigError, SourceError};
pub use format::PixelFormat;
pub use frame::{Frame, FramePool, PlanesMut};
pub use slot::LatestSlot;
pub use source::{ExecStream, SourceConfig};
pub use supervise::SourceState;
pub use timestamp::Timestamp;
pub use video::{
    AccessUnit, Rung, RungStats, RungTarget, Still, StillError, SubConfig, VideoConfig,
    VideoPipeline, VideoSink, VideoStats,
};

/// Ways in for the fuzz targets of `tests/fuzz`, which see only what is public.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads a Y4M stream to its end, or to what is wrong with it.
    pub fn y4m(mut bytes: &[u8]) {
        let mut reader = crate::source::y4m_reader::Y4mReader::new(crate::FramePool::default());
        while let Ok((used, Some(_))) = reader.push(bytes, crate::Timestamp::now()) {
            bytes = &bytes[used..];
        }
        reader.cut_off();
    }

    /// Reads the picture's size from a sequence parameter set.
    pub fn sps(bytes: &[u8]) {
        crate::h264::sps::picture_size(bytes);
        crate::h265::sps::picture_size(bytes);
    }

    /// Reads AV1 in IVF.
    pub fn ivf(bytes: &[u8]) {
        let mut reader = crate::source::ivf::IvfReader::default();
        let _ = reader.push(bytes, crate::Timestamp::now(), |_| ());
    }
}
