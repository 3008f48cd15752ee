//! Encoded media that is made up, and an encoder that makes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use heron_session::{AudioUnit, Hub, Rung, VideoUnit, monotonic_ns};

/// A numbered access unit of the main rung: key frames have parameter sets, and both kinds are large enough to be
/// fragmented.
pub fn access_unit(number: u32) -> VideoUnit {
    unit_of(Rung::Main, number, 9000, 2500)
}

/// One of the sub rung: small.
pub fn small_unit(number: u32) -> VideoUnit {
    unit_of(Rung::Sub, number, 1500, 300)
}

/// Which rung an access unit is of that arrived: the small ones stay below what large ones have.
pub fn is_small(access_unit: &[u8]) -> bool {
    access_unit.len() < 2000
}

fn unit_of(rung: Rung, number: u32, key_size: usize, size: usize) -> VideoUnit {
    let key = number.is_multiple_of(30);
    let mut data = Vec::new();
    let mut unit = |header: u8, size: usize| {
        data.extend([0, 0, 0, 1, header]);
        // No zero bytes: they would need emulation prevention.
        data.extend(number.to_be_bytes().map(|byte| byte | 0x80));
        data.extend(number.to_be_bytes().map(|byte| byte << 1 | 1));
        data.extend((0..size).map(|i| (i % 250) as u8 + 1));
    };
    if key {
        unit(0x67, 10);
        unit(0x68, 4);
        unit(0x65, key_size);
    } else {
        unit(0x41, size);
    }
    VideoUnit {
        rung,
        data: data.into(),
        key,
        captured_ns: monotonic_ns(),
    }
}

pub fn sound() -> AudioUnit {
    AudioUnit {
        data: Bytes::from_static(&[0xfc, 0xff, 0xfe]),
        captured_ns: monotonic_ns(),
    }
}

/// Frames of both rungs at a steady rate from a thread, as an encoder makes them; stops when dropped.
pub struct Feed {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<u32>>,
}

impl Feed {
    pub fn start(hub: &Hub, frame_time: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (hub, stopped) = (hub.clone(), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let start = Instant::now();
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                hub.video(access_unit(number));
                hub.video(small_unit(number));
                hub.audio(sound());
                number += 1;
                std::thread::sleep(
                    (start + frame_time * number).saturating_duration_since(Instant::now()),
                );
            }
            number
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// How many frames were made.
    pub fn stop(mut self) -> u32 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
