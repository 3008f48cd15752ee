//! A viewer's voice on the camera's loudspeaker.
//!
//! ```text
//! RTP payloads ──> jitter buffer ──> Opus ──> limiter ──┬──> ALSA
//!                                                       └──> echo canceller of the microphone
//! ```
//!
//! One thread plays; [`Speaker::push`] is called from wherever packets come, and does not wait for
//! the device. A device that is not there or is lost is opened again, while packets go by.

mod device;
mod jitter;
mod limiter;
mod voice;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use super::EchoCanceller;
use crate::supervise::Supervisor;
use crate::{ConfigError, SourceError, SourceState};
use device::{Loudspeaker, PERIOD};
use limiter::Limiter;
use voice::Voice;

/// Where a talker is heard, and how loud at most.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeakerConfig {
    /// The name of an ALSA playback device, such as `default` or `hw:1,0`. Where it cannot do mono
    /// at 48 kHz in 16 bits by itself, ALSA's own conversion is used.
    pub device: String,
    /// The loudest peak, in decibels of full scale, zero or below.
    pub limit_dbfs: f32,
}

impl Default for SpeakerConfig {
    fn default() -> Self {
        Self {
            device: "default".to_owned(),
            limit_dbfs: -3.0,
        }
    }
}

impl SpeakerConfig {
    /// Fails on a value that no device could use.
    pub fn check(&self) -> Result<(), ConfigError> {
        let whole = !self.device.is_empty() && !self.device.contains('\0');
        let allowed = "the name of an ALSA device, such as \"default\" or \"hw:1,0\"";
        ConfigError::check(whole, "device", format!("{:?}", self.device), allowed)?;
        let allowed = "-60 to 0 dB of full scale";
        let limit = self.limit_dbfs;
        ConfigError::check((-60.0..=0.0).contains(&limit), "limit", limit, allowed)
    }
}

/// The state and the counters of a [`Speaker`] at one moment. Counters only grow.
#[derive(Debug, Clone, Default)]
pub struct SpeakerStats {
    /// What the device is doing.
    pub device: SourceState,
    /// Packets that came.
    pub packets: u64,
    /// Packets that were not Opus.
    pub garbage: u64,
    /// Packets that came after their time, or twice.
    pub late: u64,
    /// Packets that did not come in time.
    pub lost: u64,
    /// Packets that were left out to shorten the delay.
    pub skipped: u64,
    /// Lost packets that were made up for by the next one's redundancy.
    pub recovered: u64,
    /// Times of a packet for which a guess was played.
    pub concealed: u64,
    /// How often the device had nothing to play.
    pub underruns: u64,
    /// How often the device was lost, or could not be opened.
    pub losses: u64,
    /// How much sound waits.
    pub held: Duration,
    /// How much should, as uneven as the network is.
    pub wanted: Duration,
    /// The latest trouble, in one line.
    pub last_error: Option<String>,
}

/// A loudspeaker at work for one talker. Dropping it stops it.
#[derive(Debug)]
pub struct Speaker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    config: SpeakerConfig,
    supervisor: Supervisor,
    voice: Mutex<Voice>,
    underruns: Mutex<u64>,
    echo: EchoCanceller,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Speaker {
    /// Starts playing. Fails on a value that no device could use, or without a decoder; a device
    /// that is not there yet is no failure, it is waited for.
    pub fn start(config: SpeakerConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let voice = Voice::new().map_err(std::io::Error::other)?;
        let shared = Arc::new(Shared {
            config,
            supervisor: Supervisor::new(Duration::ZERO),
            voice: Mutex::new(voice),
            underruns: Mutex::default(),
            echo: EchoCanceller::new(),
        });
        shared.supervisor.set_active(true);
        let own = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("speaker".to_owned())
            .spawn(move || run(&own))?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Takes an RTP packet's payload: one Opus packet (RFC 7587), with its sequence number, its
    /// timestamp of 48 kHz, and when it came. What is not Opus is counted and left out.
    pub fn push(&self, seq: u16, timestamp: u32, payload: Bytes, arrived: Instant) {
        let mut voice = self.shared.voice.lock();
        voice.push(seq, timestamp, payload, arrived);
    }

    /// What takes this talker out of the sound of a microphone near the loudspeaker:
    /// [`crate::AudioPipeline::cancel_echo`].
    #[must_use]
    pub fn echo(&self) -> EchoCanceller {
        self.shared.echo.clone()
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> SpeakerStats {
        let health = self.shared.supervisor.health();
        let voice = self.shared.voice.lock();
        let (heard, packets) = (voice.counts(), voice.jitter().counts());
        SpeakerStats {
            device: health.state,
            packets: heard.packets,
            garbage: heard.garbage,
            late: packets.late,
            lost: packets.lost,
            skipped: packets.skipped,
            recovered: heard.recovered,
            concealed: heard.concealed,
            underruns: *self.shared.underruns.lock(),
            losses: health.losses,
            held: voice.jitter().held(),
            wanted: voice.jitter().target(),
            last_error: health.last_error,
        }
    }

    /// Ends the sound and closes the device. Dropping does the same.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.shared.supervisor.stop();
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("the speaker thread has panicked");
        }
    }
}

fn run(shared: &Shared) {
    let mut limiter = Limiter::new(shared.config.limit_dbfs);
    let open = || Loudspeaker::open(&shared.config.device);
    shared
        .supervisor
        .run(open, |loudspeaker| play(shared, loudspeaker, &mut limiter));
}

/// Plays the next 10 ms.
fn play(
    shared: &Shared,
    loudspeaker: &mut Loudspeaker,
    limiter: &mut Limiter,
) -> Result<(), SourceError> {
    let mut block = [0; PERIOD];
    shared.voice.lock().fill(&mut block, Instant::now());
    limiter.limit(&mut block);
    shared.echo.played(&block, loudspeaker.delay());
    loudspeaker.play(&block)?;
    *shared.underruns.lock() += loudspeaker.take_underruns();
    Ok(())
}
