//! Latency histograms that cost next to nothing: fixed log-linear buckets in atomics.
//!
//! Eight buckets to each doubling, from one microsecond to a minute: a reading is at most an eighth
//! off, and recording is three additions without a lock or memory. A [`Snapshot`] is what is read,
//! exported and compared; two of them give what happened in between ([`Snapshot::since`]).
//!
//! ```
//! use std::time::Duration;
//!
//! use heron_histogram::Histogram;
//!
//! let encode = Histogram::new();
//! for milliseconds in 1..=100 {
//!     encode.record(Duration::from_millis(milliseconds));
//! }
//! let read = encode.snapshot();
//! let median = read.percentile(0.5).unwrap_or_default().as_millis();
//! assert_eq!(read.count(), 100);
//! assert!((44..=56).contains(&median));
//! ```

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets to a doubling, as a power of two.
const FINE: u32 = 3;
const STEPS: usize = 1 << FINE;
/// Durations from here on, in microseconds as a power of two, all count as the longest: 67 s.
const TOP: u32 = 26;
const BUCKETS: usize = STEPS * (TOP - FINE + 1) as usize;
/// The bounds of [`Snapshot::cumulative`], in microseconds as powers of two: 128 us to 8.4 s.
const BOUNDS: std::ops::RangeInclusive<u32> = 7..=23;

/// Counts durations. Shared between threads by reference; recording never waits.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: array::from_fn(|_| AtomicU64::new(0)),
            sum_us: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// An empty histogram.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts a duration.
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        // A bucket holds its upper bound and not its lower one, as Prometheus' do.
        self.buckets[index(nanos.saturating_sub(1) / 1000)].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(nanos / 1000, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        Snapshot {
            buckets: self.buckets.iter().map(read).collect(),
            sum_us: read(&self.sum_us),
        }
    }
}

/// What a [`Histogram`] had counted at one moment. The default is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    buckets: Vec<u64>,
    sum_us: u64,
}

impl Snapshot {
    /// How many durations were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All durations together, to a microsecond each.
    #[must_use]
    pub const fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us)
    }

    /// The duration that this part of all (0.0 to 1.0) did not exceed, within an eighth; `None` when
    /// nothing was counted.
    #[must_use]
    pub fn percentile(&self, part: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((part.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|&bucket| {
            seen += bucket;
            seen >= rank
        })?;
        let twice_the_middle = lower(bucket) + lower(bucket + 1);
        Some(Duration::from_nanos(twice_the_middle * 500))
    }

    /// Upper bounds, and how many durations were not above each, as Prometheus' `le` wants it; its
    /// last, `+Inf`, is [`Snapshot::count`].
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut seen = 0;
        let mut buckets = self.buckets.iter().enumerate().peekable();
        BOUNDS.map(move |power| {
            let bound = 1_u64 << power;
            while let Some((_, count)) = buckets.next_if(|(index, _)| lower(index + 1) <= bound) {
                seen += count;
            }
            (Duration::from_micros(bound), seen)
        })
    }

    /// What was counted after `earlier`, a snapshot of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.buckets.iter().copied().chain(std::iter::repeat(0));
        Self {
            buckets: (self.buckets.iter().zip(before))
                .map(|(now, before)| now.saturating_sub(before))
                .collect(),
            sum_us: self.sum_us.saturating_sub(earlier.sum_us),
        }
    }
}

/// The bucket of so many whole microseconds.
fn index(us: u64) -> usize {
    let us = us.min((1 << TOP) - 1);
    if us < STEPS as u64 {
        return us as usize;
    }
    let doubling = us.ilog2() - FINE;
    STEPS * doubling as usize + (us >> doubling) as usize
}

/// The lower bound of a bucket in microseconds.
fn lower(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let doubling = index / STEPS - 1;
    ((STEPS + index % STEPS) as u64) << doubling
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        for bucket in 0..BUCKETS {
            assert_eq!(index(lower(bucket)), bucket);
            assert_eq!(index(lower(bucket + 1) - 1), bucket);
        }
        assert_eq!(index(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_counted_is_nothing_read() {
        let empty = Histogram::new().snapshot();
        assert_eq!((empty.count(), empty.percentile(0.5)), (0, None));
        assert!(empty.cumulative().all(|(_, count)| count == 0));
        assert_eq!(Snapshot::default().percentile(0.99), None);
    }

    #[test]
    fn a_bound_counts_what_is_not_above_it() {
        let histogram = Histogram::new();
        for us in [100, 128, 129, 256, 70_000_000] {
            histogram.record(Duration::from_micros(us));
        }
        let counts: Vec<_> = histogram.snapshot().cumulative().collect();
        assert_eq!(counts[0], (Duration::from_micros(128), 2));
        assert_eq!(counts[1], (Duration::from_micros(256), 4));
        assert_eq!(counts[16], (Duration::from_micros(8_388_608), 4));
        assert_eq!(histogram.snapshot().count(), 5);
    }

    #[test]
    fn a_span_is_the_difference_of_two_readings() {
        let histogram = Histogram::new();
        histogram.record(Duration::from_millis(1));
        let before = histogram.snapshot();
        histogram.record(Duration::from_millis(80));
        let span = histogram.snapshot().since(&before);
        assert_eq!((span.count(), span.sum()), (1, Duration::from_millis(80)));
        assert_eq!(before.since(&Snapshot::default()), before);
    }

    proptest! {
        #[test]
        fn a_percentile_is_at_most_an_eighth_off(mut values in proptest::collection::vec(1_u64..50_000_000, 1..200), part in 0.0..1.0_f64) {
            let histogram = Histogram::new();
            for &us in &values {
                histogram.record(Duration::from_micros(us));
            }
            values.sort_unstable();
            let rank = ((part * values.len() as f64).ceil() as usize).max(1);
            let exact = values[rank - 1] as f64;
            let read = histogram.snapshot().percentile(part).unwrap().as_nanos() as f64 / 1000.0;
            prop_assert!((read - exact).abs() <= exact / 8.0 + 1.0, "{read} for {exact}");
        }
    }
}
