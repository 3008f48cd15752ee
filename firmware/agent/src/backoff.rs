//! How long to wait before the next attempt to reach the broker.
//!
//! Full jitter: the delay is drawn evenly from nought to a window, so that a fleet that lost its
//! broker in one instant does not return in one instant. The window is 1, 2, 4 s and stays at 4 s
//! for the first half minute of an outage: a broker that merely restarts sees its cameras again
//! within 5 s. After that it doubles with every attempt, up to two minutes, and stays there. There
//! is no last attempt.

use std::time::{Duration, Instant};

/// How long an outage counts as a restart of the broker rather than as its absence.
const RESTART: Duration = Duration::from_secs(30);
/// The window of the first attempt.
const FIRST: Duration = Duration::from_secs(1);
/// The widest window while the outage counts as a restart.
const RESTART_CAP: Duration = Duration::from_secs(4);
/// The widest window of all.
const CAP: Duration = Duration::from_secs(120);
/// A connection that ends sooner than this did not end the outage. Without it, a broker that
/// accepts and at once closes would be hammered.
const STABLE: Duration = Duration::from_secs(5);

/// The delays of one outage after another. Pure: the clock and the dice are the caller's.
#[derive(Debug, Default)]
pub struct Backoff {
    outage: Option<Outage>,
    connected: Option<Instant>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    window: Option<Duration>,
}

impl Backoff {
    /// A link that was never up.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The broker accepted the connection.
    pub fn connected(&mut self, now: Instant) {
        self.connected = Some(now);
    }

    /// The network changed: what was learnt on the old one says nothing of the new one.
    pub fn anew(&mut self) {
        *self = Self::default();
    }

    /// The connection was lost, or an attempt failed: the delay before the next attempt.
    ///
    /// `dice` is an even draw from `0.0..1.0`; anything outside is taken as the nearer end.
    pub fn delay(&mut self, now: Instant, dice: f64) -> Duration {
        if let Some(connected) = self.connected.take()
            && now.saturating_duration_since(connected) >= STABLE
        {
            self.outage = None;
        }
        let outage = self.outage.get_or_insert(Outage {
            since: now,
            window: None,
        });
        let cap = if now.saturating_duration_since(outage.since) < RESTART {
            RESTART_CAP
        } else {
            CAP
        };
        let window = outage.window.map_or(FIRST, |last| (last * 2).min(cap));
        outage.window = Some(window);
        window.mul_f64(if dice.is_nan() {
            1.0
        } else {
            dice.clamp(0.0, 1.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(value: u64) -> Duration {
        Duration::from_secs(value)
    }

    /// The windows of an outage whose attempts fail at once: the dice always show the far end.
    fn windows(attempts: usize) -> Vec<u64> {
        let mut backoff = Backoff::new();
        let mut now = Instant::now();
        (0..attempts)
            .map(|_| {
                let delay = backoff.delay(now, 1.0);
                now += delay;
                delay.as_secs()
            })
            .collect()
    }

    #[test]
    fn window_waits_at_four_seconds_then_doubles_to_two_minutes() {
        assert_eq!(
            windows(17),
            [1, 2, 4, 4, 4, 4, 4, 4, 4, 8, 16, 32, 64, 120, 120, 120, 120]
        );
    }

    #[test]
    fn a_stable_connection_ends_the_outage_and_a_short_one_does_not() {
        let start = Instant::now();
        let mut backoff = Backoff::new();
        backoff.delay(start, 1.0);
        backoff.delay(start + seconds(1), 1.0);
        backoff.connected(start + seconds(3));
        assert_eq!(backoff.delay(start + seconds(4), 1.0), seconds(4));

        backoff.connected(start + seconds(8));
        assert_eq!(backoff.delay(start + seconds(60), 1.0), seconds(1));
    }

    #[test]
    fn another_network_is_another_outage() {
        let start = Instant::now();
        let mut backoff = Backoff::new();
        for second in 0..60 {
            backoff.delay(start + seconds(second), 1.0);
        }
        backoff.anew();
        assert_eq!(backoff.delay(start + seconds(61), 1.0), seconds(1));
    }

    proptest! {
        #[test]
        fn a_broker_that_restarts_is_asked_again_within_four_seconds(
            dice in proptest::collection::vec(0.0..1.0, 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut backoff = Backoff::new();
            for roll in dice {
                let delay = backoff.delay(now, roll);
                if now - start < RESTART {
                    prop_assert!(delay <= RESTART_CAP);
                }
                prop_assert!(delay <= CAP);
                now += delay;
            }
        }

        #[test]
        fn the_window_never_narrows_during_an_outage(
            gaps in proptest::collection::vec(0u64..300, 1..50),
        ) {
            let mut now = Instant::now();
            let mut backoff = Backoff::new();
            let mut last = Duration::ZERO;
            for gap in gaps {
                let window = backoff.delay(now, 1.0);
                prop_assert!(window >= last);
                last = window;
                now += seconds(gap);
            }
        }

        #[test]
        fn any_dice_give_a_delay_inside_the_window(dice in any::<f64>()) {
            let delay = Backoff::new().delay(Instant::now(), dice);
            prop_assert!(delay <= FIRST);
        }
    }
}
