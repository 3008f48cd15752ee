//! What a viewer's SDP offer asks for, read before anything is allocated (RFC 8866, RFC 9429).
//!
//! Only what matters to a camera is read: the first video and the first audio section, the payload types under
//! which H.264 and Opus were offered, and the numbers of the header extensions that Heron fills. The rest of the
//! offer is the WebRTC stack's business.

use std::collections::HashMap;

use thiserror::Error;

/// RTP header extensions that a camera fills in.
pub mod extension {
    /// When the frame was captured; lets the viewer show the latency.
    pub const ABS_CAPTURE_TIME: &str =
        "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
    /// How long the viewer may hold a frame back; a camera asks for not at all.
    pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
}

/// Why an offer cannot be answered. The text is what the viewer is told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OfferError {
    /// Neither picture nor sound is asked for, or nothing that the grant allows.
    #[error("the offer has no video or audio section that the grant allows")]
    Nothing,
    /// No H.264 that we can send.
    #[error(
        "the offer's video section has no H.264 with packetization-mode=1 in baseline or main profile"
    )]
    NoH264,
    /// No Opus.
    #[error("the offer's audio section has no opus/48000/2")]
    NoOpus,
    /// The viewer wants to send.
    #[error("the offer's {0} section must be a=recvonly")]
    NotRecvonly(&'static str),
}

/// A payload format that the viewer offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// Its payload type.
    pub payload_type: u8,
    /// Its parameters, as they stand in the offer.
    pub fmtp: String,
    /// The payload type of its retransmissions (RFC 4588), if offered.
    pub rtx: Option<u8>,
    /// `a=rtcp-fb` values for it, as in `nack pli`.
    pub feedback: Vec<String>,
}

/// One section that will be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// What will be sent.
    pub format: Format,
    /// Offered header extensions: URI and number.
    pub extensions: HashMap<String, u8>,
}

impl Section {
    /// The number of an extension, if it was offered and fits a one-byte header (RFC 8285 section 4.2).
    pub fn extension(&self, uri: &str) -> Option<u8> {
        self.extensions
            .get(uri)
            .copied()
            .filter(|id| (1..=14).contains(id))
    }
}

/// What the viewer can receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Picture.
    pub video: Option<Section>,
    /// Sound.
    pub audio: Option<Section>,
}

impl Offer {
    /// Reads an offer; sections that are not allowed are left out as if they were not offered.
    ///
    /// # Errors
    ///
    /// [`OfferError`] when nothing allowed could be sent, or a section could not be answered as asked.
    pub fn read(sdp: &str, allow_video: bool, allow_audio: bool) -> Result<Self, OfferError> {
        let sections = raw_sections(sdp);
        let find = |kind: &'static str, allowed: bool| {
            let section = sections
                .iter()
                .find(|section| section.kind == kind && allowed && !section.rejected)?;
            Some(if section.recvonly {
                Ok(section)
            } else {
                Err(OfferError::NotRecvonly(kind))
            })
        };
        let video = find("video", allow_video).transpose()?;
        let audio = find("audio", allow_audio).transpose()?;
        if video.is_none() && audio.is_none() {
            return Err(OfferError::Nothing);
        }
        let answer = |section: &RawSection<'_>, format: Option<u8>, missing: OfferError| {
            let payload_type = format.ok_or(missing)?;
            Ok(Section {
                format: section.format(payload_type),
                extensions: section.extensions.clone(),
            })
        };
        Ok(Self {
            video: video
                .map(|section| answer(section, section.h264(), OfferError::NoH264))
                .transpose()?,
            audio: audio
                .map(|section| answer(section, section.opus(), OfferError::NoOpus))
                .transpose()?,
        })
    }

    /// The offer as the WebRTC stack may see it: sections that were not allowed are switched off, so that the
    /// answer declines them.
    pub fn restrict(&self, sdp: &str) -> String {
        let mut kind = "";
        let mut restricted = String::with_capacity(sdp.len());
        for line in sdp.lines() {
            if let Some(media) = line.strip_prefix("m=") {
                kind = media.split(' ').next().unwrap_or_default();
            }
            let declined = (kind == "video" && self.video.is_none())
                || (kind == "audio" && self.audio.is_none());
            let line = if declined && line == "a=recvonly" {
                "a=inactive"
            } else {
                line
            };
            restricted.push_str(line);
            restricted.push_str("\r\n");
        }
        restricted
    }
}

