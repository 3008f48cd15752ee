//! The ladder's rules, one by one.

use std::time::{Duration, Instant};

use heron_congestion::{
    Change, Ladder, LadderConfig, Level, Rung, RungConfig, RungTarget, ViewerId, Wish,
};
use proptest::prelude::*;

const A: ViewerId = ViewerId(1);
const B: ViewerId = ViewerId(2);

struct Camera {
    ladder: Ladder,
    now: Instant,
    moves: Vec<Change>,
}

impl Camera {
    fn new(config: LadderConfig) -> Self {
        Self {
            ladder: Ladder::new(config),
            now: Instant::now(),
            moves: Vec::new(),
        }
    }

    /// Time passes while the viewers' estimates stay.
    fn run(&mut self, seconds: f64, estimates: &[(ViewerId, u32)]) -> [Option<RungTarget>; 2] {
        let mut rungs = [None; 2];
        for _ in 0..(seconds * 10.0).round() as u32 {
            self.now += Duration::from_millis(100);
            for (viewer, bps) in estimates {
                self.ladder.estimate(*viewer, *bps, self.now);
            }
            let decision = self.ladder.decide(self.now);
            rungs = decision.rungs;
            self.moves.extend_from_slice(decision.changes);
        }
        rungs
    }

    fn join(&mut self, viewer: ViewerId, bps: u32) -> Level {
        self.ladder.joined(viewer, Wish::default(), bps, self.now)
    }

    fn level(&self, viewer: ViewerId) -> Level {
        self.ladder
            .level(viewer)
            .unwrap_or_else(|| panic!("unknown viewer"))
    }
}

#[test]
fn nobody_watching_costs_nothing() {
    let mut camera = Camera::new(LadderConfig::default());
    assert_eq!(camera.run(0.1, &[]), [None, None]);
    assert_eq!(camera.join(A, 1_000_000), Level::Main);
    let [main, sub] = camera.run(0.1, &[]);
    assert!(main.is_some() && sub.is_none());
    camera.ladder.left(A);
    assert_eq!(camera.run(0.1, &[]), [None, None]);
    assert_eq!(camera.ladder.level(A), None);
}

#[test]
fn sounds_share_and_headers_are_subtracted() {
    let mut camera = Camera::new(LadderConfig::default());
    camera.join(A, 1_050_000);
    let [main, _] = camera.run(5.0, &[(A, 1_050_000)]);
    assert_eq!(main.map(|target| target.bitrate), Some(900_000));
    let silent = Wish {
        audio: false,
        ..Wish::default()
    };
    camera.ladder.joined(A, silent, 1_000_000, camera.now);
    let [main, _] = camera.run(5.0, &[(A, 1_050_000)]);
    assert_eq!(main.map(|target| target.bitrate), Some(945_000));
}

#[test]
fn bitrate_falls_at_once_and_rises_in_steps() {
    let mut camera = Camera::new(LadderConfig::default());
    camera.join(A, 4_000_000);
    camera.run(3.0, &[(A, 4_000_000)]);
    let [main, _] = camera.run(0.1, &[(A, 1_050_000)]);
    assert_eq!(main.map(|target| target.bitrate), Some(900_000));
    let [main, _] = camera.run(0.2, &[(A, 4_000_000)]);
    assert_eq!(main.map(|target| target.bitrate), Some(1_350_000));
    let [main, _] = camera.run(1.0, &[(A, 4_000_000)]);
    assert_eq!(main.map(|target| target.bitrate), Some(2_500_000));
    assert_eq!(camera.moves, []);
}

#[test]
fn a_dip_is_no_reason_to_move_but_a_slow_path_is() {
    let mut camera = Camera::new(LadderConfig::default());
    camera.join(A, 2_000_000);
    camera.run(5.0, &[(A, 2_000_000)]);
    camera.run(0.6, &[(A, 500_000)]);
    camera.run(5.0, &[(A, 2_000_000)]);
    assert_eq!(camera.moves, []);
    let [main, sub] = camera.run(2.0, &[(A, 500_000)]);
    assert_eq!(camera.level(A), Level::Sub);
    assert_eq!(main, None);
    assert!(sub.is_some_and(|target| target.fps == 30));
}

