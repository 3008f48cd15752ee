//! What a camera without media says to somebody who wants to watch it.

use heron_protocol::grant::GrantVerifier;
use heron_protocol::messages::{EndReason, RtcUp};
use heron_protocol::proof::Proof;
use heron_protocol::{DeviceId, Fingerprint, SessionId, SigningKey};

/// Checks a grant as a camera does, and answers with a proof that is as good as any; only nobody stands behind its
/// candidates. `now_s` is the camera's clock in Unix seconds.
pub(crate) fn answer(
    verifier: &mut GrantVerifier,
    key: &SigningKey,
    camera: &DeviceId,
    session: &SessionId,
    (grant, offer): (&str, &str),
    now_s: u64,
) -> RtcUp {
    let refuse = |reason, detail| RtcUp::Closed {
        seq: 0,
        reason,
        detail,
        stats: None,
    };
    if let Err(error) = verifier.accept(grant, session, offer, now_s) {
        return refuse(EndReason::GrantRefused, error.to_string());
    }
    let offer_fingerprint = match Fingerprint::from_sdp(offer) {
        Ok(fingerprint) => fingerprint,
        Err(error) => return refuse(EndReason::BadMessage, error.to_string()),
    };
    let answer_fingerprint = Fingerprint::from_digest(rand::random());
    let proof = Proof {
        session: session.clone(),
        camera: camera.clone(),
        offer_fingerprint,
        answer_fingerprint,
    };
    match proof.sign(key) {
        Ok(proof) => RtcUp::Answer {
            seq: 0,
            sdp: sdp(&answer_fingerprint),
            proof,
        },
        Err(error) => refuse(EndReason::Failed, error),
    }
}

/// An SDP with one rejected section: all that a canned answer needs.
fn sdp(fingerprint: &Fingerprint) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=fingerprint:{fingerprint}\r\n\
         m=video 0 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=inactive\r\na=mid:0\r\n"
    )
}
