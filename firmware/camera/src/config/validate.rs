//! From the file's shape to a usable config: defaults, ranges, and keys that belong together.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use heron_agent::{Introduction, check_authorities};
use heron_media::{AudioSourceConfig, EncoderChoice, ExecStream, PixelFormat, SourceConfig};

use heron_protocol::DeviceId;

use super::file::{
    AudioSection, AudioSourceName, ConfigFile, EncoderName, EnrolmentSection, FormatName,
    IntroductionName, LocalViewSection, MetricsSection, SessionSection, StreamName, SubSection,
    VideoSection, VideoSourceName, Whole,
};
use super::problem::Problems;
use super::{
    Audio, AudioSource, Config, ConfigError, Enrolment, LocalView, Session, Sub, Token, Video,
    VideoSource,
};

const BUNDLE: &str = "/etc/heron/bundle.toml";
/// The boot partition of a Raspberry Pi, which any computer can write to.
const CLAIM_FILE: &str = "/boot/firmware/heron-claim.toml";
/// A serial number goes into a certificate's subject.
const SERIAL_CHARACTERS: usize = 64;

/// What H.264 level 5.1 can hold, in either direction.
const SIDE: RangeInclusive<u32> = 16..=3840;
const FPS: RangeInclusive<u32> = 1..=120;
/// Above this the Raspberry Pi's encoder refuses.
const VIDEO_KBPS: RangeInclusive<u32> = 50..=20_000;
const GOP_S: RangeInclusive<u32> = 0..=600;
const VIEWERS: RangeInclusive<u32> = 1..=256;
/// 0 for any.
const PORT: RangeInclusive<u32> = 0..=65_535;
/// Shorter ones can be guessed: 16 characters of hexadecimal digits are 64 bits.
const TOKEN_CHARACTERS: usize = 16;
/// RFC 6716, section 2.1.1, and what two channels can use.
const AUDIO_KBPS: RangeInclusive<u32> = 6..=256;
const CHANNELS: RangeInclusive<u32> = 1..=2;

/// Checks every value, and says everything that is wrong rather than the first.
pub fn validate(path: &Path, text: &str, file: ConfigFile) -> Result<Config, ConfigError> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut problems = Problems::new(text);
    let config = Config {
        bundle: folder.join(file.bundle.as_deref().unwrap_or(BUNDLE)),
        enrolment: enrolment(&mut problems, folder, file.enrolment),
        video: video(&mut problems, folder, file.video),
        audio: audio(&mut problems, file.audio),
        session: session(&mut problems, file.session),
        local_view: file
            .local_view
            .and_then(|section| local_view(&mut problems, folder, section)),
        metrics: file
            .metrics
            .and_then(|section| metrics(&mut problems, &section)),
    };
    problems.finish(path, config)
}

fn enrolment(problems: &mut Problems<'_>, folder: &Path, section: EnrolmentSection) -> Enrolment {
    let server = section
        .server
        .and_then(|text| noted(problems, "enrolment.server", text.trim().parse()));
    if let Some(Err(reason)) = section.ca.as_deref().map(check_authorities) {
        problems.note("enrolment.ca", reason);
    }
    let by = match section.by.unwrap_or_default() {
        IntroductionName::Pairing => Introduction::Pairing,
        IntroductionName::Factory => Introduction::Factory,
    };
    if by == Introduction::Factory && server.is_none() {
        problems.note(
            "enrolment.by",
            "needs `server`, the control plane that has the factory list",
        );
    }
    if let Some(serial) = &section.serial
        && !is_serial(serial)
    {
        problems.note(
            "enrolment.serial",
            format_args!("allowed: 1 to {SERIAL_CHARACTERS} letters, digits, and -._:"),
        );
    }
    Enrolment {
        claim_file: folder.join(section.claim_file.as_deref().unwrap_or(CLAIM_FILE)),
        server,
        ca: section.ca,
        by,
        device: section
            .device
            .and_then(|text| noted(problems, "enrolment.device", text.parse::<DeviceId>())),
        serial: section.serial,
    }
}

/// A serial number that can stand in a certificate.
pub fn is_serial(serial: &str) -> bool {
    (1..=SERIAL_CHARACTERS).contains(&serial.len())
        && serial
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte))
}

/// A value, or its error as a problem of `key`.
fn noted<T, E: std::fmt::Display>(
    problems: &mut Problems<'_>,
    key: &str,
    value: Result<T, E>,
) -> Option<T> {
    value.map_err(|error| problems.note(key, error)).ok()
}

