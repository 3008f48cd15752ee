//! Watches whether a pipeline that should deliver does.
//!
//! `heron-media` deals with sources that are lost or silent. What is left is what it cannot see
//! itself: one of its own threads that hangs in a driver or has panicked. It shows from outside as a
//! pipeline that is wanted, says that it streams, and gives nothing.

use std::time::{Duration, Instant};

/// How long a streaming pipeline may give nothing. Longer than media's own patience with a source.
const PATIENCE: Duration = Duration::from_secs(20);

/// The watch over one pipeline. Pure: the clock is the caller's.
#[derive(Debug, Default)]
pub struct Vigil {
    last: Option<Progress>,
}

#[derive(Debug)]
struct Progress {
    delivered: u64,
    at: Instant,
}

impl Vigil {
    /// Looks at a pipeline: whether it should be giving, and how much it gave in all. True when it stalls.
    pub fn stalls(&mut self, now: Instant, should_give: bool, delivered: u64) -> bool {
        match &self.last {
            Some(last) if should_give && last.delivered == delivered => {
                now.saturating_duration_since(last.at) >= PATIENCE
            }
            _ => {
                self.last = Some(Progress { delivered, at: now });
                false
            }
        }
    }

    /// A new pipeline begins with our full patience.
    pub fn restart(&mut self) {
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wanted_pipeline_that_gives_nothing_stalls() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut vigil = Vigil::default();
        assert!(!vigil.stalls(at(0), true, 5));
        assert!(!vigil.stalls(at(19), true, 5));
        assert!(!vigil.stalls(at(20), true, 6), "it gave");
        assert!(!vigil.stalls(at(30), false, 6), "nobody wants it");
        assert!(!vigil.stalls(at(49), true, 6), "the patience begins anew");
        assert!(vigil.stalls(at(50), true, 6));
        vigil.restart();
        assert!(!vigil.stalls(at(51), true, 6));
    }
}
