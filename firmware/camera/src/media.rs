//! The two pipelines, wired to the hub, and the watch over them.
//!
//! Whatever goes wrong with a device is `heron-media`'s to deal with. What is left to watch here is a
//! thread of its own that hangs or has panicked: such a pipeline is replaced. A new pipeline that does
//! no better shows that this process cannot help, and systemd's watchdog gets its way.

use std::sync::Arc;
use std::time::{Duration, Instant};

use heron_media::v4l2::{ImageControl, ImageControlError};
use heron_media::{
    AudioConfig, AudioPipeline, AudioStats, ConfigError, EchoCanceller, Rung, RungTarget,
    SourceState, Still, StillError, VideoConfig, VideoPipeline, VideoStats,
};
use heron_session::{AudioUnit, Hub, VideoUnit};
use parking_lot::Mutex;
use tracing::error;

use crate::vigil::Vigil;
use crate::wiring;

/// Replacements in a row that did not help before we let systemd replace us.
const HOPELESS: u32 = 3;

/// What is seen and what is heard.
pub struct Media {
    video: Mutex<Lane<VideoPipeline>>,
    audio: Option<Mutex<Lane<AudioPipeline>>>,
}

impl Media {
    /// Starts the pipelines, inactive until somebody watches.
    pub fn start(
        video: VideoConfig,
        audio: Option<AudioConfig>,
        hub: &Hub,
    ) -> Result<Self, ConfigError> {
        let audio = audio.map(|config| Lane::start(config, hub)).transpose()?;
        Ok(Self {
            video: Mutex::new(Lane::start(video, hub)?),
            audio: audio.map(Mutex::new),
        })
    }

    /// Encodes this of the picture from now on, in the order of [`Rung::ALL`].
    pub fn set_targets(&self, targets: Targets) {
        self.video.lock().set_demand(targets);
    }

    /// Captures sound while somebody is there to hear it.
    pub fn set_sound(&self, wanted: bool) {
        if let Some(audio) = &self.audio {
            audio.lock().set_demand(wanted);
        }
    }

    /// Takes a talker out of the microphone's sound, or stops doing so.
    pub fn cancel_echo(&self, canceller: Option<EchoCanceller>) {
        let Some(audio) = &self.audio else {
            return;
        };
        if let Some(audio) = &audio.lock().pipeline {
            audio.cancel_echo(canceller);
        }
    }

    /// Makes the next picture of a rung one that a decoder can start at.
    pub fn request_key_frame(&self, rung: Rung) {
        if let Some(video) = &self.video.lock().pipeline {
            video.request_key_frame(rung);
        }
    }

    /// The controls of the camera's picture. Waits for a driver, so not for the main loop.
    pub fn image_controls(&self) -> Result<Vec<ImageControl>, ImageControlError> {
        self.video()
            .map_or(Ok(Vec::new()), |video| video.image_controls())
    }

    /// Sets controls of the camera's picture; returns all as they are then. Not for the main loop.
    pub fn set_image_controls(
        &self,
        wanted: &[(String, i32)],
    ) -> Result<Vec<ImageControl>, ImageControlError> {
        self.video()
            .map_or(Ok(Vec::new()), |video| video.set_image_controls(wanted))
    }

    /// The pipeline, unless it was stopped; it is not waited for with the lock held.
    fn video(&self) -> Option<Arc<VideoPipeline>> {
        self.video.lock().pipeline.clone()
    }

    /// The picture of this moment as JPEG. Waits for it, so not for the main loop.
    pub fn still(&self, max_age: Duration, patience: Duration) -> Result<Still, StillError> {
        let Some(video) = self.video() else {
            return Err(StillError::Late {
                waited: Duration::ZERO,
                trouble: Some("the camera is stopping".to_owned()),
            });
        };
        video.still(max_age, patience)
    }

    /// Closes the devices and ends children. Waits for the threads, so not for the main loop.
    pub fn stop(&self) {
        self.video.lock().pipeline = None;
        if let Some(audio) = &self.audio {
            audio.lock().pipeline = None;
        }
    }

    /// Replaces what stalls. False when replacing did not help.
    pub fn supervise(&self, now: Instant) -> bool {
        let video = self.video.lock().supervise(now);
        let audio = self.audio.as_ref().map(|audio| audio.lock().supervise(now));
        video && audio.unwrap_or(true)
    }

    /// What the video pipeline has done.
    pub fn video_stats(&self) -> VideoStats {
        let video = self.video.lock();
        video
            .pipeline
            .as_deref()
            .map(VideoPipeline::stats)
            .unwrap_or_default()
    }