fn video(problems: &mut Problems<'_>, folder: &Path, section: VideoSection) -> Video {
    use VideoSourceName as Name;

    let name = section.source.unwrap_or_default();
    for (key, given, used) in [
        ("device", section.device.is_some(), name == Name::V4l2),
        ("path", section.path.is_some(), name == Name::Y4m),
        ("command", section.command.is_some(), name == Name::Exec),
        ("stream", section.stream.is_some(), name == Name::Exec),
        (
            "format",
            section.format.is_some(),
            matches!(name, Name::Auto | Name::V4l2),
        ),
    ] {
        if given && !used {
            ignored(problems, &format!("video.{key}"), key);
        }
    }
    let format = section.format.and_then(pixel_format);
    let source = match name {
        Name::Auto => VideoSource::Auto(format),
        Name::V4l2 => VideoSource::Fixed(SourceConfig::V4l2 {
            device: section.device.map(PathBuf::from),
            format,
        }),
        Name::Y4m => VideoSource::Fixed(SourceConfig::Y4m {
            path: folder.join(y4m_path(problems, section.path)),
        }),
        Name::Exec => VideoSource::Fixed(SourceConfig::Exec {
            command: command(problems, section.command),
            stream: match section.stream.unwrap_or_default() {
                StreamName::Auto => ExecStream::Auto,
                StreamName::Y4m => ExecStream::Y4m,
                StreamName::H264 => ExecStream::H264,
                StreamName::H265 => ExecStream::H265,
                StreamName::Av1 => ExecStream::Av1,
            },
        }),
        Name::Pattern => VideoSource::Fixed(SourceConfig::Pattern),
    };
    let kbps = within(
        problems,
        "video.bitrate_kbps",
        section.bitrate_kbps,
        2500,
        VIDEO_KBPS,
    );
    let gop_s = within(problems, "video.gop_s", section.gop_s, 0, GOP_S);
    let width = even(problems, "video.width", section.width, 1280);
    let height = even(problems, "video.height", section.height, 720);
    let fps = within(problems, "video.fps", section.fps, 30, FPS);
    Video {
        source,
        width,
        height,
        fps,
        bitrate_bps: 1000 * kbps,
        key_interval: Duration::from_secs(gop_s.into()),
        encoder: match section.encoder.unwrap_or_default() {
            EncoderName::Auto => EncoderChoice::Auto,
            EncoderName::Hardware => EncoderChoice::Hardware,
            EncoderName::Software => EncoderChoice::Software,
        },
        sub: sub(problems, &section.sub, (width, height), fps, kbps),
    }
}

/// The smaller stream; unless told otherwise it has half the sides, and what that needs.
fn sub(
    problems: &mut Problems<'_>,
    section: &SubSection,
    (width, height): (u32, u32),
    fps: u32,
    kbps: u32,
) -> Option<Sub> {
    let half = |side: u32| (side / 2).next_multiple_of(2).max(*SIDE.start());
    let sub = Sub {
        width: even(problems, "video.sub.width", section.width, half(width)),
        height: even(problems, "video.sub.height", section.height, half(height)),
        fps: within(problems, "video.sub.fps", section.fps, fps, FPS),
        bitrate_bps: 1000
            * within(
                problems,
                "video.sub.bitrate_kbps",
                section.bitrate_kbps,
                (kbps * 3 / 10).max(*VIDEO_KBPS.start()),
                VIDEO_KBPS,
            ),
    };
    if sub.width > width || sub.height > height || sub.fps > fps {
        problems.note(
            "video.sub",
            format_args!(
                "is {}x{} at {} fps; allowed: at most what [video] has, {width}x{height} at {fps} fps",
                sub.width, sub.height, sub.fps
            ),
        );
    }
    section.enabled.unwrap_or(true).then_some(sub)
}

fn y4m_path(problems: &mut Problems<'_>, path: Option<String>) -> String {
    path.filter(|path| !path.is_empty()).unwrap_or_else(|| {
        problems.note(
            "video.path",
            "missing; source = \"y4m\" needs it: a file or FIFO",
        );
        String::new()
    })
}

fn command(problems: &mut Problems<'_>, command: Option<Vec<String>>) -> Vec<String> {
    let usable = |command: &Vec<String>| command.first().is_some_and(|program| !program.is_empty());
    command.filter(usable).unwrap_or_else(|| {
        problems.note(
            "video.command",
            "missing or empty; source = \"exec\" needs it: [\"program\", \"argument\", ...]",
        );
        Vec::new()
    })
}

fn pixel_format(name: FormatName) -> Option<PixelFormat> {
    match name {
        FormatName::Auto => None,
        FormatName::Yuyv => Some(PixelFormat::Yuyv),
        FormatName::Nv12 => Some(PixelFormat::Nv12),
        FormatName::Yu12 => Some(PixelFormat::Yu12),
        FormatName::Mjpeg => Some(PixelFormat::Mjpeg),
        FormatName::H264 => Some(PixelFormat::H264),
        FormatName::Hevc => Some(PixelFormat::Hevc),
    }
}

