//! Y4M files and FIFOs, and child processes, with everything that can go wrong with them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod harness;

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use harness::{Screen, Watched, config, y4m};
use heron_media::{
    AccessUnit, EncoderSettings, ExecStream, FramePool, H264Encoder, Rung, SourceConfig,
    SourceState, Timestamp, VideoCodec,
};

fn file(directory: &Path, content: &[u8]) -> SourceConfig {
    let path = directory.join("pictures.y4m");
    std::fs::write(&path, content).unwrap();
    SourceConfig::Y4m { path }
}

fn shell(script: &str) -> SourceConfig {
    let command = ["sh", "-c", script].map(str::to_owned).to_vec();
    SourceConfig::Exec {
        command,
        stream: ExecStream::Auto,
    }
}

/// The greys of the next pictures.
fn greys(watched: &Watched, count: usize) -> Vec<u8> {
    let mut screen = Screen::new();
    std::iter::from_fn(|| screen.show(&watched.next().data))
        .map(|picture| picture.mean())
        .take(count)
        .collect()
}

fn near(seen: &[u8], expected: u8) -> bool {
    seen.iter().any(|grey| grey.abs_diff(expected) < 6)
}

#[test]
fn a_file_is_played_again_and_again() {
    let directory = tempfile::tempdir().unwrap();
    let watched = Watched::start(config(file(directory.path(), &y4m(&[40, 120, 200]))));
    let seen = greys(&watched, 9);
    assert!(
        [40, 120, 200].into_iter().all(|grey| near(&seen, grey)),
        "{seen:?}"
    );
    assert_eq!(watched.pipeline.stats().last_error, None);
    assert_eq!(watched.rung(Rung::Main).width, 64);
}

#[test]
fn a_file_that_ends_in_the_middle_of_a_frame_is_told_once_and_played_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut content = y4m(&[40, 200]);
    content.extend_from_slice(b"FRAME\nonly the beginning");
    let watched = Watched::start(config(file(directory.path(), &content)));
    let seen = greys(&watched, 10);
    assert!(near(&seen, 40) && near(&seen, 200), "{seen:?}");
    let stats = watched.pipeline.stats();
    let line = stats.last_error.unwrap();
    assert!(
        line.contains("ends in the middle of frame 3 (18 of 4608 bytes)"),
        "{line}"
    );
    assert_eq!((stats.losses, stats.source), (0, SourceState::Streaming));
}

#[test]
fn a_file_without_a_frame_or_without_y4m_is_named_and_tried_again() {
    for (content, word) in [
        (&y4m(&[])[..], "has no frames"),
        (b"RIFF\n", "YUV4MPEG2"),
        (b"", "before its stream header"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let watched = Watched::start(config(file(directory.path(), content)));
        let line = watched.until(|stats| stats.losses > 0).last_error.unwrap();
        assert!(line.contains(word) && !line.contains('\n'), "{line}");
        // The file is repaired while the process runs.
        file(directory.path(), &y4m(&[90]));
        assert!(near(&greys(&watched, 1), 90));
    }
}

#[test]
fn a_missing_file_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pictures.y4m");
    let watched = Watched::start(config(SourceConfig::Y4m { path }));
    let stats = watched.until(|stats| stats.losses > 0);
    assert!(stats.last_error.unwrap().contains("No such file"));
    file(directory.path(), &y4m(&[90]));
    watched.next();
}

#[test]
fn a_fifo_survives_its_writers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let watched = Watched::start(config(SourceConfig::Y4m { path: path.clone() }));

    // The first writer leaves in the middle of a frame.
    let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let mut stream = y4m(&[60]);
    stream.extend_from_slice(b"FRAME\nhalf");
    writer.write_all(&stream).unwrap();
    assert!(near(&greys(&watched, 1), 60));
    drop(writer);
    let stats = watched.until(|stats| stats.last_error.is_some());
    let line = stats.last_error.unwrap();
    assert!(
        line.contains("in the middle of frame 2 (4 of 4608 bytes)"),
        "{line}"
    );

    // The next one is heard from its beginning.
    let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    writer.write_all(&y4m(&[180])).unwrap();
    let mut screen = Screen::new();
    let seen = screen.show(&watched.next().data);
    // The encoder has gone on, so this may be a picture that needs the first one.
    assert!(seen.is_none_or(|picture| picture.mean().abs_diff(180) < 6));
    assert_eq!(watched.pipeline.stats().losses, 0);
}

