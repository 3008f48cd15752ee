//! Three authorities and what they issue, as files, since foreign clients want files.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    RevokedCertParams, SerialNumber, date_time_ymd,
};
use tempfile::TempDir;
use x509_parser::pem::parse_x509_pem;

/// A certificate and its key, in PEM, and where they are.
pub struct Identity {
    pub certificate: String,
    pub key: String,
    pub certificate_path: PathBuf,
    pub key_path: PathBuf,
}

impl Identity {
    /// The certificate's serial number.
    pub fn serial(&self) -> Vec<u8> {
        let (_, pem) = parse_x509_pem(self.certificate.as_bytes()).unwrap();
        pem.parse_x509().unwrap().raw_serial().to_vec()
    }
}

pub struct Pki {
    dir: TempDir,
    devices: Issuer<'static, KeyPair>,
    control: Issuer<'static, KeyPair>,
    strangers: Issuer<'static, KeyPair>,
}

impl Pki {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = vec![
                KeyUsagePurpose::KeyCertSign,
                KeyUsagePurpose::CrlSign,
                KeyUsagePurpose::DigitalSignature,
            ];
            let key = KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            fs::write(dir.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
            Issuer::new(params, key)
        };
        let server_ca = authority("server-ca");
        let (devices, control) = (authority("device-ca"), authority("control-ca"));
        let strangers = authority("stranger-ca");

        let key = KeyPair::generate().unwrap();
        let mut params =
            CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server = params.signed_by(&key, &server_ca).unwrap();
        fs::write(dir.path().join("server.pem"), server.pem()).unwrap();
        fs::write(dir.path().join("server.key"), key.serialize_pem()).unwrap();
        Self {
            dir,
            devices,
            control,
            strangers,
        }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// The authority that clients trust to name the broker.
    pub fn server_ca(&self) -> Vec<u8> {
        fs::read(self.path("server-ca.pem")).unwrap()
    }

    pub fn device(&self, name: &str) -> Identity {
        self.issue(&self.devices, "device", &named(name))
    }

    pub fn expired_device(&self, name: &str) -> Identity {
        let mut params = named(name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2020, 4, 1);
        self.issue(&self.devices, "expired", &params)
    }

    pub fn nameless_device(&self) -> Identity {
        let mut params = named("x");
        params.distinguished_name = rcgen::DistinguishedName::new();
        self.issue(&self.devices, "nameless", &params)
    }

    /// The list of these cameras' certificates, signed by the device CA.
    pub fn revocation_list(&self, revoked: &[&Identity]) -> String {
        let entry = |identity: &&Identity| RevokedCertParams {
            serial_number: SerialNumber::from(identity.serial()),
            revocation_time: date_time_ymd(2026, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 1, 1),
            next_update: date_time_ymd(2050, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.devices).unwrap();
        list.pem().unwrap()
    }

    pub fn control(&self, name: &str) -> Identity {
        self.issue(&self.control, "control", &named(name))
    }

    pub fn stranger(&self, name: &str) -> Identity {
        self.issue(&self.strangers, "stranger", &named(name))
    }

    fn issue(
        &self,
        issuer: &Issuer<'_, KeyPair>,
        kind: &str,
        params: &CertificateParams,
    ) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, issuer).unwrap().pem();
        let name = params
            .distinguished_name
            .get(&DnType::CommonName)
            .map(|name| format!("{name:?}"));
        let file: String = name
            .unwrap_or_default()
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        let identity = Identity {
            certificate,
            key: key.serialize_pem(),
            certificate_path: self.path(&format!("{kind}-{file}.pem")),
            key_path: self.path(&format!("{kind}-{file}.key")),
        };
        fs::write(&identity.certificate_path, &identity.certificate).unwrap();
        fs::write(&identity.key_path, &identity.key).unwrap();
        identity
    }
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}
