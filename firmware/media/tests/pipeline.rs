//! A pipeline from the pattern to access units, as viewers meet it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod harness;

use std::time::Duration;

use harness::{PATIENCE, Screen, Watched, config, unix_ms};
use heron_media::{
    AccessUnit, Rung, RungTarget, SourceConfig, SourceState, SubConfig, VideoConfig, VideoPipeline,
    clock,
};

#[test]
fn the_first_picture_is_a_key_frame_and_shows_the_time() {
    let watched = Watched::start(config(SourceConfig::Pattern));
    let first = watched.next();
    assert!(first.key && first.rung == Rung::Main);
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
    assert_eq!(watched.pipeline.stats().encoders_running(), 0);

    watched.watch(Rung::Main);
    watched.next();
    let stats = watched.until(|stats| stats.encoded() >= 3);
    assert_eq!(stats.encoders_running(), 1);
    assert_eq!(stats.rung(Rung::Sub).encoded, 0);

    watched.leave(Rung::Main);
    watched.until(|stats| stats.encoders_running() == 0);
    let still = watched
        .until(|stats| stats.source == SourceState::Idle)
        .encoded();
    watched.forget();
    let later = watched.units.recv_timeout(Duration::from_millis(150));
    assert!(later.is_err());
    assert_eq!(watched.pipeline.stats().encoded(), still);

    watched.watch(Rung::Main);
    assert!(
        watched.next().key,
        "the next viewer begins with a key frame"
    );
}

#[test]
fn ten_viewers_share_one_encoder_of_each_rung() {
    let watched = Watched::start_inactive(config(SourceConfig::Pattern));
    for viewer in 0..10 {
        // Each viewer that comes makes the controller think again.
        watched.target(Rung::Main, 500_000 - viewer * 20_000, 30);
        watched.target(Rung::Sub, 150_000 + viewer * 5_000, 15);
        for rung in Rung::ALL {
            watched.next_of(rung);
            assert!(watched.rung(rung).encoders_running <= 1);
        }
    }
    let stats = watched.until(|stats| stats.rungs.iter().all(|rung| rung.encoded >= 10));
    for rung in &stats.rungs {
        // Another encoder would have begun with another key frame.
        assert_eq!((rung.encoders_running, rung.key_frames), (1, 1), "{rung:?}");
        assert_eq!(rung.encoder_failures, 0);
    }

    watched.leave(Rung::Sub);
    watched.until(|stats| stats.encoders_running() == 1);
    assert_eq!(watched.rung(Rung::Main).encoders_running, 1);
    watched.leave(Rung::Main);
    watched.until(|stats| stats.encoders_running() == 0 && stats.source == SourceState::Idle);
}

#[test]
fn the_sub_rung_shows_the_same_picture_smaller() {
    let watched = Watched::start_inactive(VideoConfig {
        width: 640,
        height: 360,
        ..config(SourceConfig::Pattern)
    });
    watched.watch(Rung::Sub);
    let first = watched.next();
    assert!(first.key && first.rung == Rung::Sub);
    assert_eq!((first.width, first.height), (320, 180));
    let picture = Screen::new().show(&first.data).unwrap();
    assert_eq!((picture.width, picture.height), (320, 180));
    // The clock's blocks are half as large too: read in the size it was drawn in.
    let lines = picture.data.chunks_exact(320).flat_map(|line| [line, line]);
    let doubled: Vec<u8> = lines.flatten().flat_map(|&luma| [luma, luma]).collect();
    let drawn = clock::read(&doubled, 640, 640, 360).unwrap();
    let age = clock::age_ms(drawn, unix_ms());
    assert!((0..5000).contains(&age), "{age} ms");
    let stats = watched.pipeline.stats();
    assert_eq!(stats.rung(Rung::Main).encoders_running, 0);
    assert!(stats.rung(Rung::Sub).scale.count() > 0);

    // A rung that somebody comes to begins with a key frame, the other goes on without one.
    watched.watch(Rung::Main);
    let first = watched.next_of(Rung::Main);
    assert!(first.key && (first.width, first.height) == (640, 360));
    watched.leave(Rung::Main);
    watched.until(|stats| stats.encoders_running() == 1);
    watched.forget();
    watched.watch(Rung::Main);
    assert!(watched.next_of(Rung::Main).key);
    assert_eq!(watched.rung(Rung::Sub).key_frames, 1);
}

#[test]
fn a_configured_sub_size_is_a_limit_with_the_same_proportions() {
    let sub = SubConfig {
        width: 200,
        height: 200,
        ..SubConfig::default()
    };
    let watched = Watched::start_inactive(VideoConfig {
        sub,
        ..config(SourceConfig::Pattern)
    });
    watched.watch(Rung::Sub);
    let unit = watched.next();
    assert_eq!((unit.width, unit.height), (200, 112));
    assert!(Screen::new().show(&unit.data).is_some());
}

#[test]
fn a_key_frame_comes_within_two_frames_of_the_request_on_its_rung_only() {
    let watched = Watched::start(config(SourceConfig::Pattern));
    watched.watch(Rung::Sub);
    watched.until(|stats| stats.rungs.iter().all(|rung| rung.encoded >= 3));
    watched.forget();
    watched.pipeline.request_key_frame(Rung::Main);
    // The picture that is being encoded at this moment may be a frame without.
    assert!((0..2).any(|_| watched.next_of(Rung::Main).key));
    watched.next_of(Rung::Sub);
    let stats = watched.pipeline.stats();
    assert_eq!(stats.rung(Rung::Main).key_frames, 2);
    assert_eq!(stats.rung(Rung::Sub).key_frames, 1);
}

