//! The jitter buffer: makes an even flow of packets that come unevenly, in disorder, or not at all.
//!
//! ```text
//!              enough is there                      five packets in a row are missing
//!  filling ──────────────────────► playing ─────────────────────────────────────────► filling
//! ```
//!
//! It holds as little as the network allows: the 95th percentile of how much later than the quickest
//! the packets of the last seconds came, and one packet. While it holds more than that, it leaves
//! packets out; while it holds less, concealed packets stretch the sound until it does not.
//! Sequence numbers and timestamps are RTP's (RFC 3550, RFC 7587).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::audio::{PACKET, PACKET_SAMPLES, SAMPLE_RATE};

/// Packets whose lateness is remembered: five seconds.
const REMEMBERED: usize = 250;
/// Packets held at most: a second. A burst that is longer was silence to the listener already.
const MOST: usize = 50;
/// Concealed packets in a row before it is silence that is heard.
const PATIENCE: u32 = 5;
/// Packets played with too much in the buffer before one is left out.
const EXCESS: u32 = 10;
/// The longest delay that evenness is worth.
const LONGEST: Duration = Duration::from_millis(400);

/// What is to be played for one packet's time.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Playout {
    /// This packet.
    Packet(Bytes),
    /// The packet before this one, which is missing: this one may carry its redundancy (RFC 6716
    /// section 2.1.7).
    Recover(Bytes),
    /// Something like what came before.
    Conceal,
    /// Silence.
    Nothing,
}

/// What has happened to the packets so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Came after their time, or twice.
    pub(super) late: u64,
    /// Did not come in time.
    pub(super) lost: u64,
    /// Were left out to shorten the delay.
    pub(super) skipped: u64,
}

/// Packets that wait for their time. Pure: the caller passes the time.
#[derive(Debug, Default)]
pub(super) struct JitterBuffer {
    packets: BTreeMap<u64, Bytes>,
    /// The number of the packet that is played next; none while filling.
    next: Option<u64>,
    /// Everything before this has had its time.
    past: u64,
    /// The highest number seen.
    highest: Option<u64>,
    /// Timestamp and arrival that others are compared with.
    reference: Option<(u32, Instant)>,
    /// How much later than the reference the latest packets came, in microseconds.
    transits: VecDeque<i64>,
    filling_since: Option<Instant>,
    missing: u32,
    excess: u32,
    counts: Counts,
}

impl JitterBuffer {
    /// Takes a packet.
    pub(super) fn push(&mut self, seq: u16, timestamp: u32, payload: Bytes, arrived: Instant) {
        let number = self.unwrap(seq);
        self.highest = self.highest.max(Some(number));
        // One that is too late is what the delay has to grow for.
        self.measure(timestamp, arrived);
        if number < self.past || self.packets.contains_key(&number) {
            self.counts.late += 1;
            return;
        }
        self.packets.insert(number, payload);
        self.filling_since.get_or_insert(arrived);
        if self.packets.len() > MOST {
            self.skip();
        }
    }

    /// What is to be played now.
    pub(super) fn pull(&mut self, now: Instant) -> Playout {
        let Some(next) = self.next.or_else(|| self.begin(now)) else {
            return Playout::Nothing;
        };
        self.shorten();
        let next = self.next.unwrap_or(next);
        if let Some(payload) = self.packets.remove(&next) {
            self.missing = 0;
            self.advance(next + 1);
            return Playout::Packet(payload);
        }
        self.missing += 1;
        if self.missing > PATIENCE {
            self.next = None;
            self.filling_since = self.packets.first_key_value().map(|_| now);
            return Playout::Nothing;
        }
        if self.packets.is_empty() || self.held() < self.target() {
            // It may still come, and is played then: so the delay grows to what is needed.
            return Playout::Conceal;
        }
        self.counts.lost += 1;
        self.advance(next + 1);
        let after = self.packets.get(&(next + 1));
        after.cloned().map_or(Playout::Conceal, Playout::Recover)
    }

    /// How much sound should wait.
    pub(super) fn target(&self) -> Duration {
        let mut transits: Vec<i64> = self.transits.iter().copied().collect();
        transits.sort_unstable();
        let late = transits.get(transits.len() * 95 / 100).copied();
        let spread = late
            .zip(transits.first())
            .map_or(0, |(late, first)| late - first);
        (Duration::from_micros(spread.unsigned_abs()) + PACKET).min(LONGEST)
    }

