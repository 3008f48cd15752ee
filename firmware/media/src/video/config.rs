//! How a video pipeline is to be set up.

use std::time::Duration;

use crate::encoder::BITRATES;
use crate::{ConfigError, SourceConfig};

/// What to capture and how to encode it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoConfig {
    /// Where pictures come from.
    pub source: SourceConfig,
    /// Wanted width in pixels. A camera gives the nearest size it has; streams come in their own.
    pub width: u32,
    /// Wanted height in pixels.
    pub height: u32,
    /// Wanted frames a second.
    pub fps: u32,
    /// Bits a second to begin with; it follows [`crate::VideoPipeline::set_bitrate`].
    pub bitrate: u32,
    /// Time from one key frame to the next, zero for key frames on request only. The encoder sends
    /// one on each request and at each start, so an interval is only insurance for viewers that
    /// cannot ask.
    pub key_interval: Duration,
    /// How long the source stays open after the last viewer has left.
    pub linger: Duration,
}

impl Default for VideoConfig {
    fn default() -> Self {
        Self {
            source: SourceConfig::Pattern,
            width: 1280,
            height: 720,
            fps: 30,
            bitrate: 2_500_000,
            key_interval: Duration::ZERO,
            linger: Duration::from_secs(5),
        }
    }
}

impl VideoConfig {
    /// Fails on a value that no source could use.
    pub fn check(&self) -> Result<(), ConfigError> {
        let side = |pixels: u32| (16..=3840).contains(&pixels) && pixels.is_multiple_of(2);
        let sides = "even numbers from 16 to 3840, one of both not above 2160";
        ConfigError::check(side(self.width), "width", self.width, sides)?;
        ConfigError::check(
            side(self.height) && self.width.min(self.height) <= 2160,
            "height",
            self.height,
            sides,
        )?;
        ConfigError::check((1..=120).contains(&self.fps), "fps", self.fps, "1 to 120")?;
        let bitrates = "50000 to 20000000 bits a second";
        ConfigError::check(
            BITRATES.contains(&self.bitrate),
            "bitrate",
            self.bitrate,
            bitrates,
        )?;
        let interval = self.key_interval.as_secs_f32();
        ConfigError::check(
            interval <= 600.0,
            "key interval",
            interval,
            "0 to 600 seconds",
        )?;
        if let SourceConfig::Exec { command, .. } = &self.source {
            let program = command.first().map_or("", String::as_str);
            let allowed = "a list with a program and its arguments, each without a NUL";
            let whole = !program.is_empty() && command.iter().all(|part| !part.contains('\0'));
            ConfigError::check(whole, "command", format!("{command:?}"), allowed)?;
        }
        Ok(())
    }

    /// Frames from one key frame to the next at a rate, zero for none.
    pub(crate) fn key_interval_frames(&self, fps: f32) -> u32 {
        (self.key_interval.as_secs_f32() * fps).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_named_with_what_is_allowed() {
        let config = VideoConfig {
            width: 641,
            ..VideoConfig::default()
        };
        let line = config.check().unwrap_err().to_string();
        assert_eq!(
            line,
            "width is 641; allowed: even numbers from 16 to 3840, one of both not above 2160"
        );
        let config = VideoConfig {
            height: 2162,
            width: 3840,
            ..VideoConfig::default()
        };
        assert!(
            config
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("height is 2162")
        );
        let source = SourceConfig::Exec {
            command: Vec::new(),
            stream: crate::ExecStream::Auto,
        };
        let config = VideoConfig {
            source,
            ..VideoConfig::default()
        };
        assert!(
            config
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("command is []")
        );
        assert!(VideoConfig::default().check().is_ok());
    }
}
