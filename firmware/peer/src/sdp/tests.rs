use proptest::prelude::*;

use super::answer::{AnswerParts, VideoSsrcs, write};
use super::offer::{MediaSection, Offer};
use super::section::Direction;
use super::*;
use crate::codec::VideoCodec;
use crate::config::Rights;
use crate::dtls::Role;
use crate::ice::{Credentials, LocalCandidate};

const CHROMIUM: &str = include_str!("../../tests/sdp/chromium.sdp");
const CHROMIUM_TALK: &str = include_str!("../../tests/sdp/chromium-talk.sdp");
const GSTREAMER: &str = include_str!("../../tests/sdp/gstreamer.sdp");
const FIREFOX: &str = include_str!("../../tests/sdp/firefox.sdp");

const ALL: Rights = Rights {
    video: true,
    audio: true,
    talk: true,
    control: true,
};

fn answer(sdp: &str, rights: Rights) -> String {
    answer_with(sdp, rights, VideoCodec::H264)
}

fn answer_with(sdp: &str, rights: Rights, codec: VideoCodec) -> String {
    let offer = Offer::read(sdp, rights, codec).unwrap();
    let credentials = Credentials {
        ufrag: "UFRAG".to_owned(),
        password: "PASSWORD".to_owned(),
    };
    let sends = |kind| offer.media(kind).is_some_and(MediaSection::sends);
    write(&AnswerParts {
        session_id: 1,
        version: 1,
        credentials: &credentials,
        fingerprint: "sha-256 AA:BB",
        candidates: &[LocalCandidate::host("192.0.2.1:5000".parse().unwrap())],
        trickle: false,
        cname: "CNAME",
        video: sends("video").then(|| VideoSsrcs {
            media: 1001,
            repairs: Some(1002),
            parity: offer
                .media("video")
                .and_then(|video| video.format.fec.as_ref())
                .map(|_| 1004),
        }),
        audio: sends("audio").then_some(1003),
        max_message: 65536,
        offer: &offer,
    })
}

