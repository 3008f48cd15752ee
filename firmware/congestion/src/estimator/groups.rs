//! Groups of packets that left together, and the delay between groups (draft-ietf-rmcat-gcc-02 section 5.2).
//!
//! Packets that leave within 5 ms form a group, for a pacer's bursts say nothing of the queue; so do packets that
//! arrive together after they waited together (a channel outage).

use std::time::{Duration, Instant};

/// A group's length when sending, and the longest pause within a burst when arriving.
const BURST: Duration = Duration::from_millis(5);
/// A burst of arrivals is no longer than this.
const MAX_BURST_MS: f64 = 100.0;

/// How much later than its predecessor a group left and arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Delta {
    /// Milliseconds between the last packets leaving.
    pub send_ms: f64,
    /// Milliseconds between the last packets arriving; negative when reordered.
    pub arrival_ms: f64,
    /// When the newer group was complete, milliseconds in the viewer's clock.
    pub at_ms: f64,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: Instant,
    last_sent: Instant,
    first_arrived: f64,
    last_arrived: f64,
}

/// Builds groups from packets in order of sending.
#[derive(Debug, Default)]
pub(super) struct Groups {
    current: Option<Group>,
    previous: Option<Group>,
}

impl Groups {
    /// A packet arrived; gives a delta when it begins a new group and two are complete.
    pub fn add(&mut self, sent: Instant, arrived_ms: f64) -> Option<Delta> {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::new(sent, arrived_ms));
            return None;
        };
        if sent < current.first_sent {
            return None; // late: its group is past
        }
        if current.takes(sent, arrived_ms) {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrived = current.last_arrived.max(arrived_ms);
            return None;
        }
        let complete = std::mem::replace(current, Group::new(sent, arrived_ms));
        let previous = self.previous.replace(complete)?;
        Some(Delta {
            send_ms: ms(complete
                .last_sent
                .saturating_duration_since(previous.last_sent)),
            arrival_ms: complete.last_arrived - previous.last_arrived,
            at_ms: complete.last_arrived,
        })
    }

    /// Forgets everything: the clocks jumped, or what came between is not to count.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Group {
    fn new(sent: Instant, arrived_ms: f64) -> Self {
        Self {
            first_sent: sent,
            last_sent: sent,
            first_arrived: arrived_ms,
            last_arrived: arrived_ms,
        }
    }

    fn takes(&self, sent: Instant, arrived_ms: f64) -> bool {
        if sent.saturating_duration_since(self.first_sent) <= BURST {
            return true;
        }
        let pause = arrived_ms - self.last_arrived;
        let send_pause = ms(sent.saturating_duration_since(self.last_sent));
        pause - send_pause < 0.0
            && (0.0..=ms(BURST)).contains(&pause)
            && arrived_ms - self.first_arrived < MAX_BURST_MS
    }
}

/// A duration in milliseconds.
pub(super) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_are_one_group_each() {
        let start = Instant::now();
        let mut groups = Groups::default();
        let mut deltas = Vec::new();
        for burst in 0..4_u32 {
            for packet in 0..3_u32 {
                let sent = start + Duration::from_millis(u64::from(burst * 33 + packet));
                // One more millisecond of queue with each burst.
                let arrived = f64::from(burst * 34 + packet * 8) + 20.0;
                deltas.extend(groups.add(sent, arrived));
            }
        }
        assert_eq!(deltas.len(), 2);
        for delta in deltas {
            assert!((delta.send_ms - 33.0).abs() < 1e-6);
            assert!((delta.arrival_ms - 34.0).abs() < 1e-6);
        }
    }
}