    /// How much sound waits.
    pub(super) fn held(&self) -> Duration {
        PACKET * u32::try_from(self.packets.len()).unwrap_or(u32::MAX)
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Begins to play once enough is there, or has waited long enough.
    fn begin(&mut self, now: Instant) -> Option<u64> {
        let (&first, _) = self.packets.first_key_value()?;
        let target = self.target();
        let waited = now.saturating_duration_since(self.filling_since?);
        if self.held() < target && waited < target {
            return None;
        }
        self.missing = 0;
        self.excess = 0;
        self.advance(first);
        self.next
    }

    /// Leaves a packet out when more than is needed has waited for a while.
    fn shorten(&mut self) {
        if self.held() <= self.target() + PACKET {
            self.excess = 0;
            return;
        }
        self.excess += 1;
        if self.excess >= EXCESS {
            self.excess = 0;
            self.skip();
        }
    }

    /// Leaves the first packet out.
    fn skip(&mut self) {
        if let Some((first, _)) = self.packets.pop_first() {
            self.counts.skipped += 1;
            self.past = first + 1;
            self.next = self.next.map(|_| first + 1);
        }
    }

    fn advance(&mut self, next: u64) {
        self.next = Some(next);
        self.past = next;
    }

    fn measure(&mut self, timestamp: u32, arrived: Instant) {
        let (from, at) = *self.reference.get_or_insert((timestamp, arrived));
        let sound = i64::from(timestamp.wrapping_sub(from).cast_signed());
        let sound_us = sound * 1_000_000 / i64::from(SAMPLE_RATE);
        let passed = arrived.saturating_duration_since(at).as_micros();
        let transit = i64::try_from(passed).unwrap_or(i64::MAX) - sound_us;
        // A sender that starts its timestamps anew is not late by hours.
        if self
            .transits
            .back()
            .is_some_and(|last| last.abs_diff(transit) > 5_000_000)
        {
            self.transits.clear();
            self.reference = Some((timestamp, arrived));
            self.transits.push_back(0);
            return;
        }
        self.transits.push_back(transit);
        if self.transits.len() > REMEMBERED {
            self.transits.pop_front();
        }
    }

    /// The number of a packet as if they did not wrap around.
    fn unwrap(&self, seq: u16) -> u64 {
        // Numbers begin after one turn, so that an early one is not below zero.
        let Some(highest) = self.highest else {
            return u64::from(seq) + (1 << 16);
        };
        let step = seq.wrapping_sub(highest as u16).cast_signed();
        highest.saturating_add_signed(step.into())
    }
}

// A packet of another length than 20 ms counts as one of 20 ms: browsers send no other.
const _: () = assert!(PACKET_SAMPLES == 960);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A buffer on virtual time: packets that come so many milliseconds after they were sent, played
    /// every 20 ms.
    struct Line {
        start: Instant,
        buffer: JitterBuffer,
        played: Vec<Playout>,
        arrivals: VecDeque<(u64, u16)>,
    }

    impl Line {
        fn new(delays: impl IntoIterator<Item = Option<u64>>) -> Self {
            let sent = delays.into_iter().enumerate();
            let mut arrivals: Vec<_> = sent
                .filter_map(|(number, delay)| Some((number as u64 * 20 + delay?, number as u16)))
                .collect();
            arrivals.sort_unstable();
            Self {
                start: Instant::now(),
                buffer: JitterBuffer::default(),
                played: Vec::new(),
                arrivals: arrivals.into(),
            }
        }

        fn run(mut self, packets: u64) -> Self {
            for now in (0..packets * 20).step_by(20) {
                while let Some((at, number)) = self.arrivals.pop_front_if(|first| first.0 <= now) {
                    // Just before the wrap, so that each test crosses it.
                    let seq = number.wrapping_add(65_530);
                    let timestamp = u32::from(number) * 960;
                    let payload = Bytes::copy_from_slice(&number.to_be_bytes());
                    self.buffer
                        .push(seq, timestamp, payload, self.start + MS * at as u32);
                }
                self.played
                    .push(self.buffer.pull(self.start + MS * now as u32));
            }
            self
        }

        /// The numbers of the packets that were played.
        fn numbers(&self) -> Vec<u16> {
            let number = |playout: &Playout| match playout {
                Playout::Packet(payload) => Some(u16::from_be_bytes([payload[0], payload[1]])),
                _ => None,
            };
            self.played.iter().filter_map(number).collect()
        }

