//! From a source of pictures to access units for the viewers.
//!
//! ```text
//!                    ┌─ decimate ─> LatestSlot ─> encoder ─────────────> Rung::Main ─┐
//! source ─> Frame ───┤                                                               ├─> sink
//!                    └─ decimate ─> LatestSlot ─> scale down ─> encoder ─> Rung::Sub ┘
//! source that encodes by itself ─────────────────────────────────────────> Rung::Main ──> sink
//! ```
//!
//! Three threads: one captures, and one for each rung encodes. A thread whose rung nobody watches is
//! parked, and has no encoder. The sink is called on these threads and must not block.

mod capture;
mod config;
mod decimate;
mod demand;
mod encode;
mod failover;
mod lane;
mod rung;
mod stats;
mod still;
mod trial;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

pub use config::{SubConfig, VideoConfig};
pub use rung::{Rung, RungTarget};
pub use stats::{RungStats, VideoStats};
pub use still::{Still, StillError};

use crate::supervise::Supervisor;
use crate::v4l2::{self, ImageControl, ImageControlError};
use crate::{ConfigError, EncodeError, EncoderChoice, EncoderSettings, Frame, Timestamp};
use crate::{SourceConfig, SourceError, VideoEncoder, encoder};
use demand::Demand;
use heron_histogram::Histogram;
use lane::Lane;
use still::Stills;

/// A coded picture, ready to be packetised: it is shared, never copied.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// Which of the encodings it belongs to.
    pub rung: Rung,
    /// In the codec of [`SourceConfig::codec`]: H.264 or H.265 with start codes, or a temporal unit of AV1. A key frame
    /// begins with its parameter sets.
    pub data: Bytes,
    /// Whether decoding can begin here.
    pub key: bool,
    /// When the picture was captured.
    pub captured: Timestamp,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// Where access units go. It is called on the media threads and must not block.
pub type VideoSink = Arc<dyn Fn(AccessUnit) + Send + Sync>;

/// How encoders are opened: [`encoder::open`], or what a test puts in its place.
type OpenEncoder = Box<
    dyn Fn(EncoderChoice, &Frame, EncoderSettings) -> Result<Box<dyn VideoEncoder>, EncodeError>
        + Send
        + Sync,
>;

/// A source and its encoders at work. Dropping it stops them.
///
/// A pipeline starts with its source closed and no encoder. [`VideoPipeline::set_target`] for a rung
/// opens the source and starts that rung's encoder, whose first access unit is a key frame. When
/// nobody watches a rung any more, its encoder goes at once; when nobody watches any, the source goes
/// after [`VideoConfig::linger`]: a viewer who reloads the page then finds it open, and a camera that
/// nobody watches uses no power.
///
/// A source that encodes by itself (a camera or child that gives H.264, H.265 or AV1) has no second size: while
/// either rung is wanted its stream comes as [`Rung::Main`], and
/// [`VideoStats::passes_through`] says so.
#[derive(Debug)]
pub struct VideoPipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads and the handle share.
struct Shared {
    config: VideoConfig,
    supervisor: Supervisor,
    demand: Demand,
    lanes: [Lane; 2],
    stills: Stills,
    counters: SourceCounters,
    /// The node of the camera that is open.
    device: Mutex<Option<PathBuf>>,
    open_encoder: OpenEncoder,
    sink: VideoSink,
}

/// The counters of the source.
#[derive(Debug, Default)]
struct SourceCounters {
    captured: AtomicU64,
    lost: AtomicU64,
    passes_through: AtomicBool,
    capture: Histogram,
    convert: Histogram,
}

impl Shared {
    fn new(config: VideoConfig, open_encoder: OpenEncoder, sink: VideoSink) -> Self {
        Self {
            supervisor: Supervisor::new(config.linger),
            demand: Demand::default(),
            lanes: <[Lane; 2]>::default(),
            stills: Stills::default(),
            counters: SourceCounters::default(),
            device: Mutex::default(),
            open_encoder,
            sink,
            config,
        }
    }

    const fn lane(&self, rung: Rung) -> &Lane {
        &self.lanes[rung.index()]
    }

    /// The node of the camera: the open one, or the one that would be opened now; `None` where the source is no camera.
    fn camera(&self) -> Result<Option<PathBuf>, SourceError> {
        let SourceConfig::V4l2 { device, .. } = &self.config.source else {
            return Ok(None);
        };
        let open = self.device.lock().clone();
        open.or_else(|| device.clone())
            .or_else(v4l2::first_camera)
            .map(Some)
            .ok_or_else(|| SourceError::unusable("v4l2", "there is no camera"))
    }