    /// What the audio pipeline has done; `None` without sound.
    pub fn audio_stats(&self) -> Option<AudioStats> {
        let audio = self.audio.as_ref()?.lock();
        audio.pipeline.as_deref().map(AudioPipeline::stats)
    }
}

/// What the encoders are to give, in the order of [`Rung::ALL`].
pub type Targets = [Option<RungTarget>; 2];

/// A pipeline as the watch sees it.
trait Pipeline: Sized + Send + Sync + 'static {
    const NAME: &'static str;
    type Config: Clone;
    /// What is wanted of it; nothing at first.
    type Demand: Copy + Default + PartialEq;

    fn begin(config: Self::Config, hub: Hub) -> Result<Self, ConfigError>;
    fn want(&self, demand: Self::Demand);
    /// What the source is doing, and how much was delivered in all.
    fn progress(&self) -> (SourceState, u64);
}

impl Pipeline for VideoPipeline {
    const NAME: &'static str = "video";
    type Config = VideoConfig;
    type Demand = Targets;

    fn begin(config: VideoConfig, hub: Hub) -> Result<Self, ConfigError> {
        let sink = move |unit: heron_media::AccessUnit| {
            hub.video(VideoUnit {
                rung: wiring::session_rung(unit.rung),
                data: unit.data,
                key: unit.key,
                captured_ns: unit.captured.as_nanos(),
            });
        };
        Self::start(config, Arc::new(sink))
    }

    fn want(&self, demand: Targets) {
        for (rung, target) in Rung::ALL.into_iter().zip(demand) {
            self.set_target(rung, target);
        }
    }

    fn progress(&self) -> (SourceState, u64) {
        let stats = self.stats();
        (stats.source, stats.encoded())
    }
}

impl Pipeline for AudioPipeline {
    const NAME: &'static str = "audio";
    type Config = AudioConfig;
    type Demand = bool;

    fn begin(config: AudioConfig, hub: Hub) -> Result<Self, ConfigError> {
        let sink = move |packet: heron_media::OpusPacket| {
            hub.audio(AudioUnit {
                data: packet.data,
                captured_ns: packet.captured.as_nanos(),
            });
        };
        Self::start(config, Arc::new(sink))
    }

    fn want(&self, demand: bool) {
        self.set_active(demand);
    }

    fn progress(&self) -> (SourceState, u64) {
        let stats = self.stats();
        (stats.source, stats.packets)
    }
}

/// One pipeline with what is needed to replace it.
struct Lane<P: Pipeline> {
    config: P::Config,
    hub: Hub,
    /// `None` once stopped. Shared with whoever waits for a still picture.
    pipeline: Option<Arc<P>>,
    demand: P::Demand,
    vigil: Vigil,
    replaced: u32,
}

impl<P: Pipeline> Lane<P> {
    fn start(config: P::Config, hub: &Hub) -> Result<Self, ConfigError> {
        Ok(Self {
            pipeline: Some(Arc::new(P::begin(config.clone(), hub.clone())?)),
            config,
            hub: hub.clone(),
            demand: P::Demand::default(),
            vigil: Vigil::default(),
            replaced: 0,
        })
    }

    fn set_demand(&mut self, demand: P::Demand) {
        self.demand = demand;
        if let Some(pipeline) = &self.pipeline {
            pipeline.want(demand);
        }
    }

    fn supervise(&mut self, now: Instant) -> bool {
        let Some(pipeline) = &self.pipeline else {
            return true;
        };
        let (state, delivered) = pipeline.progress();
        let wanted = self.demand != P::Demand::default();
        let should_give = wanted && state == SourceState::Streaming;
        if self.vigil.stalls(now, should_give, delivered) {
            error!("{} hangs; replacing its pipeline", P::NAME);
            self.replace();
        } else if should_give && delivered > 0 {
            self.replaced = 0;
        }
        self.replaced < HOPELESS
    }

    fn replace(&mut self) {
        self.vigil.restart();
        self.replaced += 1;
        match P::begin(self.config.clone(), self.hub.clone()) {
            Ok(pipeline) => {
                pipeline.want(self.demand);
                let old = self.pipeline.replace(Arc::new(pipeline));
                // Waits for the thread that hangs, perhaps for ever: not here.
                std::thread::spawn(move || drop(old));
            }
            Err(reason) => error!("{} could not be started again: {reason}", P::NAME),
        }
    }
}
