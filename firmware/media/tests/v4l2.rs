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
use heron_media::v4l2::{ControlKind, ImageControl};
use heron_media::{
    EncoderChoice, PixelFormat, Rung, SourceConfig, SourceState, Timestamp, VideoConfig, probe,
};

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

/// The mean luma of a picture that was captured a few pictures from now.
fn brightness(watched: &Watched, screen: &mut Screen) -> u8 {
    let asked = Timestamp::now();
    let mut later = 0;
    loop {
        // Each is decoded, since the next one builds on it.
        let unit = watched.next();
        let picture = screen.show(&unit.data);
        later += u32::from(unit.captured > asked);
        if let (3.., Some(picture)) = (later, picture) {
            return picture.mean();
        }
    }
}

#[test]
#[ignore = "needs a camera"]
fn the_picture_s_controls_are_set_and_read_back() {
    // The lab's own encoder may take seconds to bring all of a picture within its bitrate.
    let watched = Watched::start(VideoConfig {
        encoder: EncoderChoice::Software,
        ..camera(None)
    });
    let mut screen = Screen::new();
    let usual = brightness(&watched, &mut screen);
    let pipeline = &watched.pipeline;
    let controls = pipeline.image_controls().unwrap();
    println!("{controls:#?}");
    let find = |name: &str| controls.iter().find(|control| control.name == name);
    let control = find("brightness").expect("every camera of the lab has it");
    assert_eq!(control.kind, ControlKind::Integer);
    assert!((control.min..=control.max).contains(&control.value));

    let value = |controls: &[ImageControl]| {
        let is = controls.iter().find(|control| control.name == "brightness");
        is.unwrap().value
    };
    let set = |wanted: i32| {
        let wanted = [("brightness".to_owned(), wanted)];
        let controls = pipeline.set_image_controls(&wanted).unwrap();
        assert_eq!(value(&controls), wanted[0].1);
        // Whoever asks later is told the same.
        assert_eq!(value(&pipeline.image_controls().unwrap()), wanted[0].1);
    };
    set(control.min);
    let dark = brightness(&watched, &mut screen);
    set(control.max);
    let light = brightness(&watched, &mut screen);
    println!("from {dark} over {usual} to {light}");
    assert!(dark < usual && usual < light && light - dark > 30);

    let wanted = [
        ("brightness".to_owned(), control.default),
        ("contrast".to_owned(), i32::MAX),
    ];
    let refused = pipeline.set_image_controls(&wanted).unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("contrast is 2147483647; allowed: "),
        "{refused}"
    );
    let unchanged = value(&pipeline.image_controls().unwrap());
    assert_eq!(unchanged, control.max, "nothing is set when one is wrong");
    set(control.default);
}

#[test]
#[ignore = "needs a camera"]
fn a_camera_that_nobody_watches_has_controls_too() {
    let watched = Watched::start_inactive(camera(None));
    let controls = watched.pipeline.image_controls().unwrap();
    for choice in controls
        .iter()
        .filter(|control| control.kind == ControlKind::Menu)
    {
        let values: Vec<_> = choice.menu.iter().map(|entry| entry.value).collect();
        assert!(values.contains(&choice.value), "{choice:?}");
    }
    for switch in controls
        .iter()
        .filter(|control| control.kind == ControlKind::Boolean)
    {
        let turn = |value: i32| {
            let wanted = [(switch.name.clone(), value)];
            let all = watched.pipeline.set_image_controls(&wanted).unwrap();
            let is = all.iter().find(|control| control.name == switch.name);
            assert_eq!(is.unwrap().value, value, "{}", switch.name);
        };
        turn(1 - switch.value);
        turn(switch.value);
    }
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
