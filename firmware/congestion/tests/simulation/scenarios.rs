//! One viewer on good and bad paths.

use heron_congestion::{LadderConfig, Level};

use crate::link::Path;
use crate::tcp::Tcp;
use crate::world::World;

/// A viewer alone, for a time; `adjust` changes what the path cannot say.
fn alone(path: Path, until: f64, adjust: impl FnOnce(&mut crate::world::Viewer)) -> World {
    let mut world = World::new(LadderConfig::default());
    let viewer = world.viewer(path, 0.0);
    adjust(&mut world.viewers[viewer]);
    world.run(until);
    world
}

/// The mean bitrate that arrived, bits/s.
fn arrived(world: &World) -> f64 {
    world.viewers[0].receiver.bytes * 8e3 / world.now
}

#[test]
fn probing_finds_a_fast_path_at_once() {
    for delay_ms in [5.0, 20.0, 100.0] {
        let world = alone(
            Path {
                delay_ms,
                ..Path::new(5e6)
            },
            5e3,
            |_| {},
        );
        let viewer = &world.viewers[0];
        let reached = viewer.reached(2.5e6, 0.0).expect("never reached");
        assert!(reached < 1500.0, "{delay_ms} ms: {reached} ms");
        let full = world
            .history
            .iter()
            .find(|(_, targets)| targets[0].is_some_and(|target| target.bitrate == 2_500_000));
        assert!(full.expect("never full").0 < 3000.0);
        assert!(viewer.longest_freeze(1e3, 5e3) < 100.0);
    }
}

#[test]
fn the_first_picture_is_probed_with_however_long_connecting_takes() {
    for (connects_ms, delay_ms, feedback_ms) in [
        (30.0, 5.0, 50.0),
        (400.0, 20.0, 100.0),
        (1500.0, 5.0, 100.0),
        (4000.0, 50.0, 100.0),
    ] {
        let path = Path {
            delay_ms,
            feedback_ms,
            ..Path::new(20e6)
        };
        let world = alone(path, connects_ms + 5e3, |viewer| {
            viewer.connects_ms = connects_ms;
        });
        let viewer = &world.viewers[0];
        let case = format!("{connects_ms} ms to connect, delay {delay_ms}, feedback {feedback_ms}");
        let first = viewer.shown(0.0, f64::MAX).next().expect("nothing shown");
        let reached = viewer.reached(2.5e6, first.at).expect("never reached");
        assert!(reached < 500.0, "{case}: reached after {reached} ms");
        let full = |targets: &[Option<heron_congestion::RungTarget>; 2]| {
            targets[0].is_some_and(|target| target.bitrate == 2_500_000)
        };
        let full = world.history.iter().find(|(_, targets)| full(targets));
        let full = full.expect("never full").0 - first.at;
        assert!(full < 1000.0, "{case}: the full rung after {full} ms");
    }
}

#[test]
fn a_viewer_that_is_busy_when_the_first_probe_arrives_is_probed_again_at_once() {
    // The first packets arrive after 70 ms.
    for busy in [(60.0, 120.0), (60.0, 150.0), (60.0, 250.0)] {
        let world = alone(Path::new(20e6), 5e3, |viewer| viewer.receiver.busy = busy);
        let reached = world.viewers[0].reached(2.5e6, 0.0).expect("never reached");
        assert!(reached < 800.0, "{busy:?}: {reached} ms");
    }
}

#[test]
fn without_padding_a_fast_path_is_still_found() {
    let world = alone(Path::new(5e6), 30e3, |viewer| viewer.can_pad = false);
    let reached = world.viewers[0].reached(2.5e6, 0.0).expect("never reached");
    assert!(reached < 20e3, "{reached} ms");
}

