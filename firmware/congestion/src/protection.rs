//! When forward error correction pays for one viewer, and how much of it.
//!
//! What is lost is asked for again first of all: that costs what was lost and no more. But a repair comes a round
//! trip late, and the pictures behind it wait for it; parity comes with the picture, and costs its share whether anything
//! is lost or not. So parity is sent only where both hold for [`LOSSY`]: enough is lost, and a repair would come so
//! late that more than one picture waits for it. It ends after [`CALM`] without need.
//!
//! ```text
//!        loss ≥ ON_LOSS and rtt ≥ ON_RTT for LOSSY without a growing queue
//!  ┌─────┐ ───────────────────────────────────────────────────────► ┌──────────────┐ ◄─┐ more or less loss:
//!  │ off │                                                          │ 1 for 10 6 4 │   │ another share, after
//!  └─────┘ ◄─────────────────────────────────────────────────────── └──────────────┘ ──┘ LOSSY or CALM
//!        loss < OFF_LOSS or rtt < OFF_RTT, for CALM
//! ```
//!
//! Parity is never sent on top: [`Protection::media_bps`] is what it leaves of an estimate. Loss of a growing queue
//! does not count, since sending less is what ends that.

use std::cmp::Ordering;
use std::time::{Duration, Instant};

/// From this loss on parity is worth its share.
pub const ON_LOSS: f64 = 0.02;
/// Below this loss it is not.
pub const OFF_LOSS: f64 = 0.01;
/// From this round trip time on a repair holds up more than one picture, at 30 a second.
pub const ON_RTT: Duration = Duration::from_millis(33);
/// Below this one asking again is as good.
pub const OFF_RTT: Duration = Duration::from_millis(20);
/// The need holds for so long before more parity is sent.
pub const LOSSY: Duration = Duration::from_secs(5);
/// The need is gone for so long before less is sent.
pub const CALM: Duration = Duration::from_secs(8);

/// One packet of parity for so many of picture, by the loss from which on. Of a group and its parity one packet may be
/// lost: up to a loss of 10 % no more than one group in twelve loses two.
const SHARES: [(f64, u8); 3] = [(0.07, 4), (0.03, 6), (0.0, 10)];

/// What is known of the path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Path {
    /// Part of the packets lost lately, 0 to 1.
    pub loss: f64,
    /// The round trip time.
    pub rtt: Duration,
    /// A queue grows at the bottleneck.
    pub congested: bool,
}

/// The decision for one viewer.
#[derive(Debug, Default)]
pub struct Protection {
    packets: Option<u8>,
    /// Since when more or less would be right; for more, the time that a queue grew left out.
    since: Option<(Ordering, Instant)>,
    updated: Option<Instant>,
}

impl Protection {
    /// Off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in what is known now. Returns for how many packets of picture one of parity is to be sent; `None`: none.
    pub fn update(&mut self, path: Path, now: Instant) -> Option<u8> {
        let wanted = self.wanted(path);
        let way = strength(wanted).cmp(&strength(self.packets));
        let before = self.updated.replace(now).unwrap_or(now);
        if way == Ordering::Equal {
            self.since = None;
            return self.packets;
        }
        let mut since = match self.since {
            Some((before, since)) if before == way => since,
            _ => now,
        };
        if way == Ordering::Greater && path.congested {
            since += now.saturating_duration_since(before);
        }
        self.since = Some((way, since));
        let patience = if way == Ordering::Greater {
            LOSSY
        } else {
            CALM
        };
        if now.saturating_duration_since(since) >= patience {
            self.packets = wanted;
            self.since = None;
        }
        self.packets
    }

    /// For how many packets of picture one of parity is sent.
    pub fn packets(&self) -> Option<u8> {
        self.packets
    }

    /// What parity leaves of an estimate, bits/s.
    pub fn media_bps(&self, bps: u32) -> u32 {
        (f64::from(bps) / (1.0 + self.share())) as u32
    }

    /// What media takes together with its parity, bits/s.
    pub fn total_bps(&self, bps: u32) -> u32 {
        // Saturates, as conversions from floating point do.
        (f64::from(bps) * (1.0 + self.share())) as u32
    }

    /// Parity for each byte of picture.
    pub fn share(&self) -> f64 {
        self.packets.map_or(0.0, |packets| 1.0 / f64::from(packets))
    }

