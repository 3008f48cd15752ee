//! The real ALSA library with a loudspeaker made of a file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

use bytes::Bytes;
use heron_media::{SourceState, Speaker, SpeakerConfig, SpeakerStats};

const PATIENCE: Duration = Duration::from_secs(20);

fn until(speaker: &Speaker, wanted: impl Fn(&SpeakerStats) -> bool) -> SpeakerStats {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stats = speaker.stats();
        if wanted(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "never as wanted: {stats:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A tone as Opus packets of 20 ms.
fn tone(packets: usize) -> Vec<Bytes> {
    let application = opus::Application::Voip;
    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, application).unwrap();
    let sample = |at: usize| (at as f32 * 600.0 / 48_000.0 * std::f32::consts::TAU).sin();
    let block = |number: usize| (number * 960..(number + 1) * 960).map(sample);
    let packet = |number| {
        let block: Vec<i16> = block(number)
            .map(|sample| (sample * 9000.0) as i16)
            .collect();
        encoder.encode_vec(&block, 1275).unwrap().into()
    };
    (0..packets).map(packet).collect()
}

/// The test process of the inner test gets its own ALSA configuration; the library itself never
/// sets one.
#[test]
fn a_talker_is_heard_on_a_file_in_place_of_a_loudspeaker() {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("out.raw");
    let configuration = directory.path().join("asound.conf");
    let text = format!(
        "pcm.nothing {{ type null }}\npcm.speaker {{ type file slave.pcm nothing file \"{}\" format \"raw\" }}\n",
        recording.display()
    );
    std::fs::write(&configuration, text).unwrap();
    let inner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "inner_file_speaker"])
        .env("ALSA_CONFIG_PATH", &configuration)
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (said(&inner.stdout), said(&inner.stderr));
    assert!(inner.status.success(), "{stdout}{stderr}");

    let recorded = std::fs::read(&recording).unwrap();
    let (samples, _) = recorded.as_chunks::<2>();
    let loudest = samples
        .iter()
        .map(|bytes| i16::from_le_bytes(*bytes).unsigned_abs())
        .max();
    // Sent at 9000, and limited to -12 dB of full scale.
    assert!((7000..=8231).contains(&loudest.unwrap()), "{loudest:?}");
}

#[test]
#[ignore = "run by the test above, with an ALSA configuration of its own"]
fn inner_file_speaker() {
    let speaker = Speaker::start(SpeakerConfig {
        device: "speaker".to_owned(),
        limit_dbfs: -12.0,
    })
    .unwrap();
    until(&speaker, |stats| stats.device == SourceState::Streaming);
    for (number, packet) in tone(40).into_iter().enumerate() {
        // Now and then somebody sends what is no Opus at all.
        let packet = if number % 10 == 9 {
            Bytes::from_static(&[0xff; 9])
        } else {
            packet
        };
        speaker.push(number as u16, number as u32 * 960, packet, Instant::now());
    }
    let stats = until(&speaker, |stats| stats.held.is_zero());
    assert_eq!((stats.packets, stats.garbage), (40, 4));
    assert_eq!((stats.losses, stats.last_error), (0, None));
    speaker.stop();
}

#[test]
fn a_loudspeaker_that_is_not_there_is_named_and_packets_go_by() {
    let speaker = Speaker::start(SpeakerConfig {
        device: "hw:CARD=nowhere".to_owned(),
        ..SpeakerConfig::default()
    })
    .unwrap();
    for (number, packet) in tone(5).into_iter().enumerate() {
        speaker.push(number as u16, number as u32 * 960, packet, Instant::now());
    }
    let stats = until(&speaker, |stats| stats.losses > 0);
    assert_eq!(stats.packets, 5);
    let line = stats.last_error.unwrap();
    assert!(
        line.contains("hw:CARD=nowhere") && !line.contains('\n'),
        "{line}"
    );
}