#[test]
fn a_step_down_is_followed_within_a_second_and_up_within_ten() {
    for (delay_ms, queue_ms, feedback_ms) in [
        (5.0, 300.0, 50.0),
        (20.0, 300.0, 50.0),
        (20.0, 100.0, 50.0),
        (20.0, 300.0, 100.0),
        (50.0, 500.0, 50.0),
    ] {
        let path = Path {
            delay_ms,
            queue_ms,
            feedback_ms,
            ..Path::steps(&[(0.0, 5e6), (10e3, 1e6), (25e3, 5e6)])
        };
        let world = alone(path, 45e3, |_| {});
        let viewer = &world.viewers[0];
        let case = format!("delay {delay_ms}, queue {queue_ms}, feedback {feedback_ms}");

        let fell = viewer.fell(1e6, 10e3).expect("never fell");
        assert!(fell < 1000.0, "{case}: followed after {fell} ms");
        let freeze = viewer.longest_freeze(5e3, 45e3);
        assert!(freeze < 500.0, "{case}: freeze of {freeze} ms");
        let standing = viewer.most_standing(12.5e3, 25e3);
        assert!(standing < 150.0, "{case}: standing queue of {standing} ms");
        let used = viewer.mean_target(13e3, 25e3);
        assert!(used > 0.75e6, "{case}: {used} of 1 Mbit/s");

        let back = viewer.reached(2.5e6, 25e3).expect("never back");
        assert!(back < 10e3, "{case}: back after {back} ms");
        // All the time it had the full picture, for its bitrate can fall so far.
        assert!(
            viewer.samples.iter().all(|s| s.level == Level::Main),
            "{case}"
        );
        let last = world.targets[0].map(|target| target.bitrate);
        assert_eq!(last, Some(2_500_000), "{case}");
    }
}

#[test]
fn an_oscillating_path_is_followed_without_freezes() {
    let rates: Vec<(f64, f64)> = (0..15)
        .map(|i| (f64::from(i) * 4e3, if i % 2 == 0 { 3e6 } else { 1.2e6 }))
        .collect();
    let world = alone(Path::steps(&rates), 60e3, |_| {});
    let viewer = &world.viewers[0];
    let freeze = viewer.longest_freeze(3e3, 60e3);
    assert!(freeze < 500.0, "{freeze} ms");
    assert!(arrived(&world) > 1.0e6, "{}", arrived(&world));
}

#[test]
fn a_deep_buffer_stays_nearly_empty() {
    let path = Path {
        queue_ms: 3000.0,
        ..Path::new(1.5e6)
    };
    let world = alone(path, 60e3, |_| {});
    let viewer = &world.viewers[0];
    let standing = viewer.most_standing(2e3, 60e3);
    assert!(standing < 100.0, "{standing} ms");
    assert!(arrived(&world) > 0.75 * 1.5e6, "{}", arrived(&world));
    assert!(viewer.longest_freeze(2e3, 60e3) < 200.0);
}

#[test]
fn loss_and_jitter_do_not_starve_the_picture() {
    for in_order in [true, false] {
        for (rate, least) in [(5e6, 2.0e6), (2e6, 1.2e6)] {
            let path = Path {
                jitter_ms: 40.0,
                loss: 0.05,
                in_order,
                ..Path::new(rate)
            };
            let world = alone(path, 60e3, |_| {});
            let viewer = &world.viewers[0];
            let mean = viewer.mean_target(10e3, 60e3);
            assert!(mean > least, "{rate}, in order {in_order}: {mean}");
            let freeze = viewer.longest_freeze(2e3, 60e3);
            assert!(freeze < 500.0, "{rate}, in order {in_order}: {freeze} ms");
        }
    }
}

#[test]
fn heavy_constant_loss_does_not_starve_the_picture() {
    let path = Path {
        loss: 0.15,
        ..Path::new(5e6)
    };
    let world = alone(path, 60e3, |_| {});
    let mean = world.viewers[0].mean_target(20e3, 60e3);
    assert!(mean > 1.5e6, "{mean}");
}

