//! Devices as the control plane's HTTPS meets them: keys, requests, certificates.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses its part; a failure here is a failed test"
)]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use heron_control::identity::Bundle;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsConnector;
use x509_parser::prelude::FromDer as _;

use super::{Answer, Client, ControlPlane};

pub const ENROL: &str = "/.well-known/est/simpleenroll";
pub const RENEW: &str = "/.well-known/est/simplereenroll";

/// A request for a certificate, in DER.
pub fn request(key: &KeyPair, common_name: Option<&str>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.serialize_request(key).unwrap().der().to_vec()
}

impl Client {
    /// Posts a request, with HTTP Basic if `who` says so.
    pub async fn est(&self, path: &str, who: Option<(&str, &str)>, request: &[u8]) -> Answer {
        let token = who.map(|(user, password)| {
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        });
        let mut headers = vec![("content-type", "application/pkcs10")];
        headers.extend(token.as_deref().map(|token| ("authorization", token)));
        self.send("POST", path, &headers, &STANDARD.encode(request))
            .await
    }
}

/// The first certificate of an answer, in PEM.
pub fn certificate(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let bare: String = answer.body.split_whitespace().collect();
    let der = STANDARD.decode(bare).unwrap();
    let content: cms::content_info::ContentInfo = der::Decode::from_der(&der).unwrap();
    let signed: cms::signed_data::SignedData = content.content.decode_as().unwrap();
    let set = signed.certificates.unwrap().0;
    let Some(cms::cert::CertificateChoices::Certificate(first)) = set.get(0) else {
        panic!("no certificate in the answer");
    };
    der::EncodePem::to_pem(first, der::pem::LineEnding::LF).unwrap()
}

/// The device that a certificate names, and its serial number.
pub fn names(pem: &str) -> (String, String) {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();
    let name = certificate.subject().iter_common_name().next().unwrap();
    let serial = certificate.serial.to_str_radix(16);
    (name.as_str().unwrap().to_owned(), serial)
}

impl ControlPlane {
    /// A client that shows a certificate.
    pub fn device(&self, certificate: &str, key: &str) -> Client {
        let root = std::fs::read(self.dir.path().join("data/root.pem")).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(&root).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Client {
            address: self.server.https_address(),
            tls: TlsConnector::from(Arc::new(config)),
            cookie: None,
        }
    }

    pub fn device_of(&self, bundle: &Bundle) -> Client {
        self.device(&bundle.certificate, &bundle.key)
    }

    /// The secret of a new claim.
    pub async fn claim(&self, admin: &Client, terms: &serde_json::Value) -> String {
        let made = admin.post("/api/v1/claims", terms).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let file: toml::Table = toml::from_str(made.json()["file"].as_str().unwrap()).unwrap();
        assert_eq!(file["server"].as_str(), Some(self.server.url().as_str()));
        assert!(file["ca"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
        file["claim"].as_str().unwrap().to_owned()
    }
}
