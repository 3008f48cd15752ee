//! From an offer to an answered viewer.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use heron_congestion::{Level, Wish};
use heron_peer::{Answer, Certificate, LocalCandidate, MediaClock, OfferError, Peer, PeerConfig};
use heron_protocol::messages::{EndReason, IceServer};
use heron_protocol::proof::Proof;
use heron_protocol::{Fingerprint, SessionId};

use crate::config::HubConfig;
use crate::control::MAX_MESSAGE;
use crate::media::monotonic_ns;
use crate::viewer::{End, Opening};

/// Everything that opens a session.
pub struct Open {
    /// What the viewer begins with.
    pub opening: Opening,
    /// Its offer.
    pub offer: String,
    /// The fingerprint that was granted; `None` where nobody signs.
    pub granted: Option<Fingerprint>,
    /// Servers of this end.
    pub ice_servers: Vec<IceServer>,
}

/// A peer for an offer, and its answer.
pub fn answer(
    open: &mut Open,
    certificate: Arc<Certificate>,
    hosts: &[LocalCandidate],
    hub: &HubConfig,
    now: Instant,
) -> Result<(Peer, Answer), OfferError> {
    let Opening {
        rights,
        relay_only,
        local,
        ..
    } = open.opening;
    let rights = heron_peer::Rights {
        video: rights.view,
        audio: rights.listen,
        talk: rights.talk,
        // Figures are for everybody; what else may be called is decided call by call.
        control: true,
    };
    let clock = MediaClock::new(now, monotonic_ns(), SystemTime::now());
    let mut config = PeerConfig::new(certificate, rights, clock);
    config.video_codec = hub.video_codec;
    config.max_message = MAX_MESSAGE;
    config.trickle = !local;
    if !relay_only {
        open.opening.hosts = hosts.to_vec();
        config.candidates = hosts.to_vec();
    }
    Peer::answer(config, &open.offer, now, &mut rand::rng())
}

/// Signs an answer, so that the viewer knows whose it is.
pub fn sign(
    config: &HubConfig,
    session: &SessionId,
    offer_fingerprint: Fingerprint,
    answer: &Answer,
) -> Result<String, End> {
    let broken = |what: String| {
        End::new(
            EndReason::Failed,
            format!("the answer could not be signed: {what}"),
        )
    };
    let answer_fingerprint =
        Fingerprint::from_sdp(&answer.sdp).map_err(|error| broken(error.to_string()))?;
    let proof = Proof {
        session: session.clone(),
        camera: config.camera.clone(),
        offer_fingerprint,
        answer_fingerprint,
    };
    proof.sign(&config.identity.key()).map_err(broken)
}

/// The end of a session whose offer cannot be answered.
pub fn refused(error: &OfferError) -> End {
    let reason = match error {
        OfferError::Internal(_) => EndReason::Failed,
        _ => EndReason::BadMessage,
    };
    End::new(reason, error.to_string())
}

/// The candidates in an offer, `candidate:…`.
pub fn candidates(offer: &str) -> impl Iterator<Item = &str> {
    let attributes = offer.lines().filter_map(|line| line.strip_prefix("a="));
    attributes.filter(|attribute| attribute.starts_with("candidate:"))
}

/// What a viewer can get: a picture needs to be negotiated.
pub fn wish(peer: &Peer) -> Wish {
    Wish {
        best: if peer.has_video() {
            Level::Main
        } else {
            Level::AudioOnly
        },
        audio: peer.has_audio(),
    }
}
