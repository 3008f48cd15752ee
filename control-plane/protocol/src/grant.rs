//! Viewer grants: what one viewer may do with one camera for one session, signed by the control plane.
//!
//! A grant is a JWS with ES256 (RFC 7515). It names the DTLS fingerprint of the viewer's offer, so a broker that
//! puts another offer under a stolen grant gets nothing: the camera would refuse the offer.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::keys::JwsError;
use crate::{DeviceId, Fingerprint, FingerprintError, SessionId, SigningKey, VerifyingKey};

const TYP: &str = "heron-grant+jwt";

/// How far the camera's clock and the control plane's may differ, in seconds.
pub const CLOCK_SKEW_S: u64 = 30;

/// The longest life a grant may claim, in seconds; bounds what a camera must remember against replay.
pub const MAX_LIFE_S: u64 = 300;

/// One thing a viewer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Receive video.
    View,
    /// Receive sound.
    Listen,
    /// Be heard at the camera.
    Talk,
    /// Change something there: image controls, and whatever else the data channel `control` offers.
    Control,
}

/// The claims of a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// The session this grant opens; a second use of it is a replay.
    #[serde(rename = "sid")]
    pub session: SessionId,
    /// Who watches: the control plane's id of the person.
    #[serde(rename = "sub")]
    pub viewer: String,
    /// The only camera that may act on it.
    #[serde(rename = "aud")]
    pub camera: DeviceId,
    /// What the viewer may do.
    pub rights: Vec<Right>,
    /// When it was made, in Unix seconds.
    #[serde(rename = "iat")]
    pub issued: u64,
    /// When it ends, in Unix seconds.
    #[serde(rename = "exp")]
    pub expires: u64,
    /// The DTLS fingerprint of the viewer's offer.
    #[serde(rename = "fp")]
    pub offer_fingerprint: Fingerprint,
}

/// Why a grant does not open a session. The text is what the viewer is told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrantError {
    /// Not a grant at all.
    #[error("the grant is malformed")]
    Malformed,
    /// Signed by nobody we know, or changed on the way.
    #[error("the grant's signature does not match")]
    Signature,
    /// For another camera.
    #[error("the grant is for another camera")]
    OtherCamera,
    /// For another session than the topic it came on.
    #[error("the grant is for another session")]
    OtherSession,
    /// Too late.
    #[error("the grant has expired")]
    Expired,
    /// Too early, or claiming a longer life than any grant may have.
    #[error("the grant's times are not valid")]
    NotValidYet,
    /// The offer is not the one the grant was made for.
    #[error("the offer's DTLS fingerprint is not the one granted")]
    OtherFingerprint,
    /// The offer has no usable fingerprint.
    #[error("the offer is refused: {0}")]
    Offer(FingerprintError),
    /// Used before.
    #[error("the grant was used before")]
    Replayed,
}

impl Grant {
    /// Signs the grant with the control plane's key.
    ///
    /// # Errors
    ///
    /// The signing library's reason; with a key from [`SigningKey::from_pem`] it does not fail.
    pub fn sign(&self, key: &SigningKey) -> Result<String, String> {
        key.sign(TYP, self)
    }

    /// Whether it includes `right`.
    pub fn allows(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }
}

/// A camera's check of grants: its own name, the control plane's public key, and the grants it has seen.
#[derive(Debug)]
pub struct GrantVerifier {
    camera: DeviceId,
    key: VerifyingKey,
    /// Sessions already opened, with the time after which their grant would be refused as expired anyway.
    seen: HashMap<SessionId, u64>,
}

impl GrantVerifier {
    /// A verifier for `camera` that trusts `key`.
    pub fn new(camera: DeviceId, key: VerifyingKey) -> Self {
        Self {
            camera,
            key,
            seen: HashMap::new(),
        }
    }

