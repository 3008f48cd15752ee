//! From a microphone to Opus packets for the listeners, and from a talker to the loudspeaker.
//!
//! One thread captures and encodes: 20 ms of Opus cost less than a millisecond. The sink is called
//! on it and must not block. The other way is [`Speaker`]'s; an [`EchoCanceller`] connects the two.

mod alsa;
mod block;
mod config;
mod echo;
mod opus;
mod playback;
mod stats;
mod tone;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;

pub use config::{AudioConfig, AudioSourceConfig, OpusApplication};
pub use echo::EchoCanceller;
pub use playback::{Speaker, SpeakerConfig, SpeakerStats};
pub use stats::AudioStats;

use crate::supervise::Supervisor;
use crate::{ConfigError, SourceError, Timestamp};
use block::{Block, Blocks};
use opus::OpusEncoder;
use stats::Counters;

/// Samples a second of each channel, everywhere in this crate.
pub const SAMPLE_RATE: u32 = 48_000;
/// Duration of one Opus packet.
pub const PACKET: Duration = Duration::from_millis(20);
/// Samples of each channel in one packet.
pub(crate) const PACKET_SAMPLES: usize = 960;

/// How long the source may wait before the thread looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// A coded piece of sound, ready to be sent.
#[derive(Debug, Clone)]
pub struct OpusPacket {
    /// One Opus packet (RFC 6716).
    pub data: Bytes,
    /// When its first sample was captured.
    pub captured: Timestamp,
    /// How long it sounds.
    pub duration: Duration,
}

/// Where packets go. It is called on the media thread and must not block.
pub type AudioSink = Arc<dyn Fn(OpusPacket) + Send + Sync>;

/// Samples as a source delivers them, channels interleaved.
#[derive(Debug)]
pub(crate) struct Samples {
    pub(crate) data: Vec<i16>,
    /// When the first of them was captured.
    pub(crate) captured: Timestamp,
}

/// What a source of sound gives when it is asked.
#[derive(Debug)]
pub(crate) enum Heard {
    Samples(Samples),
    Idle,
    /// Sound was lost, since we read too late; it goes on.
    Overrun,
}

/// An open source of sound at 48 kHz. Dropping it closes the device.
pub(crate) trait AudioSource {
    /// Waits for sound, at most for `timeout`. An error means that the source is lost and must be
    /// opened anew.
    fn next(&mut self, timeout: Duration) -> Result<Heard, SourceError>;

    /// Channels in its samples: one or two.
    fn channels(&self) -> u16;
}

/// A microphone and an Opus encoder at work. Dropping it stops both.
///
/// It starts inactive, with its source closed, and follows [`AudioPipeline::set_active`] as a
/// [`crate::VideoPipeline`] follows its targets.
#[derive(Debug)]
pub struct AudioPipeline {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    config: AudioConfig,
    supervisor: Supervisor,
    bitrate: AtomicU32,
    echo: Mutex<Option<EchoCanceller>>,
    counters: Counters,
    sink: AudioSink,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl AudioPipeline {
    /// Starts the thread of a pipeline, inactive. Fails on a value that no source could use; a
    /// microphone that is not there yet is no failure, it is waited for.
    pub fn start(config: AudioConfig, sink: AudioSink) -> Result<Self, ConfigError> {
        config.check()?;
        let shared = Arc::new(Shared {
            supervisor: Supervisor::new(config.linger),
            bitrate: AtomicU32::new(config.bitrate),
            echo: Mutex::default(),
            counters: Counters::default(),
            sink,
            config,
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("audio".to_owned())
            .spawn(move || run(&own))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Wants sound, or no longer does.
    pub fn set_active(&self, active: bool) {
        self.shared.supervisor.set_active(active);
    }

    /// Changes the target bitrate from the next packet on, within [`AudioConfig::BITRATES`].
    pub fn set_bitrate(&self, bits_per_second: u32) {
        let bitrates = AudioConfig::BITRATES;
        let bitrate = bits_per_second.clamp(*bitrates.start(), *bitrates.end());
        self.shared.bitrate.store(bitrate, Ordering::Relaxed);
    }

    /// Takes what a loudspeaker plays out of the sound, from the next packet on, and suppresses
    /// noise; `None` ends it. See [`Speaker::echo`].
    pub fn cancel_echo(&self, canceller: Option<EchoCanceller>) {
        *self.shared.echo.lock() = canceller;
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> AudioStats {
        self.shared.counters.stats(self.shared.supervisor.health())
    }

    /// Closes the source and waits for the thread. Dropping does the same.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for AudioPipeline {
    fn drop(&mut self) {
        self.shared.supervisor.stop();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the audio thread has panicked");
        }
    }
}

fn run(shared: &Shared) {
    let open = || Capture::open(&shared.config);
    shared.supervisor.run(open, |capture| capture.pump(shared));
}

/// An open source with what makes packets of its sound.
struct Capture {
    source: Box<dyn AudioSource>,
    blocks: Blocks,
    encoder: Option<OpusEncoder>,
}

impl Capture {
    fn open(config: &AudioConfig) -> Result<Self, SourceError> {
        let source: Box<dyn AudioSource> = match &config.source {
            AudioSourceConfig::Alsa { device } => {
                Box::new(alsa::Microphone::open(device, config.channels)?)
            }
            AudioSourceConfig::Tone => Box::new(tone::Tone::new(config.channels)),
        };
        let blocks = Blocks::new(source.channels(), config.channels);
        Ok(Self {
            source,
            blocks,
            encoder: None,
        })
    }

    fn pump(&mut self, shared: &Shared) -> Result<(), SourceError> {
        let heard = self.source.next(LOOK)?;
        if !shared.supervisor.active() {
            // The source is kept open for a moment after the last listener; its sound goes nowhere.
            self.encoder = None;
            self.blocks.clear();
            return Ok(());
        }
        match heard {
            Heard::Idle => {}
            Heard::Overrun => {
                shared.counters.overrun();
                self.blocks.clear();
            }
            Heard::Samples(samples) => {
                self.blocks.push(&samples);
                while let Some(mut block) = self.blocks.next_block() {
                    let echo = shared.echo.lock().clone();
                    if let Some(echo) = echo {
                        let age = Timestamp::now().since(block.captured);
                        echo.clean(&mut block.samples, shared.config.channels, age);
                    }
                    self.encode(shared, &block)?;
                }
            }
        }
        Ok(())
    }

    fn encode(&mut self, shared: &Shared, block: &Block) -> Result<(), SourceError> {
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => none.insert(OpusEncoder::new(&shared.config)?),
        };
        encoder.set_bitrate(shared.bitrate.load(Ordering::Relaxed))?;
        let data = encoder.encode(&block.samples)?;
        shared.counters.delivered(block, data.len());
        (shared.sink)(OpusPacket {
            data: data.into(),
            captured: block.captured,
            duration: PACKET,
        });
        Ok(())
    }
}