#[test]
fn a_failed_rise_makes_the_next_one_wait_longer() {
    let mut camera = Camera::new(LadderConfig::default());
    camera.join(A, 400_000);
    camera.run(3.0, &[(A, 400_000)]);
    assert_eq!(camera.level(A), Level::Sub);
    let mut waits = Vec::new();
    for _ in 0..4 {
        let mut waited = 0.0;
        while camera.level(A) == Level::Sub {
            camera.run(0.1, &[(A, 1_500_000)]);
            waited += 0.1;
        }
        waits.push(f64::round(waited) as u32);
        camera.run(2.0, &[(A, 400_000)]);
        assert_eq!(camera.level(A), Level::Sub);
    }
    assert_eq!(waits, [2, 4, 8, 16]);
}

#[test]
fn a_new_viewer_neither_slows_the_others_nor_leaves_at_once() {
    let mut camera = Camera::new(LadderConfig::default());
    camera.join(A, 4_000_000);
    camera.run(3.0, &[(A, 4_000_000)]);
    camera.join(B, 1_000_000);
    let [main, _] = camera.run(1.0, &[(A, 4_000_000), (B, 1_000_000)]);
    assert_eq!(main.map(|target| target.bitrate), Some(2_500_000));
    assert_eq!(camera.level(B), Level::Main);
    let [main, sub] = camera.run(1.0, &[(A, 4_000_000), (B, 1_000_000)]);
    assert_eq!(main.map(|target| target.bitrate), Some(2_500_000));
    assert_eq!(camera.level(B), Level::Sub);
    assert!(sub.is_some());
}

#[test]
fn a_slightly_slower_viewer_stays_and_main_follows_it() {
    let mut camera = Camera::new(LadderConfig::default());
    camera.join(A, 4_000_000);
    camera.join(B, 4_000_000);
    let [main, sub] = camera.run(5.0, &[(A, 4_000_000), (B, 2_250_000)]);
    assert_eq!(main.map(|target| target.bitrate), Some(1_980_000));
    assert_eq!(sub, None);
}

#[test]
fn main_does_not_dip_while_a_slow_viewer_leaves() {
    let mut camera = Camera::new(LadderConfig::default());
    camera.join(A, 4_000_000);
    camera.join(B, 4_000_000);
    camera.run(5.0, &[(A, 4_000_000), (B, 4_000_000)]);
    for _ in 0..10 {
        let [main, _] = camera.run(0.1, &[(A, 4_000_000), (B, 1_700_000)]);
        assert_eq!(main.map(|target| target.bitrate), Some(2_500_000));
    }
    assert_eq!(camera.level(A), Level::Main);
    assert_eq!(camera.level(B), Level::Sub);
}

#[test]
fn whoever_waits_on_sub_does_not_drive_others_from_main() {
    let mut camera = Camera::new(LadderConfig::default());
    camera.join(A, 400_000);
    camera.run(5.0, &[(A, 400_000)]);
    camera.join(B, 1_000_000);
    let both = [(A, 4_000_000), (B, 1_000_000)];
    camera.run(1.0, &both);
    assert_eq!(camera.level(A), Level::Sub);
    assert_eq!(camera.level(B), Level::Main);
    // Once it is on Main it is no longer held up.
    camera.run(5.0, &both);
    assert_eq!(camera.level(A), Level::Main);
    assert_eq!(camera.level(B), Level::Sub);
}

#[test]
fn a_small_tile_gets_the_small_rung() {
    let mut camera = Camera::new(LadderConfig::default());
    let tile = Wish {
        best: Level::Sub,
        audio: false,
    };
    let level = camera.ladder.joined(A, tile, 5_000_000, camera.now);
    assert_eq!(level, Level::Sub);
    let [main, sub] = camera.run(10.0, &[(A, 5_000_000)]);
    assert_eq!(main, None);
    assert_eq!(sub.map(|target| target.bitrate), Some(800_000));
    assert!(camera.ladder.useful_bps(A) < 1_000_000);
}

