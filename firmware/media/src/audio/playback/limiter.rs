//! Keeps a loud talker from hurting ears and loudspeaker.

/// How much of the way back to full gain each block of 10 ms goes: about a fifth of a second in all.
const RELEASE: f32 = 0.08;
/// Samples over which the gain changes.
const RAMP: usize = 48;

/// A peak limiter: what is above the limit is made quieter as a whole, without clipping its shape.
#[derive(Debug)]
pub(super) struct Limiter {
    limit: f32,
    gain: f32,
}

impl Limiter {
    /// A limiter to so many decibels of full scale, zero or below.
    pub(super) fn new(limit_dbfs: f32) -> Self {
        Self {
            limit: f32::from(i16::MAX) * 10_f32.powf(limit_dbfs.min(0.0) / 20.0),
            gain: 1.0,
        }
    }

    /// Limits a block of some milliseconds.
    pub(super) fn limit(&mut self, block: &mut [i16]) {
        let peak = block.iter().map(|sample| sample.unsigned_abs()).max();
        let peak = f32::from(peak.unwrap_or(0)).max(1.0);
        let back = self.gain + (1.0 - self.gain) * RELEASE;
        let wanted = (self.limit / peak).min(back);
        let (from, step) = (self.gain, (wanted - self.gain) / RAMP as f32);
        for (index, sample) in block.iter_mut().enumerate() {
            let gain = from + step * index.min(RAMP) as f32;
            // During the ramp downwards the first samples may still be above.
            let limited = (f32::from(*sample) * gain).clamp(-self.limit, self.limit);
            *sample = limited as i16;
        }
        self.gain = wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f32) -> Vec<i16> {
        let sample = |at: usize| (at as f32 * 0.1).sin() * amplitude;
        (0..480).map(|at| sample(at) as i16).collect()
    }

    fn peak(block: &[i16]) -> u16 {
        block
            .iter()
            .map(|sample| sample.unsigned_abs())
            .max()
            .unwrap()
    }

    #[test]
    fn what_is_below_the_limit_is_not_touched() {
        let mut block = sine(10_000.0);
        Limiter::new(-6.0).limit(&mut block);
        assert_eq!(block, sine(10_000.0));
    }

    #[test]
    fn what_is_above_comes_out_at_the_limit_and_the_gain_returns() {
        let mut limiter = Limiter::new(-6.0);
        for _ in 0..5 {
            let mut loud = sine(32_000.0);
            limiter.limit(&mut loud);
            assert!(peak(&loud) <= 16_423, "{}", peak(&loud));
        }
        let mut quiet = sine(4_000.0);
        limiter.limit(&mut quiet);
        assert!(peak(&quiet) < 2_800);
        for _ in 0..100 {
            limiter.limit(&mut sine(4_000.0));
        }
        let mut quiet = sine(4_000.0);
        limiter.limit(&mut quiet);
        assert!(peak(&quiet) > 3_950);
    }

    #[test]
    fn the_loudest_sample_there_is_survives() {
        let mut block = vec![i16::MIN; 480];
        Limiter::new(0.0).limit(&mut block);
        assert!(block.iter().all(|&sample| sample < -32_000));
    }
}
