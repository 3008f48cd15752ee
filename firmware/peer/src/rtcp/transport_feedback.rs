//! Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 section 3.1).

use std::time::Duration;

use crate::event::Arrival;

/// More packets than are ever in flight; a message may claim 65,535 in a few bytes.
const MAX_PACKETS: u16 = 8192;

/// Arrival times count in quarter milliseconds.
const TICK_US: i64 = 250;
/// Reference times count in 64 ms, with 24 bits that wrap.
const REFERENCE_US: i64 = 64_000;
const REFERENCE_WRAP: i64 = 1 << 24;

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportFeedback {
    /// In 64 ms, wrapping at 24 bits.
    reference: u32,
    /// Packets in order; when each arrived after the reference, in µs.
    packets: Vec<(u16, Option<i64>)>,
}

/// Reads a message from its base sequence number on. `None` when it is malformed.
pub fn read(bytes: &[u8]) -> Option<TransportFeedback> {
    let [b1, b2, c1, c2, r1, r2, r3, _, rest @ ..] = bytes else {
        return None;
    };
    let base = u16::from_be_bytes([*b1, *b2]);
    let count = u16::from_be_bytes([*c1, *c2]);
    if count > MAX_PACKETS {
        return None;
    }
    let (symbols, mut deltas) = symbols(rest, usize::from(count))?;
    let mut at = 0;
    let mut packets = Vec::with_capacity(symbols.len());
    for (i, symbol) in symbols.into_iter().enumerate() {
        let delta = match symbol {
            1 => {
                let (delta, rest) = deltas.split_first()?;
                deltas = rest;
                Some(i64::from(*delta))
            }
            2 => {
                let (delta, rest) = deltas.split_first_chunk::<2>()?;
                deltas = rest;
                Some(i64::from(i16::from_be_bytes(*delta)))
            }
            _ => None,
        };
        at += delta.unwrap_or_default() * TICK_US;
        // No more than `MAX_PACKETS`: it fits.
        packets.push((base.wrapping_add(i as u16), delta.map(|_| at)));
    }
    Some(TransportFeedback {
        reference: u32::from_be_bytes([0, *r1, *r2, *r3]),
        packets,
    })
}

/// Expands `count` status symbols (sections 3.1.3 and 3.1.4); also returns what follows them.
fn symbols(mut bytes: &[u8], count: usize) -> Option<(Vec<u8>, &[u8])> {
    let mut symbols = Vec::with_capacity(count);
    while symbols.len() < count {
        let (chunk, rest) = bytes.split_first_chunk::<2>()?;
        let chunk = u16::from_be_bytes(*chunk);
        bytes = rest;
        let missing = count - symbols.len();
        if chunk & 0x8000 == 0 {
            let run = usize::from(chunk & 0x1fff).min(missing);
            if run == 0 {
                return None;
            }
            symbols.extend(std::iter::repeat_n(((chunk >> 13) & 3) as u8, run));
        } else if chunk & 0x4000 == 0 {
            let bits = (0..14).map(|i| ((chunk >> (13 - i)) & 1) as u8);
            symbols.extend(bits.take(missing));
        } else {
            let pairs = (0..7).map(|i| ((chunk >> (12 - 2 * i)) & 3) as u8);
            symbols.extend(pairs.take(missing));
        }
    }
    Some((symbols, bytes))
}

/// Unwraps the viewer's clock.
#[derive(Debug, Default)]
pub struct FeedbackClock {
    /// The last reference time, unwrapped, in 64 ms.
    last: Option<i64>,
}

impl FeedbackClock {
    /// The packets of a message with arrival times that go on from message to message.
    pub fn arrivals(&mut self, feedback: TransportFeedback) -> impl Iterator<Item = Arrival> {
        let wrapped = i64::from(feedback.reference);
        let reference = match self.last {
            // One turn ahead, so that no arrival is before the start.
            None => wrapped + REFERENCE_WRAP,
            Some(last) => {
                let step = (wrapped - last).rem_euclid(REFERENCE_WRAP);
                let back = step > REFERENCE_WRAP / 2;
                last + step - if back { REFERENCE_WRAP } else { 0 }
            }
        };
        self.last = Some(reference.max(REFERENCE_WRAP / 2));
        feedback.packets.into_iter().map(move |(seq, after)| {
            let at = after.map(|after| {
                let micros = reference.saturating_mul(REFERENCE_US).saturating_add(after);
                Duration::from_micros(u64::try_from(micros).unwrap_or_default())
            });
            Arrival { seq, at }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arrivals(clock: &mut FeedbackClock, bytes: &[u8]) -> Vec<(u16, Option<i64>)> {
        let start = (1_i64 << 24) * REFERENCE_US;
        clock
            .arrivals(read(bytes).unwrap())
            .map(|arrival| {
                let at = arrival.at.map(|at| at.as_micros() as i64 - start);
                (arrival.seq, at)
            })
            .collect()
    }

    #[test]
    fn runs_and_vectors_give_arrival_times() {
        // Base 65534, five packets, reference 2: a run of two small deltas, then 2-bit symbols "lost, large, lost".
        let bytes = [
            0xff, 0xfe, 0, 5, 0, 0, 2, 0, 0x20, 2, 0xc8, 0, 4, 8, 0xff, 0xfc, 0,
        ];
        let mut clock = FeedbackClock::default();
        assert_eq!(
            arrivals(&mut clock, &bytes),
            [
                (0xfffe, Some(128_000 + 1000)),
                (0xffff, Some(128_000 + 3000)),
                (0, None),
                (1, Some(128_000 + 2000)),
                (2, None)
            ]
        );
        // One-bit symbols: received, lost, received.
        let bytes = [0, 3, 0, 3, 0, 0, 3, 1, 0xa8, 0, 0, 40];
        let bytes = [&bytes[..8], &[0xa8, 0, 0, 40]].concat();
        assert_eq!(
            arrivals(&mut clock, &bytes),
            [(3, Some(192_000)), (4, None), (5, Some(202_000))]
        );
    }

    #[test]
    fn the_viewers_clock_wraps() {
        let at = |reference: [u8; 3]| {
            let mut bytes = vec![0, 1, 0, 1];
            bytes.extend(reference);
            bytes.extend([0, 0x20, 1, 0]);
            bytes
        };
        let mut clock = FeedbackClock::default();
        let before = arrivals(&mut clock, &at([0xff, 0xff, 0xff]))[0].1.unwrap();
        let after = arrivals(&mut clock, &at([0, 0, 1]))[0].1.unwrap();
        assert_eq!(after - before, 2 * REFERENCE_US);
    }

    #[test]
    fn claims_without_bytes_are_refused() {
        assert_eq!(read(&[0, 0, 0xff, 0xff, 0, 0, 0, 0, 0x1f, 0xff]), None);
        assert_eq!(read(&[0, 0, 0, 3, 0, 0, 0, 0, 0x20, 3, 1, 1]), None);
        assert_eq!(read(&[0, 0, 0, 3, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(read(&[]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(messages in prop::collection::vec(any::<Vec<u8>>(), 1..8)) {
            let mut clock = FeedbackClock::default();
            for message in messages {
                if let Some(feedback) = read(&message) {
                    prop_assert!(clock.arrivals(feedback).count() <= usize::from(MAX_PACKETS));
                }
            }
        }
    }
}
