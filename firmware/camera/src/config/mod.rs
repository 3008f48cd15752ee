//! The config file: what the camera shows, hears and reports to.
//!
//! Reading it has three steps, each in a file of its own: [`mod@file`] is the TOML's shape (unknown keys
//! and wrong types stop here), [`validate`] turns it into the types below (values out of range and
//! keys that do not go together stop here, all of them at once), and [`problem`] says what is wrong
//! by line and key. A [`Config`] is therefore always usable as far as a file alone can tell; whether
//! the devices exist is `heron-camera check`'s business.

mod file;
mod problem;
mod validate;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, fs};

use heron_agent::{Introduction, ServerUrl};
use heron_media::{
    AudioConfig, AudioSourceConfig, EncoderChoice, PixelFormat, SourceConfig, SpeakerConfig,
    SubConfig, VideoConfig,
};
use heron_protocol::DeviceId;

pub use problem::{ConfigError, Problems};
pub use validate::is_serial;

/// A checked config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The device bundle.
    pub bundle: PathBuf,
    /// How a camera without a bundle gets one.
    pub enrolment: Enrolment,
    /// What is seen.
    pub video: Video,
    /// What is heard.
    pub audio: Audio,
    /// Who may watch, and over which addresses.
    pub session: Session,
    /// Where the camera can be watched without a control plane; nowhere unless it says so.
    pub local_view: Option<LocalView>,
    /// Where figures are served, a loopback address.
    pub metrics: Option<SocketAddr>,
}

/// The `[enrolment]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// Where a claim file is looked for.
    pub claim_file: PathBuf,
    /// The control plane, without a claim file.
    pub server: Option<ServerUrl>,
    /// Who signs its certificate, PEM; without it the authorities that this machine trusts.
    pub ca: Option<String>,
    /// Without a claim file: by pairing, or by the factory list.
    pub by: Introduction,
    /// The device id to ask for.
    pub device: Option<DeviceId>,
    /// The board's serial number, where it does not tell or tells a wrong one.
    pub serial: Option<String>,
}

/// The `[video]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Video {
    /// Where frames come from.
    pub source: VideoSource,
    /// Wanted width in pixels, even.
    pub width: u32,
    /// Wanted height in pixels, even.
    pub height: u32,
    /// Wanted frames per second.
    pub fps: u32,
    /// What the encoder aims at where every viewer has the bandwidth, bit/s.
    pub bitrate_bps: u32,
    /// Between key frames that nobody asked for; zero for none.
    pub key_interval: Duration,
    /// Which encoder.
    pub encoder: EncoderChoice,
    /// The smaller stream for viewers with less bandwidth.
    pub sub: Option<Sub>,
}

/// The `[video.sub]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sub {
    /// Width in pixels, even, at most the main stream's.
    pub width: u32,
    /// Height in pixels, likewise.
    pub height: u32,
    /// Frames per second at most.
    pub fps: u32,
    /// What its encoder aims at, at most, bit/s.
    pub bitrate_bps: u32,
}

/// `video.source` with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VideoSource {
    /// The camera that is plugged in when we start, else the pattern.
    Auto(Option<PixelFormat>),
    /// This one and no other.
    Fixed(SourceConfig),
}

/// The `[audio]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audio {
    /// Where sound comes from.
    pub source: AudioSource,
    /// 1 or 2.
    pub channels: u16,
    /// The encoder's target, bit/s.
    pub bitrate_bps: u32,
    /// Where viewers who may talk are heard; `None` where nobody may.
    pub loudspeaker: Option<String>,
}

/// `audio.source` with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AudioSource {
    /// The default microphone that is there when we start, else the tone.
    Auto,
    /// This one and no other.
    Fixed(AudioSourceConfig),
    /// No sound.
    None,
}

/// The `[session]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// How many may watch at once.
    pub max_viewers: usize,
    /// Local addresses for media; empty for every interface.
    pub bind: Vec<SocketAddr>,
    /// The one UDP port of all viewers; 0 for any.
    pub udp_port: u16,
    /// Whether viewers may connect over TCP on the same port.
    pub tcp: bool,
}

/// The `[local_view]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalView {
    /// Where it is served.
    pub listen: SocketAddr,
    /// What a viewer must know.
    pub token: Token,
}

/// The secret of the local view. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Token {
    /// It stands in the config.
    Given(String),
    /// The first line of a file, read when the service starts.
    File(PathBuf),
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

impl Token {
    /// The token itself.
    ///
    /// # Errors
    ///
    /// One line that names the file and what is wrong with it.
    pub fn reveal(&self) -> Result<String, String> {
        match self {
            Self::Given(token) => Ok(token.clone()),
            Self::File(path) => {
                let text = fs::read_to_string(path).map_err(|error| {
                    format!("local_view.token_file: {}: {error}", path.display())
                })?;
                let token = text.lines().next().unwrap_or_default().trim();
                if !validate::is_token(token) {
                    return Err(format!(
                        "local_view.token_file: the first line of {} is no token: 16 to 256 letters, digits, and -._~+/=",
                        path.display()
                    ));
                }
                Ok(token.to_owned())
            }
        }
    }
}

