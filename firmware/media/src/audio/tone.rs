//! A beep that needs no hardware.

use std::f32::consts::TAU;
use std::time::{Duration, Instant, SystemTime};

use super::{AudioSource, Heard, PACKET, PACKET_SAMPLES, SAMPLE_RATE, Samples};
use crate::source::pace::Pace;
use crate::{SourceError, Timestamp};

const PITCH: f32 = 440.0;
/// A quarter of full scale: audible, and no shock with headphones on.
const LOUDNESS: f32 = 0.25 * i16::MAX as f32;
/// Samples of a beep, at the beginning of each second.
const BEEP: u32 = SAMPLE_RATE / 2;
/// Samples in which it swells and fades, so that it does not click.
const EDGE: u32 = SAMPLE_RATE / 50;

/// A beep in the first half of each second of the wall clock.
pub(crate) struct Tone {
    channels: u16,
    pace: Pace,
    /// Samples since the last full second.
    position: u32,
}

impl Tone {
    pub(crate) fn new(channels: u16) -> Self {
        let unix = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let position = (f64::from(unix.subsec_nanos()) * f64::from(SAMPLE_RATE) / 1e9) as u32;
        // Like a microphone's, the first samples are complete when they have sounded.
        Self {
            channels,
            pace: Pace::new(Instant::now() + PACKET, PACKET),
            position,
        }
    }
}

impl AudioSource for Tone {
    fn next(&mut self, timeout: Duration) -> Result<Heard, SourceError> {
        let wait = self.pace.wait(Instant::now());
        std::thread::sleep(wait.min(timeout));
        if wait > timeout {
            return Ok(Heard::Idle);
        }
        self.pace.beat(Instant::now());
        let mut data = Vec::with_capacity(PACKET_SAMPLES * usize::from(self.channels));
        for _ in 0..PACKET_SAMPLES {
            let sample = beep(self.position);
            data.extend(std::iter::repeat_n(sample, usize::from(self.channels)));
            self.position = (self.position + 1) % SAMPLE_RATE;
        }
        Ok(Heard::Samples(Samples {
            data,
            captured: Timestamp::now().minus(PACKET),
        }))
    }

    fn channels(&self) -> u16 {
        self.channels
    }
}

/// The sample at a position within the second. 440 periods fit into a second, so they join without
/// a step.
fn beep(position: u32) -> i16 {
    if position >= BEEP {
        return 0;
    }
    let edge = position.min(BEEP - position).min(EDGE) as f32 / EDGE as f32;
    let phase = position as f32 * PITCH / SAMPLE_RATE as f32;
    ((phase.fract() * TAU).sin() * LOUDNESS * edge) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_each_second_is_audible_and_nothing_clicks() {
        let second: Vec<i16> = (0..SAMPLE_RATE).map(beep).collect();
        assert!(second[BEEP as usize..].iter().all(|&sample| sample == 0));
        assert!(second.iter().any(|&sample| sample > 8000));
        let steps = second
            .windows(2)
            .map(|pair| pair[0].abs_diff(pair[1]))
            .max()
            .unwrap();
        assert!(steps < 600, "{steps}");
    }
}
