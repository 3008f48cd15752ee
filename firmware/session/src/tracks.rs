//! The send-only tracks of a connection and the formats they are answered with.

use std::sync::Arc;

use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX, MediaEngine,
};
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters,
    RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability, RTCRtpRtxParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use webrtc::error::Error;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::PeerConnection;

use crate::offer::{Offer, Section, extension};
use crate::stream::{Extensions, RtpStream};

/// The media stream that picture and sound belong to; being of one stream, the viewer plays them in step.
const STREAM: &str = "heron";

/// A track of the connection and the stream on it.
pub struct Outgoing {
    /// Where packets go in.
    pub track: Arc<TrackLocalStaticRTP>,
    /// Their headers.
    pub stream: RtpStream,
}

/// Exactly the formats and extensions that will be used, under the viewer's numbers.
pub fn media_engine(offer: &Offer) -> Result<MediaEngine, Error> {
    let mut engine = MediaEngine::default();
    let sections = [
        (&offer.video, RtpCodecKind::Video),
        (&offer.audio, RtpCodecKind::Audio),
    ];
    for (section, kind) in sections
        .iter()
        .filter_map(|(section, kind)| Some((section.as_ref()?, *kind)))
    {
        let format = &section.format;
        engine.register_codec(
            RTCRtpCodecParameters {
                rtp_codec: codec(section, kind),
                payload_type: format.payload_type,
            },
            kind,
        )?;
        if let Some(rtx) = format.rtx {
            let retransmission = RTCRtpCodec {
                mime_type: MIME_TYPE_RTX.to_owned(),
                clock_rate: 90_000,
                sdp_fmtp_line: format!("apt={}", format.payload_type),
                ..RTCRtpCodec::default()
            };
            engine.register_codec(
                RTCRtpCodecParameters {
                    rtp_codec: retransmission,
                    payload_type: rtx,
                },
                kind,
            )?;
        }
        for uri in [extension::ABS_CAPTURE_TIME, extension::PLAYOUT_DELAY] {
            if section.extension(uri).is_some() {
                engine.register_header_extension(
                    RTCRtpHeaderExtensionCapability {
                        uri: uri.to_owned(),
                    },
                    kind,
                    Some(RTCRtpTransceiverDirection::Sendonly),
                )?;
            }
        }
    }
    Ok(engine)
}

fn codec(section: &Section, kind: RtpCodecKind) -> RTCRtpCodec {
    let video = kind == RtpCodecKind::Video;
    // What we act on; the answer names the part of it that was offered.
    let feedback: &[(&str, &str)] = if video {
        &[("nack", ""), ("nack", "pli"), ("ccm", "fir")]
    } else {
        &[]
    };
    RTCRtpCodec {
        mime_type: if video {
            MIME_TYPE_H264
        } else {
            MIME_TYPE_OPUS
        }
        .to_owned(),
        clock_rate: clock_rate(kind),
        channels: if video { 0 } else { 2 },
        sdp_fmtp_line: section.format.fmtp.clone(),
        rtcp_feedback: feedback
            .iter()
            .map(|(typ, parameter)| RTCPFeedback {
                typ: (*typ).to_owned(),
                parameter: (*parameter).to_owned(),
            })
            .collect(),
    }
}

const fn clock_rate(kind: RtpCodecKind) -> u32 {
    match kind {
        RtpCodecKind::Audio => 48_000,
        _ => 90_000,
    }
}

/// Makes a send-only track for a section.
pub async fn outgoing(
    peer: &dyn PeerConnection,
    section: &Section,
    kind: RtpCodecKind,
) -> Result<Outgoing, Error> {
    let ssrc = rand::random();
    let rtx = section.format.rtx.map(|_| RTCRtpRtxParameters {
        ssrc: rand::random(),
    });
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(ssrc),
            rtx,
            ..Default::default()
        },
        active: true,
        codec: codec(section, kind),
        ..RTCRtpEncodingParameters::default()
    };
    let track = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
        STREAM.to_owned(),
        kind.to_string(),
        kind.to_string(),
        kind,
        vec![coding.clone()],
    )));
    peer.add_transceiver_from_track(
        Arc::clone(&track) as Arc<dyn TrackLocal>,
        Some(RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Sendonly,
            streams: Vec::new(),
            send_encodings: vec![coding],
        }),
    )
    .await?;
    let extensions = Extensions {
        capture_time: section.extension(extension::ABS_CAPTURE_TIME),
        playout_delay: section.extension(extension::PLAYOUT_DELAY),
    };
    let stream = RtpStream::new(
        ssrc,
        section.format.payload_type,
        clock_rate(kind),
        extensions,
        rand::random(),
    );
    Ok(Outgoing { track, stream })
}
