//! A real ALSA card: the kernel's `snd-aloop`, in the ARM lab. By hand, where it is loaded: `cargo test -- --ignored`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use heron_media::{AudioConfig, AudioPipeline, AudioSourceConfig, AudioStats, Timestamp};

const PATIENCE: Duration = Duration::from_secs(30);

/// Something that plays into the other end of the loopback.
struct Player(Child);

impl Player {
    fn start() -> Self {
        Self(Self::spawn())
    }

    /// Begins again where it has given up: it may come before the card is whole, or find it stopped too long.
    fn go_on(&mut self) {
        if self.0.try_wait().unwrap().is_some() {
            self.0 = Self::spawn();
        }
    }

    fn spawn() -> Child {
        let command = "speaker-test -D plughw:Loopback,0 -c 2 -r 48000 -F S16_LE -t sine -f 440";
        let mut words = command.split(' ');
        let mut player = Command::new(words.next().unwrap());
        player
            .args(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        player.spawn().unwrap()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(pipeline: &AudioPipeline, mut wanted: impl FnMut(&AudioStats) -> bool) -> AudioStats {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stats = pipeline.stats();
        if wanted(&stats) {
            return stats;
        }
        assert!(Instant::now() < deadline, "never as wanted: {stats:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Takes the driver away from the card, or gives it back: what unplugging and plugging in do.
fn card(verb: &str) {
    let path = format!("/sys/bus/platform/drivers/snd_aloop/{verb}");
    std::fs::write(path, "snd_aloop.0").unwrap();
}

#[test]
#[ignore = "needs snd-aloop, speaker-test and root"]
fn a_card_is_heard_with_its_own_timestamps_and_survives_a_replug() {
    let mut player = Player::start();
    let (sender, packets) = mpsc::channel();
    let source = AudioSourceConfig::Alsa {
        device: "hw:Loopback,1".to_owned(),
    };
    let config = AudioConfig {
        source,
        channels: 2,
        ..AudioConfig::default()
    };
    let sink = move |packet| _ = sender.send((packet, Timestamp::now()));
    let pipeline = AudioPipeline::start(config, Arc::new(sink)).unwrap();
    pipeline.set_active(true);
    until(&pipeline, |stats| {
        player.go_on();
        stats.level_dbfs > -40.0
    });

    while packets.try_recv().is_ok() {}
    let before = pipeline.stats().overruns;
    let heard: Vec<_> = (0..50)
        .map(|_| packets.recv_timeout(PATIENCE).unwrap())
        .collect();
    let times: Vec<_> = heard.iter().map(|(packet, _)| packet.captured).collect();
    let steps: Vec<_> = times
        .windows(2)
        .map(|pair| pair[1].since(pair[0]).as_secs_f32() * 1000.0)
        .collect();
    // An emulated machine is milliseconds off when it is busy. It may also stop for a moment, and the card overrun: then
    // time tells the gap, which is a period of 20 ms at least, and it is counted.
    let overruns = pipeline.stats().overruns - before;
    assert!(steps.iter().all(|step| *step > 5.0), "{steps:?} ms");
    let gaps = steps.iter().filter(|step| **step >= 35.0).count() as u64;
    assert!(gaps <= overruns, "{overruns} overruns: {steps:?} ms");
    let mean = steps.iter().sum::<f32>() / steps.len() as f32;
    assert!(overruns > 0 || (19.0..21.0).contains(&mean), "{mean} ms");
    let ages: Vec<_> = heard
        .iter()
        .map(|(packet, at)| at.since(packet.captured))
        .collect();
    println!("ages {:?} to {:?}", ages.iter().min(), ages.iter().max());
    assert!(ages.iter().all(|age| (20..500).contains(&age.as_millis())));

    drop(player);
    card("unbind");
    // The loss is counted before its reason is noted.
    let stats = until(&pipeline, |stats| {
        stats.losses > 0 && stats.last_error.is_some()
    });
    println!("{stats:?}");
    assert!(stats.last_error.unwrap().starts_with("alsa: hw:Loopback,1"));
    card("bind");
    let mut player = Player::start();
    let before = stats.packets;
    let stats = until(&pipeline, |stats| {
        player.go_on();
        stats.packets > before + 50 && stats.level_dbfs > -40.0
    });
    println!("{stats:?}");
}
