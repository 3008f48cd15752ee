//! Cuts sound into blocks of one packet each.

use std::time::Duration;

use super::{PACKET_SAMPLES, SAMPLE_RATE, Samples};
use crate::Timestamp;

/// 20 ms of sound, channels interleaved.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) samples: Vec<i16>,
    /// When its first sample was captured.
    pub(crate) captured: Timestamp,
}

/// Collects samples of any number into blocks, and changes mono to stereo or back.
#[derive(Debug)]
pub(crate) struct Blocks {
    from: usize,
    to: usize,
    waiting: Vec<i16>,
    /// When the first waiting sample was captured.
    captured: Timestamp,
}

impl Blocks {
    pub(crate) fn new(from: u16, to: u16) -> Self {
        Self {
            from: usize::from(from),
            to: usize::from(to),
            waiting: Vec::new(),
            captured: Timestamp::default(),
        }
    }

    /// Adds samples. Their time corrects the time of what is waiting, so that no error adds up.
    pub(crate) fn push(&mut self, samples: &Samples) {
        let before = self.waiting.len() / self.to;
        self.captured = samples.captured.minus(duration(before));
        match (self.from, self.to) {
            (1, 2) => self
                .waiting
                .extend(samples.data.iter().flat_map(|&sample| [sample, sample])),
            (2, 1) => self.waiting.extend(
                samples
                    .data
                    .chunks_exact(2)
                    .map(|pair| i16::midpoint(pair[0], pair[1])),
            ),
            _ => self.waiting.extend_from_slice(&samples.data),
        }
    }

    /// The next complete block.
    pub(crate) fn next_block(&mut self) -> Option<Block> {
        let length = PACKET_SAMPLES * self.to;
        if self.waiting.len() < length {
            return None;
        }
        let rest = self.waiting.split_off(length);
        let block = Block {
            samples: std::mem::replace(&mut self.waiting, rest),
            captured: self.captured,
        };
        self.captured = self.captured.plus(duration(PACKET_SAMPLES));
        Some(block)
    }

    /// Forgets what is waiting: what comes next does not follow it.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}

/// How long a number of samples of one channel sounds.
pub(crate) fn duration(samples: usize) -> Duration {
    Duration::from_nanos(samples as u64 * 1_000_000_000 / u64::from(SAMPLE_RATE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_sample_is_lost_and_each_block_bears_its_time(
            pieces in proptest::collection::vec(1_usize..3000, 1..12), stereo in any::<bool>(),
        ) {
            let channels = if stereo { 2 } else { 1 };
            let start = Timestamp::from_nanos(5_000_000_000);
            let mut blocks = Blocks::new(channels, channels);
            let (mut sent, mut received) = (0, 0_usize);
            for piece in pieces {
                let first = sent * usize::from(channels);
                let data = (first..first + piece * usize::from(channels)).map(|index| index as i16).collect();
                blocks.push(&Samples { data, captured: start.plus(duration(sent)) });
                sent += piece;
                while let Some(block) = blocks.next_block() {
                    prop_assert_eq!(block.samples.len(), PACKET_SAMPLES * usize::from(channels));
                    prop_assert_eq!(block.samples[0], (received * usize::from(channels)) as i16);
                    let error = block.captured.as_nanos().abs_diff(start.plus(duration(received)).as_nanos());
                    prop_assert!(error < 100);
                    received += PACKET_SAMPLES;
                }
            }
            prop_assert_eq!(received, sent / PACKET_SAMPLES * PACKET_SAMPLES);
        }
    }

    #[test]
    fn channels_are_mixed_and_doubled() {
        let captured = Timestamp::now();
        let mut mixed = Blocks::new(2, 1);
        mixed.push(&Samples {
            data: [100, 300].repeat(960),
            captured,
        });
        assert_eq!(
            mixed.next_block(),
            Some(Block {
                samples: vec![200; 960],
                captured
            })
        );
        let mut doubled = Blocks::new(1, 2);
        doubled.push(&Samples {
            data: vec![7; 960],
            captured,
        });
        assert_eq!(
            doubled.next_block(),
            Some(Block {
                samples: vec![7; 1920],
                captured
            })
        );
    }
}
