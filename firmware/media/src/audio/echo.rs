//! Takes the talker's voice, as the microphone hears it from the loudspeaker, out of the sound.
//!
//! `sonora` is a port of libwebrtc's audio processing: AEC3 finds the delay between loudspeaker and
//! microphone by itself and follows the drift of their clocks. Behind it come its noise suppression
//! and automatic gain.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sonora::config::{AdaptiveDigital, GainController2, NoiseSuppression};
use sonora::{AudioProcessing, Config, StreamConfig};

use super::SAMPLE_RATE;

/// Samples of one channel that are processed at once: 10 ms.
const STEP: usize = SAMPLE_RATE as usize / 100;

/// What connects a [`crate::Speaker`] with an [`crate::AudioPipeline`]: one says what is played, the
/// other has it taken out of what is captured. Clones share it.
#[derive(Clone)]
pub struct EchoCanceller {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    processing: AudioProcessing,
    /// From handing over what is played until it sounds.
    playback: Duration,
    scratch: Vec<i16>,
}

impl std::fmt::Debug for EchoCanceller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EchoCanceller").finish_non_exhaustive()
    }
}

impl Default for EchoCanceller {
    fn default() -> Self {
        Self::new()
    }
}

impl EchoCanceller {
    /// A canceller that has heard nothing yet.
    #[must_use]
    pub fn new() -> Self {
        let gain = GainController2 {
            adaptive_digital: Some(AdaptiveDigital::default()),
            ..GainController2::default()
        };
        let config = Config {
            echo_canceller: Some(sonora::config::EchoCanceller::default()),
            noise_suppression: Some(NoiseSuppression::default()),
            gain_controller2: Some(gain),
            ..Config::default()
        };
        Self::with(config)
    }

    fn with(config: Config) -> Self {
        let mono = StreamConfig::new(SAMPLE_RATE, 1);
        let processing = AudioProcessing::builder()
            .config(config)
            .capture_config(mono)
            .render_config(mono)
            .build();
        let shared = Shared {
            processing,
            playback: Duration::ZERO,
            scratch: Vec::new(),
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Learns what is played, mono, in multiples of 10 ms, and how long after this moment it sounds.
    pub(crate) fn played(&self, samples: &[i16], delay: Duration) {
        let mut shared = self.shared.lock();
        let Shared {
            processing,
            playback,
            scratch,
        } = &mut *shared;
        *playback = delay;
        scratch.resize(STEP, 0);
        for step in samples.chunks_exact(STEP) {
            // It fails on nothing but a wrong length.
            let _ = processing.process_render_i16(step, scratch);
        }
    }

    /// Cleans what was captured so long ago, channels interleaved, in multiples of 10 ms.
    pub(crate) fn clean(&self, samples: &mut [i16], channels: u16, age: Duration) {
        let mut shared = self.shared.lock();
        let Shared {
            processing,
            playback,
            scratch,
        } = &mut *shared;
        let delay = (*playback + age).as_millis().min(500);
        // A hint; the canceller looks for the delay itself.
        let _ = processing.set_stream_delay_ms(delay as i32);
        let stream = StreamConfig::new(SAMPLE_RATE, channels);
        let length = STEP * usize::from(channels);
        scratch.resize(length, 0);
        for step in samples.chunks_exact_mut(length) {
            let cleaned =
                processing.process_capture_i16_with_config(step, &stream, &stream, scratch);
            if cleaned.is_ok() {
                step.copy_from_slice(scratch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise that comes and goes as speech does.
    fn speech(seed: u32, length: usize) -> Vec<i16> {
        let mut state = seed;
        let sample = |at: usize| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let noise = (state >> 16) as f32 / 32_768.0 - 1.0;
            let syllable = (at as f32 / 48_000.0 * 4.0 * std::f32::consts::TAU)
                .sin()
                .max(0.0);
            (noise * syllable * 8_000.0) as i16
        };
        (0..length).map(sample).collect()
    }

    fn power(samples: &[i16]) -> f64 {
        samples
            .iter()
            .map(|&sample| f64::from(sample).powi(2))
            .sum::<f64>()
            / samples.len() as f64
    }

    #[test]
    fn the_echo_of_what_is_played_is_taken_out() {
        let config = Config {
            echo_canceller: Some(sonora::config::EchoCanceller::default()),
            ..Config::default()
        };
        let canceller = EchoCanceller::with(config);
        let played = speech(7, STEP * 600);
        // The room: 65 ms later, at a third of the strength.
        let delay = 3_120;
        let echo = |at: usize| at.checked_sub(delay).map_or(0, |at| played[at] / 3);
        let (mut heard, mut left) = (Vec::new(), Vec::new());
        for step in 0..600 {
            let from = step * STEP;
            canceller.played(&played[from..from + STEP], Duration::from_millis(40));
            let mut captured: Vec<i16> = (from..from + STEP).map(echo).collect();
            heard.extend_from_slice(&captured);
            canceller.clean(&mut captured, 1, Duration::from_millis(20));
            left.extend(captured);
        }
        let settled = STEP * 300;
        let suppressed =
            10.0 * (power(&heard[settled..]) / power(&left[settled..]).max(1.0)).log10();
        assert!(suppressed > 20.0, "{suppressed} dB");
    }

    #[test]
    fn a_voice_in_the_room_is_kept_in_one_channel_and_in_two() {
        for channels in [1, 2] {
            let canceller = EchoCanceller::new();
            let mut voice = speech(3, STEP * 200 * usize::from(channels));
            let before = power(&voice);
            for block in voice.chunks_exact_mut(STEP * 2 * usize::from(channels)) {
                canceller.played(&[0; STEP * 2], Duration::ZERO);
                canceller.clean(block, channels, Duration::ZERO);
            }
            let half = voice.len() / 2;
            assert!(power(&voice[half..]) > before / 10.0);
        }
    }
}
