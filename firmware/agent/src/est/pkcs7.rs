//! Certs-only PKCS#7: what an EST server answers with (RFC 7030 section 4.2.3, RFC 5652 sections 3 and 5).
//!
//! The structure is the `cms` crate's. What is ours is the transfer encoding (base64 with any line ends,
//! RFC 8951; bare DER is taken too, which older servers send) and the choice of the certificate that is
//! for our key: the others follow in the order in which each signed the one before.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cms::cert::CertificateChoices;
use cms::cert::x509::der::{Decode, Encode, oid::ObjectIdentifier};
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use x509_parser::parse_x509_certificate;

/// `id-signedData` (RFC 5652 section 5.1).
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// A chain has two or three.
const MAX_CERTIFICATES: usize = 10;
/// The first byte of DER: a SEQUENCE.
const SEQUENCE: u8 = 0x30;

/// The certificates in an answer's body, DER, in the order of the answer.
///
/// # Errors
///
/// One line that says what the body is not.
pub fn certificates(body: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let der = if body.first() == Some(&SEQUENCE) && body.get(1).is_some_and(|byte| byte & 0x80 != 0)
    {
        body.to_vec()
    } else {
        let text: Vec<u8> = body
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect();
        STANDARD
            .decode(text)
            .map_err(|_| "it is not base64".to_owned())?
    };
    let content = ContentInfo::from_der(&der).map_err(|_| "it is not PKCS#7".to_owned())?;
    if content.content_type != SIGNED_DATA {
        return Err("it is PKCS#7, but not signed data".to_owned());
    }
    let signed: SignedData = content
        .content
        .decode_as()
        .map_err(|_| "its signed data cannot be read".to_owned())?;
    let set = signed.certificates.ok_or("it has no certificates")?;
    let mut found = Vec::new();
    for choice in set.0.iter() {
        if let CertificateChoices::Certificate(certificate) = choice {
            let der = certificate.to_der().map_err(|error| error.to_string())?;
            found.push(der);
        }
    }
    if found.is_empty() || found.len() > MAX_CERTIFICATES {
        return Err(format!(
            "it has {} certificates; allowed: 1 to {MAX_CERTIFICATES}",
            found.len()
        ));
    }
    Ok(found)
}

/// PEM of the certificate for `public_key` (a SubjectPublicKeyInfo), and of those above it.
///
/// # Errors
///
/// One line when none is for that key.
pub fn ours_first(certificates: &[Vec<u8>], public_key: &[u8]) -> Result<String, String> {
    let mut named = Vec::new();
    let mut ours = None;
    for der in certificates {
        let (_, certificate) = parse_x509_certificate(der)
            .map_err(|_| "one of its certificates cannot be read".to_owned())?;
        if certificate.public_key().raw == public_key {
            ours = Some(named.len());
        }
        let names = (
            certificate.subject().as_raw().to_vec(),
            certificate.issuer().as_raw().to_vec(),
        );
        named.push((names, der));
    }
    let ours = ours.ok_or("none of its certificates is for this device's key")?;
    let ((_, mut issuer), mut next) = named.swap_remove(ours);
    let mut text = String::new();
    loop {
        pem(&mut text, next);
        let Some(above) = named
            .iter()
            .position(|((subject, own_issuer), _)| *subject == issuer && subject != own_issuer)
        else {
            return Ok(text);
        };
        ((_, issuer), next) = named.swap_remove(above);
    }
}

fn pem(text: &mut String, der: &[u8]) {
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    let encoded = STANDARD.encode(der);
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trust;

    // `openssl crl2pkcs7 -nocrl -certfile chain.pem`: a leaf, an intermediate and a root, by openssl 3.0, in that
    // order in the file; DER sorts the set its own way.
    const OPENSSL: &str = include_str!("../../tests/data/chain.p7b");
    const LEAF: &str = include_str!("../../tests/data/leaf.pem");

    fn body() -> String {
        OPENSSL
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect()
    }

    fn leaf_key() -> Vec<u8> {
        let leaf = trust::chain(LEAF).unwrap();
        let (_, leaf) = parse_x509_certificate(&leaf[0]).unwrap();
        leaf.public_key().raw.to_vec()
    }

    #[test]
    fn what_openssl_writes_is_read_and_put_in_order_without_the_root() {
        let found = certificates(body().as_bytes()).unwrap();
        assert_eq!(found.len(), 3);
        let chain = ours_first(&found, &leaf_key()).unwrap();
        let chain = trust::chain(&chain).unwrap();
        assert_eq!(chain[0], trust::chain(LEAF).unwrap()[0]);
        let names: Vec<_> = chain
            .iter()
            .map(|der| parse_x509_certificate(der).unwrap().1.subject().to_string())
            .collect();
        assert_eq!(names, ["CN=front-door-01", "CN=intermediate"]);
    }

    #[test]
    fn line_ends_and_bare_der_do_no_harm() {
        let wrapped = OPENSSL.replace('\n', "\r\n");
        let wrapped: String = wrapped
            .lines()
            .filter(|line| !line.starts_with("--"))
            .map(|line| format!("{line}\r\n"))
            .collect();
        assert_eq!(certificates(wrapped.as_bytes()).unwrap().len(), 3);
        let der = STANDARD.decode(body()).unwrap();
        assert_eq!(certificates(&der).unwrap().len(), 3);
    }

    #[test]
    fn what_is_no_answer_says_why() {
        let found = certificates(body().as_bytes()).unwrap();
        assert!(
            ours_first(&found, b"another key")
                .unwrap_err()
                .contains("this device's key")
        );
        assert_eq!(certificates(b"<html>").unwrap_err(), "it is not base64");
        assert_eq!(certificates(b"").unwrap_err(), "it is not PKCS#7");
        let half = body();
        assert!(certificates(&half.as_bytes()[..half.len() / 2 / 4 * 4]).is_err());
        let leaf: String = LEAF
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect();
        assert_eq!(
            certificates(leaf.as_bytes()).unwrap_err(),
            "it is not PKCS#7"
        );
    }

    proptest! {
        #[test]
        fn no_bytes_do_harm(bytes in any::<Vec<u8>>()) {
            let _ = certificates(&bytes);
        }

        #[test]
        fn a_damaged_answer_does_no_harm(at in 0usize..1500, with in any::<u8>()) {
            let mut der = STANDARD.decode(body()).unwrap();
            let at = at % der.len();
            der[at] = with;
            if let Ok(found) = certificates(&der) {
                let _ = ours_first(&found, &leaf_key());
            }
        }
    }
}
