//! What a peer tells its driver.

use std::time::Duration;

use bytes::Bytes;

use crate::ice::{CandidateKind, IceState};
use crate::path::Path;

/// Something happened.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerEvent {
    /// ICE moved.
    Ice(IceState),
    /// Media goes over this path from now on.
    Selected(Selected),
    /// DTLS is up, the viewer's fingerprint is the one of its offer: media may be written.
    Connected(SrtpProfile),
    /// A decoder asks for a key frame (PLI or FIR); at most one event a datagram.
    KeyFrameRequested,
    /// A receiver report, or a sender report with report blocks.
    Report(Report),
    /// Transport-wide congestion control feedback, in order of sequence numbers. Only packets that were sent.
    Arrivals(Vec<Arrival>),
    /// The receiver's estimate of the path, in bits/s (goog-remb).
    Remb(u64),
    /// The viewer opened a data channel; only `control` is accepted.
    ChannelOpen {
        /// Its label.
        label: String,
    },
    /// A message of a data channel.
    Message {
        /// The channel's label.
        label: String,
        /// What it says.
        data: Bytes,
        /// Whether it came as text (RFC 8831 section 8).
        text: bool,
    },
    /// The viewer closed a data channel.
    ChannelClosed {
        /// Its label.
        label: String,
    },
    /// A packet of the viewer's sound.
    Sound(Sound),
    /// The end. Nothing follows.
    Closed(CloseReason),
}

/// A path in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selected {
    /// Its ends.
    pub path: Path,
    /// What our end is.
    pub local: CandidateKind,
    /// What the viewer's end is.
    pub remote: CandidateKind,
}

/// How media is protected (RFC 7714, RFC 3711).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SrtpProfile {
    /// `AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `AES128_CM_HMAC_SHA1_80`.
    Aes128CmHmacSha1_80,
}

/// What a report block says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Report {
    /// Part of the packets lost since the report before, 0 to 1; the worst of our streams.
    pub loss: f64,
    /// Round trip time, where it could be told.
    pub rtt: Option<Duration>,
}

/// A packet in transport-wide feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Its transport-wide sequence number.
    pub seq: u16,
    /// When it arrived, on a clock of the viewer's with an arbitrary start; `None`: not yet.
    pub at: Option<Duration>,
}

/// An Opus packet from the viewer's microphone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// One Opus packet (RFC 7587 section 4.2).
    pub payload: Bytes,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, 48 kHz.
    pub timestamp: u32,
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseReason {
    /// [`close`](crate::Peer::close) was called.
    Local,
    /// The viewer said goodbye (DTLS `close_notify`).
    Remote,
    /// No path, or the viewer's consent ran out (RFC 7675).
    IceFailed,
    /// The handshake failed, or the certificate is not the one the offer announced.
    DtlsFailed,
}
