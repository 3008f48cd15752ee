//! How an audio pipeline is to be set up.

use std::time::Duration;

use crate::ConfigError;

/// Which source of sound to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioSourceConfig {
    /// An ALSA capture device.
    Alsa {
        /// Its name, such as `default`, `hw:1,0` or `plughw:CARD=Camera`. Where a device cannot do
        /// 48 kHz in 16 bits by itself, ALSA's own conversion is used.
        device: String,
    },
    /// A gentle beep of 440 Hz in the first half of each second.
    Tone,
}

/// What Opus is told to be good at (RFC 6716 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OpusApplication {
    /// Speech.
    #[default]
    Voip,
    /// Music and everything else.
    Audio,
}

/// What to listen to and how to encode it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioConfig {
    /// Where sound comes from.
    pub source: AudioSourceConfig,
    /// Channels to send: one or two. A source with another number is mixed or doubled.
    pub channels: u16,
    /// Bits a second.
    pub bitrate: u32,
    /// What Opus is told to be good at.
    pub application: OpusApplication,
    /// How long the source stays open after the last listener has left.
    pub linger: Duration,
}

impl Default for AudioConfig {
    fn default() -> Self {
        Self {
            source: AudioSourceConfig::Tone,
            channels: 1,
            bitrate: 32_000,
            application: OpusApplication::Voip,
            linger: Duration::from_secs(5),
        }
    }
}

impl AudioSourceConfig {
    /// The default microphone if there is one at this moment, the tone if not.
    #[must_use]
    pub fn auto() -> Self {
        crate::probe::default_microphone().map_or(Self::Tone, |device| Self::Alsa { device })
    }

    /// The source's name in configuration files and metrics.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Alsa { .. } => "alsa",
            Self::Tone => "tone",
        }
    }
}

impl AudioConfig {
    /// Bits a second that Opus can be asked for.
    pub const BITRATES: std::ops::RangeInclusive<u32> = 6_000..=510_000;

    /// Fails on a value that no source could use.
    pub fn check(&self) -> Result<(), ConfigError> {
        ConfigError::check(
            (1..=2).contains(&self.channels),
            "channels",
            self.channels,
            "1 or 2",
        )?;
        let bitrates = "6000 to 510000 bits a second";
        ConfigError::check(
            Self::BITRATES.contains(&self.bitrate),
            "bitrate",
            self.bitrate,
            bitrates,
        )?;
        if let AudioSourceConfig::Alsa { device } = &self.source {
            let whole = !device.is_empty() && !device.contains('\0');
            let allowed = "the name of an ALSA device, such as \"default\" or \"hw:1,0\"";
            ConfigError::check(whole, "device", format!("{device:?}"), allowed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_named_with_what_is_allowed() {
        let config = AudioConfig {
            channels: 6,
            ..AudioConfig::default()
        };
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "channels is 6; allowed: 1 or 2"
        );
        let source = AudioSourceConfig::Alsa {
            device: String::new(),
        };
        let config = AudioConfig {
            source,
            ..AudioConfig::default()
        };
        assert!(
            config
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("device is \"\"")
        );
        assert!(AudioConfig::default().check().is_ok());
    }
}
