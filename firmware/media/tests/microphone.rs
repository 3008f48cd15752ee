//! The real ALSA library with a microphone made of a file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::sync::{Arc, mpsc};
use std::time::Duration;

use heron_media::{AudioConfig, AudioPipeline, AudioSourceConfig};

/// The test process of the inner test gets its own ALSA configuration; the library itself never
/// sets one.
#[test]
fn a_file_in_place_of_a_microphone_is_heard() {
    let directory = tempfile::tempdir().unwrap();
    let (recording, sink) = (
        directory.path().join("in.raw"),
        directory.path().join("out.raw"),
    );
    let tone = (0..48_000)
        .map(|at| ((at as f32 * 1000.0 / 48_000.0 * std::f32::consts::TAU).sin() * 8000.0) as i16);
    std::fs::write(
        &recording,
        tone.flat_map(i16::to_le_bytes).collect::<Vec<_>>(),
    )
    .unwrap();
    let configuration = directory.path().join("asound.conf");
    let text = format!(
        "pcm.nothing {{ type null }}\npcm.mic {{ type file slave.pcm nothing file \"{}\" infile \"{}\" format \"raw\" }}\n",
        sink.display(),
        recording.display()
    );
    std::fs::write(&configuration, text).unwrap();
    let inner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "inner_file_microphone"])
        .env("ALSA_CONFIG_PATH", &configuration)
        .output()
        .unwrap();
    assert!(
        inner.status.success(),
        "{}{}",
        String::from_utf8_lossy(&inner.stdout),
        String::from_utf8_lossy(&inner.stderr)
    );
}

#[test]
#[ignore = "run by the test above, with an ALSA configuration of its own"]
fn inner_file_microphone() {
    let source = AudioSourceConfig::Alsa {
        device: "mic".to_owned(),
    };
    let (sender, packets) = mpsc::sync_channel(50);
    let config = AudioConfig {
        source,
        ..AudioConfig::default()
    };
    // A file has no clock, so packets come as fast as they are read: a full channel holds them
    // back.
    let pipeline =
        AudioPipeline::start(config, Arc::new(move |packet| _ = sender.send(packet))).unwrap();
    pipeline.set_active(true);
    let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).unwrap();
    let mut loudest = 0;
    for _ in 0..40 {
        let packet = packets
            .recv_timeout(Duration::from_secs(20))
            .unwrap_or_else(|_| panic!("{:?}", pipeline.stats()));
        let mut samples = vec![0; 960];
        decoder.decode(&packet.data, &mut samples, false).unwrap();
        loudest = samples
            .iter()
            .map(|sample| sample.abs())
            .max()
            .unwrap()
            .max(loudest);
    }
    assert!((6000..11_000).contains(&loudest), "{loudest}");
    drop(packets);
}
