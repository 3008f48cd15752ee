//! The public key by which a camera is known.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use x509_parser::pem::parse_x509_pem;

use super::IdentityError;

/// A P-256 public key as a JWK (RFC 7517; RFC 7518 section 6.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IdentityKey {
    /// `EC`.
    pub kty: String,
    /// `P-256`.
    pub crv: String,
    /// The point's x, base64url.
    pub x: String,
    /// The point's y, base64url.
    pub y: String,
}

impl IdentityKey {
    /// The public key of a certificate in PEM.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Certificate`] when it is not one, or its key is of another kind.
    pub fn of_certificate(pem: &str) -> Result<Self, IdentityError> {
        let unreadable =
            |reason: &dyn std::fmt::Display| IdentityError::Certificate(reason.to_string());
        let (_, pem) = parse_x509_pem(pem.as_bytes()).map_err(|error| unreadable(&error))?;
        let certificate = pem.parse_x509().map_err(|error| unreadable(&error))?;
        // SEC 1 section 2.3.3: an uncompressed point is 04, x, y.
        match certificate.public_key().subject_public_key.data.as_ref() {
            [0x04, point @ ..] if point.len() == 64 => Ok(Self {
                kty: "EC".to_owned(),
                crv: "P-256".to_owned(),
                x: URL_SAFE_NO_PAD.encode(&point[..32]),
                y: URL_SAFE_NO_PAD.encode(&point[32..]),
            }),
            _ => Err(unreadable(&"its public key is of another kind")),
        }
    }
}