        fn count(&self, wanted: &Playout) -> usize {
            self.played
                .iter()
                .filter(|playout| *playout == wanted)
                .count()
        }
    }

    #[test]
    fn an_even_flow_is_played_with_one_packet_of_delay() {
        let line = Line::new((0..200).map(|_| Some(30))).run(200);
        assert_eq!(
            line.numbers(),
            (0..line.numbers().len() as u16).collect::<Vec<_>>()
        );
        assert_eq!(line.count(&Playout::Conceal), 0);
        assert_eq!(line.buffer.target(), PACKET);
        assert!(line.buffer.held() <= PACKET * 2);
    }

    #[test]
    fn disorder_is_put_right() {
        // Each third packet comes after the one that follows it.
        let delays = (0..300).map(|number| Some(if number % 3 == 0 { 45 } else { 10 }));
        let line = Line::new(delays).run(300);
        let tail = &line.numbers()[50..];
        assert!(
            tail.windows(2).all(|pair| pair[1] == pair[0] + 1),
            "{tail:?}"
        );
    }

    #[test]
    fn a_lost_packet_is_recovered_from_the_next_one() {
        let lost = |number| number % 10 == 7;
        let line = Line::new((0..200).map(|number| (!lost(number)).then_some(20))).run(200);
        let recovered = line
            .played
            .iter()
            .filter(|playout| matches!(playout, Playout::Recover(_)));
        let recovered = recovered.count();
        let counts = line.buffer.counts();
        assert!(
            recovered + line.count(&Playout::Conceal) >= 18,
            "{counts:?}"
        );
        assert!(!line.numbers().iter().any(|number| lost(i32::from(*number))));
    }

    #[test]
    fn jitter_makes_the_delay_grow_and_calm_makes_it_shrink() {
        let delay = |number: u64| Some(if number < 500 { number * 37 % 90 } else { 20 });
        let rough = Line::new((0..1200).map(delay)).run(480);
        assert!(
            rough.buffer.target() > 80 * MS,
            "{:?}",
            rough.buffer.target()
        );
        let concealed = rough.count(&Playout::Conceal);
        assert!(concealed < 20, "{concealed} of 480");
        let calm = Line::new((0..1200).map(delay)).run(1150);
        assert_eq!(calm.buffer.target(), PACKET);
        assert!(calm.buffer.held() <= PACKET * 2, "{:?}", calm.buffer.held());
        assert!(calm.buffer.counts().skipped > 0);
    }

    #[test]
    fn a_pause_is_silence_and_the_next_word_is_heard_whole() {
        let delays = (0..200).map(|number| (!(50..120).contains(&number)).then_some(20));
        let line = Line::new(delays).run(200);
        assert!(line.count(&Playout::Nothing) > 50);
        let numbers = line.numbers();
        let after: Vec<_> = numbers.iter().filter(|number| **number >= 120).collect();
        assert_eq!(*after[0], 120);
    }

    #[test]
    fn what_comes_after_its_time_is_counted() {
        let delays = (0..100).map(|number| Some(if number == 60 { 900 } else { 20 }));
        let line = Line::new(delays).run(100);
        assert_eq!(
            (line.buffer.counts().late, line.buffer.counts().lost),
            (0, 1)
        );
        let line = Line::new((0..150).map(|number| Some(if number == 60 { 900 } else { 20 })));
        assert_eq!(line.run(150).buffer.counts().late, 1);
    }

    proptest! {
        #[test]
        fn any_packets_are_taken_and_never_more_than_a_second_is_held(
            packets in proptest::collection::vec((any::<u16>(), any::<u32>(), 0_u32..3000), 0..300),
        ) {
            let (start, mut buffer) = (Instant::now(), JitterBuffer::default());
            for (number, (seq, timestamp, at)) in packets.into_iter().enumerate() {
                let arrived = start + MS * at;
                buffer.push(seq, timestamp, Bytes::new(), arrived);
                prop_assert!(buffer.held() <= PACKET * MOST as u32);
                prop_assert!(buffer.target() <= LONGEST);
                if number % 2 == 0 {
                    buffer.pull(arrived);
                }
            }
        }

        #[test]
        fn packets_are_played_once_and_in_order(delays in proptest::collection::vec(proptest::option::of(0_u64..300), 1..200)) {
            let line = Line::new(delays).run(230);
            let numbers = line.numbers();
            prop_assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "{numbers:?}");
        }
    }
}