/// A media section's lines, sorted by what they say.
#[derive(Debug, Default)]
struct RawSection<'a> {
    kind: &'a str,
    rejected: bool,
    recvonly: bool,
    /// In order of preference.
    payload_types: Vec<u8>,
    codecs: HashMap<u8, &'a str>,
    parameters: HashMap<u8, &'a str>,
    feedback: Vec<(&'a str, &'a str)>,
    extensions: HashMap<String, u8>,
}

fn raw_sections(sdp: &str) -> Vec<RawSection<'_>> {
    let mut sections: Vec<RawSection<'_>> = Vec::new();
    for line in sdp.lines().map(str::trim_end) {
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split(' ');
            sections.push(RawSection {
                kind: words.next().unwrap_or_default(),
                rejected: words.next() == Some("0"),
                payload_types: words.skip(1).filter_map(|word| word.parse().ok()).collect(),
                ..RawSection::default()
            });
        } else if let (Some(section), Some(attribute)) =
            (sections.last_mut(), line.strip_prefix("a="))
        {
            section.read(attribute);
        }
    }
    sections
}

impl<'a> RawSection<'a> {
    fn read(&mut self, attribute: &'a str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        let numbered = || {
            let (number, rest) = value.split_once(' ')?;
            Some((number.parse::<u8>().ok()?, rest))
        };
        match name {
            "recvonly" => self.recvonly = true,
            "rtpmap" => self.codecs.extend(numbered()),
            "fmtp" => self.parameters.extend(numbered()),
            "rtcp-fb" => self.feedback.extend(value.split_once(' ')),
            "extmap" => {
                let Some((number, rest)) = value.split_once(' ') else {
                    return;
                };
                let number = number.split('/').next().unwrap_or_default();
                let uri = rest.split(' ').next().unwrap_or_default();
                if let Ok(number) = number.parse() {
                    self.extensions.insert(uri.to_owned(), number);
                }
            }
            _ => {}
        }
    }

    fn is(&self, payload_type: u8, codec: &str) -> bool {
        self.codecs
            .get(&payload_type)
            .is_some_and(|offered| offered.eq_ignore_ascii_case(codec))
    }

    fn parameter(&self, payload_type: u8, name: &str) -> Option<&'a str> {
        let parameters = self.parameters.get(&payload_type)?;
        parameters.split(';').find_map(|pair| {
            let (key, value) = pair.trim().split_once('=')?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The H.264 that fits a constrained baseline stream best. A decoder for baseline or main profile decodes it
    /// too (RFC 6184 section 8.1, table 5); packetisation mode 1 is needed for fragments.
    fn h264(&self) -> Option<u8> {
        let rank = |payload_type: &u8| {
            if self.parameter(*payload_type, "packetization-mode") != Some("1") {
                return None;
            }
            let profile = self
                .parameter(*payload_type, "profile-level-id")?
                .to_ascii_lowercase();
            match profile.as_bytes() {
                [b'4', b'2', b'e', b'0', ..] => Some(0),
                [b'4', b'2', ..] => Some(1),
                [b'4', b'd', ..] => Some(2),
                _ => None,
            }
        };
        let offered = self
            .payload_types
            .iter()
            .filter(|payload_type| self.is(**payload_type, "H264/90000"));
        let ranked = offered.filter_map(|payload_type| Some((rank(payload_type)?, *payload_type)));
        // min_by_key keeps the first of equals: the viewer's own order of preference.
        ranked
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, payload_type)| payload_type)
    }

    fn opus(&self) -> Option<u8> {
        self.payload_types
            .iter()
            .copied()
            .find(|payload_type| self.is(*payload_type, "opus/48000/2"))
    }

    fn format(&self, payload_type: u8) -> Format {
        let number = payload_type.to_string();
        let rtx = self.payload_types.iter().copied().find(|other| {
            self.is(*other, "rtx/90000") && self.parameter(*other, "apt") == Some(number.as_str())
        });
        let feedback = self
            .feedback
            .iter()
            .filter(|(to, _)| *to == number || *to == "*");
        Format {
            payload_type,
            fmtp: self
                .parameters
                .get(&payload_type)
                .copied()
                .unwrap_or_default()
                .to_owned(),
            rtx,
            feedback: feedback.map(|(_, what)| (*what).to_owned()).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Cut down from what Chromium 150 offers for `addTransceiver(kind, {direction: 'recvonly'})`.
    const CHROMIUM: &str = "v=0\r\n\
        o=- 1 2 IN IP4 127.0.0.1\r\n\
        s=-\r\n\
        t=0 0\r\n\
        a=group:BUNDLE 0 1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 109 114 39 40\r\n\
        a=extmap:1 urn:ietf:params:rtp-hdrext:toffset\r\n\
        a=extmap:5 http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n\
        a=extmap:12/recvonly http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time\r\n\
        a=recvonly\r\n\
        a=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:97 rtx/90000\r\n\
        a=fmtp:97 apt=96\r\n\
        a=rtpmap:103 H264/90000\r\n\
        a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
        a=rtpmap:104 rtx/90000\r\n\
        a=fmtp:104 apt=103\r\n\
        a=rtpmap:107 H264/90000\r\n\
        a=fmtp:107 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f\r\n\
        a=rtpmap:109 H264/90000\r\n\
        a=rtcp-fb:109 nack\r\n\
        a=rtcp-fb:109 nack pli\r\n\
        a=fmtp:109 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
        a=rtpmap:114 rtx/90000\r\n\
        a=fmtp:114 apt=109\r\n\
        a=rtpmap:39 H264/90000\r\n\
        a=fmtp:39 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 9\r\n\
        a=recvonly\r\n\
        a=rtpmap:111 opus/48000/2\r\n\
        a=fmtp:111 minptime=10;useinbandfec=1\r\n";

    #[test]
    fn constrained_baseline_with_its_retransmission_is_found() {
        let offer = Offer::read(CHROMIUM, true, true).unwrap();
        let video = offer.video.unwrap();
        assert_eq!(
            (video.format.payload_type, video.format.rtx),
            (109, Some(114))
        );
        assert_eq!(video.format.feedback, ["nack", "nack pli"]);
        assert!(video.format.fmtp.ends_with("42e01f"));
        assert_eq!(video.extension(extension::ABS_CAPTURE_TIME), Some(12));
        assert_eq!(video.extension(extension::PLAYOUT_DELAY), Some(5));
        assert_eq!(offer.audio.unwrap().format.payload_type, 111);
    }

    #[test]
    fn other_profiles_serve_where_constrained_baseline_is_missing() {
        let payload_type = |sdp: &str| {
            Offer::read(sdp, true, false).map(|offer| offer.video.unwrap().format.payload_type)
        };
        let baseline = CHROMIUM.replace("a=rtpmap:109 H264", "a=rtpmap:109 H265");
        assert_eq!(payload_type(&baseline), Ok(103));
        let main = baseline.replace("a=rtpmap:103 H264", "a=rtpmap:103 H265");
        assert_eq!(payload_type(&main), Ok(39));
        let none = main.replace("a=rtpmap:39 H264", "a=rtpmap:39 H265");
        assert_eq!(payload_type(&none), Err(OfferError::NoH264));
    }

    #[test]
    fn only_what_is_allowed_is_read_and_left_on() {
        let offer = Offer::read(CHROMIUM, true, false).unwrap();
        assert!(offer.audio.is_none());
        let restricted = offer.restrict(CHROMIUM);
        let (video, audio) = restricted.split_once("m=audio").unwrap();
        assert!(video.contains("a=recvonly\r\n") && audio.contains("a=inactive\r\n"));
        assert_eq!(
            Offer::read(CHROMIUM, true, true)
                .unwrap()
                .restrict(CHROMIUM),
            CHROMIUM
        );
        assert_eq!(
            Offer::read(CHROMIUM, false, false),
            Err(OfferError::Nothing)
        );
    }

    #[test]
    fn offers_that_cannot_be_answered_say_why() {
        let sending = CHROMIUM.replace("a=recvonly", "a=sendrecv");
        assert_eq!(
            Offer::read(&sending, true, true),
            Err(OfferError::NotRecvonly("video"))
        );
        let no_opus = CHROMIUM.replace("opus", "speex");
        assert_eq!(Offer::read(&no_opus, true, true), Err(OfferError::NoOpus));
        assert_eq!(Offer::read("v=0\r\n", true, true), Err(OfferError::Nothing));
        let rejected = CHROMIUM
            .replace("m=video 9", "m=video 0")
            .replace("m=audio 9", "m=audio 0");
        assert_eq!(Offer::read(&rejected, true, true), Err(OfferError::Nothing));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(sdp: String) {
            let _ = Offer::read(&sdp, true, true);
        }

        #[test]
        fn any_lines_are_read_or_refused(lines in prop::collection::vec("(m=video|a=rtpmap:|a=fmtp:|a=extmap:|a=)[ -~]{0,40}", 0..20)) {
            let _ = Offer::read(&lines.join("\r\n"), true, true);
        }
    }
}
