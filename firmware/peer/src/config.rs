//! What a peer is told when it is made.

use std::sync::Arc;

use crate::certificate::Certificate;
use crate::clock::MediaClock;
use crate::codec::VideoCodec;
use crate::ice::LocalCandidate;

/// What a viewer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// Picture.
    pub video: bool,
    /// Sound of the camera.
    pub audio: bool,
    /// Sound to the camera. Needs a `sendrecv` (or `sendonly`) audio section in the offer.
    pub talk: bool,
    /// The data channel `control`.
    pub control: bool,
}

/// How a viewer's connection is to be made.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// Ours, for DTLS. One serves all viewers.
    pub certificate: Arc<Certificate>,
    /// What the grant allows.
    pub rights: Rights,
    /// How the camera's picture is encoded.
    pub video_codec: VideoCodec,
    /// Local candidates known by now: they are written into the answer.
    pub candidates: Vec<LocalCandidate>,
    /// Whether more candidates may follow. `false` closes the list in the answer (`a=end-of-candidates`), as a
    /// WHEP answer does.
    pub trickle: bool,
    /// Maps `Instant`s and capture instants to wall time.
    pub clock: MediaClock,
    /// The largest data channel message taken or sent, in bytes.
    pub max_message: usize,
    /// How many bytes of outgoing data channel messages may wait.
    pub max_queued: usize,
}

impl PeerConfig {
    /// The usual configuration: H.264, trickle, messages of up to 64 KiB, 1 MiB of them waiting.
    pub fn new(certificate: Arc<Certificate>, rights: Rights, clock: MediaClock) -> Self {
        Self {
            certificate,
            rights,
            video_codec: VideoCodec::default(),
            candidates: Vec::new(),
            trickle: true,
            clock,
            max_message: 64 * 1024,
            max_queued: 1024 * 1024,
        }
    }
}