fn session(problems: &mut Problems<'_>, section: SessionSection) -> Session {
    let bind = section.bind.unwrap_or_default();
    let bind = bind.iter().filter_map(|text| {
        let address = text.parse().ok();
        if address.is_none() {
            problems.note(
                "session.bind",
                format_args!("{text:?} is not ADDRESS:PORT, as in 192.168.1.5:0"),
            );
        }
        address
    });
    Session {
        bind: bind.collect(),
        max_viewers: within(
            problems,
            "session.max_viewers",
            section.max_viewers,
            16,
            VIEWERS,
        ) as usize,
        udp_port: u16::try_from(within(
            problems,
            "session.udp_port",
            section.udp_port,
            0,
            PORT,
        ))
        .unwrap_or_default(),
        tcp: section.tcp.unwrap_or(true),
    }
}

fn local_view(
    problems: &mut Problems<'_>,
    folder: &Path,
    section: LocalViewSection,
) -> Option<LocalView> {
    let listen = section.listen.parse().ok();
    if listen.is_none() {
        problems.note(
            "local_view.listen",
            format_args!(
                "{:?} is not ADDRESS:PORT, as in 0.0.0.0:8889",
                section.listen
            ),
        );
    }
    let token = match (section.token, section.token_file) {
        (Some(token), None) if is_token(&token) => Token::Given(token),
        (Some(_), None) => {
            problems.note(
                "local_view.token",
                format_args!(
                    "allowed: {TOKEN_CHARACTERS} to 256 letters, digits, and -._~+/=, as `openssl rand -hex 16` prints"
                ),
            );
            return None;
        }
        (None, Some(file)) if !file.is_empty() => Token::File(folder.join(file)),
        _ => {
            problems.note(
                "local_view",
                "needs either `token` or `token_file`: whoever knows the token sees the camera",
            );
            return None;
        }
    };
    Some(LocalView {
        listen: listen?,
        token,
    })
}

/// A bearer token (RFC 6750 section 2.1) of a length that cannot be guessed.
pub fn is_token(token: &str) -> bool {
    (TOKEN_CHARACTERS..=256).contains(&token.len())
        && token
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

fn audio(problems: &mut Problems<'_>, section: AudioSection) -> Audio {
    use AudioSourceName as Name;

    let name = section.source.unwrap_or_default();
    if section.device.is_some() && name != Name::Alsa {
        ignored(problems, "audio.device", "device");
    }
    let source = match name {
        Name::Auto => AudioSource::Auto,
        Name::Alsa => AudioSource::Fixed(AudioSourceConfig::Alsa {
            device: section.device.unwrap_or_else(|| "default".to_owned()),
        }),
        Name::Tone => AudioSource::Fixed(AudioSourceConfig::Tone),
        Name::None => AudioSource::None,
    };
    let channels = within(problems, "audio.channels", section.channels, 1, CHANNELS);
    Audio {
        source,
        loudspeaker: section.loudspeaker.filter(|device| device != "none"),
        channels: if channels == 2 { 2 } else { 1 },
        bitrate_bps: 1000
            * within(
                problems,
                "audio.bitrate_kbps",
                section.bitrate_kbps,
                32,
                AUDIO_KBPS,
            ),
    }
}

fn metrics(problems: &mut Problems<'_>, section: &MetricsSection) -> Option<SocketAddr> {
    const KEY: &str = "metrics.listen";
    match section.listen.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Some(address),
        Ok(address) => {
            problems.note(
                KEY,
                format_args!("{address} is reachable by others; allowed: a loopback address, as in 127.0.0.1:9100"),
            );
            None
        }
        Err(_) => {
            problems.note(
                KEY,
                format_args!(
                    "{:?} is not ADDRESS:PORT, as in 127.0.0.1:9100",
                    section.listen
                ),
            );
            None
        }
    }
}

/// A value that the chosen source would ignore: most likely the source is what was forgotten.
fn ignored(problems: &mut Problems<'_>, path: &str, key: &str) {
    let sources = match key {
        "device" if path.starts_with("audio") => "\"alsa\"",
        "device" => "\"v4l2\"",
        "path" => "\"y4m\"",
        "format" => "\"auto\" or \"v4l2\"",
        _ => "\"exec\"",
    };
    problems.note(
        path,
        format_args!("only used with source = {sources}; set that, or leave this out"),
    );
}

fn within(
    problems: &mut Problems<'_>,
    key: &str,
    value: Option<Whole>,
    default: u32,
    allowed: RangeInclusive<u32>,
) -> u32 {
    let Some(Whole(value)) = value else {
        return default;
    };
    match u32::try_from(value) {
        Ok(value) if allowed.contains(&value) => value,
        _ => {
            problems.note(
                key,
                format_args!(
                    "is {value}; allowed: {} to {}",
                    allowed.start(),
                    allowed.end()
                ),
            );
            default
        }
    }
}

/// A side of the picture: chroma is halved, so it must be even.
fn even(problems: &mut Problems<'_>, key: &str, value: Option<Whole>, default: u32) -> u32 {
    let side = within(problems, key, value, default, SIDE);
    if side % 2 == 1 {
        problems.note(
            key,
            format_args!(
                "is {side}; allowed: even numbers from {} to {}",
                SIDE.start(),
                SIDE.end()
            ),
        );
    }
    side
}
