//! What a viewer's offer asks for, read before anything is allocated (RFC 8866, RFC 9429).

use super::codec;
use super::error::OfferError;
use super::section::{Direction, Extension, RawSection, split};
use crate::codec::VideoCodec;
use crate::config::Rights;
use crate::dtls::Role;
use crate::ice::{Credentials, RemoteCandidate};

/// RTP header extensions that a camera fills in.
pub mod extension {
    /// When the frame was captured; lets the viewer show the latency.
    pub const CAPTURE_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";
    /// How long the viewer may hold a frame back; a camera asks for not at all.
    pub const PLAYOUT_DELAY: &str = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay";
    /// Numbers all packets of the transport, for its feedback.
    pub const TRANSPORT_SEQ: &str =
        "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
    /// Which section a packet belongs to.
    pub const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
}

/// A payload format that will be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    pub payload_type: u8,
    /// As in `H264/90000`.
    pub codec: &'static str,
    /// Its parameters, as they stand in the offer.
    pub fmtp: String,
    /// The payload type of its retransmissions (RFC 4588), if offered.
    pub rtx: Option<u8>,
    /// Its forward error correction, if offered and of use.
    pub fec: Option<Box<Format>>,
    /// `a=rtcp-fb` values that were offered and are of use.
    pub feedback: Vec<String>,
}

/// A section of picture or sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaSection {
    pub kind: &'static str,
    pub mid: String,
    /// Our direction.
    pub direction: Direction,
    pub format: Format,
    /// URI and number of the extensions that will be used.
    pub extensions: Vec<(&'static str, Extension)>,
}

impl MediaSection {
    pub fn extension(&self, uri: &str) -> Option<u8> {
        let found = self.extensions.iter().find(|(other, _)| *other == uri);
        found.map(|(_, extension)| extension.id)
    }

    pub fn sends(&self) -> bool {
        matches!(self.direction, Direction::SendOnly | Direction::SendRecv)
    }
}

/// The section of data channels (RFC 8841).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSection {
    pub mid: String,
    pub port: u16,
    /// The largest message the viewer takes; `None`: any.
    pub max_message: Option<usize>,
}

/// How a section will be answered, in the order of the offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Section {
    Media(MediaSection),
    Data(DataSection),
    /// Declined: its media line but for the port, and its mid.
    Rejected {
        kind: String,
        protocol: String,
        formats: String,
        mid: Option<String>,
    },
}

/// What the viewer wants, and who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub sections: Vec<Section>,
    pub credentials: Credentials,
    /// SHA-256 of the viewer's certificate, as in the offer.
    pub fingerprints: Vec<String>,
    /// Our part in the handshake.
    pub role: Role,
    pub candidates: Vec<RemoteCandidate>,
}

const OPUS: &str = "opus/48000/2";
/// RFC 7587 section 7 wants the channels named; GStreamer's WHEP client leaves them out, and means the same.
const OPUS_OF_GSTREAMER: &str = "opus/48000";

