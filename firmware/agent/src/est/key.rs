//! A device's key in the making: P-256, and the request for its certificate (PKCS#10, RFC 2986).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use heron_protocol::DeviceId;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// `serialNumber` of a subject (X.520, 2.5.4.5).
const SERIAL_NUMBER: [u64; 4] = [2, 5, 4, 5];

/// A key that could not be made, read or used.
#[derive(Debug, Error)]
#[error("the device's key: {0}")]
pub struct KeyError(String);

/// A private key. Never printed.
pub struct DeviceKey(KeyPair);

/// Who a certificate is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// The device's id; without one the control plane chooses.
    pub device: Option<DeviceId>,
    /// The board's serial number, for a person to recognise it by.
    pub serial: Option<String>,
}

impl DeviceKey {
    /// A new one.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the system has no randomness.
    pub fn generate() -> Result<Self, KeyError> {
        KeyPair::generate().map(Self).map_err(|error| sorry(&error))
    }

    /// Reads a PKCS#8 private key.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the text is not a P-256 key.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        KeyPair::from_pem_and_sign_algo(pem, &rcgen::PKCS_ECDSA_P256_SHA256)
            .map(Self)
            .map_err(|error| sorry(&error))
    }

    /// As PKCS#8, PEM: a secret.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.serialize_pem()
    }

    /// The SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// The SHA-256 of the public key, in hexadecimal digits: what a factory list has.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for byte in Sha256::digest(self.public_key()) {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// A signed request for a certificate: base64 of DER, as RFC 8951 section 2.1 wants it in a body.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when it cannot be signed.
    pub fn request(&self, subject: &Subject) -> Result<String, KeyError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        if let Some(device) = &subject.device {
            params
                .distinguished_name
                .push(DnType::CommonName, device.as_str());
        }
        if let Some(serial) = &subject.serial {
            let kind = DnType::CustomDnType(SERIAL_NUMBER.to_vec());
            params.distinguished_name.push(kind, serial.as_str());
        }
        let request = params
            .serialize_request(&self.0)
            .map_err(|error| sorry(&error))?;
        Ok(STANDARD.encode(request.der()))
    }
}

impl std::fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceKey(..)")
    }
}

fn sorry(error: &rcgen::Error) -> KeyError {
    KeyError(error.to_string())
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, X509CertificationRequest};

    use super::*;

    #[test]
    fn a_request_is_signed_and_names_nobody_unless_told() {
        let key = DeviceKey::generate().unwrap();
        let read = |subject: &Subject| STANDARD.decode(key.request(subject).unwrap()).unwrap();

        let anonymous = read(&Subject::default());
        let (_, request) = X509CertificationRequest::from_der(&anonymous).unwrap();
        let info = &request.certification_request_info;
        assert_eq!(info.subject.iter().count(), 0);
        assert_eq!(info.subject_pki.raw, key.public_key());
        request.verify_signature().unwrap();

        let named = read(&Subject {
            device: Some("front-door-01".parse().unwrap()),
            serial: Some("10000000abcdef01".to_owned()),
        });
        let (_, request) = X509CertificationRequest::from_der(&named).unwrap();
        let subject = &request.certification_request_info.subject;
        let names: Vec<_> = subject
            .iter_attributes()
            .map(|attribute| {
                (
                    attribute.attr_type().to_string(),
                    attribute.as_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            names,
            [
                ("2.5.4.3".to_owned(), "front-door-01"),
                ("2.5.4.5".to_owned(), "10000000abcdef01")
            ]
        );
    }

    #[test]
    fn a_key_survives_its_file_and_never_shows_itself() {
        let key = DeviceKey::generate().unwrap();
        let again = DeviceKey::from_pem(&key.pem()).unwrap();
        assert_eq!(again.fingerprint(), key.fingerprint());
        assert_eq!(key.fingerprint().len(), 64);
        assert_eq!(format!("{key:?}"), "DeviceKey(..)");
        let half = &key.pem()[..100];
        assert!(DeviceKey::from_pem(half).is_err());
    }
}
