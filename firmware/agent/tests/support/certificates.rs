//! A certificate authority of one test, and the bundle it issues.

use std::path::Path;
use std::time::{Duration, SystemTime};

use heron_agent::Bundle;
use p256::pkcs8::{EncodePublicKey, LineEnding};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, both PEM.
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub fn server(&self) -> Issued {
        self.server_at(["127.0.0.1", super::FAR])
    }

    /// For a server that has these names or addresses.
    pub fn server_at<T: ToString>(&self, names: impl IntoIterator<Item = T>) -> Issued {
        let names: Vec<_> = names.into_iter().map(|name| name.to_string()).collect();
        self.issue(&CertificateParams::new(names).unwrap())
    }

    pub fn client(&self, name: &str) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(&params)
    }

    pub fn expired_client(&self, name: &str) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 1);
        self.issue(&params)
    }

    /// The certificate for a request, whatever it asks for, valid from and until so many days from now.
    pub fn answer(&self, request: &[u8], device: &str, from: i64, until: i64) -> String {
        let request = CertificateSigningRequestParams::from_der(&request.to_vec().into()).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, device);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = days(from).into();
        params.not_after = days(until).into();
        let certificate = params.signed_by(&request.public_key, &self.issuer).unwrap();
        certificate.pem()
    }

    /// A client's certificate, valid from and until so many days from now.
    pub fn aged_client(&self, name: &str, from: i64, until: i64) -> Issued {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = days(from).into();
        params.not_after = days(until).into();
        self.issue(&params)
    }

    /// The text of a bundle that leads to a broker on this port.
    pub fn bundle_text(&self, device: &str, port: u16, issued: &Issued) -> String {
        self.bundle_text_to(device, &format!("127.0.0.1:{port}"), issued)
    }

    /// The text of a bundle that leads to a broker on another host.
    pub fn bundle_text_to(&self, device: &str, broker: &str, issued: &Issued) -> String {
        let grant_key = grant_key();
        format!(
            "device = {device:?}\ntenant = \"home\"\nbroker = {broker:?}\n\
             ca = '''\n{}'''\ncertificate = '''\n{}'''\nkey = '''\n{}'''\ngrant_key = '''\n{grant_key}'''\n",
            self.pem(),
            issued.certificate,
            issued.key,
        )
    }

    pub fn bundle(&self, device: &str, port: u16) -> Bundle {
        let text = self.bundle_text(device, port, &self.client(device));
        Bundle::parse(Path::new("bundle.toml"), &text).unwrap()
    }

    fn issue(&self, params: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

/// Somebody's public key, to put where a grant key is needed.
pub fn grant_key() -> String {
    let key = p256::SecretKey::from_slice(&[7; 32]).unwrap().public_key();
    key.to_public_key_pem(LineEnding::LF).unwrap()
}

/// So many days from now.
fn days(days: i64) -> SystemTime {
    let distance = Duration::from_secs(86_400 * days.unsigned_abs());
    let now = SystemTime::now();
    if days < 0 {
        now - distance
    } else {
        now + distance
    }
}
