//! What was sent lately, for viewers that ask again (RFC 4585 section 6.2.1).
//!
//! Payloads are shared with all viewers: remembering one costs a reference. Repairs are limited three ways: a packet
//! is not repeated within a round trip, nor more than [`MAX_RESENDS`] times, and all repairs together stay below half
//! of what is sent, so that a path that loses because it is full is not filled further.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// Some 3 s at 2 Mbit/s. A power of two.
const CAPACITY: usize = 1024;
/// After this a repair would come too late to be shown.
const MAX_AGE: Duration = Duration::from_millis(1500);
const MAX_RESENDS: u8 = 8;
/// The shortest time between two repairs of a packet, for want of a round trip time.
const MIN_INTERVAL: Duration = Duration::from_millis(10);
/// What may be repaired without anything having been sent since.
const MAX_CREDIT: usize = 64_000;

/// A packet that was sent.
#[derive(Debug, Clone)]
pub struct SentPacket {
    pub sequence: u16,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: Bytes,
    pub at: Instant,
}

#[derive(Debug)]
struct Slot {
    packet: SentPacket,
    resent: Option<Instant>,
    resends: u8,
}

/// The newest packets of a stream, and those asked for again.
#[derive(Debug)]
pub struct History {
    slots: Vec<Option<Slot>>,
    wanted: VecDeque<u16>,
    wanted_bytes: usize,
    credit: usize,
}

impl History {
    pub fn new() -> Self {
        Self {
            slots: std::iter::repeat_with(|| None).take(CAPACITY).collect(),
            wanted: VecDeque::with_capacity(CAPACITY),
            wanted_bytes: 0,
            credit: MAX_CREDIT,
        }
    }

    /// Remembers a packet.
    pub fn push(&mut self, packet: SentPacket) {
        self.credit = (self.credit + packet.payload.len() / 2).min(MAX_CREDIT);
        let at = usize::from(packet.sequence) % CAPACITY;
        self.slots[at] = Some(Slot {
            packet,
            resent: None,
            resends: 0,
        });
    }

    /// The viewer asks for a packet. False when it will not be repaired.
    pub fn want(&mut self, sequence: u16, rtt: Option<Duration>, now: Instant) -> bool {
        let interval = rtt.unwrap_or(MIN_INTERVAL).max(MIN_INTERVAL);
        let credit = self.credit;
        let Some(slot) = self.slot(sequence) else {
            return false;
        };
        let size = slot.packet.payload.len();
        let late = now.saturating_duration_since(slot.packet.at) > MAX_AGE;
        let soon = slot
            .resent
            .is_some_and(|at| now.saturating_duration_since(at) < interval);
        if late || soon || slot.resends >= MAX_RESENDS || size > credit {
            return false;
        }
        slot.resent = Some(now);
        slot.resends += 1;
        if self.wanted.len() >= CAPACITY {
            return false;
        }
        self.credit -= size;
        self.wanted.push_back(sequence);
        self.wanted_bytes += size;
        true
    }

    /// Payload bytes that wait to be sent again.
    pub fn wanted_bytes(&self) -> usize {
        self.wanted_bytes
    }

    /// The next packet to send again.
    pub fn next_wanted(&mut self) -> Option<SentPacket> {
        loop {
            let Some(sequence) = self.wanted.pop_front() else {
                // What was overwritten while it waited is counted no more.
                self.wanted_bytes = 0;
                return None;
            };
            if let Some(slot) = self.slot(sequence) {
                let packet = slot.packet.clone();
                self.wanted_bytes = self.wanted_bytes.saturating_sub(packet.payload.len());
                return Some(packet);
            }
        }
    }

    fn slot(&mut self, sequence: u16) -> Option<&mut Slot> {
        self.slots[usize::from(sequence) % CAPACITY]
            .as_mut()
            .filter(|slot| slot.packet.sequence == sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, at: Instant) -> SentPacket {
        SentPacket {
            sequence,
            timestamp: 0,
            marker: false,
            payload: Bytes::from_static(&[1; 1000]),
            at,
        }
    }

    #[test]
    fn a_packet_is_repaired_once_a_round_trip() {
        let (mut history, start) = (History::new(), Instant::now());
        let rtt = Some(Duration::from_millis(40));
        history.push(packet(7, start));
        let at = |ms| start + Duration::from_millis(ms);
        assert!(history.want(7, rtt, at(50)));
        assert!(!history.want(7, rtt, at(60)));
        assert!(history.want(7, rtt, at(95)));
        assert!(!history.want(8, rtt, at(95)));
        assert_eq!(history.wanted_bytes(), 2000);
        assert_eq!(history.next_wanted().unwrap().sequence, 7);
        assert!(history.next_wanted().is_some() && history.next_wanted().is_none());
        assert!(!history.want(7, rtt, at(1600)));
    }

    #[test]
    fn old_packets_are_forgotten() {
        let (mut history, start) = (History::new(), Instant::now());
        for sequence in 0..2000 {
            history.push(packet(sequence, start));
        }
        assert!(!history.want(100, None, start));
        assert!(history.want(1999, None, start));
        assert!(!history.want(1999 + 1024, None, start));
    }

    #[test]
    fn a_flood_of_requests_is_limited_by_what_is_sent() {
        let (mut history, start) = (History::new(), Instant::now());
        for sequence in 0..1000 {
            history.push(packet(sequence, start));
        }
        let mut repaired = 0;
        for round in 0..8_u64 {
            let now = start + Duration::from_millis(50 * round);
            for sequence in 0..1000 {
                repaired += usize::from(history.want(sequence, None, now));
                while history.next_wanted().is_some() {}
            }
        }
        assert_eq!(repaired, MAX_CREDIT / 1000);
        (2000..2010).for_each(|sequence| history.push(packet(sequence, start)));
        let now = start + Duration::from_secs(1);
        assert_eq!(
            (0..1000)
                .filter(|s| history.want(*s + 1000, None, now))
                .count(),
            0
        );
        assert_eq!(
            (2000..2010).filter(|s| history.want(*s, None, now)).count(),
            5
        );
    }
}
