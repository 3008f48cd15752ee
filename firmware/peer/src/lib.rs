//! One viewer's WebRTC connection, answering side, without IO: ICE, DTLS, SRTP, RTP, RTCP and data channels.
//!
//! [`Peer`] is a state machine. Its driver hands it datagrams and the time, and takes datagrams, events and the next
//! deadline from it; `now` and randomness are always passed in. Media takes a path of its own: packetised once for
//! all viewers ([`VideoFrame`]), written and encrypted per viewer into a reused buffer ([`Batch`]).

mod certificate;
mod channel;
mod clock;
mod codec;
mod config;
mod dtls;
mod event;
mod ice;
mod media;
mod packetise;
mod path;
mod peer;
mod rtcp;
mod rtp;
mod sdp;
mod srtp;
mod stats;

pub use certificate::{Certificate, CertificateError};
pub use clock::MediaClock;
pub use codec::VideoCodec;
pub use config::{PeerConfig, Rights};
pub use event::{Arrival, CloseReason, PeerEvent, Report, Selected, Sound, SrtpProfile};
pub use ice::{CandidateKind, IceState, LocalCandidate, PairReport, PairState, RemoteCandidate};
pub use media::{AudioFrame, VideoFrame};
pub use packetise::MAX_PAYLOAD;
pub use path::{Path, Protocol, Transmit};
pub use peer::{Answer, MessageError, Peer};
pub use rtp::batch::{Batch, BatchPacket, Run};
pub use rtp::fec::Parity;
pub use sdp::OfferError;
pub use stats::PeerStats;

/// Ways in for the fuzz targets of `tests/fuzz`, which see only what is public.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads an SDP offer.
    pub fn offer(sdp: &str) {
        let rights = crate::Rights {
            video: true,
            audio: true,
            talk: true,
            control: true,
        };
        let codec = crate::VideoCodec::H264;
        let _ = crate::sdp::offer::Offer::read(sdp, rights, codec);
    }

    /// Reads a compound RTCP packet.
    pub fn rtcp(bytes: &[u8]) {
        let _ = crate::rtcp::read(bytes);
    }

    /// Reads a STUN message.
    pub fn stun(bytes: &[u8]) {
        let _ = crate::ice::read_stun(bytes);
    }
}
