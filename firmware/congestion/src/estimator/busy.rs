//! A capacity that collapsed: seen within one feedback instead of a trend's length.
//!
//! The trendline needs some 300 ms to be sure of a slope. A link that falls to a fifth has filled its buffer by then, and
//! what is lost takes longer to repair than the picture may stand. But packets that all waited at the bottleneck kept
//! it busy, and what a busy bottleneck lets through is its capacity (the dispersion of a packet train, as in
//! Dovrolis, Ramanathan, Moore, "What do packet dispersion techniques measure?", 2001). So a train of a few
//! packets that waited long says what the path carries now; jitter and outages do not look like that, because
//! behind a pause packets arrive faster than they left.

/// A packet that took so much longer than the shortest way waited, milliseconds; under jitter more.
const WAITED_MS: f64 = 40.0;
const WAITED_PER_JITTER: f64 = 3.0;
/// A train is at least this long, milliseconds and packets.
const SPAN_MS: f64 = 40.0;
const PACKETS: u32 = 5;

/// The packets that have waited without a break. Each break begins a new train and there is one judgement a train:
/// beside another flow that keeps the queue, what arrives is our share, and to fall to a part of it again and again would
/// end with nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Busy {
    train: Option<Train>,
}

#[derive(Debug, Clone, Copy)]
struct Train {
    began_ms: f64,
    ended_ms: f64,
    /// Of all but the first, whose transmission began before the train did.
    bytes: u64,
    packets: u32,
    judged: bool,
}

impl Busy {
    /// A packet arrived, so much later than the shortest way.
    pub fn add(&mut self, at_ms: f64, waited_ms: f64, jitter_ms: f64, size: u32) {
        if waited_ms <= WAITED_MS + WAITED_PER_JITTER * jitter_ms {
            self.train = None;
            return;
        }
        match &mut self.train {
            Some(train) => {
                train.ended_ms = train.ended_ms.max(at_ms);
                train.bytes += u64::from(size);
                train.packets += 1;
            }
            None => {
                self.train = Some(Train {
                    began_ms: at_ms,
                    ended_ms: at_ms,
                    bytes: 0,
                    packets: 1,
                    judged: false,
                });
            }
        }
    }

    /// What the bottleneck carries, bits/s, when enough packets waited in a row; said once.
    pub fn capacity(&mut self) -> Option<f64> {
        let train = self.train.as_mut().filter(|train| !train.judged)?;
        let span = train.ended_ms - train.began_ms;
        if span < SPAN_MS || train.packets < PACKETS {
            return None;
        }
        train.judged = true;
        Some(train.bytes as f64 * 8e3 / span)
    }

    /// The clock jumped.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_that_waited_tells_the_capacity() {
        let mut busy = Busy::default();
        for i in 0..8_u32 {
            let wait = f64::from(i) * 9.6;
            busy.add(100.0 + wait, wait, 0.5, 1200); // 1200 bytes each 9.6 ms: 1 Mbit/s
        }
        assert_eq!(busy.capacity(), None); // three of them waited long
        for i in 8..16_u32 {
            let wait = f64::from(i) * 9.6;
            busy.add(100.0 + wait, wait, 0.5, 1200);
        }
        let bps = busy.capacity().unwrap();
        assert!((bps / 1e6 - 1.0).abs() < 0.01, "{bps}");
        assert_eq!(busy.capacity(), None);
    }

    #[test]
    fn jitter_is_no_train() {
        let mut busy = Busy::default();
        for i in 0..1000_u32 {
            let scatter = f64::from((i.wrapping_mul(2_654_435_761) >> 16) % 40);
            busy.add(f64::from(i) * 4.0 + scatter, scatter, 13.0, 1200);
            assert_eq!(busy.capacity(), None);
        }
    }

    #[test]
    fn behind_an_outage_packets_arrive_fast() {
        let mut busy = Busy::default();
        for i in 0..40_u32 {
            let at = 100.0 + f64::from(i) * 2.0;
            busy.add(at, 160.0 - f64::from(i) * 2.0, 1.0, 1200);
        }
        let bps = busy.capacity().unwrap();
        assert!(bps > 4e6, "{bps}");
    }
}