    fn set_target(&self, rung: Rung, target: Option<RungTarget>) {
        let target = target.map(|target| self.config.within(rung, target));
        let tell = |wanted| self.supervisor.set_active(wanted);
        let lane = self.lane(rung);
        if self.demand.set_target(rung, target, tell) {
            lane.want_key();
        }
        if target.is_none() {
            lane.reset();
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl VideoPipeline {
    /// Starts the threads of a pipeline, with nothing wanted. Fails on a value that no source could
    /// use; a device that is not there yet is no failure, it is waited for.
    pub fn start(config: VideoConfig, sink: VideoSink) -> Result<Self, ConfigError> {
        let open = |choice, frame: &Frame, settings| {
            encoder::open(choice, frame, settings).map(|opened| opened.encoder)
        };
        Self::start_with(config, Box::new(open), sink)
    }

    /// Starts a pipeline with another way to open encoders.
    fn start_with(
        config: VideoConfig,
        open_encoder: OpenEncoder,
        sink: VideoSink,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let mut pipeline = Self {
            shared: Arc::new(Shared::new(config, open_encoder, sink)),
            threads: Vec::new(),
        };
        pipeline.spawn("video-capture", capture::run)?;
        pipeline.spawn("video-main", |shared| encode::run(shared, Rung::Main))?;
        pipeline.spawn("video-sub", |shared| encode::run(shared, Rung::Sub))?;
        Ok(pipeline)
    }

    /// Sets what a rung's encoder is to give, from the next picture on; `None` when nobody watches
    /// it. Values above the configured ones ([`VideoConfig::best`]) are cut to them.
    pub fn set_target(&self, rung: Rung, target: Option<RungTarget>) {
        self.shared.set_target(rung, target);
    }

    /// Makes the rung's next picture a key frame. A camera that encodes by itself is asked for one,
    /// if it can be.
    pub fn request_key_frame(&self, rung: Rung) {
        self.shared.lane(rung).want_key();
    }

    /// A picture of the source as JPEG, captured at most `max_age` ago. Opens the source if nobody
    /// watches, for as long as this takes and [`VideoConfig::linger`]; no encoder is started for it.
    ///
    /// Blocks until there is such a picture, at most for `patience`: for the threads of an async
    /// runtime this is one for `spawn_blocking`. Several callers share one picture. Of a source that
    /// encodes by itself it is the latest key frame, which may be older where the source gives them
    /// rarely.
    pub fn still(&self, max_age: Duration, patience: Duration) -> Result<Still, StillError> {
        still::take(&self.shared, max_age, patience)
    }

    /// The controls of the camera's picture, with their values; none where the source has none. Works whether or not
    /// the camera is open. Asks a driver, which may take a while.
    pub fn image_controls(&self) -> Result<Vec<ImageControl>, ImageControlError> {
        let camera = self.shared.camera()?;
        camera.map_or(Ok(Vec::new()), |path| v4l2::image_controls(&path))
    }

    /// Sets controls by their names. All are checked before any is set, and automatic ones are set before those they
    /// hold. Returns all controls with the values that the driver made of it.
    pub fn set_image_controls(
        &self,
        wanted: &[(String, i32)],
    ) -> Result<Vec<ImageControl>, ImageControlError> {
        match self.shared.camera()? {
            Some(path) => v4l2::set_image_controls(&path, wanted),
            None => v4l2::no_image_controls(wanted),
        }
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> VideoStats {
        let Shared {
            counters, demand, ..
        } = &*self.shared;
        let health = self.shared.supervisor.health();
        VideoStats {
            source: health.state,
            captured: counters.captured.load(Ordering::Relaxed),
            lost: counters.lost.load(Ordering::Relaxed),
            losses: health.losses,
            last_error: health.last_error,
            passes_through: counters.passes_through.load(Ordering::Relaxed),
            capture: counters.capture.snapshot(),
            convert: counters.convert.snapshot(),
            rungs: Rung::ALL.map(|rung| {
                let lane = self.shared.lane(rung);
                lane.counters
                    .stats(demand.target(rung), lane.slot.replaced())
            }),
        }
    }

    /// Closes the source, ends the encoders and waits for the threads. Dropping does the same.
    pub fn stop(self) {
        drop(self);
    }

    fn spawn(&mut self, name: &str, run: fn(&Shared)) -> Result<(), ConfigError> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || run(&shared))?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for VideoPipeline {
    fn drop(&mut self) {
        let shared = &self.shared;
        shared.demand.stop();
        shared.supervisor.stop();
        shared.lanes.iter().for_each(|lane| lane.slot.wake());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a video thread has panicked");
            }
        }
    }
}
