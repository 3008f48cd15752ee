//! P-256 keys for JWS with ES256 (RFC 7515, RFC 7518 section 3.4). The only place that knows the JOSE library.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// A key that could not be read.
#[derive(Debug, Error)]
#[error("not a P-256 key in PEM ({expected}): {reason}")]
pub struct KeyError {
    expected: &'static str,
    reason: String,
}

/// A private key: the control plane's for grants, a device's for proofs. Never printed.
#[derive(Clone)]
pub struct SigningKey(EncodingKey);

/// The public half.
#[derive(Clone)]
pub struct VerifyingKey(DecodingKey);

/// Why a JWS was not accepted, before its claims were looked at.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum JwsError {
    #[error("not a signed token of this kind")]
    Malformed,
    #[error("the signature does not match")]
    Signature,
}

impl SigningKey {
    /// Reads a PKCS#8 private key (`BEGIN PRIVATE KEY`).
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the text is not such a key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        EncodingKey::from_ec_pem(pem.as_bytes())
            .map(Self)
            .map_err(|error| KeyError {
                expected: "PKCS#8, BEGIN PRIVATE KEY",
                reason: error.to_string(),
            })
    }

    /// Signs `claims`; `typ` keeps a token of one kind from being taken for another (RFC 8725 section 3.11).
    pub(crate) fn sign<C: Serialize>(&self, typ: &str, claims: &C) -> Result<String, String> {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(typ.to_owned());
        jsonwebtoken::encode(&header, claims, &self.0).map_err(|error| error.to_string())
    }
}

impl VerifyingKey {
    /// Reads a SubjectPublicKeyInfo (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the text is not such a key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        DecodingKey::from_ec_pem(pem.as_bytes())
            .map(Self)
            .map_err(|error| KeyError {
                expected: "BEGIN PUBLIC KEY",
                reason: error.to_string(),
            })
    }

    /// Checks kind and signature and returns the claims. Times are the caller's business: it has the clock.
    pub(crate) fn verify<C: DeserializeOwned>(
        &self,
        typ: &str,
        token: &str,
    ) -> Result<C, JwsError> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| JwsError::Malformed)?;
        if header.alg != Algorithm::ES256 || header.typ.as_deref() != Some(typ) {
            return Err(JwsError::Malformed);
        }
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        match jsonwebtoken::decode::<C>(token, &self.0, &validation) {
            Ok(token) => Ok(token.claims),
            Err(error) if *error.kind() == jsonwebtoken::errors::ErrorKind::InvalidSignature => {
                Err(JwsError::Signature)
            }
            Err(_) => Err(JwsError::Malformed),
        }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(..)")
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VerifyingKey(..)")
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use p256::elliptic_curve::rand_core::OsRng;
    use p256::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};

    use super::*;

    /// A fresh key pair.
    pub fn pair() -> (SigningKey, VerifyingKey) {
        let secret = p256::SecretKey::random(&mut OsRng);
        let private = secret.to_pkcs8_pem(LineEnding::LF).unwrap();
        let public = secret
            .public_key()
            .to_public_key_pem(LineEnding::LF)
            .unwrap();
        (
            SigningKey::from_pem(&private).unwrap(),
            VerifyingKey::from_pem(&public).unwrap(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7515, appendix A.3: an ES256 key (its JWK as SPKI) and a token signed with it by somebody else.
    const RFC7515_KEY: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n\
        6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n\
        -----END PUBLIC KEY-----\n";
    const RFC7515_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    #[test]
    fn the_rfc_7515_vector_verifies() {
        let key = VerifyingKey::from_pem(RFC7515_KEY).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        let token =
            jsonwebtoken::decode::<serde_json::Value>(RFC7515_TOKEN, &key.0, &validation).unwrap();
        assert_eq!(token.claims["iss"], "joe");
        // It carries no `typ` of ours, so it is nobody's grant.
        assert_eq!(
            key.verify::<serde_json::Value>("x", RFC7515_TOKEN)
                .unwrap_err(),
            JwsError::Malformed
        );
    }

    #[test]
    fn a_key_never_shows_itself() {
        let (private, _) = testing::pair();
        assert_eq!(format!("{private:?}"), "SigningKey(..)");
    }

    #[test]
    fn garbage_is_not_a_key() {
        assert!(
            SigningKey::from_pem("hello")
                .unwrap_err()
                .to_string()
                .contains("BEGIN PRIVATE KEY")
        );
        assert!(
            VerifyingKey::from_pem("hello")
                .unwrap_err()
                .to_string()
                .contains("BEGIN PUBLIC KEY")
        );
    }
}
