//! Where pictures come from.
//!
//! | source | delivers | when it is lost |
//! |---|---|---|
//! | [`SourceConfig::V4l2`] | raw, MJPEG, H.264 or H.265 of a V4L2 camera | unplugged, wedged: closed and opened again |
//! | [`SourceConfig::Y4m`] | a Y4M file in a loop, or a FIFO | the writer left: waits for the next one |
//! | [`SourceConfig::Exec`] | Y4M, H.264, H.265 or AV1 from a child's standard output | the child ended: started again |
//! | [`SourceConfig::Pattern`] | a moving picture with a clock | never |

pub(crate) mod child;
pub(crate) mod exec;
pub(crate) mod glyphs;
pub(crate) mod ivf;
pub(crate) mod nal_stream;
pub(crate) mod pace;
pub(crate) mod painter;
pub(crate) mod pattern;
pub(crate) mod y4m;
pub(crate) mod y4m_reader;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::video::{AccessUnit, VideoConfig};
use crate::{ConfigError, Frame, FramePool, PixelFormat, SourceError, Timestamp};

/// Which source of pictures to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceConfig {
    /// A camera of the kernel's Video4Linux.
    V4l2 {
        /// The device node, or none for the first camera found at each opening. A camera that comes
        /// back under another number is found again by its bus address; `/dev/v4l/by-id/...` names
        /// one camera for ever.
        device: Option<PathBuf>,
        /// The pixel format, or none for the best one but H.265 the camera has for the wanted size and rate.
        format: Option<PixelFormat>,
    },
    /// A Y4M file, played in a loop at its own rate, or a FIFO that something writes Y4M into.
    Y4m {
        /// The file or FIFO.
        path: PathBuf,
    },
    /// A child process that writes a stream to its standard output, such as `rpicam-vid`.
    Exec {
        /// The program and its arguments; no shell is involved.
        command: Vec<String>,
        /// What it writes.
        stream: ExecStream,
    },
    /// A drawn picture that needs no hardware: a moving shape and two clocks (see
    /// [`crate::clock`]).
    Pattern,
}

/// What a child process writes to its standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExecStream {
    /// Y4M or H.264, whichever its first bytes say.
    #[default]
    Auto,
    /// YUV4MPEG2 with 8-bit 4:2:0 pictures.
    Y4m,
    /// H.264 with start codes (ITU-T H.264 annex B).
    H264,
    /// H.265 with start codes (ITU-T H.265 annex B).
    H265,
    /// AV1 in IVF, a temporal unit in each frame.
    Av1,
}

impl FromStr for ExecStream {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        match name {
            "auto" => Ok(Self::Auto),
            "y4m" => Ok(Self::Y4m),
            "h264" => Ok(Self::H264),
            "h265" => Ok(Self::H265),
            "av1" => Ok(Self::Av1),
            other => Err(ConfigError::Value {
                field: "stream",
                value: format!("\"{other}\""),
                allowed: "\"auto\", \"y4m\", \"h264\", \"h265\", \"av1\"",
            }),
        }
    }
}

/// What a source gives when it is asked.
#[derive(Debug)]
pub enum Polled {
    /// A raw picture, to be encoded.
    Frame(Frame),
    /// An encoded picture, to be passed on as it is.
    AccessUnit(AccessUnit),
    /// Nothing within the time given.
    Idle,
    /// Something to tell a person that does not end the source, such as a file that ends in the
    /// middle of a frame.
    Notice(String),
}

/// An open source of pictures. Dropping it closes the device, or ends the child.
pub trait VideoSource: Send {
    /// Waits for the next picture, at most for `timeout`. An error means that the source is lost
    /// and must be opened anew.
    fn next(&mut self, timeout: Duration) -> Result<Polled, SourceError>;

    /// Pictures that the device or this source dropped since the last call, because newer ones had
    /// come.
    fn take_lost(&mut self) -> u64 {
        0
    }

    /// When the latest picture was read from the device, before it was converted; `None` where
    /// nothing is converted.
    fn read_at(&self) -> Option<Timestamp> {
        None
    }

    /// The node of a V4L2 camera.
    fn device(&self) -> Option<&Path> {
        None
    }

    /// Asks a source that encodes by itself for a key frame; false when it cannot be asked.
    fn request_key_frame(&mut self) -> bool {
        false
    }

    /// Sets the bitrate of a source that encodes by itself; false when it cannot be set.
    fn set_bitrate(&mut self, bits_per_second: u32) -> bool {
        let _ = bits_per_second;
        false
    }
}

impl SourceConfig {
    /// A camera if there is one at this moment, the pattern if not.
    #[must_use]
    pub fn auto() -> Self {
        if crate::v4l2::first_camera().is_some() {
            Self::V4l2 {
                device: None,
                format: None,
            }
        } else {
            Self::Pattern
        }
    }

    /// The source's name in configuration files and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::V4l2 { .. } => "v4l2",
            Self::Y4m { .. } => "y4m",
            Self::Exec { .. } => "exec",
            Self::Pattern => "pattern",
        }
    }
}

/// Opens the source of a configuration, again and again.
#[derive(Debug)]
pub(crate) struct Opener<'a> {
    config: &'a VideoConfig,
    pool: FramePool,
    /// Where the camera was plugged in when it was last open.
    bus: Option<String>,
}

impl<'a> Opener<'a> {
    pub(crate) fn new(config: &'a VideoConfig) -> Self {
        Self {
            config,
            pool: FramePool::new(),
            bus: None,
        }
    }

    pub(crate) fn open(&mut self) -> Result<Box<dyn VideoSource>, SourceError> {
        let (config, pool) = (self.config, self.pool.clone());
        Ok(match &config.source {
            SourceConfig::V4l2 { device, format } => Box::new(crate::v4l2::Camera::open(
                device.as_deref(),
                *format,
                config,
                pool,
                &mut self.bus,
            )?),
            SourceConfig::Y4m { path } => y4m::open(path, pool)?,
            SourceConfig::Exec { command, stream } => {
                Box::new(exec::Exec::start(command, *stream, config.fps, pool)?)
            }
            SourceConfig::Pattern => Box::new(pattern::Pattern::new(config, pool)),
        })
    }
}