impl Video {
    /// The pipeline to start. `auto` looks for a camera now.
    pub fn pipeline(&self) -> VideoConfig {
        let source = match &self.source {
            VideoSource::Fixed(source) => source.clone(),
            VideoSource::Auto(wanted) => match SourceConfig::auto() {
                SourceConfig::V4l2 { device, format } => SourceConfig::V4l2 {
                    device,
                    format: wanted.or(format),
                },
                other => other,
            },
        };
        VideoConfig {
            source,
            width: self.width,
            height: self.height,
            fps: self.fps,
            bitrate: self.bitrate_bps,
            key_interval: self.key_interval,
            encoder: self.encoder,
            sub: self
                .sub
                .as_ref()
                .map(|sub| SubConfig {
                    width: sub.width,
                    height: sub.height,
                    fps: sub.fps,
                    max_bitrate: sub.bitrate_bps,
                })
                .unwrap_or_default(),
            ..VideoConfig::default()
        }
    }
}

impl Audio {
    /// Where viewers who may talk are heard; `None` where nobody may.
    pub fn speaker(&self) -> Option<SpeakerConfig> {
        let device = self.loudspeaker.clone()?;
        Some(SpeakerConfig {
            device,
            ..SpeakerConfig::default()
        })
    }

    /// The pipeline to start; `None` without sound. `auto` looks for a microphone now.
    pub fn pipeline(&self) -> Option<AudioConfig> {
        let source = match &self.source {
            AudioSource::Auto => AudioSourceConfig::auto(),
            AudioSource::Fixed(source) => source.clone(),
            AudioSource::None => return None,
        };
        Some(AudioConfig {
            source,
            channels: self.channels,
            bitrate: self.bitrate_bps,
            ..AudioConfig::default()
        })
    }
}

