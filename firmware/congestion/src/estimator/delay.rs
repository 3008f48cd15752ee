//! The standing queue: how much longer packets take now than the shortest way they ever took lately.
//!
//! The trendline sees only change, and under jitter it sees change where there is none. The least delay of the
//! last moments tells both apart: jitter only adds to it, so when some packet still takes the shortest way,
//! nothing queues. The draft has no such measure; it is LEDBAT's (RFC 6817 sections 2.1 and 4.2).

use std::time::{Duration, Instant};

/// The shortest way is forgotten after ten to twelve of these: routes change, clocks drift.
const BASE_BUCKET: Duration = Duration::from_secs(1);
const BASE_BUCKETS: usize = 12;
/// The present is this long at least, and longer under jitter.
const NOW_BUCKET: Duration = Duration::from_millis(20);
const NOW_BUCKETS: usize = 8;

/// Minima of successive spans of time.
#[derive(Debug)]
struct Minima<const N: usize> {
    span: Duration,
    least: [f64; N],
    index: usize,
    began: Option<Instant>,
}

impl<const N: usize> Minima<N> {
    fn new(span: Duration) -> Self {
        Self {
            span,
            least: [f64::INFINITY; N],
            index: 0,
            began: None,
        }
    }

    fn add(&mut self, at: Instant, value: f64) {
        let began = *self.began.get_or_insert(at);
        let passed = at.saturating_duration_since(began);
        if passed >= self.span {
            let spans = (passed.as_nanos() / self.span.as_nanos().max(1)) as usize;
            for _ in 0..spans.min(N) {
                self.index = (self.index + 1) % N;
                self.least[self.index] = f64::INFINITY;
            }
            self.began = Some(at);
        }
        let least = &mut self.least[self.index];
        *least = least.min(value);
    }

    /// The least of the last `spans` spans.
    fn least(&self, spans: usize) -> f64 {
        (0..spans.min(N))
            .map(|back| self.least[(self.index + N - back) % N])
            .fold(f64::INFINITY, f64::min)
    }
}

#[derive(Debug)]
pub(super) struct Delay {
    base: Minima<BASE_BUCKETS>,
    present: Minima<NOW_BUCKETS>,
    previous: Option<f64>,
    jitter: f64,
}

impl Delay {
    pub fn new() -> Self {
        Self {
            base: Minima::new(BASE_BUCKET),
            present: Minima::new(NOW_BUCKET),
            previous: None,
            jitter: 0.0,
        }
    }

    /// A packet that left at `sent` took `ms`, in a clock of unknown offset.
    pub fn add(&mut self, sent: Instant, ms: f64) {
        self.base.add(sent, ms);
        self.present.add(sent, ms);
        if let Some(previous) = self.previous.replace(ms) {
            // RFC 3550 section 6.4.1's jitter.
            self.jitter += ((ms - previous).abs() - self.jitter) / 16.0;
        }
    }

    /// Milliseconds that every packet waits now.
    pub fn queue_ms(&self) -> f64 {
        // Long enough that one packet of a jittery present takes the shortest way.
        let spans = 2 + (self.jitter * 4.0 / 20.0) as usize;
        let present = self.present.least(spans.min(NOW_BUCKETS));
        let queue = present - self.base.least(BASE_BUCKETS);
        if queue.is_finite() {
            queue.max(0.0)
        } else {
            0.0
        }
    }

    /// The mean change of delay from packet to packet, milliseconds.
    /// The shortest way, in the clock that it was given in.
    pub fn shortest_ms(&self) -> f64 {
        self.base.least(BASE_BUCKETS)
    }

    pub fn jitter_ms(&self) -> f64 {
        self.jitter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0 to 40 ms, without pattern.
    fn scatter(i: u32) -> f64 {
        f64::from((i.wrapping_mul(2_654_435_761) >> 16) % 40)
    }

    #[test]
    fn jitter_is_no_queue_but_a_queue_is() {
        let mut now = Instant::now();
        let mut delay = Delay::new();
        for i in 0..1000_u32 {
            now += Duration::from_millis(5);
            delay.add(now, 20.0 + scatter(i));
        }
        assert!(delay.jitter_ms() > 8.0, "{}", delay.jitter_ms());
        assert!(delay.queue_ms() < 5.0, "{}", delay.queue_ms());
        for i in 0..60_u32 {
            now += Duration::from_millis(5);
            delay.add(now, 120.0 + scatter(i));
        }
        assert!(delay.queue_ms() > 95.0, "{}", delay.queue_ms());
    }

    #[test]
    fn the_shortest_way_is_forgotten() {
        let mut now = Instant::now();
        let mut delay = Delay::new();
        delay.add(now, 20.0);
        for _ in 0..200 {
            now += Duration::from_millis(100);
            delay.add(now, 80.0);
        }
        assert!(delay.queue_ms() < 1.0);
    }
}
