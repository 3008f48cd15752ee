//! Several viewers of one camera, and slow ones.

use heron_congestion::{LadderConfig, Level};

use crate::link::Path;
use crate::world::World;

#[test]
fn one_slow_viewer_does_not_drag_four_fast_ones() {
    let mut world = World::new(LadderConfig::default());
    for i in 0..4 {
        world.viewer(Path::new(5e6), f64::from(i) * 100.0);
    }
    let slow = world.viewer(Path::new(0.7e6), 5e3);
    world.run(40e3);

    for viewer in &world.viewers[..slow] {
        assert!(viewer.samples.iter().all(|s| s.level == Level::Main));
        let freeze = viewer.longest_freeze(2e3, 40e3);
        assert!(freeze < 250.0, "{freeze} ms");
    }
    let dragged = world
        .history
        .iter()
        .filter(|(at, _)| *at > 3e3)
        .find(|(_, targets)| targets[0].is_none_or(|target| target.bitrate < 2_500_000));
    assert_eq!(dragged, None);

    let slow = &world.viewers[slow];
    assert!(slow.samples(7e3, 40e3).all(|s| s.level == Level::Sub));
    let freeze = slow.longest_freeze(8e3, 40e3);
    assert!(freeze < 500.0, "{freeze} ms");
    assert!(slow.mean_target(10e3, 40e3) > 0.5e6);
}

#[test]
fn a_viewer_that_slows_moves_at_once_and_returns() {
    let mut world = World::new(LadderConfig::default());
    for i in 0..2 {
        world.viewer(Path::new(5e6), f64::from(i) * 100.0);
    }
    let moved = world.viewer(Path::steps(&[(0.0, 5e6), (10e3, 1e6), (25e3, 5e6)]), 500.0);
    world.run(45e3);

    let viewer = &world.viewers[moved];
    let level = |wanted: Level, from: f64| {
        viewer
            .samples(from, f64::MAX)
            .find(|s| s.level == wanted)
            .map(|s| s.at - from)
    };
    assert!(level(Level::Sub, 10e3).expect("never moved") < 1e3);
    assert!(level(Level::Main, 25e3).expect("never returned") < 10e3);
    assert!(viewer.longest_freeze(3e3, 45e3) < 500.0);
    for other in &world.viewers[..moved] {
        assert!(other.longest_freeze(2e3, 45e3) < 250.0);
        assert!(other.samples.iter().all(|s| s.level == Level::Main));
    }
}

#[test]
fn viewers_that_are_all_slow_share_a_slower_main() {
    let mut world = World::new(LadderConfig::default());
    for i in 0..3 {
        world.viewer(Path::new(1.5e6), f64::from(i) * 200.0);
    }
    world.run(30e3);
    for viewer in &world.viewers {
        assert!(viewer.samples(5e3, 30e3).all(|s| s.level == Level::Main));
    }
    let bitrate = world.targets[0].map_or(0, |target| target.bitrate);
    assert!((600_000..1_500_000).contains(&bitrate), "{bitrate}");
    assert_eq!(world.targets[1], None);
}

#[test]
fn below_the_floor_of_sub_frames_are_decimated_but_come() {
    let mut world = World::new(LadderConfig::default());
    let viewer = world.viewer(Path::new(0.16e6), 0.0);
    world.run(40e3);
    let viewer = &world.viewers[viewer];
    assert!(viewer.samples(10e3, 40e3).all(|s| s.level == Level::Sub));
    let sub = world.targets[1].expect("nothing encoded");
    assert!(sub.fps < 30 && sub.fps >= 5, "{sub:?}");
    let shown = viewer.shown(10e3, 40e3).count() as f64 / 30.0;
    assert!(shown > 4.0, "{shown} pictures a second");
}

#[test]
fn with_less_than_a_picture_takes_there_is_sound() {
    let mut world = World::new(LadderConfig::default());
    let viewer = world.viewer(Path::steps(&[(0.0, 70e3), (20e3, 5e6)]), 0.0);
    world.run(45e3);
    let viewer = &world.viewers[viewer];
    let audio = viewer
        .samples(5e3, 20e3)
        .filter(|s| s.level == Level::AudioOnly);
    assert!(audio.count() > 1000);
    let back = viewer
        .samples(20e3, 45e3)
        .find(|s| s.level == Level::Main)
        .expect("never back");
    assert!(back.at < 40e3, "{}", back.at);
}
