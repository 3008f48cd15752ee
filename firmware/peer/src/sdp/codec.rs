//! Which of an offer's payload types fits the camera's picture.

use super::section::RawSection;
use crate::codec::VideoCodec;

/// The payload type that fits best, of equals the one that the viewer likes best; `None`: the viewer cannot take it.
pub fn payload_type(section: &RawSection<'_>, codec: VideoCodec) -> Option<u8> {
    section
        .payload_types()
        .filter(|payload_type| section.is(*payload_type, codec.rtpmap()))
        .filter_map(|payload_type| {
            let parameter = |name| section.parameter(payload_type, name);
            let rank = match codec {
                VideoCodec::H264 => h264(parameter),
                VideoCodec::H265 => h265(parameter),
                VideoCodec::Av1 => av1(parameter),
            };
            Some((rank?, payload_type))
        })
        // The first of equals.
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, payload_type)| payload_type)
}

/// Less is better for a constrained baseline stream. A decoder for baseline or main profile decodes it too
/// (RFC 6184 section 8.1, table 5); packetisation mode 1 is needed for fragments.
fn h264<'a>(parameter: impl Fn(&'static str) -> Option<&'a str>) -> Option<u8> {
    if parameter("packetization-mode") != Some("1") {
        return None;
    }
    let profile = parameter("profile-level-id")?.to_ascii_lowercase();
    match profile.as_bytes() {
        [b'4', b'2', b'e', b'0', ..] => Some(0),
        [b'4', b'2', ..] => Some(1),
        [b'4', b'd', ..] => Some(2),
        _ => None,
    }
}

/// Main profile, which is what is meant where none is named, in one stream (RFC 7798 section 7.1).
fn h265<'a>(parameter: impl Fn(&'static str) -> Option<&'a str>) -> Option<u8> {
    let one_stream = parameter("tx-mode").is_none_or(|mode| mode == "SRST");
    // A stream out of order would need a buffer that a camera's viewer does not want.
    let in_order = parameter("sprop-max-don-diff").is_none_or(|difference| difference == "0");
    let main = parameter("profile-id").is_none_or(|profile| profile == "1");
    (one_stream && in_order && main).then_some(0)
}

/// Main profile, which is what is meant where none is named (AV1 RTP payload format section 7.2.1).
fn av1<'a>(parameter: impl Fn(&'static str) -> Option<&'a str>) -> Option<u8> {
    let main = parameter("profile").is_none_or(|profile| profile == "0");
    main.then_some(0)
}
