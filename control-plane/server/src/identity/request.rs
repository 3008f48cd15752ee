//! What a device asks for: a PKCS#10 certificate signing request (RFC 2986), read and judged.
//!
//! The request brings a key and proves that its sender has it. Everything else in a certificate is ours to say, so a
//! request that asks for more (other names, extensions) is refused rather than cut down in silence.

use heron_protocol::DeviceId;
use rcgen::SubjectPublicKeyInfo;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::oid_registry::{
    OID_SIG_ECDSA_WITH_SHA256, OID_X509_COMMON_NAME, OID_X509_SERIALNUMBER,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

use super::authority::hexadecimal;

/// What precedes the point in the SubjectPublicKeyInfo of an uncompressed P-256 key (RFC 5480 section 2).
const P256: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
const P256_LENGTH: usize = 91;
const SERIAL_LONGEST: usize = 64;
/// The common name of our own client certificates.
pub(crate) const CONTROL_NAME: &str = "heron-control";

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum BadRequest {
    #[error("the body is not a PKCS#10 request in DER, base64 encoded")]
    Encoding,
    #[error("the request's key is not allowed; it must be an uncompressed P-256 key (prime256v1)")]
    Key,
    #[error("the request's signature algorithm is not allowed; it must be ecdsa-with-SHA256")]
    Algorithm,
    #[error("the request's signature does not match its key")]
    Signature,
    #[error("the subject may hold one common name and one serialNumber; {0} is not allowed there")]
    Subject(String),
    #[error("the common name: {0}")]
    CommonName(String),
    #[error("the serialNumber: 1 to 64 printable ASCII characters are allowed")]
    Serial,
    #[error("the attribute {0} is not allowed; leave attributes out")]
    Attribute(String),
    #[error("the extension {0} is not allowed; extensions are the control plane's to choose")]
    Extension(String),
}

/// A request whose signature is right.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    /// The device id that it asks for.
    pub device: Option<DeviceId>,
    /// The serial number of the device, by its maker.
    pub serial: Option<String>,
    /// The key to certify.
    pub key: SubjectPublicKeyInfo,
    /// SHA-256 of its SubjectPublicKeyInfo, lower-case hexadecimal.
    pub key_sha256: String,
}

impl CertificateRequest {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`BadRequest`]: what is wrong with it and what is allowed.
    pub fn from_der(der: &[u8]) -> Result<Self, BadRequest> {
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|_| BadRequest::Encoding)?;
        if !rest.is_empty() {
            return Err(BadRequest::Encoding);
        }
        let info = &request.certification_request_info;
        let spki = info.subject_pki.raw;
        if spki.len() != P256_LENGTH || !spki.starts_with(&P256) {
            return Err(BadRequest::Key);
        }
        if request.signature_algorithm.algorithm != OID_SIG_ECDSA_WITH_SHA256 {
            return Err(BadRequest::Algorithm);
        }
        request
            .verify_signature()
            .map_err(|_| BadRequest::Signature)?;
        let (device, serial) = subject(&info.subject)?;
        for attribute in info.attributes() {
            match attribute.parsed_attribute() {
                ParsedCriAttribute::ExtensionRequest(asked) => {
                    if let Some(extension) = asked.extensions.first() {
                        return Err(BadRequest::Extension(extension.oid.to_id_string()));
                    }
                }
                ParsedCriAttribute::ChallengePassword(_) => {
                    return Err(BadRequest::Attribute("challengePassword".to_owned()));
                }
                ParsedCriAttribute::UnsupportedAttribute => {
                    return Err(BadRequest::Attribute(attribute.oid.to_id_string()));
                }
            }
        }
        Ok(Self {
            device,
            serial,
            key: SubjectPublicKeyInfo::from_der(spki).map_err(|_| BadRequest::Key)?,
            key_sha256: hexadecimal(&Sha256::digest(spki)),
        })
    }
}

fn subject(name: &X509Name<'_>) -> Result<(Option<DeviceId>, Option<String>), BadRequest> {
    let (mut device, mut serial) = (None, None);
    for attribute in name.iter_attributes() {
        let kind = attribute.attr_type();
        let text = text(attribute);
        if *kind == OID_X509_COMMON_NAME && device.is_none() {
            let text = text.ok_or_else(|| BadRequest::CommonName("it is not text".to_owned()))?;
            // An empty one is as good as none.
            device = Some((!text.is_empty()).then(|| device_id(text)).transpose()?);
        } else if *kind == OID_X509_SERIALNUMBER && serial.is_none() {
            serial = Some(
                text.filter(|text| is_serial(text))
                    .ok_or(BadRequest::Serial)?,
            );
        } else {
            return Err(BadRequest::Subject(kind.to_id_string()));
        }
    }
    Ok((device.flatten(), serial.map(str::to_owned)))
}