#[test]
fn a_child_that_writes_y4m_is_watched_and_one_that_dies_is_started_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pictures.y4m");
    std::fs::write(&path, y4m(&[70, 70])).unwrap();
    let script = format!("cat '{}'; echo 'no more light' >&2; exit 3", path.display());
    let watched = Watched::start(config(shell(&script)));
    assert!(near(&greys(&watched, 1), 70));
    let stats = watched.until(|stats| stats.losses > 0);
    let line = stats.last_error.unwrap();
    assert_eq!(
        line,
        "exec: sh ended with exit status: 3; it said: no more light"
    );
    // It is started again, and pictures come again.
    watched.until(|stats| stats.captured >= 4 || stats.dropped() + stats.encoded() >= 4);
}

#[test]
fn a_child_that_cannot_be_used_is_told_in_one_line() {
    let missing = SourceConfig::Exec {
        command: vec!["/nowhere/at-all".to_owned()],
        stream: ExecStream::Auto,
    };
    for (source, words) in [
        (missing, "exec: /nowhere/at-all: No such file"),
        (shell("echo hello; sleep 60"), "begins with \"hello\\n\""),
        (
            shell("printf 'YUV4MPEG2 W64 H48\\nFRAME\\nxyz'"),
            "in the middle of frame 1 (3 of 4608 bytes)",
        ),
        (shell("kill -9 $$"), "signal: 9"),
    ] {
        let watched = Watched::start(config(source));
        let line = watched.until(|stats| stats.losses > 0).last_error.unwrap();
        assert!(line.contains(words) && !line.contains('\n'), "{line}");
    }
}

#[test]
fn a_child_and_its_own_children_end_with_the_pipeline() {
    let directory = tempfile::tempdir().unwrap();
    let pid_file = directory.path().join("pid");
    let script = format!(
        "sleep 1000 & echo $! > '{}.new'; mv '{0}.new' '{0}'; wait",
        pid_file.display()
    );
    let watched = Watched::start(config(shell(&script)));
    let started = std::time::Instant::now();
    while !pid_file.exists() {
        assert!(started.elapsed() < harness::PATIENCE);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    let pid = std::fs::read_to_string(&pid_file)
        .unwrap()
        .trim()
        .to_owned();
    watched.pipeline.stop();
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Gone, or a zombie that waits for whoever inherits it.
    assert!(status.is_empty() || status.contains(") Z "), "{status}");
}

/// H.264 as a camera's own encoder writes it; parameter sets only at the beginning if `sparse`.
fn h264(frames: u32, sparse: bool) -> Vec<u8> {
    let pool = FramePool::new();
    let picture = |grey| {
        let mut frame = pool.frame(96, 64, Timestamp::now());
        frame.data_mut().fill(128);
        frame.planes_mut().y.fill(grey);
        frame
    };
    let settings = EncoderSettings {
        bitrate: 500_000,
        fps: 30.0,
        key_interval: 0,
    };
    let mut encoder = H264Encoder::new(&picture(0), settings).unwrap();
    let mut stream = Vec::new();
    for number in 0..frames {
        let encoded = encoder
            .encode(&picture(60 + number as u8 * 8), number % 5 == 0)
            .unwrap();
        for unit in heron_media::h264::nal_units(&encoded.data) {
            if !(sparse && number > 0 && matches!(unit[0] & 0x1f, 7 | 8)) {
                stream.extend_from_slice(&[0, 0, 0, 1]);
                stream.extend_from_slice(unit);
            }
        }
    }
    stream
}

#[test]
fn h264_of_a_child_passes_through_with_complete_key_frames() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream.h264");
    std::fs::write(&path, h264(12, true)).unwrap();
    // The writer pauses at the end instead of leaving: the last picture must come all the same.
    let watched = Watched::start(config(shell(&format!(
        "cat '{}'; sleep 1000",
        path.display()
    ))));
    let units = twelve_with_keys_at_every_fifth(&watched);
    // Somebody who joins at the second key frame sees every picture from there.
    let mut screen = Screen::new();
    assert!(
        units[5..]
            .iter()
            .all(|unit| screen.show(&unit.data).is_some())
    );
    let stats = watched.pipeline.stats();
    assert_eq!(
        (
            stats.encoders_running(),
            stats.encoded(),
            stats.key_frames()
        ),
        (0, 12, 3)
    );
}

