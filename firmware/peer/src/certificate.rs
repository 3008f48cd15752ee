//! The certificate that DTLS shows, and its fingerprint (RFC 8122 section 5).

use std::fmt;
use std::fmt::Write;

use ring::digest;
use rtc_dtls::crypto::Certificate as DtlsCertificate;
use thiserror::Error;

/// A self-signed P-256 certificate. One serves all viewers of a camera.
pub struct Certificate {
    pub(crate) dtls: DtlsCertificate,
    fingerprint: String,
}

/// No certificate could be made.
#[derive(Debug, Error)]
#[error("the certificate for DTLS could not be made: {0}")]
pub struct CertificateError(String);

impl Certificate {
    /// Makes a new key and signs it with itself.
    ///
    /// # Errors
    ///
    /// When the system gives no randomness.
    pub fn generate() -> Result<Self, CertificateError> {
        let failed = |error: &dyn fmt::Display| CertificateError(error.to_string());
        let provider = rtc_crypto::default_provider().map_err(|error| failed(&error))?;
        // The name is shown to nobody and checked by nobody: the fingerprint is what counts.
        let dtls = DtlsCertificate::generate_self_signed(["heron".to_owned()], provider.crypto())
            .map_err(|error| failed(&error))?;
        let der = dtls
            .certificate
            .first()
            .ok_or_else(|| failed(&"it is empty"))?;
        let fingerprint = format!("sha-256 {}", sha256_hex(der));
        Ok(Self { dtls, fingerprint })
    }

    /// `sha-256 AB:CD:…`, as in `a=fingerprint`.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Certificate")
            .field(&self.fingerprint)
            .finish()
    }
}

/// SHA-256 of a DER certificate in the form SDP writes it: `AB:CD:…`.
pub(crate) fn sha256_hex(der: &[u8]) -> String {
    let mut text = String::with_capacity(95);
    for byte in digest::digest(&digest::SHA256, der).as_ref() {
        let colon = if text.is_empty() { "" } else { ":" };
        // Writing to a string cannot fail.
        let _ = write!(text, "{colon}{byte:02X}");
    }
    text
}
