//! From packets to an even stream of samples: jitter buffer, Opus decoder, concealment.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use opus::{Channels, Decoder};

use super::jitter::{JitterBuffer, Playout};
use crate::SourceError;
use crate::audio::{PACKET_SAMPLES, SAMPLE_RATE};

/// The longest packet: 120 ms (RFC 6716 section 3.2.5).
const LONGEST: usize = 5760;

/// A talker's voice. Pure but for the decoder's state: the caller passes the time.
pub(super) struct Voice {
    jitter: JitterBuffer,
    decoder: Decoder,
    samples: VecDeque<i16>,
    scratch: Vec<i16>,
    counts: VoiceCounts,
}

/// What has happened to the sound so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct VoiceCounts {
    pub(super) packets: u64,
    pub(super) garbage: u64,
    pub(super) recovered: u64,
    pub(super) concealed: u64,
}

impl Voice {
    pub(super) fn new() -> Result<Self, SourceError> {
        let decoder = Decoder::new(SAMPLE_RATE, Channels::Mono)
            .map_err(|error| SourceError::unusable("opus", error.to_string()))?;
        Ok(Self {
            jitter: JitterBuffer::default(),
            decoder,
            samples: VecDeque::with_capacity(LONGEST * 2),
            scratch: vec![0; LONGEST],
            counts: VoiceCounts::default(),
        })
    }

    /// Takes a packet; one that is not Opus is counted and left out.
    pub(super) fn push(&mut self, seq: u16, timestamp: u32, payload: Bytes, arrived: Instant) {
        self.counts.packets += 1;
        let samples = opus::packet::get_nb_samples(&payload, SAMPLE_RATE);
        if !samples.is_ok_and(|samples| (1..=LONGEST).contains(&samples)) {
            self.counts.garbage += 1;
            return;
        }
        self.jitter.push(seq, timestamp, payload, arrived);
    }

    /// Fills a block with what is to be heard now; false when it is silence.
    pub(super) fn fill(&mut self, block: &mut [i16], now: Instant) -> bool {
        while self.samples.len() < block.len() {
            if !self.decode(now) {
                break;
            }
        }
        let heard = !self.samples.is_empty();
        for sample in block {
            *sample = self.samples.pop_front().unwrap_or(0);
        }
        heard
    }

    pub(super) const fn jitter(&self) -> &JitterBuffer {
        &self.jitter
    }

    pub(super) const fn counts(&self) -> VoiceCounts {
        self.counts
    }

    /// Decodes the next packet, or what stands for it; false for silence.
    fn decode(&mut self, now: Instant) -> bool {
        let playout = self.jitter.pull(now);
        let packet = &mut self.scratch[..PACKET_SAMPLES];
        let decoded = match &playout {
            Playout::Nothing => return false,
            Playout::Packet(payload) => self.decoder.decode(payload, &mut self.scratch, false),
            Playout::Recover(payload) => {
                self.counts.recovered += 1;
                self.decoder.decode(payload, packet, true)
            }
            Playout::Conceal => {
                self.counts.concealed += 1;
                self.decoder.decode(&[], packet, false)
            }
        };
        let decoded = decoded.or_else(|_| {
            // Its header was Opus, the rest is not.
            self.counts.garbage += 1;
            self.decoder
                .decode(&[], &mut self.scratch[..PACKET_SAMPLES], false)
        });
        // Even concealment can fail; then it is silence for a packet's time.
        let count = decoded.unwrap_or_else(|_| {
            self.scratch[..PACKET_SAMPLES].fill(0);
            PACKET_SAMPLES
        });
        self.samples.extend(&self.scratch[..count.min(LONGEST)]);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use opus::{Application, Encoder};
    use proptest::prelude::*;

    use super::*;

    const BLOCK: Duration = Duration::from_millis(10);

    /// A tone as packets of 20 ms.
    fn tone(packets: usize) -> Vec<Bytes> {
        let mut encoder = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip).unwrap();
        encoder.set_inband_fec(true).unwrap();
        encoder.set_packet_loss_perc(20).unwrap();
        let sample = |at: usize| (at as f32 * 440.0 / 48_000.0 * std::f32::consts::TAU).sin();
        let packet = |number: usize| {
            let from = number * PACKET_SAMPLES;
            let block: Vec<i16> = (from..from + PACKET_SAMPLES)
                .map(|at| (sample(at) * 8000.0) as i16)
                .collect();
            encoder.encode_vec(&block, 1275).unwrap().into()
        };
        (0..packets).map(packet).collect()
    }

    fn loudness(samples: &[i16]) -> f32 {
        let squares: f32 = samples
            .iter()
            .map(|&sample| f32::from(sample).powi(2))
            .sum();
        (squares / samples.len() as f32).sqrt()
    }

    /// Plays packets that come on time, with some replaced or left out.
    fn play(packets: &[Option<Bytes>]) -> (Vec<i16>, Voice) {
        let (start, mut voice, mut heard) = (Instant::now(), Voice::new().unwrap(), Vec::new());
        for (number, packet) in packets.iter().enumerate() {
            let now = start + BLOCK * 2 * number as u32;
            if let Some(packet) = packet {
                voice.push(number as u16, number as u32 * 960, packet.clone(), now);
            }
            for half in 0..2 {
                let mut block = [0; 480];
                voice.fill(&mut block, now + BLOCK * half);
                heard.extend(block);
            }
        }
        (heard, voice)
    }

    #[test]
    fn a_tone_is_heard_as_it_was_sent() {
        let packets: Vec<_> = tone(50).into_iter().map(Some).collect();
        let (heard, voice) = play(&packets);
        let loudness = loudness(&heard[10_000..]);
        assert!((5000.0..6300.0).contains(&loudness), "{loudness}");
        assert_eq!(voice.counts().concealed + voice.counts().garbage, 0);
    }

    #[test]
    fn lost_packets_leave_no_hole() {
        let packets = tone(100).into_iter().enumerate();
        let packets: Vec<_> = packets
            .map(|(number, packet)| (number % 8 != 5).then_some(packet))
            .collect();
        let (heard, voice) = play(&packets);
        let counts = voice.counts();
        assert!(counts.recovered + counts.concealed >= 10, "{counts:?}");
        for block in heard[9600..].chunks_exact(960) {
            assert!(loudness(block) > 800.0, "{}", loudness(block));
        }
    }

    #[test]
    fn garbage_is_counted_and_the_rest_is_heard() {
        let packets = tone(60).into_iter().enumerate().map(|(number, packet)| {
            Some(if number % 6 == 3 {
                Bytes::from_static(&[0xff; 7])
            } else {
                packet
            })
        });
        let (heard, voice) = play(&packets.collect::<Vec<_>>());
        assert!(voice.counts().garbage >= 9, "{:?}", voice.counts());
        assert!(loudness(&heard[10_000..]) > 3000.0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(packets in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 1..30)) {
            let packets: Vec<_> = packets.into_iter().map(|packet| Some(Bytes::from(packet))).collect();
            let (heard, voice) = play(&packets);
            prop_assert_eq!(heard.len(), packets.len() * 960);
            prop_assert_eq!(voice.counts().packets, packets.len() as u64);
        }
    }
}
