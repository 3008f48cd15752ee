//! The drawn picture as a source.

use std::time::{Duration, Instant, SystemTime};

use crate::source::pace::Pace;
use crate::source::painter::Painter;
use crate::source::{Polled, VideoSource};
use crate::video::VideoConfig;
use crate::{FramePool, SourceError, Timestamp};

/// Draws a picture at every beat; its capture time is the time of drawing, which its clocks show
/// too.
#[derive(Debug)]
pub(crate) struct Pattern {
    painter: Painter,
    pool: FramePool,
    pace: Pace,
    size: [u32; 2],
}

impl Pattern {
    pub(crate) fn new(config: &VideoConfig, pool: FramePool) -> Self {
        let interval = Duration::from_secs(1) / config.fps;
        Self {
            painter: Painter::new(config.width, config.height),
            pool,
            pace: Pace::new(Instant::now(), interval),
            size: [config.width, config.height],
        }
    }
}

impl VideoSource for Pattern {
    fn next(&mut self, timeout: Duration) -> Result<Polled, SourceError> {
        let wait = self.pace.wait(Instant::now());
        std::thread::sleep(wait.min(timeout));
        if wait > timeout {
            return Ok(Polled::Idle);
        }
        self.pace.beat(Instant::now());
        let mut frame = self
            .pool
            .frame(self.size[0], self.size[1], Timestamp::now());
        let unix = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        self.painter
            .paint(&mut frame, u64::try_from(unix.as_millis()).unwrap_or(0));
        Ok(Polled::Frame(frame))
    }
}
