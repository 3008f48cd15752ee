//! A real V4L2 camera: the kernel's `vivid`, in the ARM lab. By hand, where there is one: `cargo test --
//! --ignored`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod harness;

use std::time::Duration;

use harness::{PATIENCE, Screen, Watched, config};
use heron_media::{PixelFormat, Rung, SourceConfig, SourceState, Timestamp, VideoConfig, probe};

fn camera(format: Option<PixelFormat>) -> VideoConfig {
    let source = SourceConfig::V4l2 {
        device: None,
        format,
    };
    // What an emulated machine keeps up with.
    VideoConfig {
        fps: 10,
        ..config(source)
    }
}

#[test]
#[ignore = "needs a camera"]
fn each_raw_format_is_captured_with_the_kernel_s_timestamps() {
    for format in [
        None,
        Some(PixelFormat::Yuyv),
        Some(PixelFormat::Nv12),
        Some(PixelFormat::Yu12),
    ] {
        let watched = Watched::start(camera(format));
        let mut screen = Screen::new();
        let mut last = None;
        for _ in 0..5 {
            let unit = watched.next();
            let age = Timestamp::now().since(unit.captured);
            assert!(age > Duration::ZERO && age < PATIENCE, "{age:?}");
            assert!(last.is_none_or(|last| unit.captured > last));
            last = Some(unit.captured);
            let picture = screen.show(&unit.data).unwrap();
            assert!((20..220).contains(&picture.mean()), "{}", picture.mean());
        }
        let stats = watched.until(|stats| stats.source == SourceState::Streaming);
        println!("{format:?}: {:?}", stats.rung(Rung::Main).encoder);
        assert_eq!(stats.last_error, None);
    }
}

#[test]
#[ignore = "needs a camera"]
fn the_camera_is_closed_and_opened_as_viewers_come_and_go() {
    let watched = Watched::start(camera(None));
    for _ in 0..2 {
        watched.next();
        watched.leave(Rung::Main);
        watched.until(|stats| stats.source == SourceState::Idle);
        watched.forget();
        watched.watch(Rung::Main);
        assert!(watched.next().key);
    }
}

#[test]
#[ignore = "needs a camera"]
fn the_camera_is_found_by_what_it_can_do() {
    let report = probe::probe(640, 360, 15);
    println!("{report}");
    assert!(!report.cameras.is_empty() && report.pick.video.is_some());
}

/// Takes the driver away from the device, or gives it back: what unplugging and plugging in do.
fn vivid(verb: &str) {
    std::fs::write(format!("/sys/bus/platform/drivers/vivid/{verb}"), "vivid.0").unwrap();
}

#[test]
#[ignore = "needs vivid, and root"]
fn the_camera_may_be_unplugged_and_plugged_in_again() {
    let watched = Watched::start(camera(None));
    watched.next();
    vivid("unbind");
    let stats =
        watched.until(|stats| stats.source == SourceState::Retrying && stats.last_error.is_some());
    println!("{:?}", stats.last_error);
    let line = stats.last_error.unwrap();
    assert!(
        line.contains("was unplugged") || line.contains("there is no camera"),
        "{line}"
    );
    vivid("bind");
    watched.forget();
    watched.next();
    assert_eq!(
        watched
            .until(|stats| stats.source == SourceState::Streaming)
            .encoders_running(),
        1
    );
}