impl Offer {
    /// Reads an offer for a picture of `codec`; sections that are not allowed are answered as inactive.
    ///
    /// # Errors
    ///
    /// [`OfferError`] when nothing allowed could be sent, or a section could not be answered as asked.
    pub fn read(sdp: &str, rights: Rights, codec: VideoCodec) -> Result<Self, OfferError> {
        let mut sections = split(sdp);
        let media = sections.split_off(1);
        let session = sections.pop().unwrap_or_default();
        let bundled: Option<Vec<&str>> = session
            .all("group")
            .find_map(|group| Some(group.strip_prefix("BUNDLE")?.split_whitespace().collect()));

        let mut reader = Reader {
            rights,
            codec,
            video: false,
            audio: false,
            data: false,
        };
        let mut answered = Vec::with_capacity(media.len());
        for (i, section) in media.iter().enumerate() {
            // One transport carries everything: what is not bundled with the rest is declined.
            let alone = match &bundled {
                Some(mids) => !section.get("mid").is_some_and(|mid| mids.contains(&mid)),
                None => i > 0,
            };
            // Port 0 declines a section, unless its port is the bundle's (RFC 8843 section 6).
            let declined = section.port == "0" && section.get("bundle-only").is_none();
            answered.push(if alone || declined {
                rejected(section)
            } else {
                reader.section(section)?
            });
        }
        let useful = |section: &Section| match section {
            Section::Media(media) => media.direction != Direction::Inactive,
            _ => false,
        };
        if !answered.iter().any(useful) {
            return Err(OfferError::Nothing);
        }

        let first = answered
            .iter()
            .position(|section| !matches!(section, Section::Rejected { .. }))
            .and_then(|at| media.get(at))
            .ok_or(OfferError::Nothing)?;
        let get = |name| first.get(name).or_else(|| session.get(name));
        let credentials = Credentials {
            ufrag: get("ice-ufrag")
                .ok_or(OfferError::Missing("a=ice-ufrag"))?
                .to_owned(),
            password: get("ice-pwd")
                .ok_or(OfferError::Missing("a=ice-pwd"))?
                .to_owned(),
        };
        let fingerprints: Vec<String> = first
            .all("fingerprint")
            .chain(session.all("fingerprint"))
            .filter_map(|value| {
                let (algorithm, value) = value.split_once(' ')?;
                algorithm
                    .eq_ignore_ascii_case("sha-256")
                    .then(|| value.trim().to_owned())
            })
            .collect();
        if fingerprints.is_empty() {
            return Err(OfferError::Missing("a=fingerprint:sha-256"));
        }
        let role = match get("setup") {
            Some("active") => Role::Server,
            _ => Role::Client,
        };
        let candidates = media
            .iter()
            .flat_map(|section| section.all("candidate"))
            .filter_map(RemoteCandidate::parse)
            .take(32)
            .collect();
        Ok(Self {
            sections: answered,
            credentials,
            fingerprints,
            role,
            candidates,
        })
    }

    /// The section of a kind that will be answered.
    pub fn media(&self, kind: &str) -> Option<&MediaSection> {
        self.sections.iter().find_map(|section| match section {
            Section::Media(media) if media.kind == kind => Some(media),
            _ => None,
        })
    }

    pub fn data(&self) -> Option<&DataSection> {
        self.sections.iter().find_map(|section| match section {
            Section::Data(data) => Some(data),
            _ => None,
        })
    }

    /// Whether another offer asks for the same media of the same viewer, so that it can only be an ICE restart.
    pub fn is_same_session(&self, other: &Self) -> bool {
        self.sections == other.sections && self.fingerprints == other.fingerprints
    }
}

/// Takes one section of each kind.
struct Reader {
    rights: Rights,
    codec: VideoCodec,
    video: bool,
    audio: bool,
    data: bool,
}

impl Reader {
    fn section(&mut self, section: &RawSection<'_>) -> Result<Section, OfferError> {
        let rtp = section.protocol.ends_with("RTP/SAVPF");
        match section.kind {
            "video" if rtp && !std::mem::replace(&mut self.video, true) => {
                video(section, self.rights, self.codec)
            }
            "audio" if rtp && !std::mem::replace(&mut self.audio, true) => {
                audio(section, self.rights)
            }
            "application"
                if self.rights.control
                    && section.protocol.ends_with("DTLS/SCTP")
                    && section.formats.first() == Some(&"webrtc-datachannel")
                    && !std::mem::replace(&mut self.data, true) =>
            {
                let number = |name| {
                    section
                        .get(name)
                        .and_then(|value| value.trim().parse::<u64>().ok())
                };
                Ok(Section::Data(DataSection {
                    mid: section.get("mid").unwrap_or_default().to_owned(),
                    port: number("sctp-port")
                        .and_then(|port| port.try_into().ok())
                        .unwrap_or(5000),
                    // RFC 8841 section 6.1: 64 KiB if not said, 0 for any.
                    max_message: match number("max-message-size") {
                        None => Some(65_536),
                        Some(0) => None,
                        Some(size) => usize::try_from(size).ok(),
                    },
                }))
            }
            _ => Ok(rejected(section)),
        }
    }
}