#[test]
fn a_shallow_buffer_is_met_by_its_loss() {
    // Hardly any queue: only loss tells.
    let path = Path {
        queue_ms: 10.0,
        ..Path::new(1e6)
    };
    let world = alone(path, 60e3, |_| {});
    let viewer = &world.viewers[0];
    let mean = viewer.mean_target(5e3, 60e3);
    assert!((0.5e6..1.3e6).contains(&mean), "{mean}");
    assert!(viewer.longest_freeze(5e3, 60e3) < 500.0);
}

#[test]
fn beside_tcp_there_is_a_picture_and_after_it_all_of_it() {
    let path = Path {
        queue_ms: 150.0,
        ..Path::new(4e6)
    };
    let world = alone(path, 70e3, |viewer| {
        viewer.tcp = Some(Tcp::new(15e3, 45e3));
    });
    let viewer = &world.viewers[0];
    let ours = viewer.mean_target(20e3, 45e3);
    assert!(ours > 0.4e6, "{ours}");
    let freeze = viewer.longest_freeze(3e3, 70e3);
    assert!(freeze < 500.0, "{freeze} ms");
    let tcp = viewer.tcp.as_ref().map_or(0, |tcp| tcp.acked);
    let theirs = tcp as f64 * crate::tcp::SEGMENT * 8.0 / 30.0;
    assert!(theirs > 1e6, "{theirs}");
    let back = viewer.reached(2.5e6, 45e3).expect("never back");
    assert!(back < 10e3, "{back} ms");
}

#[test]
fn lost_feedback_is_no_congestion() {
    let path = Path {
        feedback_loss: 0.3,
        ..Path::new(5e6)
    };
    let world = alone(path, 30e3, |_| {});
    let viewer = &world.viewers[0];
    assert!(viewer.mean_target(2e3, 30e3) > 2.5e6);
    assert_eq!(viewer.estimator.counters().silences, 0);
}

#[test]
fn without_feedback_the_sender_backs_off_and_returns() {
    let world = alone(Path::new(5e6), 30e3, |viewer| viewer.deaf = (10e3, 13e3));
    let viewer = &world.viewers[0];
    assert_eq!(viewer.estimator.counters().silences, 1);
    assert!(viewer.fell(1e6, 10e3).expect("never fell") < 2e3);
    let least = viewer
        .samples(12.5e3, 13e3)
        .map(|s| s.target)
        .fold(1e9, f64::min);
    assert!(least < 0.3e6, "{least}");
    assert!(viewer.reached(2.5e6, 13e3).expect("never back") < 3e3);
}

#[test]
fn a_clock_that_jumps_changes_nothing() {
    let mut world = World::new(LadderConfig::default());
    world.viewer(Path::new(5e6), 0.0);
    for jump in [3_600_000.0, -7_000_000.0, 10_000.0] {
        world.run(world.now + 10e3);
        world.viewers[0].receiver.clock_offset_ms += jump;
    }
    world.run(40e3);
    let viewer = &world.viewers[0];
    assert!(viewer.estimator.counters().clock_jumps >= 3);
    let least = viewer
        .samples(5e3, 40e3)
        .map(|s| s.target)
        .fold(1e9, f64::min);
    assert!(least > 2.0e6, "{least}");
    assert!(viewer.longest_freeze(2e3, 40e3) < 100.0);
}

#[test]
fn ten_minutes_are_as_good_as_one() {
    let path = Path {
        jitter_ms: 5.0,
        loss: 0.005,
        ..Path::new(2e6)
    };
    let world = alone(path, 600e3, |_| {});
    let viewer = &world.viewers[0];
    for minute in 1..10 {
        let (from, to) = (f64::from(minute) * 60e3, f64::from(minute + 1) * 60e3);
        let mean = viewer.mean_target(from, to);
        assert!(mean > 1.3e6, "minute {minute}: {mean}");
        let standing = viewer.most_standing(from, to);
        assert!(standing < 150.0, "minute {minute}: {standing} ms");
        let freeze = viewer.longest_freeze(from, to);
        assert!(freeze < 500.0, "minute {minute}: {freeze} ms");
        let late = viewer.late(from, to, 300.0);
        assert!(late < 0.01, "minute {minute}: {late}");
    }
}