#[test]
fn a_sink_that_is_slow_drops_frames_instead_of_queueing_them() {
    let (sender, ages) = std::sync::mpsc::channel();
    let sink = move |unit: AccessUnit| {
        std::thread::sleep(Duration::from_millis(150));
        let _ = sender.send(heron_media::Timestamp::now().since(unit.captured));
    };
    let config = config(SourceConfig::Pattern);
    let best = config.best(Rung::Main);
    let pipeline = VideoPipeline::start(config, std::sync::Arc::new(sink)).unwrap();
    pipeline.set_target(Rung::Main, Some(best));
    let ages: Vec<_> = (0..12)
        .map(|_| ages.recv_timeout(PATIENCE).unwrap())
        .collect();
    // The slot holds one picture, so what comes out is as old as one turn of the slow sink, however
    // long it goes on.
    assert!(ages.last().unwrap() < &Duration::from_secs(1), "{ages:?}");
    let stats = pipeline.stats();
    assert!(stats.rung(Rung::Main).dropped >= 8, "{stats:?}");
}

/// A file of pictures that need as many bits as they are given.
fn noise(directory: &std::path::Path) -> SourceConfig {
    let mut stream = b"YUV4MPEG2 W320 H180 F30:1 C420jpeg\n".to_vec();
    let mut state = 1_u32;
    for _ in 0..12 {
        stream.extend_from_slice(b"FRAME\n");
        for _ in 0..320 * 180 * 3 / 2 {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            stream.push(96 + (state >> 27) as u8);
        }
    }
    let path = directory.join("noise.y4m");
    std::fs::write(&path, stream).unwrap();
    SourceConfig::Y4m { path }
}

#[test]
fn each_rung_follows_its_own_bitrate() {
    let directory = tempfile::tempdir().unwrap();
    let sub = SubConfig {
        max_bitrate: 2_000_000,
        fps: 30,
        ..SubConfig::default()
    };
    let watched = Watched::start_inactive(VideoConfig {
        bitrate: 3_000_000,
        sub,
        ..config(noise(directory.path()))
    });
    // Bits of so many frames, after so many to get used to a change.
    let bits = |rung| {
        (0..30).for_each(|_| _ = watched.next_of(rung));
        (0..30)
            .map(|_| watched.next_of(rung).data.len())
            .sum::<usize>()
            * 8
    };
    for (rung, high, low) in [
        (Rung::Main, 3_000_000, 400_000),
        (Rung::Sub, 1_000_000, 150_000),
    ] {
        watched.target(rung, high, 30);
        let plenty = bits(rung);
        watched.target(rung, low, 30);
        let little = bits(rung);
        watched.target(rung, high, 30);
        let again = bits(rung);
        assert_eq!(watched.rung(rung).target.unwrap().bitrate, high);
        assert!(little * 2 < plenty, "{rung}: {little} of {plenty}");
        assert!(again * 2 > plenty, "{rung}: {again} of {plenty}");
        watched.leave(rung);
        watched.forget();
    }
}

#[test]
fn a_frame_rate_is_followed_with_even_spacing() {
    let watched = Watched::start(config(SourceConfig::Pattern));
    (0..10).for_each(|_| _ = watched.next());
    let before = watched.rung(Rung::Main).decimated;
    watched.target(Rung::Main, 500_000, 5);
    // What was on its way at the change, and the picture that opens the new spacing.
    (0..3).for_each(|_| _ = watched.next());
    let times: Vec<_> = (0..6).map(|_| watched.next().captured).collect();
    for pair in times.windows(2) {
        let step = pair[1].since(pair[0]);
        // A loaded machine draws late, never early.
        assert!(step > Duration::from_millis(150), "{step:?}");
    }
    assert!(watched.rung(Rung::Main).decimated > before);
    watched.target(Rung::Main, 500_000, 30);
    let stats = watched.until(|stats| stats.rung(Rung::Main).fps > 10.0);
    assert_eq!(stats.rung(Rung::Main).key_frames, 1);
}

#[test]
fn each_stage_is_timed() {
    let watched = Watched::start(config(SourceConfig::Pattern));
    watched.watch(Rung::Sub);
    let stats = watched.until(|stats| stats.rungs.iter().all(|rung| rung.encoded >= 20));
    assert!(stats.capture.count() >= 20);
    for rung in &stats.rungs {
        for stage in [&rung.queue, &rung.encode, &rung.total] {
            assert!(stage.count() >= 20, "{rung:?}");
        }
        let median = |stage: &heron_histogram::Snapshot| stage.percentile(0.5).unwrap();
        assert!(median(&rung.encode) <= median(&rung.total));
    }
    assert_eq!(stats.rung(Rung::Main).scale.count(), 0);
    assert_eq!(stats.convert.count(), 0, "the pattern needs no conversion");
}

#[test]
fn a_target_beyond_the_configuration_is_cut_to_it() {
    let watched = Watched::start_inactive(config(SourceConfig::Pattern));
    watched.target(Rung::Main, u32::MAX, 1000);
    let best = RungTarget {
        bitrate: 500_000,
        fps: 30,
    };
    assert_eq!(watched.rung(Rung::Main).target, Some(best));
    watched.next();
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