fn video(
    section: &RawSection<'_>,
    rights: Rights,
    codec: VideoCodec,
) -> Result<Section, OfferError> {
    if !rights.video || section.direction() == Direction::Inactive {
        return Ok(inactive(
            section,
            "video",
            codec::payload_type(section, codec),
            codec.rtpmap(),
        ));
    }
    if section.direction() != Direction::RecvOnly {
        return Err(OfferError::NotRecvonly("video"));
    }
    let payload_type = codec::payload_type(section, codec).ok_or(OfferError::NoCodec(codec))?;
    Ok(Section::Media(MediaSection {
        kind: "video",
        mid: section.get("mid").unwrap_or_default().to_owned(),
        direction: Direction::SendOnly,
        format: Format {
            fec: flexfec(section),
            ..format(
                section,
                payload_type,
                codec.rtpmap(),
                &["goog-remb", "transport-cc", "ccm fir", "nack", "nack pli"],
            )
        },
        extensions: extensions(
            section,
            &[
                extension::CAPTURE_TIME,
                extension::PLAYOUT_DELAY,
                extension::TRANSPORT_SEQ,
                extension::MID,
            ],
        ),
    }))
}

fn audio(section: &RawSection<'_>, rights: Rights) -> Result<Section, OfferError> {
    let talks = matches!(
        section.direction(),
        Direction::SendRecv | Direction::SendOnly
    );
    let listens = matches!(
        section.direction(),
        Direction::SendRecv | Direction::RecvOnly
    );
    let opus = section.payload_types().find(|payload_type| {
        section.is(*payload_type, OPUS) || section.is(*payload_type, OPUS_OF_GSTREAMER)
    });
    let direction = match (listens && rights.audio, talks && rights.talk) {
        (false, false) => return Ok(inactive(section, "audio", opus, OPUS)),
        // A microphone that is offered without the right to talk stays unheard: sound goes one way.
        (true, false) => Direction::SendOnly,
        (false, true) => Direction::RecvOnly,
        (true, true) => Direction::SendRecv,
    };
    let payload_type = opus.ok_or(OfferError::NoOpus)?;
    Ok(Section::Media(MediaSection {
        kind: "audio",
        mid: section.get("mid").unwrap_or_default().to_owned(),
        direction,
        format: format(section, payload_type, OPUS, &["transport-cc"]),
        extensions: extensions(
            section,
            &[
                extension::CAPTURE_TIME,
                extension::TRANSPORT_SEQ,
                extension::MID,
            ],
        ),
    }))
}

/// A section that stays shut: the format that it would have is named, as an answer must name one.
fn inactive(
    section: &RawSection<'_>,
    kind: &'static str,
    payload_type: Option<u8>,
    codec: &'static str,
) -> Section {
    let Some(payload_type) = payload_type else {
        return rejected(section);
    };
    Section::Media(MediaSection {
        kind,
        mid: section.get("mid").unwrap_or_default().to_owned(),
        direction: Direction::Inactive,
        format: Format {
            rtx: None,
            ..format(section, payload_type, codec, &[])
        },
        extensions: extensions(section, &[extension::MID]),
    })
}

fn rejected(section: &RawSection<'_>) -> Section {
    Section::Rejected {
        kind: section.kind.to_owned(),
        protocol: section.protocol.to_owned(),
        formats: section.formats.join(" "),
        mid: section.get("mid").map(str::to_owned),
    }
}

fn format(
    section: &RawSection<'_>,
    payload_type: u8,
    codec: &'static str,
    feedback: &[&str],
) -> Format {
    let number = payload_type.to_string();
    let mut used: Vec<String> = Vec::new();
    for what in section.feedback(payload_type) {
        if feedback.contains(&what) && !used.iter().any(|other| other == what) {
            used.push(what.to_owned());
        }
    }
    Format {
        payload_type,
        codec,
        fmtp: section
            .numbered("fmtp", payload_type)
            .unwrap_or_default()
            .to_owned(),
        rtx: section.payload_types().find(|other| {
            section.is(*other, "rtx/90000")
                && section.parameter(*other, "apt") == Some(number.as_str())
        }),
        fec: None,
        feedback: used,
    }
}

/// The forward error correction that is spoken: FlexFEC in the version that browsers have.
fn flexfec(section: &RawSection<'_>) -> Option<Box<Format>> {
    const CODEC: &str = "flexfec-03/90000";
    let payload_type = section
        .payload_types()
        .find(|payload_type| section.is(*payload_type, CODEC))?;
    let feedback = ["goog-remb", "transport-cc"];
    Some(Box::new(format(section, payload_type, CODEC, &feedback)))
}

fn extensions(section: &RawSection<'_>, used: &[&'static str]) -> Vec<(&'static str, Extension)> {
    let offered = section.extensions();
    used.iter()
        .filter_map(|uri| Some((*uri, *offered.get(uri)?)))
        .collect()
}