#[test]
fn without_sub_main_is_decimated_and_then_sound_remains() {
    let mut camera = Camera::new(LadderConfig {
        sub: None,
        ..LadderConfig::default()
    });
    camera.join(A, 1_000_000);
    let [main, _] = camera.run(5.0, &[(A, 400_000)]);
    let main = main.expect("no picture");
    assert_eq!(main.fps, 15);
    assert_eq!(main.bitrate, 315_000);
    assert_eq!(camera.level(A), Level::Main);
    camera.run(5.0, &[(A, 100_000)]);
    assert_eq!(camera.level(A), Level::AudioOnly);
    camera.run(5.0, &[(A, 1_000_000)]);
    assert_eq!(camera.level(A), Level::Main);
}

#[test]
fn a_source_that_cannot_adapt_is_whole_or_not_at_all() {
    let fixed = RungConfig {
        max_bps: 2_000_000,
        floor_bps: 0,
        fps: 30,
        adapts: false,
    };
    let mut camera = Camera::new(LadderConfig {
        main: fixed,
        ..LadderConfig::default()
    });
    camera.join(A, 3_000_000);
    let [main, _] = camera.run(5.0, &[(A, 3_000_000)]);
    let whole = RungTarget {
        bitrate: 2_000_000,
        fps: 30,
    };
    assert_eq!(main, Some(whole));
    let [main, sub] = camera.run(3.0, &[(A, 1_500_000)]);
    assert_eq!(main, None);
    assert!(sub.is_some());

    // Nothing but this source: sound until it fits again.
    let mut camera = Camera::new(LadderConfig {
        main: fixed,
        sub: None,
        ..LadderConfig::default()
    });
    camera.join(A, 3_000_000);
    camera.run(3.0, &[(A, 1_500_000)]);
    assert_eq!(camera.level(A), Level::AudioOnly);
    let [main, _] = camera.run(5.0, &[(A, 3_000_000)]);
    assert_eq!(main, Some(whole));
}

#[test]
fn on_sub_a_viewer_below_the_floor_does_not_take_frames_from_the_others() {
    let mut camera = Camera::new(LadderConfig::default());
    camera.join(A, 600_000);
    camera.join(B, 600_000);
    let [_, sub] = camera.run(10.0, &[(A, 500_000), (B, 120_000)]);
    assert_eq!(camera.level(A), Level::Sub);
    assert_eq!(camera.level(B), Level::AudioOnly);
    assert_eq!(sub.map(|target| target.fps), Some(30));
}

proptest! {
    /// Whatever comes, targets stay within what the camera can do.
    #[test]
    fn targets_are_always_possible(
        sub in any::<bool>(),
        adapts in any::<bool>(),
        steps in prop::collection::vec((0_u64..6, 0_u8..4, any::<u32>(), 0_u64..3000), 1..200),
    ) {
        let mut config = LadderConfig::default();
        config.main.adapts = adapts;
        if !sub {
            config.sub = None;
        }
        let mut ladder = Ladder::new(config);
        let mut now = Instant::now();
        for (viewer, what, bps, pause) in steps {
            let viewer = ViewerId(viewer);
            now += Duration::from_millis(pause);
            match what {
                0 => {
                    let best = [Level::Main, Level::Sub, Level::AudioOnly][bps as usize % 3];
                    ladder.joined(viewer, Wish { best, audio: bps % 2 == 0 }, bps, now);
                }
                1 => ladder.left(viewer),
                _ => ladder.estimate(viewer, bps % 6_000_000, now),
            }
            let rungs = ladder.decide(now).rungs;
            for rung in Rung::ALL {
                let limits = match rung {
                    Rung::Main => Some(config.main),
                    Rung::Sub => config.sub,
                };
                let wanted = (0..6).any(|id| {
                    ladder.level(ViewerId(id)).and_then(Level::rung) == Some(rung)
                });
                let target = rungs[rung as usize];
                prop_assert_eq!(target.is_some(), wanted);
                if let (Some(target), Some(limits)) = (target, limits) {
                    prop_assert!(target.bitrate > 0 && target.bitrate <= limits.max_bps);
                    prop_assert!(target.fps >= config.min_fps && target.fps <= limits.fps);
                } else {
                    prop_assert_eq!(target, None);
                }
            }
        }
    }
}
