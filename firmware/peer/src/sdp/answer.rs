//! Our answer, written (RFC 9429 section 5.3, RFC 8839, RFC 8842, RFC 8843).

use std::fmt::Write;

use super::offer::{DataSection, MediaSection, Offer, Section};
use super::section::Direction;
use crate::dtls::Role;
use crate::ice::{Credentials, LocalCandidate};

/// The media stream that picture and sound belong to; being of one stream, the viewer plays them in step.
const STREAM: &str = "heron";

/// What an answer says beside the offer.
#[derive(Debug)]
pub struct AnswerParts<'a> {
    pub offer: &'a Offer,
    pub session_id: u64,
    pub version: u64,
    pub credentials: &'a Credentials,
    pub fingerprint: &'a str,
    pub candidates: &'a [LocalCandidate],
    pub trickle: bool,
    pub cname: &'a str,
    /// SSRC of the picture and of its repairs.
    pub video: Option<(u32, Option<u32>)>,
    /// SSRC of the sound.
    pub audio: Option<u32>,
    /// The largest message we take.
    pub max_message: usize,
}

/// Writes the answer.
pub fn write(parts: &AnswerParts<'_>) -> String {
    let mut sdp = format!(
        "v=0\r\no=- {} {} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n",
        parts.session_id, parts.version
    );
    let mut writer = Writer { sdp: &mut sdp };
    let mids: Vec<&str> = parts.offer.sections.iter().filter_map(mid).collect();
    if mids.iter().any(|mid| !mid.is_empty()) {
        writer.line(format_args!("a=group:BUNDLE {}", mids.join(" ")));
    }
    writer.line(format_args!("a=msid-semantic: WMS {STREAM}"));
    let mut first = true;
    for section in &parts.offer.sections {
        match section {
            Section::Media(media) => {
                writer.media(media);
                writer.transport(parts, &media.mid, std::mem::replace(&mut first, false));
                writer.formats(media, parts);
            }
            Section::Data(data) => {
                writer.line("m=application 9 UDP/DTLS/SCTP webrtc-datachannel");
                writer.line("c=IN IP4 0.0.0.0");
                writer.transport(parts, &data.mid, std::mem::replace(&mut first, false));
                writer.line(format_args!("a=sctp-port:{}", data.port));
                writer.line(format_args!("a=max-message-size:{}", parts.max_message));
            }
            Section::Rejected {
                kind,
                protocol,
                formats,
                mid,
            } => {
                writer.line(format_args!("m={kind} 0 {protocol} {formats}"));
                writer.line("c=IN IP4 0.0.0.0");
                if let Some(mid) = mid {
                    writer.line(format_args!("a=mid:{mid}"));
                }
            }
        }
    }
    sdp
}

fn mid(section: &Section) -> Option<&str> {
    match section {
        Section::Media(MediaSection { mid, .. }) | Section::Data(DataSection { mid, .. }) => {
            Some(mid)
        }
        Section::Rejected { .. } => None,
    }
}

struct Writer<'a> {
    sdp: &'a mut String,
}

impl Writer<'_> {
    fn line(&mut self, line: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.sdp, "{line}\r\n");
    }

    fn media(&mut self, media: &MediaSection) {
        let (kind, payload_type) = (media.kind, media.format.payload_type);
        match media.format.rtx {
            Some(rtx) => self.line(format_args!(
                "m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type} {rtx}"
            )),
            None => self.line(format_args!("m={kind} 9 UDP/TLS/RTP/SAVPF {payload_type}")),
        }
        self.line("c=IN IP4 0.0.0.0");
        self.line("a=rtcp:9 IN IP4 0.0.0.0");
    }

    /// The transport, which all sections share; its candidates stand in the first.
    fn transport(&mut self, parts: &AnswerParts<'_>, mid: &str, first: bool) {
        if first {
            for candidate in parts.candidates {
                self.line(format_args!("a={candidate}"));
            }
            if !parts.trickle {
                self.line("a=end-of-candidates");
            }
        }
        self.line(format_args!("a=ice-ufrag:{}", parts.credentials.ufrag));
        self.line(format_args!("a=ice-pwd:{}", parts.credentials.password));
        self.line("a=ice-options:trickle");
        self.line(format_args!("a=fingerprint:{}", parts.fingerprint));
        self.line(match parts.offer.role {
            Role::Client => "a=setup:active",
            Role::Server => "a=setup:passive",
        });
        if !mid.is_empty() {
            self.line(format_args!("a=mid:{mid}"));
        }
    }

    fn formats(&mut self, media: &MediaSection, parts: &AnswerParts<'_>) {
        for (uri, extension) in &media.extensions {
            let direction = if extension.directed { "/sendonly" } else { "" };
            self.line(format_args!("a=extmap:{}{direction} {uri}", extension.id));
        }
        self.line(format_args!("a={}", media.direction.name()));
        if media.sends() {
            self.line(format_args!("a=msid:{STREAM} {}", media.kind));
        }
        self.line("a=rtcp-mux");
        self.line("a=rtcp-rsize");
        let format = &media.format;
        let number = format.payload_type;
        self.line(format_args!("a=rtpmap:{number} {}", format.codec));
        for what in &format.feedback {
            self.line(format_args!("a=rtcp-fb:{number} {what}"));
        }
        if !format.fmtp.is_empty() {
            self.line(format_args!("a=fmtp:{number} {}", format.fmtp));
        }
        if let Some(rtx) = format.rtx {
            self.line(format_args!("a=rtpmap:{rtx} rtx/90000"));
            self.line(format_args!("a=fmtp:{rtx} apt={number}"));
        }
        if media.direction == Direction::Inactive {
            return;
        }
        let (ssrc, repairs) = match media.kind {
            "video" => parts
                .video
                .map_or((None, None), |(ssrc, rtx)| (Some(ssrc), rtx)),
            _ => (parts.audio, None),
        };
        if let (Some(ssrc), Some(rtx)) = (ssrc, repairs) {
            self.line(format_args!("a=ssrc-group:FID {ssrc} {rtx}"));
        }
        for ssrc in [ssrc, repairs].into_iter().flatten() {
            self.line(format_args!("a=ssrc:{ssrc} cname:{}", parts.cname));
            self.line(format_args!("a=ssrc:{ssrc} msid:{STREAM} {}", media.kind));
        }
    }
}
