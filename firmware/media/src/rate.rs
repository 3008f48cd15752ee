//! Frames and bits a second, measured over a short window.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(2);

/// Counts events and their sizes over the last two seconds.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    events: VecDeque<(Instant, usize)>,
}

impl Rate {
    /// Notes an event of `bytes` at `now`.
    pub(crate) fn add(&mut self, now: Instant, bytes: usize) {
        self.forget(now);
        self.events.push_back((now, bytes));
    }

    /// Events a second.
    pub(crate) fn per_second(&mut self, now: Instant) -> f32 {
        self.forget(now);
        // The first event opens the span, it is not part of what passed in it.
        self.span()
            .map_or(0.0, |span| (self.events.len() - 1) as f32 / span)
    }

    /// Bits a second.
    pub(crate) fn bits_per_second(&mut self, now: Instant) -> u32 {
        self.forget(now);
        let bytes: usize = self.events.iter().skip(1).map(|event| event.1).sum();
        self.span()
            .map_or(0, |span| (bytes as f32 * 8.0 / span) as u32)
    }

    /// Whether events have come for most of the window, so that the rate can be relied on.
    pub(crate) fn settled(&self, now: Instant) -> bool {
        self.events
            .front()
            .is_some_and(|event| now.duration_since(event.0) * 4 > WINDOW * 3)
    }

    fn span(&self) -> Option<f32> {
        let (first, last) = (self.events.front()?.0, self.events.back()?.0);
        let span = last.duration_since(first).as_secs_f32();
        (span > 0.0).then_some(span)
    }

    fn forget(&mut self, now: Instant) {
        while self
            .events
            .front()
            .is_some_and(|event| now.duration_since(event.0) > WINDOW)
        {
            self.events.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_what_passed_and_forgets_what_is_old() {
        let start = Instant::now();
        let mut rate = Rate::default();
        for frame in 0..60 {
            rate.add(start + Duration::from_millis(frame * 40), 1000);
        }
        let end = start + Duration::from_millis(59 * 40);
        assert!((rate.per_second(end) - 25.0).abs() < 0.1);
        assert!(rate.bits_per_second(end).abs_diff(200_000) < 1000);
        assert_eq!(rate.per_second(end + Duration::from_secs(3)), 0.0);
    }
}
