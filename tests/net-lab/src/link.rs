//! One direction of a link: packets in, packets out at times. No clock and no IO.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use crate::Impairment;
use crate::random::SplitMix64;

/// What has become of the packets so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that came in.
    pub offered: u64,
    /// Their bytes.
    pub offered_bytes: u64,
    /// Packets that went out, duplicates included.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Packets that did not fit into the queue.
    pub overflowed: u64,
    /// Packets that were lost on the way.
    pub lost: u64,
    /// Packets that went out a second time.
    pub duplicated: u64,
    /// Packets that were held back for others to overtake.
    pub reordered: u64,
}

/// The state of one direction.
///
/// The fate of the n-th packet that comes in (lost, held back, doubled, how much jitter) depends on
/// the seed and n alone, not on when it comes.
#[derive(Debug)]
pub struct Link {
    impairment: Impairment,
    random: SplitMix64,
    /// At the bottleneck, the first of them being sent.
    waiting: VecDeque<Waiting>,
    waiting_bytes: u64,
    /// When the first of `waiting` has been sent; none where nothing is being sent.
    sent_at: Option<Instant>,
    /// When the bottleneck became free.
    free_at: Option<Instant>,
    travelling: BinaryHeap<Travelling>,
    /// No packet arrives before the one in front of it.
    latest_arrival: Option<Instant>,
    order: u64,
    counters: Counters,
}

#[derive(Debug)]
struct Waiting {
    packet: Vec<u8>,
    since: Instant,
    fate: Fate,
}

/// Drawn as the packet comes in.
#[derive(Debug, Clone, Copy)]
struct Fate {
    lost: bool,
    held_back: bool,
    doubled: bool,
    /// The part of the jitter it gets.
    jitter: f64,
}

#[derive(Debug)]
struct Travelling {
    arrives: Instant,
    order: u64,
    packet: Vec<u8>,
}

impl Link {
    /// A link without packets.
    #[must_use]
    pub fn new(impairment: Impairment, seed: u64) -> Self {
        Self {
            impairment,
            random: SplitMix64::new(seed),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sent_at: None,
            free_at: None,
            travelling: BinaryHeap::new(),
            latest_arrival: None,
            order: 0,
            counters: Counters::default(),
        }
    }

    /// Changes what happens to packets from now on. One that is being sent is sent as it was begun,
    /// those behind it at the new rate; what waits stays, even if the queue is now shorter.
    pub fn set(&mut self, impairment: Impairment, now: Instant) {
        self.advance(now);
        // A rate of zero never finishes what it began.
        if self.impairment.rate == Some(0) {
            self.sent_at = None;
            self.free_at = Some(now);
        }
        self.impairment = impairment;
    }

    /// What has become of the packets so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// How much waits at the bottleneck, in bytes.
    #[must_use]
    pub fn queued_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// A packet comes in. Packets must come in the order of time.
    pub fn push(&mut self, packet: Vec<u8>, now: Instant) {
        self.advance(now);
        let size = packet.len() as u64;
        self.counters.offered += 1;
        self.counters.offered_bytes += size;
        // Always as many draws: so a packet's fate does not depend on that of others.
        let mut draw = || self.random.part();
        let fate = Fate {
            lost: draw() < self.impairment.loss,
            held_back: draw() < self.impairment.reorder,
            doubled: draw() < self.impairment.duplicate,
            jitter: draw(),
        };
        if let Some(rate) = self.impairment.rate {
            let room = self.impairment.queue.bytes(rate);
            // Even the shortest queue takes the packet that is sent at once.
            if !self.waiting.is_empty() && self.waiting_bytes + size > room {
                self.counters.overflowed += 1;
                return;
            }
        }
        self.waiting_bytes += size;
        self.waiting.push_back(Waiting {
            packet,
            since: now,
            fate,
        });
        self.advance(now);
    }

    /// The next packet that has arrived by now.
    pub fn pop(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.advance(now);
        if self.travelling.peek()?.arrives > now {
            return None;
        }
        let packet = self.travelling.pop()?.packet;
        self.counters.delivered += 1;
        self.counters.delivered_bytes += packet.len() as u64;
        Some(packet)
    }

    /// When [`Link::pop`] is worth calling next; none while nothing is on the way.
    #[must_use]
    pub fn next_at(&self) -> Option<Instant> {
        let arrival = self.travelling.peek().map(|packet| packet.arrives);
        [arrival, self.sent_at].into_iter().flatten().min()
    }

    /// Moves packets through the bottleneck as far as time has come.
    fn advance(&mut self, now: Instant) {
        loop {
            if let Some(sent_at) = self.sent_at {
                if sent_at > now {
                    return;
                }
                self.sent_at = None;
                self.free_at = Some(sent_at);
                if let Some(sent) = self.waiting.pop_front() {
                    self.waiting_bytes -= sent.packet.len() as u64;
                    self.travel(sent.packet, sent.fate, sent_at);
                }
            }
            let Some(first) = self.waiting.front() else {
                return;
            };
            let begins = self.free_at.map_or(first.since, |at| at.max(first.since));
            let Some(takes) = sending_time(self.impairment.rate, first.packet.len()) else {
                return;
            };
            self.sent_at = Some(begins + takes);
        }
    }

    fn travel(&mut self, packet: Vec<u8>, fate: Fate, sent_at: Instant) {
        if fate.lost {
            self.counters.lost += 1;
            return;
        }
        let Impairment {
            delay,
            jitter,
            reorder_by,
            ..
        } = self.impairment;
        let in_turn = sent_at + delay + jitter.mul_f64(fate.jitter);
        let in_turn = self.latest_arrival.map_or(in_turn, |at| at.max(in_turn));
        let arrives = if fate.held_back {
            self.counters.reordered += 1;
            in_turn + reorder_by
        } else {
            self.latest_arrival = Some(in_turn);
            in_turn
        };
        if fate.doubled {
            self.counters.duplicated += 1;
            self.schedule(packet.clone(), arrives);
        }
        self.schedule(packet, arrives);
    }

    fn schedule(&mut self, packet: Vec<u8>, arrives: Instant) {
        let order = self.order;
        self.order += 1;
        self.travelling.push(Travelling {
            arrives,
            order,
            packet,
        });
    }
}

/// How long a bottleneck takes to send so many bytes; none: for ever.
fn sending_time(rate: Option<u64>, bytes: usize) -> Option<Duration> {
    let Some(rate) = rate else {
        return Some(Duration::ZERO);
    };
    let nanoseconds = (bytes as u64 * 8_000_000_000).checked_div(rate)?;
    Some(Duration::from_nanos(nanoseconds))
}

/// The heap gives the greatest first: that is the earliest here, and of those the first sent.
impl Ord for Travelling {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.arrives, other.order).cmp(&(self.arrives, self.order))
    }
}

impl PartialOrd for Travelling {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Travelling {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Travelling {}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
