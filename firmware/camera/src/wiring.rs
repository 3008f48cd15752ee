//! The media's words and the session's for the same things: neither crate knows the other.

use heron_media::{ExecStream, PixelFormat, Rung, RungTarget, SourceConfig};
use heron_session::{LadderConfig, RungConfig, VideoCodec};

use crate::config::{Audio, Video, VideoSource};

/// The session's word for a rung.
pub const fn session_rung(rung: Rung) -> heron_session::Rung {
    match rung {
        Rung::Main => heron_session::Rung::Main,
        Rung::Sub => heron_session::Rung::Sub,
    }
}

/// The media's word for a rung.
pub const fn media_rung(rung: heron_session::Rung) -> Rung {
    match rung {
        heron_session::Rung::Main => Rung::Main,
        heron_session::Rung::Sub => Rung::Sub,
    }
}

/// What the encoders are to give, in the media's words.
pub fn targets(wanted: [Option<heron_session::RungTarget>; 2]) -> [Option<RungTarget>; 2] {
    wanted.map(|target| {
        target.map(|target| RungTarget {
            bitrate: target.bitrate,
            fps: target.fps,
        })
    })
}

/// Headers of a sound packet on the wire, 50 times a second: IP, UDP, RTP with extensions, and SRTP's tag.
const SOUND_HEADERS_BPS: u32 = 80 * 8 * 50;

/// What picture and sound need on the wire at their best, in bits a second.
pub fn bitrate_bps(video: &Video, audio: &Audio) -> u64 {
    u64::from(video.bitrate_bps) + u64::from(audio.bitrate_bps + SOUND_HEADERS_BPS)
}

/// What the session may ask of the encoders.
pub fn ladder(video: &Video, audio: &Audio) -> LadderConfig {
    let adapts = !encodes_itself(&video.source);
    let main = RungConfig {
        max_bps: video.bitrate_bps,
        // A picture of this size is still worth more than a smaller one at a quarter of its best bitrate.
        floor_bps: video.bitrate_bps / 4,
        fps: video.fps,
        adapts,
    };
    let sub = video.sub.as_ref().filter(|_| adapts);
    LadderConfig {
        main,
        sub: sub.map(|sub| RungConfig {
            max_bps: sub.bitrate_bps,
            floor_bps: sub.bitrate_bps / 5,
            fps: sub.fps,
            adapts,
        }),
        audio_bps: audio.bitrate_bps + SOUND_HEADERS_BPS,
        ..LadderConfig::default()
    }
}

/// How the picture comes to the viewers. It stands in an answer before the source was ever opened.
pub fn codec(source: &VideoSource) -> VideoCodec {
    let codec = match source {
        VideoSource::Auto(Some(PixelFormat::Hevc)) => heron_media::VideoCodec::H265,
        VideoSource::Auto(_) => heron_media::VideoCodec::H264,
        VideoSource::Fixed(source) => source.codec(),
    };
    match codec {
        heron_media::VideoCodec::H264 => VideoCodec::H264,
        heron_media::VideoCodec::H265 => VideoCodec::H265,
        heron_media::VideoCodec::Av1 => VideoCodec::Av1,
    }
}

/// Whether the source is known to give an encoded picture: its bitrate is its own, and it has no second size.
fn encodes_itself(source: &VideoSource) -> bool {
    match source {
        VideoSource::Auto(format) | VideoSource::Fixed(SourceConfig::V4l2 { format, .. }) => {
            format.is_some_and(PixelFormat::is_encoded)
        }
        // What the child writes is known only when it does, and it is H.264 more often than not.
        VideoSource::Fixed(SourceConfig::Exec { stream, .. }) => *stream != ExecStream::Y4m,
        VideoSource::Fixed(_) => false,
    }
}
