//! Proofs: a device's signature over a session and both DTLS fingerprints.
//!
//! The browser has the device's public key from the control plane's API (over HTTPS) and checks the proof before
//! it shows a picture as trusted. A broker that swaps either fingerprint to sit in the middle cannot sign.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::keys::JwsError;
use crate::{DeviceId, Fingerprint, SessionId, SigningKey, VerifyingKey};

const TYP: &str = "heron-proof+jwt";

/// What the device signs: a JWS with ES256 over these claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// The session.
    #[serde(rename = "sid")]
    pub session: SessionId,
    /// The device that answers.
    #[serde(rename = "iss")]
    pub camera: DeviceId,
    /// The fingerprint in the offer as the device received it.
    pub offer_fingerprint: Fingerprint,
    /// The fingerprint in the device's answer.
    pub answer_fingerprint: Fingerprint,
}

/// Why a proof does not prove what is expected.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProofError {
    /// Not a proof.
    #[error("the proof is malformed")]
    Malformed,
    /// Not signed by the device's key.
    #[error("the proof is not signed by this camera's key")]
    Signature,
    /// Signed, but for another session, camera or fingerprint.
    #[error("the proof is for something else")]
    Differs,
}

impl Proof {
    /// Signs with the device's key.
    ///
    /// # Errors
    ///
    /// The signing library's reason; with a key from [`SigningKey::from_pem`] it does not fail.
    pub fn sign(&self, key: &SigningKey) -> Result<String, String> {
        key.sign(TYP, self)
    }

    /// Checks that `token` is this proof, signed by `key`: the browser's check, for clients written in Rust.
    ///
    /// # Errors
    ///
    /// [`ProofError`].
    pub fn verify(&self, token: &str, key: &VerifyingKey) -> Result<(), ProofError> {
        let signed: Self = key.verify(TYP, token).map_err(|error| match error {
            JwsError::Malformed => ProofError::Malformed,
            JwsError::Signature => ProofError::Signature,
        })?;
        if signed == *self {
            Ok(())
        } else {
            Err(ProofError::Differs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::testing::pair;

    #[test]
    fn a_proof_holds_for_exactly_what_was_signed() {
        let (key, public) = pair();
        let proof = Proof {
            session: SessionId::from_bits(1),
            camera: "front-door-01".parse().unwrap(),
            offer_fingerprint: Fingerprint::from_digest([1; 32]),
            answer_fingerprint: Fingerprint::from_digest([2; 32]),
        };
        let token = proof.sign(&key).unwrap();
        assert_eq!(proof.verify(&token, &public), Ok(()));

        let changes: [fn(&mut Proof); 4] = [
            |p| p.session = SessionId::from_bits(2),
            |p| p.camera = "back-door-01".parse().unwrap(),
            |p| p.offer_fingerprint = Fingerprint::from_digest([3; 32]),
            |p| p.answer_fingerprint = Fingerprint::from_digest([3; 32]),
        ];
        for change in changes {
            let mut expected = proof.clone();
            change(&mut expected);
            assert_eq!(expected.verify(&token, &public), Err(ProofError::Differs));
        }
        let (_, stranger) = pair();
        assert_eq!(proof.verify(&token, &stranger), Err(ProofError::Signature));
        assert_eq!(proof.verify("a.b.c", &public), Err(ProofError::Malformed));
    }
}