impl Config {
    /// Reads and checks a config file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: one line for each thing that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path)
            .map_err(|error| ConfigError::whole_file(path, format!("cannot be read: {error}")))?;
        Self::parse(path, &text)
    }

    /// Checks the text of a config file; relative paths in it start at `path`'s folder.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: one line for each thing that is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let file = file::ConfigFile::parse(path, text)?;
        validate::validate(path, text, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../heron-camera.toml");

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("/etc/heron/camera.toml"), text)
    }

    /// What a person reads, without the file's name.
    fn complaint(text: &str) -> String {
        let complaint = parse(text).expect_err("should be refused").to_string();
        complaint.replace("/etc/heron/camera.toml:", "")
    }

    #[test]
    fn the_example_says_what_an_empty_file_does() {
        assert_eq!(parse(EXAMPLE).unwrap(), parse("").unwrap());
    }

    #[test]
    fn the_examples_of_the_example_are_valid() {
        for (section, key, source) in [
            ("video", "device", "v4l2"),
            ("video", "path", "y4m"),
            ("video", "command", "exec"),
            ("video", "stream", "exec"),
            ("audio", "device", "alsa"),
        ] {
            let in_section = EXAMPLE.split(&format!("[{section}]")).nth(1).unwrap();
            let line = in_section
                .lines()
                .find(|line| line.starts_with(&format!("# {key} = ")))
                .unwrap_or_else(|| panic!("no example of {section}.{key}"));
            let command = if key == "stream" {
                "command = [\"cat\"]\n"
            } else {
                ""
            };
            let text = format!("[{section}]\nsource = {source:?}\n{command}{}", &line[2..]);
            parse(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        }
        let local = EXAMPLE.split("# [local_view]\n").nth(1).unwrap();
        let local: String = local
            .lines()
            .map_while(|line| line.strip_prefix("# "))
            .filter(|line| line.contains(" = "))
            .map(|line| format!("{line}\n"))
            .collect();
        assert!(
            parse(&format!("[local_view]\n{local}"))
                .unwrap()
                .local_view
                .is_some()
        );
        let metrics = EXAMPLE.split("# [metrics]\n# ").nth(1).unwrap();
        assert!(
            parse(&format!("[metrics]\n{metrics}"))
                .unwrap()
                .metrics
                .is_some()
        );
    }

    #[test]
    fn enrolment_by_a_server_or_by_a_claim_file_elsewhere() {
        let config = parse(
            "[enrolment]\nserver = \"https://heron.example:8443\"\nby = \"factory\"\n\
             claim_file = \"claim.toml\"\ndevice = \"front-door-01\"\nserial = \"1234\"\n",
        );
        let enrolment = config.unwrap().enrolment;
        assert_eq!(
            enrolment.server.unwrap().to_string(),
            "https://heron.example:8443"
        );
        assert_eq!(enrolment.by, Introduction::Factory);
        assert_eq!(enrolment.claim_file, Path::new("/etc/heron/claim.toml"));

        assert_eq!(
            complaint(
                "[enrolment]\nserver = \"http://heron.example\"\nca = \"none\"\ndevice = \"door\"\nserial = \"a b\"\n"
            ),
            "2: enrolment.server: \"http://heron.example\" is not https://HOST or https://HOST:PORT, with nothing after it\n\
             3: enrolment.ca: no BEGIN CERTIFICATE in it\n\
             4: enrolment.device: device id must match [a-z0-9-]{8,40}, got \"door\"\n\
             5: enrolment.serial: allowed: 1 to 64 letters, digits, and -._:"
        );
        assert_eq!(
            complaint("[enrolment]\nby = \"factory\"\n"),
            "2: enrolment.by: needs `server`, the control plane that has the factory list"
        );
    }

    #[test]
    fn a_relative_path_starts_at_the_config() {
        let config =
            parse("bundle = \"door.toml\"\n[video]\nsource = \"y4m\"\npath = \"a.y4m\"").unwrap();
        assert_eq!(config.bundle, Path::new("/etc/heron/door.toml"));
        let source = SourceConfig::Y4m {
            path: "/etc/heron/a.y4m".into(),
        };
        assert_eq!(config.video.source, VideoSource::Fixed(source));
    }

    #[test]
    fn an_unknown_key_is_named_with_the_allowed_ones() {
        assert_eq!(
            complaint("[video]\nwidth = 640\nwidht = 640\n"),
            "3: video.widht: unknown field `widht`, expected one of `source`, `device`, `path`, `command`, `width`, \
             `height`, `fps`, `format`, `stream`, `bitrate_kbps`, `gop_s`, `encoder`, `sub`"
        );
        assert_eq!(
            complaint("\n[vidoe]\n"),
            "2: vidoe: unknown field `vidoe`, expected one of `bundle`, `enrolment`, `video`, `audio`, `session`, `local_view`, `metrics`"
        );
    }

    #[test]
    fn a_wrong_type_is_named_with_the_right_one() {
        assert_eq!(
            complaint("[video]\n\nfps = \"thirty\"\n"),
            "3: video.fps: invalid type: string \"thirty\", expected a whole number"
        );
        assert_eq!(
            complaint("[audio]\nsource = \"mic\"\n"),
            "2: audio.source: unknown variant `mic`, expected one of `auto`, `alsa`, `tone`, `none`"
        );
    }

    #[test]
    fn every_value_out_of_range_is_named_at_once() {
        let text = "[video]\nfps = 500\nwidth = 641\nbitrate_kbps = -1\n[audio]\nchannels = 6\n\
                    [metrics]\nlisten = \"0.0.0.0:9100\"\n";
        assert_eq!(
            complaint(text),
            "2: video.fps: is 500; allowed: 1 to 120\n\
             3: video.width: is 641; allowed: even numbers from 16 to 3840\n\
             4: video.bitrate_kbps: is -1; allowed: 50 to 20000\n\
             6: audio.channels: is 6; allowed: 1 to 2\n\
             8: metrics.listen: 0.0.0.0:9100 is reachable by others; allowed: a loopback address, as in 127.0.0.1:9100"
        );
    }

    #[test]
    fn keys_that_do_not_go_together_are_named() {
        assert_eq!(
            complaint("[video]\nsource = \"y4m\"\ndevice = \"/dev/video0\"\n"),
            "1: video.path: missing; source = \"y4m\" needs it: a file or FIFO\n\
             3: video.device: only used with source = \"v4l2\"; set that, or leave this out"
        );
        assert_eq!(
            complaint("[video]\nsource = \"exec\"\ncommand = []\n"),
            "3: video.command: missing or empty; source = \"exec\" needs it: [\"program\", \"argument\", ...]"
        );
    }

    #[test]
    fn the_smaller_stream_is_half_of_the_larger_unless_told_otherwise() {
        let sub = parse("[video]\nwidth = 1920\nheight = 1080\n")
            .unwrap()
            .video
            .sub
            .unwrap();
        assert_eq!((sub.width, sub.height, sub.fps), (960, 540, 30));
        assert_eq!(
            complaint("[video.sub]\nwidth = 1920\n"),
            "1: video.sub: is 1920x360 at 30 fps; allowed: at most what [video] has, 1280x720 at 30 fps"
        );
        let config = parse("[video.sub]\nenabled = false\n").unwrap();
        assert_eq!(config.video.sub, None);
    }

    #[test]
    fn the_local_view_needs_a_secret_that_cannot_be_guessed_and_never_prints_it() {
        let listen = "[local_view]\nlisten = \"0.0.0.0:8889\"\n";
        assert!(complaint(listen).contains("`token` or `token_file`"));
        let short = complaint(&format!("{listen}token = \"secret\"\n"));
        assert!(
            short.starts_with("3: local_view.token: allowed: 16"),
            "{short}"
        );
        assert!(!short.contains("secret"));
        let config = parse(&format!("{listen}token = \"0123456789abcdef\"\n")).unwrap();
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn a_file_that_is_not_toml_is_named_by_line() {
        let complaint = complaint("[video]\nwidth = \n");
        assert!(complaint.starts_with("2: "), "{complaint}");
        assert_eq!(complaint.lines().count(), 1);
    }
}
