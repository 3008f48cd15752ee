//! From a source of pictures to access units for the viewers.
//!
//! Two threads: one captures, one encodes, with a [`crate::LatestSlot`] between them. A source that
//! delivers H.264 itself passes by the slot and the encoder. The sink is called on these threads
//! and must not block.

mod capture;
mod config;
mod encode;
mod stats;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;

pub use config::VideoConfig;
pub use stats::VideoStats;

use crate::encoder::BITRATES;
use crate::supervise::Supervisor;
use crate::{ConfigError, Frame, LatestSlot, Timestamp};
use stats::Counters;

/// A coded picture, ready to be packetised: it is shared, never copied.
#[derive(Debug, Clone)]
pub struct AccessUnit {
    /// H.264 with start codes; a key frame begins with its parameter sets.
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

/// A source and an encoder at work. Dropping it stops both.
///
/// A pipeline starts inactive: its source is closed and it has no encoder.
/// [`VideoPipeline::set_active`] with the first viewer opens the source and starts an encoder,
/// whose first access unit is a key frame. When the last viewer leaves, the encoder goes at once,
/// the source after [`VideoConfig::linger`]: a viewer who reloads the page then finds it open, and
/// a camera that nobody watches uses no power.
#[derive(Debug)]
pub struct VideoPipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads and the handle share.
struct Shared {
    config: VideoConfig,
    supervisor: Supervisor,
    slot: LatestSlot<Frame>,
    key_wanted: AtomicBool,
    bitrate: AtomicU32,
    counters: Counters,
    sink: VideoSink,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl VideoPipeline {
    /// Starts the threads of a pipeline, inactive. Fails on a value that no source could use; a
    /// device that is not there yet is no failure, it is waited for.
    pub fn start(config: VideoConfig, sink: VideoSink) -> Result<Self, ConfigError> {
        config.check()?;
        let shared = Arc::new(Shared {
            supervisor: Supervisor::new(config.linger),
            slot: LatestSlot::new(),
            key_wanted: AtomicBool::new(false),
            bitrate: AtomicU32::new(config.bitrate),
            counters: Counters::default(),
            sink,
            config,
        });
        let mut pipeline = Self {
            shared,
            threads: Vec::new(),
        };
        pipeline.spawn("video-capture", capture::run)?;
        pipeline.spawn("video-encode", encode::run)?;
        Ok(pipeline)
    }

    /// Wants pictures, or no longer does.
    pub fn set_active(&self, active: bool) {
        self.shared.supervisor.set_active(active);
        if !active {
            self.shared.slot.clear();
        }
        self.shared.slot.wake();
    }

    /// Makes the next picture a key frame. A camera that encodes by itself is asked for one, if it
    /// can be.
    pub fn request_key_frame(&self) {
        self.shared.key_wanted.store(true, Ordering::Relaxed);
    }

    /// Changes the target bitrate, from the next picture on, within [`BITRATES`].
    pub fn set_bitrate(&self, bits_per_second: u32) {
        let bitrate = bits_per_second.clamp(*BITRATES.start(), *BITRATES.end());
        self.shared.bitrate.store(bitrate, Ordering::Relaxed);
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> VideoStats {
        let shared = &self.shared;
        let target = shared.bitrate.load(Ordering::Relaxed);
        shared
            .counters
            .stats(shared.supervisor.health(), shared.slot.replaced(), target)
    }

    /// Closes the source, ends the encoder and waits for both. Dropping does the same.
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
        self.shared.supervisor.stop();
        self.shared.slot.wake();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a video thread has panicked");
            }
        }
    }
}
