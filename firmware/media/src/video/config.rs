//! How a video pipeline is to be set up.

use std::time::Duration;

use super::rung::{Rung, RungTarget};
use crate::encoder::BITRATES;
use crate::{ConfigError, EncoderChoice, SourceConfig};

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
    /// The most bits a second of [`Rung::Main`]; targets above it are cut to it.
    pub bitrate: u32,
    /// The smaller encoding for viewers who cannot take the full one.
    pub sub: SubConfig,
    /// Which encoder to use, for both rungs.
    pub encoder: EncoderChoice,
    /// Time from one key frame to the next, zero for key frames on request only. The encoder sends
    /// one on each request and at each start, so an interval is only insurance for viewers that
    /// cannot ask.
    pub key_interval: Duration,
    /// How long the source stays open after the last viewer has left.
    pub linger: Duration,
}

/// How [`Rung::Sub`] is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubConfig {
    /// The most pixels across; zero for half of the camera's pictures. These keep their
    /// proportions, and are never enlarged.
    pub width: u32,
    /// The most lines; zero for half of the camera's pictures.
    pub height: u32,
    /// The most frames a second; targets above it are cut to it.
    pub fps: u32,
    /// The most bits a second; targets above it are cut to it.
    pub max_bitrate: u32,
}

impl Default for SubConfig {
    fn default() -> Self {
        Self {
            width: 0,
            height: 0,
            fps: 15,
            max_bitrate: 500_000,
        }
    }
}

impl Default for VideoConfig {
    fn default() -> Self {
        Self {
            source: SourceConfig::Pattern,
            width: 1280,
            height: 720,
            fps: 30,
            bitrate: 2_500_000,
            sub: SubConfig::default(),
            encoder: EncoderChoice::Auto,
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
        let SubConfig { width, height, .. } = self.sub;
        for (pixels, field) in [(width, "sub width"), (height, "sub height")] {
            let sides = "0 for half, or an even number from 16 to 3840";
            ConfigError::check(pixels == 0 || side(pixels), field, pixels, sides)?;
        }
        let rates = "1 to 120";
        for (fps, field) in [(self.fps, "fps"), (self.sub.fps, "sub fps")] {
            ConfigError::check((1..=120).contains(&fps), field, fps, rates)?;
        }
        let bitrates = "50000 to 20000000 bits a second";
        for (bitrate, field) in [
            (self.bitrate, "bitrate"),
            (self.sub.max_bitrate, "sub bitrate"),
        ] {
            ConfigError::check(BITRATES.contains(&bitrate), field, bitrate, bitrates)?;
        }
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

    /// The most that a rung may be asked for.
    #[must_use]
    pub const fn best(&self, rung: Rung) -> RungTarget {
        match rung {
            Rung::Main => RungTarget {
                bitrate: self.bitrate,
                fps: self.fps,
            },
            Rung::Sub => RungTarget {
                bitrate: self.sub.max_bitrate,
                fps: self.sub.fps,
            },
        }
    }

    /// A target within what the rung may be asked for.
    pub(super) fn within(&self, rung: Rung, target: RungTarget) -> RungTarget {
        let best = self.best(rung);
        RungTarget {
            bitrate: target.bitrate.clamp(*BITRATES.start(), best.bitrate),
            fps: target.fps.clamp(1, best.fps),
        }
    }

    /// Frames from one key frame to the next at a rate, zero for none.
    pub(crate) fn key_interval_frames(&self, fps: f32) -> u32 {
        (self.key_interval.as_secs_f32() * fps).round() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(config: &VideoConfig) -> String {
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_allowed() {
        let config = VideoConfig {
            width: 641,
            ..VideoConfig::default()
        };
        assert_eq!(
            complaint(&config),
            "width is 641; allowed: even numbers from 16 to 3840, one of both not above 2160"
        );
        let config = VideoConfig {
            height: 2162,
            width: 3840,
            ..VideoConfig::default()
        };
        assert!(complaint(&config).starts_with("height is 2162"));
        let sub = SubConfig {
            max_bitrate: 0,
            ..SubConfig::default()
        };
        let config = VideoConfig {
            sub,
            ..VideoConfig::default()
        };
        assert!(complaint(&config).starts_with("sub bitrate is 0"));
        let source = SourceConfig::Exec {
            command: Vec::new(),
            stream: crate::ExecStream::Auto,
        };
        let config = VideoConfig {
            source,
            ..VideoConfig::default()
        };
        assert!(complaint(&config).starts_with("command is []"));
        assert!(VideoConfig::default().check().is_ok());
    }

    #[test]
    fn a_target_is_cut_to_what_is_configured() {
        let config = VideoConfig::default();
        let wanted = RungTarget {
            bitrate: 9_000_000,
            fps: 60,
        };
        assert_eq!(config.within(Rung::Main, wanted), config.best(Rung::Main));
        assert_eq!(config.within(Rung::Sub, wanted), config.best(Rung::Sub));
        let nothing = RungTarget { bitrate: 0, fps: 0 };
        let least = config.within(Rung::Sub, nothing);
        assert_eq!((least.bitrate, least.fps), (50_000, 1));
    }
}