fn text<'a>(attribute: &'a AttributeTypeAndValue<'_>) -> Option<&'a str> {
    attribute.as_str().ok()
}

fn device_id(text: &str) -> Result<DeviceId, BadRequest> {
    if text == CONTROL_NAME {
        return Err(BadRequest::CommonName(format!(
            "{CONTROL_NAME} is the control plane's own name"
        )));
    }
    text.parse()
        .map_err(|error: heron_protocol::ParseIdError| BadRequest::CommonName(error.to_string()))
}

/// Whether that may be a device's serial number.
pub fn is_serial(text: &str) -> bool {
    (1..=SERIAL_LONGEST).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};

    use super::*;

    /// A request as `openssl req -new -newkey ec -subj /CN=front-door-01` makes it, by rcgen.
    fn request(key: &KeyPair, subject: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, text) in subject {
            params.distinguished_name.push(kind.clone(), *text);
        }
        params.serialize_request(key).unwrap().der().to_vec()
    }

    fn serial_number() -> DnType {
        DnType::CustomDnType(vec![2, 5, 4, 5])
    }

    fn refused(der: &[u8]) -> String {
        CertificateRequest::from_der(der).unwrap_err().to_string()
    }

    #[test]
    fn a_request_brings_a_key_and_perhaps_a_name() {
        let key = KeyPair::generate().unwrap();
        let nameless = CertificateRequest::from_der(&request(&key, &[])).unwrap();
        assert_eq!((nameless.device, nameless.serial), (None, None));
        let empty = request(&key, &[(DnType::CommonName, "")]);
        assert_eq!(CertificateRequest::from_der(&empty).unwrap().device, None);
        let named = [
            (DnType::CommonName, "front-door-01"),
            (serial_number(), "SN 0001/a"),
        ];
        let named = CertificateRequest::from_der(&request(&key, &named)).unwrap();
        assert_eq!(named.device.unwrap().as_str(), "front-door-01");
        assert_eq!(named.serial.as_deref(), Some("SN 0001/a"));
        assert_eq!(named.key_sha256, nameless.key_sha256);
        assert_eq!(named.key_sha256.len(), 64);
    }

    #[test]
    fn names_of_others_are_refused() {
        let key = KeyPair::generate().unwrap();
        let common = |name: &str| refused(&request(&key, &[(DnType::CommonName, name)]));
        assert!(common("Front door").contains("[a-z0-9-]{8,40}"));
        assert!(common("+/#").contains("[a-z0-9-]{8,40}"));
        assert!(common(CONTROL_NAME).contains("the control plane's own name"));
        let organisation = request(&key, &[(DnType::OrganizationName, "Heron")]);
        assert!(refused(&organisation).contains("2.5.4.10 is not allowed"));
        let long = request(&key, &[(serial_number(), &"x".repeat(65))]);
        assert!(refused(&long).contains("1 to 64"));
    }

    #[test]
    fn what_is_asked_beyond_the_key_is_refused() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::DnsName("heron.example".try_into().unwrap())];
        let san = params.serialize_request(&key).unwrap().der().to_vec();
        assert!(refused(&san).contains("the extension 2.5.29.17 is not allowed"));
    }

    #[test]
    fn another_key_and_a_wrong_signature_are_refused() {
        let p384 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(refused(&request(&p384, &[])).contains("must be an uncompressed P-256 key"));
        let edwards = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert!(refused(&request(&edwards, &[])).contains("must be an uncompressed P-256 key"));

        let mut forged = request(&KeyPair::generate().unwrap(), &[]);
        let last = forged.len() - 1;
        forged[last] ^= 1;
        assert!(refused(&forged).contains("signature does not match"));
        assert_eq!(refused(b"hello"), BadRequest::Encoding.to_string());
        let mut long = request(&KeyPair::generate().unwrap(), &[]);
        long.push(0);
        assert_eq!(refused(&long), BadRequest::Encoding.to_string());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_request_or_refused_in_one_line(bytes: Vec<u8>) {
            let refused = refused(&bytes);
            proptest::prop_assert_eq!(refused.lines().count(), 1);
        }

        #[test]
        fn a_request_with_a_wrong_byte_says_the_same_or_is_refused(at: proptest::sample::Index, with in 1u8..) {
            let mut der = request(&KeyPair::generate().unwrap(), &[(DnType::CommonName, "front-door-01")]);
            let right = CertificateRequest::from_der(&der).unwrap();
            let at = at.index(der.len());
            der[at] ^= with;
            // Not every byte of the wrapping is signed.
            if let Ok(read) = CertificateRequest::from_der(&der) {
                proptest::prop_assert_eq!((read.device, read.key_sha256), (right.device, right.key_sha256));
            }
        }
    }
}
