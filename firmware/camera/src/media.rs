//! The two pipelines, wired to the hub, and the watch over them.
//!
//! Whatever goes wrong with a device is `heron-media`'s to deal with. What is left to watch here is a
//! thread of its own that hangs or has panicked: such a pipeline is replaced. A new pipeline that does
//! no better shows that this process cannot help, and systemd's watchdog gets its way.

use std::sync::Arc;
use std::time::Instant;

use heron_media::{
    AudioConfig, AudioPipeline, AudioStats, ConfigError, SourceState, VideoConfig, VideoPipeline,
    VideoStats,
};
use heron_session::{AudioUnit, Hub, VideoUnit};
use parking_lot::Mutex;
use tracing::error;

use crate::vigil::Vigil;

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

    /// Encodes while somebody watches, and not otherwise.
    pub fn set_active(&self, active: bool) {
        self.video.lock().set_active(active);
        if let Some(audio) = &self.audio {
            audio.lock().set_active(active);
        }
    }

    /// Makes the next picture one that a decoder can start at.
    pub fn request_key_frame(&self) {
        if let Some(video) = &self.video.lock().pipeline {
            video.request_key_frame();
        }
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
            .as_ref()
            .map(VideoPipeline::stats)
            .unwrap_or_default()
    }

    /// What the audio pipeline has done; `None` without sound.
    pub fn audio_stats(&self) -> Option<AudioStats> {
        let audio = self.audio.as_ref()?.lock();
        audio.pipeline.as_ref().map(AudioPipeline::stats)
    }
}

/// A pipeline as the watch sees it.
trait Pipeline: Sized + Send + 'static {
    const NAME: &'static str;
    type Config: Clone;

    fn begin(config: Self::Config, hub: Hub) -> Result<Self, ConfigError>;
    fn activate(&self, active: bool);
    /// What the source is doing, and how much was delivered in all.
    fn progress(&self) -> (SourceState, u64);
}

impl Pipeline for VideoPipeline {
    const NAME: &'static str = "video";
    type Config = VideoConfig;

    fn begin(config: VideoConfig, hub: Hub) -> Result<Self, ConfigError> {
        let sink = move |unit: heron_media::AccessUnit| {
            hub.video(VideoUnit {
                data: unit.data,
                key: unit.key,
                captured_ns: unit.captured.as_nanos(),
            });
        };
        Self::start(config, Arc::new(sink))
    }

    fn activate(&self, active: bool) {
        self.set_active(active);
    }

    fn progress(&self) -> (SourceState, u64) {
        let stats = self.stats();
        (stats.source, stats.encoded)
    }
}

impl Pipeline for AudioPipeline {
    const NAME: &'static str = "audio";
    type Config = AudioConfig;

    fn begin(config: AudioConfig, hub: Hub) -> Result<Self, ConfigError> {
        let sink = move |packet: heron_media::OpusPacket| {
            hub.audio(AudioUnit {
                data: packet.data,
                captured_ns: packet.captured.as_nanos(),
            });
        };
        Self::start(config, Arc::new(sink))
    }

    fn activate(&self, active: bool) {
        self.set_active(active);
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
    /// `None` once stopped.
    pipeline: Option<P>,
    active: bool,
    vigil: Vigil,
    replaced: u32,
}

impl<P: Pipeline> Lane<P> {
    fn start(config: P::Config, hub: &Hub) -> Result<Self, ConfigError> {
        Ok(Self {
            pipeline: Some(P::begin(config.clone(), hub.clone())?),
            config,
            hub: hub.clone(),
            active: false,
            vigil: Vigil::default(),
            replaced: 0,
        })
    }

    fn set_active(&mut self, active: bool) {
        self.active = active;
        if let Some(pipeline) = &self.pipeline {
            pipeline.activate(active);
        }
    }

    fn supervise(&mut self, now: Instant) -> bool {
        let Some(pipeline) = &self.pipeline else {
            return true;
        };
        let (state, delivered) = pipeline.progress();
        let should_give = self.active && state == SourceState::Streaming;
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
                pipeline.activate(self.active);
                let old = self.pipeline.replace(pipeline);
                // Waits for the thread that hangs, perhaps for ever: not here.
                std::thread::spawn(move || drop(old));
            }
            Err(reason) => error!("{} could not be started again: {reason}", P::NAME),
        }
    }
}
