//! Our answer, written (RFC 9429 section 5.3, RFC 8839, RFC 8842, RFC 8843).

use std::fmt::Write;

use super::offer::{DataSection, Format, MediaSection, Offer, Section};
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
    /// SSRCs of the picture.
    pub video: Option<VideoSsrcs>,
    /// SSRC of the sound.
    pub audio: Option<u32>,
    /// The largest message we take.
    pub max_message: usize,
}

/// The SSRCs that one picture comes under.
#[derive(Debug, Clone, Copy)]
pub struct VideoSsrcs {
    pub media: u32,
    /// Retransmissions (RFC 4588).
    pub repairs: Option<u32>,
    /// Forward error correction.
    pub parity: Option<u32>,
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
        let mut formats = payload_type.to_string();
        let fec = media.format.fec.as_ref().map(|fec| fec.payload_type);
        for other in [media.format.rtx, fec].into_iter().flatten() {
            let _ = write!(formats, " {other}");
        }
        self.line(format_args!("m={kind} 9 UDP/TLS/RTP/SAVPF {formats}"));
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
        self.format(format);
        if let Some(rtx) = format.rtx {
            self.line(format_args!("a=rtpmap:{rtx} rtx/90000"));
            self.line(format_args!("a=fmtp:{rtx} apt={}", format.payload_type));
        }
        if let Some(fec) = &format.fec {
            self.format(fec);
        }
        if media.direction == Direction::Inactive {
            return;
        }
        let video = parts.video.filter(|_| media.kind == "video");
        let ssrcs = match video {
            Some(ssrcs) => [Some(ssrcs.media), ssrcs.repairs, ssrcs.parity],
            None => [parts.audio.filter(|_| media.kind == "audio"), None, None],
        };
        // RFC 4588 section 8.8, RFC 5956 section 4.1.
        for (semantics, other) in [("FID", ssrcs[1]), ("FEC-FR", ssrcs[2])] {
            if let (Some(ssrc), Some(other)) = (ssrcs[0], other) {
                self.line(format_args!("a=ssrc-group:{semantics} {ssrc} {other}"));
            }
        }
        for ssrc in ssrcs.into_iter().flatten() {
            self.line(format_args!("a=ssrc:{ssrc} cname:{}", parts.cname));
            self.line(format_args!("a=ssrc:{ssrc} msid:{STREAM} {}", media.kind));
        }
    }

    fn format(&mut self, format: &Format) {
        let number = format.payload_type;
        self.line(format_args!("a=rtpmap:{number} {}", format.codec));
        for what in &format.feedback {
            self.line(format_args!("a=rtcp-fb:{number} {what}"));
        }
        if !format.fmtp.is_empty() {
            self.line(format_args!("a=fmtp:{number} {}", format.fmtp));
        }
    }
}
