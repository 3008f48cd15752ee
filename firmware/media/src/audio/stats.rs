//! What an audio pipeline has done, in numbers.

use parking_lot::Mutex;

use super::block::Block;
use crate::SourceState;
use crate::supervise::Health;

/// The level of 16 bits without a signal.
const SILENCE: f32 = -96.0;

/// The state and the counters of an [`crate::AudioPipeline`] at one moment. Counters only grow.
#[derive(Debug, Clone, Default)]
pub struct AudioStats {
    /// What the source is doing.
    pub source: SourceState,
    /// Packets that went to the listeners.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// How often sound was lost because it was read too late.
    pub overruns: u64,
    /// How often the source was lost, or could not be opened.
    pub losses: u64,
    /// The latest trouble, in one line.
    pub last_error: Option<String>,
    /// Loudness of the latest packet in dB of full scale: 0 is a full square wave, -96 silence.
    pub level_dbfs: f32,
}

/// The counters behind the statistics.
#[derive(Debug)]
pub(super) struct Counters {
    stats: Mutex<AudioStats>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            stats: Mutex::new(AudioStats {
                level_dbfs: SILENCE,
                ..AudioStats::default()
            }),
        }
    }
}

impl Counters {
    pub(super) fn overrun(&self) {
        self.stats.lock().overruns += 1;
    }

    pub(super) fn delivered(&self, block: &Block, bytes: usize) {
        let level_dbfs = loudness(&block.samples);
        let mut stats = self.stats.lock();
        stats.packets += 1;
        stats.bytes += bytes as u64;
        stats.level_dbfs = level_dbfs;
    }

    pub(super) fn stats(&self, health: Health) -> AudioStats {
        let stats = self.stats.lock().clone();
        AudioStats {
            source: health.state,
            losses: health.losses,
            last_error: health.last_error,
            ..stats
        }
    }
}

/// The root mean square in dB of full scale.
fn loudness(samples: &[i16]) -> f32 {
    let squares: f64 = samples
        .iter()
        .map(|&sample| f64::from(sample).powi(2))
        .sum();
    let mean = (squares / samples.len().max(1) as f64).sqrt() / f64::from(i16::MAX);
    (20.0 * mean.log10() as f32).max(SILENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loudness_is_in_decibels_of_full_scale() {
        assert_eq!(loudness(&[0; 960]), SILENCE);
        assert!(loudness(&[i16::MAX; 960]).abs() < 0.01);
        assert!((loudness(&[i16::MAX / 2; 960]) + 6.02).abs() < 0.01);
    }
}
