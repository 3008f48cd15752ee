//! What one probe cluster measured.

use std::time::Instant;

use super::Probe;
use super::groups::ms;

/// The pacer counts headers by a guess: a cluster that is so much of what was planned is whole.
const WHOLE: f64 = 0.9;
/// This part of the cluster must arrive.
const ENOUGH: f64 = 0.8;
/// Arriving this much faster than it left, a cluster was held up and released: it says nothing.
const MAX_COMPRESSION: f64 = 2.0;
/// Arriving slower than this part of the rate it left at, the cluster filled the bottleneck;
const SATURATED: f64 = 0.9;
/// then a little less than what arrived is what fits.
const UTILISATION: f64 = 0.95;
/// A cluster spread over more than this is none.
const MAX_SPREAD_MS: f64 = 1000.0;

/// One direction of a cluster: first and last time, and the bytes between them.
#[derive(Debug, Clone, Copy)]
struct Span {
    first: f64,
    last: f64,
    first_size: u32,
    last_size: u32,
}

#[derive(Debug, Default)]
pub(super) struct Measure {
    sent: u32,
    sent_bytes: u64,
    missing: u32,
    received: u32,
    received_bytes: u64,
    /// The first packet's time, of which the others' are relative.
    epoch: Option<Instant>,
    left: Option<Span>,
    came: Option<Span>,
}

impl Measure {
    pub fn sent(&mut self, size: u32) {
        self.sent += 1;
        self.sent_bytes += u64::from(size);
    }

    pub fn missing(&mut self) {
        self.missing += 1;
    }

    pub fn arrived(&mut self, sent: Instant, arrived_ms: f64, size: u32) {
        let epoch = *self.epoch.get_or_insert(sent);
        let sent_ms =
            ms(sent.saturating_duration_since(epoch)) - ms(epoch.saturating_duration_since(sent));
        self.received += 1;
        self.received_bytes += u64::from(size);
        Span::extend(&mut self.left, sent_ms, size);
        Span::extend(&mut self.came, arrived_ms, size);
    }

    /// Whether any of it left.
    pub fn began(&self) -> bool {
        self.sent > 0
    }

    /// Whether the whole cluster left and is accounted for.
    pub fn complete(&self, probe: &Probe) -> bool {
        self.sent_bytes as f64 >= WHOLE * probe.bytes as f64
            && self.sent >= probe.packets
            && self.received + self.missing >= self.sent
    }

    /// Whether all of it arrived in much less time than it left in: the viewer's machine was busy and noticed it late.
    /// That says nothing of the path, not even that it is slow.
    pub fn held_up(&self) -> bool {
        let (Some(left), Some(came)) = (self.left, self.came) else {
            return false;
        };
        self.missing == 0 && came.last - came.first < (left.last - left.first) / MAX_COMPRESSION
    }

    /// What fits by this cluster, bits/s; `None`: it cannot be said.
    pub fn bps(&self) -> Option<f64> {
        let (left, came) = (self.left?, self.came?);
        if self.received < 3 || f64::from(self.received) < ENOUGH * f64::from(self.sent) {
            return None;
        }
        let left_ms = left.last - left.first;
        let came_ms = came.last - came.first;
        if !(0.5..MAX_SPREAD_MS).contains(&left_ms) || !(0.5..MAX_SPREAD_MS).contains(&came_ms) {
            return None;
        }
        // Between the first and the last packet lie the bytes of all but one.
        let bytes = self.received_bytes as f64;
        let sent_bps = (bytes - f64::from(left.last_size)) * 8e3 / left_ms;
        let came_bps = (bytes - f64::from(came.first_size)) * 8e3 / came_ms;
        if came_bps > MAX_COMPRESSION * sent_bps {
            return None;
        }
        if came_bps < SATURATED * sent_bps {
            Some(UTILISATION * came_bps)
        } else {
            Some(came_bps.min(sent_bps))
        }
    }
}

impl Span {
    fn extend(span: &mut Option<Span>, at: f64, size: u32) {
        let span = span.get_or_insert(Span {
            first: at,
            last: at,
            first_size: size,
            last_size: size,
        });
        if at < span.first {
            (span.first, span.first_size) = (at, size);
        }
        if at >= span.last {
            (span.last, span.last_size) = (at, size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn cluster(left_ms: u64, came_ms: f64) -> Option<f64> {
        let start = Instant::now();
        let mut measure = Measure::default();
        for i in 0..10_u32 {
            measure.sent(1250);
            let left = start + Duration::from_millis(left_ms * u64::from(i));
            measure.arrived(left, f64::from(i) * came_ms, 1250);
        }
        measure.bps()
    }

    #[test]
    fn a_cluster_that_fits_gives_its_own_rate() {
        assert!((cluster(2, 2.0).unwrap() - 5e6).abs() < 1.0);
    }

    #[test]
    fn one_that_fills_the_bottleneck_gives_a_little_less_than_it_carries() {
        assert!((cluster(2, 5.0).unwrap() - 1.9e6).abs() < 1.0);
    }

    #[test]
    fn one_that_was_held_up_says_nothing() {
        assert_eq!(cluster(2, 0.8), None);
        assert_eq!(cluster(2, 0.0), None);
    }
}