/// Compares with the file of the answer beside the offer; writes it where `HERON_BLESS` is set.
fn golden(name: &str, answer: &str, expected: &str) {
    if std::env::var_os("HERON_BLESS").is_some() {
        let file = format!("{}/tests/sdp/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(file, answer.replace("\r\n", "\n")).unwrap();
    } else {
        assert_eq!(answer.replace("\r\n", "\n"), expected);
    }
}

#[test]
fn chromium_is_answered() {
    let expected = include_str!("../../tests/sdp/chromium.answer.sdp");
    golden("chromium.answer.sdp", &answer(CHROMIUM, ALL), expected);
    let offer = Offer::read(CHROMIUM, ALL, VideoCodec::H264).unwrap();
    assert_eq!(offer.role, Role::Client);
}

#[test]
fn chromium_is_answered_with_av1() {
    let expected = include_str!("../../tests/sdp/chromium-av1.answer.sdp");
    let answer = answer_with(CHROMIUM, ALL, VideoCodec::Av1);
    golden("chromium-av1.answer.sdp", &answer, expected);
}

/// Chromium as it offers H.265 where the machine decodes it.
#[test]
fn an_offer_of_h265_is_answered_with_it() {
    let h265 = CHROMIUM.replace(
        "a=rtpmap:45 AV1/90000",
        "a=rtpmap:45 H265/90000\r\na=fmtp:45 level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST",
    );
    let answer = answer_with(&h265, ALL, VideoCodec::H265);
    assert!(answer.contains("m=video 9 UDP/TLS/RTP/SAVPF 45 46 49\r\n"));
    assert!(answer.contains("a=rtpmap:45 H265/90000\r\n"));
    assert!(answer.contains("a=fmtp:45 level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST\r\n"));
    let ten_bits = h265.replace("profile-id=1", "profile-id=2");
    let refused = Offer::read(&ten_bits, ALL, VideoCodec::H265);
    assert_eq!(refused, Err(OfferError::NoCodec(VideoCodec::H265)));
}

#[test]
fn a_viewer_that_cannot_take_the_cameras_codec_is_told_in_one_sentence() {
    let refused = |codec| Offer::read(FIREFOX, ALL, codec).unwrap_err().to_string();
    assert_eq!(
        refused(VideoCodec::H265),
        "the camera's picture is H.265, and the viewer takes none: its offer has no H265 in main profile"
    );
    assert_eq!(
        refused(VideoCodec::Av1),
        "the camera's picture is AV1, and the viewer takes none: its offer has no AV1 in main profile"
    );
}

#[test]
fn chromium_with_a_microphone_is_answered() {
    let expected = include_str!("../../tests/sdp/chromium-talk.answer.sdp");
    golden(
        "chromium-talk.answer.sdp",
        &answer(CHROMIUM_TALK, ALL),
        expected,
    );
}

#[test]
fn firefox_is_answered() {
    let expected = include_str!("../../tests/sdp/firefox.answer.sdp");
    golden("firefox.answer.sdp", &answer(FIREFOX, ALL), expected);
}

#[test]
fn what_is_not_allowed_stays_shut() {
    let rights = Rights {
        audio: false,
        talk: false,
        control: false,
        ..ALL
    };
    let offer = Offer::read(CHROMIUM, rights, VideoCodec::H264).unwrap();
    assert_eq!(offer.media("audio").unwrap().direction, Direction::Inactive);
    assert!(offer.data().is_none());
    let sdp = answer(CHROMIUM, rights);
    assert!(sdp.contains("m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\n"));
    assert!(sdp.contains("a=group:BUNDLE 0 1\r\n") && sdp.contains("a=inactive\r\n"));
}

#[test]
fn a_microphone_needs_the_right_to_talk() {
    let mute = Rights { talk: false, ..ALL };
    let offer = Offer::read(CHROMIUM_TALK, mute, VideoCodec::H264).unwrap();
    assert_eq!(offer.media("audio").unwrap().direction, Direction::SendOnly);
    let deaf = Rights {
        audio: false,
        ..ALL
    };
    let offer = Offer::read(CHROMIUM_TALK, deaf, VideoCodec::H264).unwrap();
    assert_eq!(offer.media("audio").unwrap().direction, Direction::RecvOnly);
}

#[test]
fn other_profiles_serve_where_constrained_baseline_is_missing() {
    let payload_type = |sdp: &str| {
        Offer::read(sdp, ALL, VideoCodec::H264)
            .map(|offer| offer.media("video").unwrap().format.payload_type)
    };
    assert_eq!(payload_type(CHROMIUM), Ok(108));
    let baseline = CHROMIUM.replace("a=rtpmap:108 H264", "a=rtpmap:108 VP7");
    assert_eq!(payload_type(&baseline), Ok(102));
    let none = CHROMIUM.replace(" H264/90000", " VP7/90000");
    assert_eq!(
        payload_type(&none),
        Err(OfferError::NoCodec(VideoCodec::H264))
    );
}

/// Its Opus has no channels, and its picture no port but the sound's.
#[test]
fn gstreamer_s_whep_client_gets_picture_and_sound() {
    let offer = Offer::read(GSTREAMER, ALL, VideoCodec::H264).unwrap();
    for kind in ["audio", "video"] {
        assert!(offer.media(kind).is_some_and(MediaSection::sends), "{kind}");
    }
    let declined = GSTREAMER.replace("a=bundle-only", "a=x");
    let offer = Offer::read(&declined, ALL, VideoCodec::H264).unwrap();
    assert!(offer.media("video").is_none());
    assert_eq!(
        Offer::read(
            &GSTREAMER.replace("OPUS/48000", "OPUS/16000"),
            ALL,
            VideoCodec::H264
        )
        .map(|_| ()),
        Err(OfferError::NoOpus)
    );
}

#[test]
fn offers_that_cannot_be_answered_say_why() {
    let read = |sdp: &str| Offer::read(sdp, ALL, VideoCodec::H264).map(|_| ());
    let sending = CHROMIUM.replacen("a=recvonly", "a=sendrecv", 1);
    assert_eq!(read(&sending), Err(OfferError::NotRecvonly("video")));
    assert_eq!(
        read(&CHROMIUM.replace("opus", "speex")),
        Err(OfferError::NoOpus)
    );
    assert_eq!(read("v=0\r\n"), Err(OfferError::Nothing));
    assert_eq!(
        read(&CHROMIUM.replace("a=ice-pwd", "a=x")),
        Err(OfferError::Missing("a=ice-pwd"))
    );
    assert_eq!(
        read(&CHROMIUM.replace("sha-256", "sha-1")),
        Err(OfferError::Missing("a=fingerprint:sha-256"))
    );
    let rejected = CHROMIUM.replace("m=video 9", "m=video 0");
    assert!(
        Offer::read(&rejected, ALL, VideoCodec::H264)
            .unwrap()
            .media("video")
            .is_none()
    );
}

#[test]
fn the_viewers_message_size_is_heeded() {
    let size = |text: &str| {
        let sdp = CHROMIUM.replace("a=max-message-size:262144", text);
        Offer::read(&sdp, ALL, VideoCodec::H264)
            .unwrap()
            .data()
            .unwrap()
            .max_message
    };
    assert_eq!(size("a=max-message-size:262144"), Some(262_144));
    assert_eq!(size("a=max-message-size:0"), None);
    assert_eq!(size("a=x"), Some(65_536));
}

#[test]
fn an_active_offerer_makes_us_the_server() {
    let active = CHROMIUM.replace("a=setup:actpass", "a=setup:active");
    assert_eq!(
        Offer::read(&active, ALL, VideoCodec::H264).unwrap().role,
        Role::Server
    );
    assert!(answer(&active, ALL).contains("a=setup:passive\r\n"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(sdp: String) {
        let _ = Offer::read(&sdp, ALL, VideoCodec::H264);
    }

    /// Lines of a real offer, some changed, some missing, some twice.
    #[test]
    fn any_lines_are_answered_or_refused(
        picks in prop::collection::vec((0_usize..260, "[ -~]{0,12}", 0_usize..6), 0..40),
    ) {
        let lines: Vec<&str> = CHROMIUM.lines().collect();
        let mut offer: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        for (at, text, how) in picks {
            let at = at % offer.len();
            match how {
                0 => drop(offer.remove(at)),
                1 => offer[at].push_str(&text),
                2 => offer.insert(at, text),
                3 => offer[at].truncate(text.len()),
                _ => offer[at] = lines[(at * 7) % lines.len()].to_owned(),
            }
        }
        let sdp = offer.join("\r\n");
        if Offer::read(&sdp, ALL, VideoCodec::H264).is_ok() {
            let _ = answer(&sdp, ALL);
        }
    }
}
