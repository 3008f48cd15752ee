//! What is asked of the encoders: targets from all viewers' estimates, and key frames in moderation.
//!
//! The decisions are [`Ladder`]'s; here they are made at the right times, told when they change, and a key frame of
//! the new rung is asked for when a viewer moves.

use std::time::{Duration, Instant};

use heron_congestion::{Change, Ladder, LadderConfig, Level, Rung, RungTarget, ViewerId, Wish};

use crate::keyframe::KeyFrameThrottle;

/// What the encoders are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// What to encode, in the order of [`Rung::ALL`].
    Targets([Option<RungTarget>; 2]),
    /// The next frame of a rung is to be a key frame.
    KeyFrame(Rung),
}

/// The controller of one camera's encoders; pure.
#[derive(Debug)]
pub struct Adaptation {
    ladder: Ladder,
    targets: [Option<RungTarget>; 2],
    throttles: [KeyFrameThrottle; 2],
    key_due: [Option<Instant>; 2],
    decide_due: Option<Instant>,
    viewers: usize,
}

impl Adaptation {
    /// Without viewers. At most one key frame is asked for every `key_frame_interval` and rung.
    pub fn new(ladder: LadderConfig, key_frame_interval: Duration) -> Self {
        Self {
            ladder: Ladder::new(ladder),
            targets: [None; 2],
            throttles: [(); 2].map(|()| KeyFrameThrottle::new(key_frame_interval)),
            key_due: [None; 2],
            decide_due: None,
            viewers: 0,
        }
    }

    /// A viewer was accepted. Returns its first level.
    pub fn joined(&mut self, viewer: ViewerId, wish: Wish, bps: u32, now: Instant) -> Level {
        self.viewers += 1;
        self.decide_due = Some(now);
        self.ladder.joined(viewer, wish, bps, now)
    }

    /// A viewer's media flows only now: what was guessed when it was accepted is guessed anew. Returns its level.
    pub fn connected(&mut self, viewer: ViewerId, wish: Wish, bps: u32, now: Instant) -> Level {
        self.decide_due = Some(now);
        self.ladder.joined(viewer, wish, bps, now)
    }

    /// A viewer is gone.
    pub fn left(&mut self, viewer: ViewerId, now: Instant) {
        self.viewers = self.viewers.saturating_sub(1);
        self.ladder.left(viewer);
        self.decide_due = Some(now);
    }

    /// A viewer's estimate changed, bits/s.
    pub fn estimate(&mut self, viewer: ViewerId, bps: u32, now: Instant) {
        self.ladder.estimate(viewer, bps, now);
        self.decide_due = Some(now);
    }

    /// What could be sent to a viewer usefully, bits/s.
    pub fn useful_bps(&self, viewer: ViewerId) -> u32 {
        self.ladder.useful_bps(viewer)
    }

    /// A viewer needs a key frame of `rung`.
    pub fn want_key_frame(&mut self, rung: Rung, now: Instant) {
        self.key_due[rung as usize] = Some(self.throttles[rung as usize].want(now));
    }

    /// When [`poll`](Self::poll) is worth calling.
    pub fn due(&self) -> Option<Instant> {
        let key = self.key_due.iter().flatten().min().copied();
        [self.decide_due, key].into_iter().flatten().min()
    }

    /// Decides what is due: `moved` learns of every viewer that changes its level, `order` what to tell the
    /// encoders.
    pub fn poll(
        &mut self,
        now: Instant,
        mut moved: impl FnMut(Change),
        mut order: impl FnMut(Order),
    ) {
        if self.decide_due.is_some_and(|due| due <= now) {
            let decision = self.ladder.decide(now);
            let targets = decision.rungs;
            let changes = decision.changes.to_vec();
            self.decide_due = (self.viewers > 0).then_some(now + Ladder::INTERVAL);
            if targets != self.targets {
                self.targets = targets;
                order(Order::Targets(targets));
            }
            for change in changes {
                moved(change);
                if let Some(rung) = change.to.rung() {
                    self.want_key_frame(rung, now);
                }
            }
        }
        for rung in Rung::ALL {
            let due = &mut self.key_due[rung as usize];
            if due.is_some_and(|due| due <= now) {
                *due = None;
                if self.throttles[rung as usize].take(now) {
                    order(Order::KeyFrame(rung));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(adaptation: &mut Adaptation, now: Instant) -> Vec<Order> {
        let mut orders = Vec::new();
        adaptation.poll(now, |_| {}, |order| orders.push(order));
        orders
    }

    #[test]
    fn targets_are_told_when_they_change_and_end_with_the_last_viewer() {
        let start = Instant::now();
        let mut adaptation = Adaptation::new(LadderConfig::default(), Duration::from_millis(300));
        assert_eq!(adaptation.due(), None);
        let (ada, bob) = (ViewerId(1), ViewerId(2));
        adaptation.joined(ada, Wish::default(), 1_000_000, start);
        let orders = poll(&mut adaptation, start);
        assert!(matches!(orders[..], [Order::Targets([Some(_), None])]));
        adaptation.joined(bob, Wish::default(), 1_000_000, start);
        assert_eq!(poll(&mut adaptation, start), []);
        adaptation.left(ada, start);
        adaptation.left(bob, start);
        assert_eq!(poll(&mut adaptation, start), [Order::Targets([None, None])]);
        assert_eq!(adaptation.due(), None);
    }

    #[test]
    fn a_flood_of_requests_is_one_key_frame_now_and_one_at_the_end() {
        let start = Instant::now();
        let interval = Duration::from_millis(300);
        let mut adaptation = Adaptation::new(LadderConfig::default(), interval);
        let mut orders = Vec::new();
        for ms in 0..1000 {
            let now = start + Duration::from_millis(ms);
            if ms < 100 {
                adaptation.want_key_frame(Rung::Main, now);
            }
            if ms == 50 {
                adaptation.want_key_frame(Rung::Sub, now);
            }
            let due = poll(&mut adaptation, now);
            orders.extend(due.into_iter().map(|order| (ms, order)));
        }
        let key = Order::KeyFrame;
        assert_eq!(
            orders,
            [
                (0, key(Rung::Main)),
                (50, key(Rung::Sub)),
                (300, key(Rung::Main))
            ]
        );
    }
}
