//! Sound from its source to Opus packets, decoded again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use heron_media::{AudioConfig, AudioPipeline, AudioSourceConfig, OpusPacket, SourceState};

const PATIENCE: Duration = Duration::from_secs(20);

fn listen(config: AudioConfig) -> (AudioPipeline, Receiver<OpusPacket>) {
    let (sender, packets) = mpsc::channel();
    let pipeline =
        AudioPipeline::start(config, Arc::new(move |packet| _ = sender.send(packet))).unwrap();
    pipeline.set_active(true);
    (pipeline, packets)
}

fn next(packets: &Receiver<OpusPacket>) -> OpusPacket {
    packets.recv_timeout(PATIENCE).unwrap()
}

/// The pitch of the loud parts of a sound, by counting zero crossings in pieces of 20 ms.
fn pitch(samples: &[i16]) -> f32 {
    let pieces: Vec<&[i16]> = samples.chunks(960).collect();
    let loud = |piece: &[i16]| piece.iter().any(|sample| sample.abs() > 6000);
    // A beep begins and ends in the middle of a piece, so only pieces between loud ones count.
    let inside: Vec<_> = pieces
        .windows(3)
        .filter(|three| three.iter().all(|piece| loud(piece)))
        .map(|three| three[1])
        .collect();
    assert!(inside.len() > 15, "half of each second is loud");
    let crosses = |pair: &&[i16]| (pair[0] < 0) != (pair[1] < 0);
    let crossings: usize = inside
        .iter()
        .map(|piece| piece.windows(2).filter(crosses).count())
        .sum();
    crossings as f32 / 2.0 / (inside.len() as f32 * 0.02)
}

#[test]
fn the_tone_is_heard() {
    for (channels, decoded_as) in [(1, opus::Channels::Mono), (2, opus::Channels::Stereo)] {
        let (pipeline, packets) = listen(AudioConfig {
            channels,
            ..AudioConfig::default()
        });
        let mut decoder = opus::Decoder::new(48_000, decoded_as).unwrap();
        let mut heard = Vec::new();
        let mut last = None;
        // A second and a bit, so that a whole beep is in it.
        for _ in 0..60 {
            let packet = next(&packets);
            assert_eq!(packet.duration, Duration::from_millis(20));
            assert!(last.is_none_or(|last| packet.captured > last));
            last = Some(packet.captured);
            let mut samples = vec![0; 960 * usize::from(channels)];
            assert_eq!(
                decoder.decode(&packet.data, &mut samples, false).unwrap(),
                960
            );
            heard.extend(samples.into_iter().step_by(usize::from(channels)));
        }
        assert!((pitch(&heard) - 440.0).abs() < 15.0, "{}", pitch(&heard));
        let stats = pipeline.stats();
        assert_eq!(
            (stats.source, stats.last_error),
            (SourceState::Streaming, None)
        );
    }
}

#[test]
fn nobody_listens_nothing_is_sent() {
    let (pipeline, packets) = listen(AudioConfig {
        linger: Duration::ZERO,
        ..AudioConfig::default()
    });
    next(&packets);
    pipeline.set_active(false);
    let deadline = Instant::now() + PATIENCE;
    while pipeline.stats().source != SourceState::Idle {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    }
    while packets.try_recv().is_ok() {}
    assert!(packets.recv_timeout(Duration::from_millis(100)).is_err());
    pipeline.set_active(true);
    next(&packets);
}

#[test]
fn a_microphone_that_is_not_there_is_waited_for() {
    let source = AudioSourceConfig::Alsa {
        device: "hw:CARD=nowhere".to_owned(),
    };
    let (pipeline, _packets) = listen(AudioConfig {
        source,
        ..AudioConfig::default()
    });
    let deadline = Instant::now() + PATIENCE;
    let line = loop {
        if let Some(line) = pipeline.stats().last_error {
            break line;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(
        line.starts_with("alsa: hw:CARD=nowhere") && !line.contains('\n'),
        "{line}"
    );
}
