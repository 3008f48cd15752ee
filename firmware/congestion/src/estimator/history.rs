//! The packets that left, until the viewer's feedback settles what became of them.
//!
//! Sixteen-bit sequence numbers are extended here. A packet that feedback calls missing may still come late
//! (reordering), so it counts as lost only once packets sent well after it have arrived; a packet that no
//! feedback mentions (the feedback itself was lost) never counts at all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{ProbeId, Sent};

/// Feedback for anything older is of no use.
const KEEP: Duration = Duration::from_secs(2);
/// And no more packets than this: two seconds at 40 Mbit/s.
const CAPACITY: usize = 8192;
/// Numbers skipped at once; more is a restart of the numbering.
const MAX_SKIP: u16 = 1000;

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The number was never used.
    Skipped,
    Unreported,
    Missing,
    Received,
}

/// A packet that left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet {
    pub at: Instant,
    pub size: u32,
    pub probe: Option<ProbeId>,
    fate: Fate,
}

/// What one line of feedback meant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Report {
    /// Never sent, or forgotten.
    Unknown,
    /// Said before.
    Duplicate,
    /// Not received yet.
    Missing(Packet),
    /// Received, for the first time.
    Received(Packet),
}

#[derive(Debug)]
pub(super) struct History {
    /// The extended number of the front.
    first: u64,
    packets: VecDeque<Packet>,
    /// Everything before this extended number is settled.
    settled: u64,
}

impl History {
    pub fn new() -> Self {
        Self {
            first: 0,
            packets: VecDeque::new(),
            settled: 0,
        }
    }

    /// A packet left.
    pub fn push(&mut self, sent: &Sent) {
        while self
            .packets
            .front()
            .is_some_and(|p| sent.at.saturating_duration_since(p.at) > KEEP)
            || self.packets.len() >= CAPACITY
        {
            self.packets.pop_front();
            self.first += 1;
        }
        let next = self.first + self.packets.len() as u64;
        let skip = sent.seq.wrapping_sub(next as u16);
        if self.packets.is_empty() || skip > MAX_SKIP {
            self.packets.clear();
            self.first = next + u64::from(skip);
        } else {
            let skipped = Packet::new(sent, Fate::Skipped);
            self.packets
                .extend(std::iter::repeat_n(skipped, skip as usize));
        }
        self.packets.push_back(Packet::new(sent, Fate::Unreported));
        self.settled = self.settled.max(self.first);
    }

    /// What feedback says of a number: always the last packet sent with it, never one to come.
    pub fn report(&mut self, seq: u16, received: bool) -> Report {
        let Some(last) = (self.first + self.packets.len() as u64).checked_sub(1) else {
            return Report::Unknown;
        };
        let back = u64::from((last as u16).wrapping_sub(seq));
        let packet = last
            .checked_sub(back)
            .and_then(|at| at.checked_sub(self.first))
            .and_then(|index| self.packets.get_mut(index as usize));
        let Some(packet) = packet else {
            return Report::Unknown;
        };
        match (packet.fate, received) {
            (Fate::Skipped, _) => Report::Unknown,
            (Fate::Received, _) | (Fate::Missing, false) => Report::Duplicate,
            (Fate::Unreported, false) => {
                packet.fate = Fate::Missing;
                Report::Missing(*packet)
            }
            (Fate::Unreported | Fate::Missing, true) => {
                packet.fate = Fate::Received;
                Report::Received(*packet)
            }
        }
    }

    /// Settles packets that left up to `until`; returns how many were received and how many lost.
    pub fn settle(&mut self, until: Instant) -> (u32, u32) {
        let (mut received, mut lost) = (0, 0);
        self.settled = self.settled.max(self.first);
        while let Some(packet) = self.packets.get((self.settled - self.first) as usize) {
            if packet.at > until {
                break;
            }
            match packet.fate {
                Fate::Received => received += 1,
                Fate::Missing => lost += 1,
                Fate::Unreported | Fate::Skipped => {}
            }
            self.settled += 1;
        }
        (received, lost)
    }
}

impl Packet {
    fn new(sent: &Sent, fate: Fate) -> Self {
        Self {
            at: sent.at,
            size: u32::try_from(sent.size).unwrap_or(u32::MAX),
            probe: sent.probe,
            fate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(seq: u16, at: Instant) -> Sent {
        Sent {
            seq,
            size: 1200,
            at,
            probe: None,
        }
    }

    #[test]
    fn numbers_wrap_and_are_known_once() {
        let now = Instant::now();
        let mut history = History::new();
        for i in 0..100_u16 {
            history.push(&sent(65_500_u16.wrapping_add(i), now));
        }
        assert!(matches!(history.report(65_499, true), Report::Unknown));
        assert!(matches!(history.report(64, true), Report::Unknown));
        assert!(matches!(history.report(63, true), Report::Received(_)));
        assert!(matches!(history.report(63, true), Report::Duplicate));
        assert!(matches!(history.report(65_535, false), Report::Missing(_)));
        assert!(matches!(history.report(65_535, true), Report::Received(_)));
    }

    #[test]
    fn late_packets_are_not_lost_and_unreported_ones_do_not_count() {
        let now = Instant::now();
        let mut history = History::new();
        for seq in 0..4 {
            history.push(&sent(seq, now));
        }
        history.report(0, false);
        history.report(1, false);
        history.report(2, true);
        history.report(0, true);
        assert_eq!(history.settle(now), (2, 1));
        assert_eq!(history.settle(now), (0, 0));
    }

    #[test]
    fn skipped_numbers_were_never_sent() {
        let now = Instant::now();
        let mut history = History::new();
        history.push(&sent(10, now));
        history.push(&sent(13, now));
        assert!(matches!(history.report(11, true), Report::Unknown));
        history.push(&sent(40_000, now));
        assert!(matches!(history.report(13, true), Report::Unknown));
        assert!(matches!(history.report(40_000, true), Report::Received(_)));
    }
}
