use thiserror::Error;

use crate::codec::VideoCodec;

/// Why an offer cannot be answered. The text is what the viewer is told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OfferError {
    /// Neither picture nor sound is asked for, or nothing that the grant allows.
    #[error("the offer has no video or audio section that the grant allows")]
    Nothing,
    /// The viewer does not take what the camera's picture is encoded as.
    #[error("the camera's picture is {0}, and the viewer takes none: {need}", need = need(*.0))]
    NoCodec(VideoCodec),
    /// No Opus.
    #[error("the offer's audio section has no opus/48000/2")]
    NoOpus,
    /// The viewer wants to send what it may not.
    #[error("the offer's {0} section must be a=recvonly")]
    NotRecvonly(&'static str),
    /// Something that WebRTC always has is missing.
    #[error("the offer has no usable {0}")]
    Missing(&'static str),
    /// A restart must be of the session that runs.
    #[error("the offer is not an ICE restart of this session")]
    OtherSession,
    /// The certificate or key material of this end failed.
    #[error("the camera could not answer: {0}")]
    Internal(String),
}

/// What the offer's video section would have to have.
fn need(codec: VideoCodec) -> &'static str {
    match codec {
        VideoCodec::H264 => {
            "its offer has no H264 with packetization-mode=1 in baseline or main profile"
        }
        VideoCodec::H265 => "its offer has no H265 in main profile",
        VideoCodec::Av1 => "its offer has no AV1 in main profile",
    }
}
