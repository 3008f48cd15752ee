//! A rate over a sliding window, in buckets.
//!
//! libwebrtc's acknowledged bitrate is a Bayesian filter over 150 ms samples, which needs most of a second to
//! believe a step. A plain window is as steady for video and follows at once; overuse is judged by a short
//! one, for then the bottleneck is busy and what arrives is what it carries.

use std::time::Duration;

/// One bucket.
const BUCKET_US: i64 = 25_000;
/// As many as the longest window asks for.
const BUCKETS: usize = 20;

/// The longest window.
pub(super) const LONG: Duration = Duration::from_millis(475);
/// The window by which overuse is judged.
pub(super) const SHORT: Duration = Duration::from_millis(200);

#[derive(Debug, Clone)]
pub(super) struct Throughput {
    bytes: [u64; BUCKETS],
    /// The newest bucket's number.
    newest: Option<i64>,
    /// The time of the newest bytes, microseconds.
    last: i64,
    /// The first bucket of an uninterrupted measurement.
    since: i64,
}

impl Throughput {
    pub fn new() -> Self {
        Self {
            bytes: [0; BUCKETS],
            newest: None,
            last: 0,
            since: 0,
        }
    }

    /// Bytes passed at `at`, microseconds of one clock. Late bytes count while their bucket is kept.
    pub fn add(&mut self, at: i64, bytes: u32) {
        let bucket = at.div_euclid(BUCKET_US);
        let newest = *self.newest.get_or_insert_with(|| {
            self.since = bucket;
            bucket
        });
        if bucket > newest {
            if bucket - newest >= BUCKETS as i64 {
                self.bytes = [0; BUCKETS];
                self.since = bucket;
            } else {
                for empty in newest + 1..=bucket {
                    self.bytes[index(empty)] = 0;
                }
            }
            self.newest = Some(bucket);
        } else if newest - bucket >= BUCKETS as i64 {
            return;
        }
        self.last = self.last.max(at);
        self.bytes[index(bucket)] += u64::from(bytes);
    }

    /// Bits/s over the last `window`, up to the newest bytes or `now` if later; `None` before half a window.
    pub fn bps(&self, window: Duration, now: Option<i64>) -> Option<f64> {
        let newest = self.newest?;
        let end = now.map_or(self.last, |now| now.max(self.last));
        let buckets = (window.as_micros() as i64 / BUCKET_US).min(BUCKETS as i64 - 1);
        let first = (end.div_euclid(BUCKET_US) - buckets).max(self.since);
        let span = end - first * BUCKET_US;
        if span * 2 < window.as_micros() as i64 {
            return None;
        }
        let oldest_kept = newest - (BUCKETS as i64 - 1);
        let bytes: u64 = (first.max(oldest_kept)..=newest)
            .map(|bucket| self.bytes[index(bucket)])
            .sum();
        Some(bytes as f64 * 8e6 / span as f64)
    }
}

fn index(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_seen_within_the_window() {
        let mut throughput = Throughput::new();
        for ms in (0..1000).step_by(4) {
            throughput.add(ms * 1000, 1250);
        }
        let before = throughput.bps(LONG, None).unwrap();
        assert!((before / 2.5e6 - 1.0).abs() < 0.05, "{before}");
        for ms in (1000..1225).step_by(10) {
            throughput.add(ms * 1000, 1250);
        }
        let after = throughput.bps(SHORT, None).unwrap();
        assert!((after / 1e6 - 1.0).abs() < 0.1, "{after}");
    }

    #[test]
    fn a_pause_forgets() {
        let mut throughput = Throughput::new();
        throughput.add(0, 1000);
        assert_eq!(throughput.bps(LONG, None), None);
        throughput.add(60_000_000, 1000);
        assert_eq!(throughput.bps(LONG, None), None);
        assert!(throughput.bps(LONG, Some(61_000_000)).unwrap() < 20_000.0);
    }
}