    /// Accepts a grant once: signature, camera, session, times and the offer's fingerprint must all fit.
    /// `now` is Unix seconds.
    ///
    /// # Errors
    ///
    /// [`GrantError`]; nothing was remembered then, except for replays, which stay remembered.
    pub fn accept(
        &mut self,
        token: &str,
        session: &SessionId,
        offer_sdp: &str,
        now: u64,
    ) -> Result<Grant, GrantError> {
        let grant: Grant = self.key.verify(TYP, token).map_err(|error| match error {
            JwsError::Malformed => GrantError::Malformed,
            JwsError::Signature => GrantError::Signature,
        })?;
        if grant.camera != self.camera {
            return Err(GrantError::OtherCamera);
        }
        if grant.session != *session {
            return Err(GrantError::OtherSession);
        }
        if grant.expires.saturating_add(CLOCK_SKEW_S) <= now {
            return Err(GrantError::Expired);
        }
        if grant.issued > now.saturating_add(CLOCK_SKEW_S)
            || grant.expires.saturating_sub(grant.issued) > MAX_LIFE_S
        {
            return Err(GrantError::NotValidYet);
        }
        let offered = Fingerprint::from_sdp(offer_sdp).map_err(GrantError::Offer)?;
        if offered != grant.offer_fingerprint {
            return Err(GrantError::OtherFingerprint);
        }
        self.seen.retain(|_, forget_at| *forget_at > now);
        if self.seen.contains_key(session) {
            return Err(GrantError::Replayed);
        }
        self.seen
            .insert(session.clone(), grant.expires.saturating_add(CLOCK_SKEW_S));
        Ok(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::testing::pair;

    const NOW: u64 = 1_800_000_000;

    fn sdp(byte: u8) -> String {
        format!(
            "v=0\r\na=fingerprint:{}\r\n",
            Fingerprint::from_digest([byte; 32])
        )
    }

    fn grant() -> Grant {
        Grant {
            session: SessionId::from_bits(7),
            viewer: "ada".into(),
            camera: "front-door-01".parse().unwrap(),
            rights: vec![Right::View],
            issued: NOW,
            expires: NOW + 60,
            offer_fingerprint: Fingerprint::from_digest([1; 32]),
        }
    }

    struct Case {
        verifier: GrantVerifier,
        key: SigningKey,
    }

    fn case() -> Case {
        let (key, public) = pair();
        Case {
            verifier: GrantVerifier::new("front-door-01".parse().unwrap(), public),
            key,
        }
    }

    impl Case {
        fn accept(&mut self, grant: &Grant, offer: &str, now: u64) -> Result<Grant, GrantError> {
            let token = grant.sign(&self.key).unwrap();
            self.verifier
                .accept(&token, &SessionId::from_bits(7), offer, now)
        }
    }

    #[test]
    fn a_good_grant_opens_once() {
        let mut case = case();
        assert_eq!(case.accept(&grant(), &sdp(1), NOW), Ok(grant()));
        assert_eq!(
            case.accept(&grant(), &sdp(1), NOW + 1),
            Err(GrantError::Replayed)
        );
        assert!(!grant().allows(Right::Listen));
    }

    #[test]
    fn each_changed_claim_is_refused() {
        let refused = |change: fn(&mut Grant), now| {
            let mut grant = grant();
            change(&mut grant);
            case().accept(&grant, &sdp(1), now).unwrap_err()
        };
        assert_eq!(
            refused(|g| g.camera = "back-door-01".parse().unwrap(), NOW),
            GrantError::OtherCamera
        );
        assert_eq!(
            refused(|g| g.session = SessionId::from_bits(8), NOW),
            GrantError::OtherSession
        );
        assert_eq!(
            refused(|_| (), NOW + 60 + CLOCK_SKEW_S),
            GrantError::Expired
        );
        assert_eq!(
            refused(|_| (), NOW - CLOCK_SKEW_S - 1),
            GrantError::NotValidYet
        );
        assert_eq!(
            refused(|g| g.expires += MAX_LIFE_S, NOW),
            GrantError::NotValidYet
        );
        assert_eq!(
            case().accept(&grant(), &sdp(2), NOW),
            Err(GrantError::OtherFingerprint)
        );
        assert_eq!(
            case().accept(&grant(), "v=0", NOW),
            Err(GrantError::Offer(FingerprintError::Missing))
        );
    }

    #[test]
    fn another_signer_or_another_kind_of_token_is_refused() {
        let mut case = case();
        let (stranger, _) = pair();
        let session = SessionId::from_bits(7);
        let forged = grant().sign(&stranger).unwrap();
        assert_eq!(
            case.verifier.accept(&forged, &session, &sdp(1), NOW),
            Err(GrantError::Signature)
        );
        let other_kind = case.key.sign("heron-proof+jwt", &grant()).unwrap();
        assert_eq!(
            case.verifier.accept(&other_kind, &session, &sdp(1), NOW),
            Err(GrantError::Malformed)
        );
    }

    #[test]
    fn expired_grants_are_forgotten() {
        let mut case = case();
        case.accept(&grant(), &sdp(1), NOW).unwrap();
        let later = NOW + 1000;
        let mut next = grant();
        (next.issued, next.expires) = (later, later + 60);
        // The same session id with a fresh signature: the old entry no longer matters.
        case.accept(&next, &sdp(1), later).unwrap();
        assert_eq!(case.verifier.seen.len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn any_token_is_refused_quietly(token: String) {
            let mut case = case();
            let refused = case.verifier.accept(&token, &SessionId::from_bits(7), &sdp(1), NOW);
            proptest::prop_assert!(refused.is_err());
        }
    }
}
