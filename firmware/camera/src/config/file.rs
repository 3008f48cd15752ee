//! The shape of the TOML file: its keys and their types.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::problem::ConfigError;

/// The whole file. A key that is left out is `None`: its default is `validate`'s to know.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    pub bundle: Option<String>,
    #[serde(default)]
    pub enrolment: EnrolmentSection,
    #[serde(default)]
    pub video: VideoSection,
    #[serde(default)]
    pub audio: AudioSection,
    #[serde(default)]
    pub session: SessionSection,
    pub local_view: Option<LocalViewSection>,
    pub metrics: Option<MetricsSection>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnrolmentSection {
    pub claim_file: Option<String>,
    pub server: Option<String>,
    pub ca: Option<String>,
    pub by: Option<IntroductionName>,
    pub device: Option<String>,
    pub serial: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntroductionName {
    #[default]
    Pairing,
    Factory,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VideoSection {
    pub source: Option<VideoSourceName>,
    pub device: Option<String>,
    pub path: Option<String>,
    pub command: Option<Vec<String>>,
    pub width: Option<Whole>,
    pub height: Option<Whole>,
    pub fps: Option<Whole>,
    pub format: Option<FormatName>,
    pub stream: Option<StreamName>,
    pub bitrate_kbps: Option<Whole>,
    pub gop_s: Option<Whole>,
    pub encoder: Option<EncoderName>,
    #[serde(default)]
    pub sub: SubSection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubSection {
    pub enabled: Option<bool>,
    pub width: Option<Whole>,
    pub height: Option<Whole>,
    pub fps: Option<Whole>,
    pub bitrate_kbps: Option<Whole>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AudioSection {
    pub source: Option<AudioSourceName>,
    pub device: Option<String>,
    pub channels: Option<Whole>,
    pub bitrate_kbps: Option<Whole>,
    pub loudspeaker: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionSection {
    pub max_viewers: Option<Whole>,
    pub bind: Option<Vec<String>>,
    pub udp_port: Option<Whole>,
    pub tcp: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalViewSection {
    pub listen: String,
    pub token: Option<String>,
    pub token_file: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsSection {
    pub listen: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VideoSourceName {
    #[default]
    Auto,
    V4l2,
    Y4m,
    Exec,
    Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FormatName {
    #[default]
    Auto,
    Yuyv,
    Nv12,
    Yu12,
    Mjpeg,
    H264,
    Hevc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EncoderName {
    #[default]
    Auto,
    Hardware,
    Software,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    #[default]
    Auto,
    Y4m,
    H264,
    H265,
    Av1,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AudioSourceName {
    #[default]
    Auto,
    Alsa,
    Tone,
    None,
}

/// A whole number of any size: the range is said by `validate`, in the key's own terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Whole(pub i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor;

        impl Visitor<'_> for WholeVisitor {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Whole, E> {
                Ok(Whole(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
                Ok(Whole(i64::try_from(value).unwrap_or(i64::MAX)))
            }
        }

        deserializer.deserialize_i64(WholeVisitor)
    }
}

impl ConfigFile {
    /// Reads the shape; the first thing that does not fit ends it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let failed = |key: Option<String>, error: toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start);
            let key = key.map(|key| format!("{key}: ")).unwrap_or_default();
            ConfigError::at_offset(path, text, offset, format!("{key}{}", error.message()))
        };
        let document = toml::Deserializer::parse(text).map_err(|error| failed(None, error))?;
        serde_path_to_error::deserialize(document).map_err(|error| {
            let key = error.path().to_string();
            failed((key != ".").then_some(key), error.into_inner())
        })
    }
}
