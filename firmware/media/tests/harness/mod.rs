//! What the tests of this crate share: a pipeline whose output can be waited for, and a decoder.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use heron_media::{
    AccessUnit, Rung, RungStats, RungTarget, SourceConfig, VideoConfig, VideoPipeline, VideoStats,
};
use openh264::decoder::Decoder;
use openh264::formats::YUVSource;

/// No wait in a test takes longer, unless something is wrong.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A pipeline and what it delivers.
pub struct Watched {
    pub pipeline: VideoPipeline,
    pub units: Receiver<AccessUnit>,
    best: [RungTarget; 2],
}

impl Watched {
    /// Starts a pipeline whose main rung is watched.
    pub fn start(config: VideoConfig) -> Self {
        let watched = Self::start_inactive(config);
        watched.watch(Rung::Main);
        watched
    }

    pub fn start_inactive(config: VideoConfig) -> Self {
        let (sender, units) = mpsc::channel();
        let best = Rung::ALL.map(|rung| config.best(rung));
        let pipeline =
            VideoPipeline::start(config, Arc::new(move |unit| _ = sender.send(unit))).unwrap();
        Self {
            pipeline,
            units,
            best,
        }
    }

    /// Watches a rung at its best.
    pub fn watch(&self, rung: Rung) {
        let best = self.best[rung.index()];
        self.pipeline.set_target(rung, Some(best));
    }

    /// Wants other bits or frames a second of a rung.
    pub fn target(&self, rung: Rung, bitrate: u32, fps: u32) {
        let target = RungTarget { bitrate, fps };
        self.pipeline.set_target(rung, Some(target));
    }

    /// No longer watches a rung.
    pub fn leave(&self, rung: Rung) {
        self.pipeline.set_target(rung, None);
    }

    /// The figures of a rung at this moment.
    pub fn rung(&self, rung: Rung) -> RungStats {
        self.pipeline.stats().rung(rung).clone()
    }

    /// Forgets what has been delivered so far.
    pub fn forget(&self) {
        while self.units.try_recv().is_ok() {}
    }

    /// The next picture of a rung.
    pub fn next_of(&self, rung: Rung) -> AccessUnit {
        loop {
            let unit = self.next();
            if unit.rung == rung {
                return unit;
            }
        }
    }

    pub fn next(&self) -> AccessUnit {
        self.units
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|_| panic!("no picture: {:?}", self.pipeline.stats()))
    }

    /// Waits until the statistics are as wanted.
    pub fn until(&self, wanted: impl Fn(&VideoStats) -> bool) -> VideoStats {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stats = self.pipeline.stats();
            if wanted(&stats) {
                return stats;
            }
            assert!(Instant::now() < deadline, "never as wanted: {stats:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A small, quick configuration.
pub fn config(source: SourceConfig) -> VideoConfig {
    let linger = Duration::from_millis(50);
    VideoConfig {
        source,
        width: 320,
        height: 180,
        fps: 30,
        bitrate: 500_000,
        linger,
        ..VideoConfig::default()
    }
}

/// A decoded picture's luma without padding.
pub struct Luma {
    pub width: u32,
    pub height: u32,
    pub data: Vec<u8>,
}

impl Luma {
    pub fn clock(&self) -> Option<u64> {
        heron_media::clock::read(&self.data, self.width as usize, self.width, self.height)
    }

    pub fn mean(&self) -> u8 {
        (self.data.iter().map(|&byte| u64::from(byte)).sum::<u64>() / self.data.len() as u64) as u8
    }
}

/// Decodes access units, one picture each.
pub struct Screen(Decoder);

impl Screen {
    pub fn new() -> Self {
        Self(Decoder::new().unwrap())
    }

    pub fn show(&mut self, unit: &[u8]) -> Option<Luma> {
        let picture = self.0.decode(unit).ok()??;
        let (width, height) = picture.dimensions();
        let stride = picture.strides().0;
        let data = picture
            .y()
            .chunks(stride)
            .take(height)
            .flat_map(|row| row[..width].to_vec())
            .collect();
        Some(Luma {
            width: width as u32,
            height: height as u32,
            data,
        })
    }
}

pub fn unix_ms() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    now.as_millis() as u64
}

/// A Y4M stream of grey pictures, 64x48.
pub fn y4m(greys: &[u8]) -> Vec<u8> {
    let mut stream = b"YUV4MPEG2 W64 H48 F50:1 C420jpeg\n".to_vec();
    for &grey in greys {
        stream.extend_from_slice(b"FRAME\n");
        stream.extend([grey; 64 * 48]);
        stream.extend([128; 64 * 48 / 2]);
    }
    stream
}