    fn wanted(&self, path: Path) -> Option<u8> {
        let (loss, rtt) = if self.packets.is_some() {
            (OFF_LOSS, OFF_RTT)
        } else {
            (ON_LOSS, ON_RTT)
        };
        // Written so that a loss that is no number is none.
        let needed = path.loss >= loss && path.rtt >= rtt;
        SHARES
            .into_iter()
            .find(|(from, _)| needed && path.loss >= *from)
            .map(|(_, packets)| packets)
    }
}

/// More for more parity.
fn strength(packets: Option<u8>) -> u8 {
    packets.map_or(0, |packets| u8::MAX - packets)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LOSSY_PATH: Path = Path {
        loss: 0.05,
        rtt: Duration::from_millis(80),
        congested: false,
    };

    /// Updates every 100 ms; returns what was in force at the end of each second.
    fn run(protection: &mut Protection, start: Instant, paths: &[(u64, Path)]) -> Vec<Option<u8>> {
        let mut now = start;
        let mut seen = Vec::new();
        for (seconds, path) in paths {
            for _ in 0..*seconds {
                for _ in 0..10 {
                    now += Duration::from_millis(100);
                    protection.update(*path, now);
                }
                seen.push(protection.packets());
            }
        }
        seen
    }

    #[test]
    fn it_comes_after_seconds_of_loss_and_goes_after_seconds_without() {
        let calm = Path {
            loss: 0.0,
            ..LOSSY_PATH
        };
        let mut protection = Protection::new();
        let seen = run(
            &mut protection,
            Instant::now(),
            &[(7, LOSSY_PATH), (10, calm)],
        );
        let on = seen.iter().filter(|packets| packets.is_some()).count();
        assert_eq!(seen[..5], [None; 5]);
        assert_eq!(seen[6], Some(6));
        assert_eq!(on, 2 + 8);
        assert_eq!(seen.last(), Some(&None));
    }

    #[test]
    fn a_near_viewer_asks_again_instead() {
        let near = Path {
            rtt: Duration::from_millis(15),
            ..LOSSY_PATH
        };
        let mut protection = Protection::new();
        let seen = run(&mut protection, Instant::now(), &[(20, near)]);
        assert_eq!(seen, [None; 20]);
    }

    #[test]
    fn between_the_bounds_nothing_changes() {
        let between = Path {
            loss: 0.015,
            rtt: Duration::from_millis(25),
            congested: false,
        };
        let mut protection = Protection::new();
        let start = Instant::now();
        assert_eq!(run(&mut protection, start, &[(20, between)]), [None; 20]);
        let later = start + Duration::from_secs(20);
        let seen = run(&mut protection, later, &[(7, LOSSY_PATH), (30, between)]);
        // On it stays, with less.
        assert_eq!(seen.last(), Some(&Some(10)));
    }

    #[test]
    fn loss_of_a_growing_queue_does_not_switch_it_on() {
        let congested = Path {
            congested: true,
            ..LOSSY_PATH
        };
        let mut protection = Protection::new();
        let seen = run(&mut protection, Instant::now(), &[(20, congested)]);
        assert_eq!(seen, [None; 20]);
    }

    #[test]
    fn a_burst_is_no_loss_that_lasts() {
        let calm = Path {
            loss: 0.0,
            ..LOSSY_PATH
        };
        let mut protection = Protection::new();
        let paths = [(2, LOSSY_PATH), (1, calm)].repeat(10);
        let seen = run(&mut protection, Instant::now(), &paths);
        assert_eq!(seen, [None; 30]);
    }

    #[test]
    fn more_loss_takes_a_larger_share_and_the_share_comes_off_the_media() {
        let share = |loss| {
            let mut protection = Protection::new();
            run(
                &mut protection,
                Instant::now(),
                &[(7, Path { loss, ..LOSSY_PATH })],
            );
            (protection.packets(), protection.media_bps(1_100_000))
        };
        assert_eq!(share(0.0), (None, 1_100_000));
        assert_eq!(share(0.02), (Some(10), 999_999));
        assert_eq!(share(0.05), (Some(6), 942_857));
        assert_eq!(share(0.15), (Some(4), 880_000));
        assert_eq!(share(f64::NAN), (None, 1_100_000));
    }

    proptest! {
        /// Media and its parity together never take more than there is.
        #[test]
        fn the_estimate_is_never_exceeded(bps: u32, loss in 0.0..1.0_f64) {
            let mut protection = Protection::new();
            run(&mut protection, Instant::now(), &[(6, Path { loss, ..LOSSY_PATH })]);
            prop_assert!(protection.total_bps(protection.media_bps(bps)) <= bps);
        }
    }
}
