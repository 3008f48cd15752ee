//! Picks evenly spaced pictures of a source that gives more than are wanted.

use std::time::Duration;

use crate::Timestamp;

/// Intervals longer than this are a gap, and say nothing about the source's rate.
const GAP: Duration = Duration::from_secs(1);

/// Intervals of the source that must have been seen before a picture is left out: two pictures in
/// quick succession are no rate.
const SEEN: u32 = 3;

/// Decides by the capture timestamps which pictures a rung gets. Pure.
///
/// The wanted times follow each other at exactly the wanted interval, and each takes the picture
/// that is nearest to it. So spacing is even where the source's rate is a multiple of the wanted
/// one, and differs by one interval of the source where it is not; jitter of the source neither adds
/// up nor makes a picture more or less.
#[derive(Debug, Default)]
pub(super) struct Decimator {
    last: Option<Timestamp>,
    /// The source's interval, smoothed.
    interval: Duration,
    /// How many it was measured of.
    seen: u32,
    due: Option<Timestamp>,
    fps: u32,
}

impl Decimator {
    /// Whether the picture captured at this time is to be encoded, when `fps` a second are wanted.
    pub(super) fn takes(&mut self, captured: Timestamp, fps: u32) -> bool {
        self.measure(captured);
        let wanted = Duration::from_secs(1) / fps.max(1);
        if std::mem::replace(&mut self.fps, fps) != fps {
            self.due = None;
        }
        // A source that is hardly quicker is taken as it comes: leaving one picture out every few
        // seconds would be seen, a few percent more are not.
        let even = self.seen < SEEN || wanted < self.interval + self.interval / 8;
        let Some(due) = self.due.filter(|_| !even) else {
            self.due = Some(captured.plus(wanted));
            return true;
        };
        if captured.plus(self.interval / 2) < due {
            return false;
        }
        let next = due.plus(wanted);
        // After a gap there is nothing to make up for.
        self.due = Some(if next > captured {
            next
        } else {
            captured.plus(wanted)
        });
        true
    }

    fn measure(&mut self, captured: Timestamp) {
        let Some(last) = self.last.replace(captured) else {
            return;
        };
        let step = captured.since(last);
        if step.is_zero() || step > GAP {
            return;
        }
        self.interval = match self.seen {
            0 => step,
            _ => (self.interval * 7 + step) / 8,
        };
        self.seen = self.seen.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Capture times of a source, in microseconds, with a jitter for each.
    fn times(interval: u64, jitter: &[i64]) -> Vec<u64> {
        let jittered = jitter.iter().enumerate();
        jittered
            .map(|(number, jitter)| {
                1_000_000 + (number as u64 * interval).saturating_add_signed(*jitter)
            })
            .collect()
    }

    fn taken(times: &[u64], fps: u32) -> Vec<u64> {
        let mut decimator = Decimator::default();
        let mut takes = |us: &u64| decimator.takes(Timestamp::from_nanos(us * 1000), fps);
        times.iter().copied().filter(|us| takes(us)).collect()
    }

    fn steps(times: &[u64]) -> Vec<u64> {
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    #[test]
    fn an_even_part_is_evenly_spaced() {
        let source = times(33_333, &[0; 300]);
        for (fps, every) in [(15, 2), (10, 3), (5, 6), (1, 30)] {
            // The first few show what the source's interval is.
            let steps = steps(&taken(&source, fps)[4..]);
            assert!(
                steps.iter().all(|step| *step == 33_333 * every),
                "{fps}: {steps:?}"
            );
        }
    }

    #[test]
    fn an_uneven_part_has_the_wanted_mean() {
        let taken = taken(&times(33_333, &[0; 300]), 20);
        assert!((198..=204).contains(&taken.len()), "{}", taken.len());
        assert!(
            steps(&taken)
                .iter()
                .all(|step| [33_333, 66_666].contains(step))
        );
    }

    #[test]
    fn a_source_that_is_no_quicker_is_taken_whole() {
        for interval in [33_333, 33_000, 31_000, 40_000, 66_000] {
            assert_eq!(taken(&times(interval, &[0; 100]), 30).len(), 100);
        }
    }

    #[test]
    fn a_gap_is_not_made_up_for() {
        let mut source = times(33_333, &[0; 60]);
        source.extend(times(33_333, &[0; 60]).iter().map(|us| us + 10_000_000));
        let steps = steps(&taken(&source, 10)[4..]);
        assert!(steps.iter().all(|step| *step >= 99_000), "{steps:?}");
    }

    #[test]
    fn a_new_target_is_followed_at_once() {
        let mut decimator = Decimator::default();
        let source = times(33_333, &[0; 120]);
        let count = |decimator: &mut Decimator, times: &[u64], fps| {
            let takes = |us: &&u64| decimator.takes(Timestamp::from_nanos(**us * 1000), fps);
            times.iter().filter(takes).count()
        };
        count(&mut decimator, &source[..30], 5);
        assert_eq!(count(&mut decimator, &source[30..60], 30), 30);
        assert_eq!(count(&mut decimator, &source[60..], 15), 30);
    }

    proptest! {
        #[test]
        fn jitter_neither_adds_nor_takes_a_picture(jitter in proptest::collection::vec(-6_000_i64..6_000, 300), every in 2_u64..7) {
            let taken = taken(&times(33_333, &jitter), 30 / every as u32);
            if 30 % every == 0 {
                for step in &steps(&taken)[5..] {
                    prop_assert!(step.abs_diff(33_333 * every) <= 12_000, "{step} for {every}");
                }
            }
        }
    }
}