#[test]
fn h264_of_a_child_has_one_rung_whichever_is_wanted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream.h264");
    std::fs::write(&path, h264(10, true)).unwrap();
    let script = format!("while cat '{}'; do sleep 0.1; done", path.display());
    let watched = Watched::start_inactive(config(shell(&script)));
    watched.watch(Rung::Sub);
    let first = watched.next();
    assert!(first.key && first.rung == Rung::Main);
    assert!(watched.pipeline.stats().passes_through);
    watched.watch(Rung::Main);
    assert_eq!(watched.next().rung, Rung::Main);
    assert_eq!(watched.pipeline.stats().encoders_running(), 0);
}

/// A child that writes a recorded stream and then waits.
fn recording(name: &str, stream: ExecStream) -> SourceConfig {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name);
    let script = format!("cat '{}'; sleep 1000", path.display());
    SourceConfig::Exec {
        command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        stream,
    }
}

/// x265's, of a test picture: 12 frames of 96x64, a key frame at every fifth.
#[test]
fn h265_of_a_child_passes_through_with_complete_key_frames() {
    let source = recording("picture.h265", ExecStream::H265);
    assert_eq!(source.codec(), VideoCodec::H265);
    let watched = Watched::start(config(source));
    let units = twelve_with_keys_at_every_fifth(&watched);
    let stream: Vec<u8> = units.iter().flat_map(|unit| unit.data.to_vec()).collect();
    assert!(stream == include_bytes!("data/picture.h265"));
    let still = watched
        .pipeline
        .still(Duration::ZERO, Duration::from_secs(1));
    assert_eq!(
        still.unwrap_err().to_string(),
        "a picture that cannot be used: it is H.265, and of encoded pictures only H.264 is decoded"
    );
}

/// What every recording is: 96x64, with a key frame at every fifth picture.
fn twelve_with_keys_at_every_fifth(watched: &Watched) -> Vec<AccessUnit> {
    let units: Vec<_> = (0..12).map(|_| watched.next()).collect();
    assert!((0..12).all(|number| units[number].key == (number % 5 == 0)));
    assert_eq!((units[0].width, units[0].height), (96, 64));
    units
}

/// libaom's, of a test picture: 12 frames of 96x64, a key frame at every fifth.
#[test]
fn av1_of_a_child_passes_through() {
    let source = recording("picture.ivf", ExecStream::Av1);
    assert_eq!(source.codec(), VideoCodec::Av1);
    let watched = Watched::start(config(source));
    let units = twelve_with_keys_at_every_fifth(&watched);
    assert!(units.iter().all(|unit| unit.data.starts_with(&[0x12, 0])));
    assert!(watched.pipeline.stats().passes_through);
}

#[test]
fn h265_and_av1_that_were_not_named_are_told_in_one_line() {
    for (name, expected) in [
        (
            "picture.h265",
            "exec: sh: wrote H.265, which must be named: \"h265\"",
        ),
        (
            "picture.ivf",
            "exec: sh: wrote IVF, which must be named: \"av1\"",
        ),
    ] {
        let watched = Watched::start(config(recording(name, ExecStream::Auto)));
        let stats = watched.until(|stats| stats.last_error.is_some());
        assert_eq!(stats.last_error.as_deref(), Some(expected));
    }
}

#[test]
fn damaged_h264_is_left_out_and_counted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stream.h264");
    // A key frame without parameter sets, as after a writer that was cut off at the front.
    let headless = [&[0, 0, 0, 1, 0x65, 0x88, 0x84, 0x21][..], &h264(5, true)].concat();
    std::fs::write(&path, headless).unwrap();
    let watched = Watched::start(config(shell(&format!(
        "cat '{}'; sleep 1000",
        path.display()
    ))));
    let mut screen = Screen::new();
    assert!((0..5).all(|_| screen.show(&watched.next().data).is_some()));
    let stats = watched.pipeline.stats();
    assert_eq!((stats.lost, stats.losses), (1, 0));
}

#[test]
fn a_new_size_needs_no_restart() {
    let directory = tempfile::tempdir().unwrap();
    let watched = Watched::start(config(file(directory.path(), &y4m(&[100]))));
    assert_eq!(watched.next().width, 64);
    let larger = [
        b"YUV4MPEG2 W96 H48 F50:1\nFRAME\n".to_vec(),
        vec![128; 96 * 48 * 3 / 2],
    ]
    .concat();
    // Written in place, so that the open file changes under the reader at its next turn.
    std::fs::write(directory.path().join("pictures.y4m"), larger).unwrap();
    let unit = std::iter::from_fn(|| Some(watched.next()))
        .find(|unit| unit.width == 96)
        .unwrap();
    assert!(unit.key, "another size begins with a key frame");
    assert_eq!(watched.pipeline.stats().encoders_running(), 1);
}
