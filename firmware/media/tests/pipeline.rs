//! A pipeline from the pattern to access units, as a viewer meets it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod harness;

use std::time::Duration;

use harness::{PATIENCE, Screen, Watched, config, unix_ms};
use heron_media::{SourceConfig, SourceState, VideoConfig, VideoPipeline, clock};

#[test]
fn the_first_picture_is_a_key_frame_and_shows_the_time() {
    let watched = Watched::start(config(SourceConfig::Pattern));
    let first = watched.next();
    assert!(first.key);
    let mut screen = Screen::new();
    let picture = screen.show(&first.data).unwrap();
    assert_eq!((picture.width, picture.height), (320, 180));
    let age = clock::age_ms(picture.clock().unwrap(), unix_ms());
    assert!((0..5000).contains(&age), "{age} ms");
}

#[test]
fn nothing_is_encoded_while_nobody_watches() {
    let watched = Watched::start_inactive(config(SourceConfig::Pattern));
    assert_eq!(watched.pipeline.stats().source, SourceState::Idle);
    assert_eq!(watched.pipeline.stats().encoders_running, 0);

    watched.pipeline.set_active(true);
    watched.next();
    assert_eq!(
        watched.until(|stats| stats.encoded >= 3).encoders_running,
        1
    );

    watched.pipeline.set_active(false);
    watched.until(|stats| stats.encoders_running == 0);
    let still = watched
        .until(|stats| stats.source == SourceState::Idle)
        .encoded;
    while watched.units.try_recv().is_ok() {}
    assert!(
        watched
            .units
            .recv_timeout(Duration::from_millis(150))
            .is_err()
    );
    assert_eq!(watched.pipeline.stats().encoded, still);

    watched.pipeline.set_active(true);
    assert!(
        watched.next().key,
        "the next viewer begins with a key frame"
    );
}

#[test]
fn a_key_frame_comes_within_two_frames_of_the_request() {
    let watched = Watched::start(config(SourceConfig::Pattern));
    assert!(watched.next().key);
    for _ in 0..3 {
        assert!(!watched.next().key);
    }
    while watched.units.try_recv().is_ok() {}
    watched.pipeline.request_key_frame();
    // The picture that is being encoded at this moment may be a frame without.
    assert!((0..2).any(|_| watched.next().key));
    assert_eq!(watched.pipeline.stats().key_frames, 2);
}

#[test]
fn a_sink_that_is_slow_drops_frames_instead_of_queueing_them() {
    let (sender, ages) = std::sync::mpsc::channel();
    let sink = move |unit: heron_media::AccessUnit| {
        std::thread::sleep(Duration::from_millis(150));
        let _ = sender.send(heron_media::Timestamp::now().since(unit.captured));
    };
    let pipeline =
        VideoPipeline::start(config(SourceConfig::Pattern), std::sync::Arc::new(sink)).unwrap();
    pipeline.set_active(true);
    let ages: Vec<_> = (0..12)
        .map(|_| ages.recv_timeout(PATIENCE).unwrap())
        .collect();
    // The slot holds one picture, so what comes out is as old as one turn of the slow sink, however
    // long it goes on.
    assert!(ages.last().unwrap() < &Duration::from_secs(1), "{ages:?}");
    assert!(
        pipeline.stats().dropped_before_encoder >= 8,
        "{:?}",
        pipeline.stats()
    );
}

#[test]
fn the_bitrate_can_be_changed_while_somebody_watches() {
    let watched = Watched::start(VideoConfig {
        bitrate: 2_000_000,
        ..config(SourceConfig::Pattern)
    });
    watched.next();
    watched.pipeline.set_bitrate(150_000);
    let stats = watched.until(|stats| stats.encoded > 75);
    assert_eq!(stats.target_bitrate, 150_000);
    assert!(stats.bitrate < 400_000, "{stats:?}");
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let bad = VideoConfig {
        fps: 0,
        ..config(SourceConfig::Pattern)
    };
    let error = VideoPipeline::start(bad, std::sync::Arc::new(|_| {}))
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "fps is 0; allowed: 1 to 120");
}
