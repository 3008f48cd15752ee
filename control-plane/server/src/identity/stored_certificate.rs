//! Reading certificates back: those that an older version stored, and those that a device shows.

use heron_protocol::DeviceId;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

use super::IdentityError;
use super::authority::hexadecimal;
use crate::store::{CertificateRow, CertificateState};

/// What the certificate of a device says, once TLS has verified it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownCertificate {
    /// Its common name.
    pub device: DeviceId,
    /// Its serial number: lower-case hexadecimal without leading zeros.
    pub serial: String,
    /// Its end, in milliseconds since the Unix epoch.
    pub not_after_ms: i64,
}

impl ShownCertificate {
    /// Of a certificate in DER. `None` if it is none, or names no device.
    pub fn from_der(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let mut names = certificate.subject().iter_common_name();
        let (Some(name), None) = (names.next(), names.next()) else {
            return None;
        };
        Some(Self {
            device: name.as_str().ok()?.parse().ok()?,
            serial: serial(&certificate),
            not_after_ms: not_after_ms(&certificate),
        })
    }
}

/// The row of a certificate that an older version issued to `camera` and that has been in use since.
///
/// # Errors
///
/// [`IdentityError::Certificate`] when it is none.
pub fn row_of(
    camera: &DeviceId,
    pem: &str,
    issued_ms: i64,
) -> Result<CertificateRow, IdentityError> {
    let unreadable =
        |reason: &dyn std::fmt::Display| IdentityError::Certificate(reason.to_string());
    let (_, read) = parse_x509_pem(pem.as_bytes()).map_err(|error| unreadable(&error))?;
    let certificate = read.parse_x509().map_err(|error| unreadable(&error))?;
    Ok(CertificateRow {
        serial: serial(&certificate),
        camera: camera.clone(),
        pem: pem.to_owned(),
        fingerprint: hexadecimal(&Sha256::digest(&read.contents)),
        key_sha256: hexadecimal(&Sha256::digest(certificate.public_key().raw)),
        issued_ms,
        not_after_ms: not_after_ms(&certificate),
        state: CertificateState::Active,
        first_used_ms: Some(issued_ms),
        ended_ms: None,
        reason: None,
    })
}

fn serial(certificate: &X509Certificate<'_>) -> String {
    let digits = hexadecimal(certificate.raw_serial());
    digits.trim_start_matches('0').to_owned()
}

fn not_after_ms(certificate: &X509Certificate<'_>) -> i64 {
    certificate.validity().not_after.timestamp() * 1000
}
