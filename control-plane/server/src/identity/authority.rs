//! A certificate authority of our own (RFC 5280): P-256, ten years, issues leaves only.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use heron_protocol::DeviceId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    RevocationReason, RevokedCertParams, SanType, SerialNumber, SubjectPublicKeyInfo,
};

use super::admission::NotAdmitted;
use super::{IdentityError, Keep};
use crate::clock::unix_ms;

pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
const CA_LIFE: Duration = Duration::from_secs(3650 * 24 * 3600);
/// A broker that was not given a newer list after this long no longer believes the one it has. Lists are made anew at
/// each change and each start, so this only has to be longer than any run.
const LIST_LIFE: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Certificates begin a day early: the clock of whoever checks them may be behind.
const HEAD_START: Duration = DAY;

/// A CA.
pub struct Authority {
    certificate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// Whom a certificate is for.
#[derive(Debug, Clone)]
pub enum Subject<'a> {
    /// A server under these names and addresses.
    Server(&'a [String]),
    /// A client with this common name.
    Client(&'a str),
}

/// A fresh key and its certificate, both in PEM.
#[derive(Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The key, PKCS#8.
    pub key: String,
}

/// A certificate that was issued for somebody else's key.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The certificate, PEM.
    pub pem: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// Its serial number: lower-case hexadecimal without leading zeros.
    pub serial: String,
}

/// A serial number that no door accepts although its certificate is in date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedSerial {
    /// Lower-case hexadecimal without leading zeros.
    pub serial: String,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: i64,
    /// Why.
    pub refused: NotAdmitted,
}

impl RevokedSerial {
    fn entry(&self) -> Option<RevokedCertParams> {
        let digits = self.serial.as_bytes();
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        // From the end, as the number of digits may be odd.
        let bytes: Option<Vec<u8>> = digits.rchunks(2).rev().map(byte).collect();
        Some(RevokedCertParams {
            serial_number: SerialNumber::from(bytes?),
            revocation_time: time(self.since_ms).into(),
            reason_code: Some(match self.refused {
                NotAdmitted::Quarantined(_) => RevocationReason::CertificateHold,
                NotAdmitted::Superseded => RevocationReason::Superseded,
                _ => RevocationReason::PrivilegeWithdrawn,
            }),
            invalidity_date: None,
        })
    }
}

fn time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs())
}

impl Authority {
    /// Reads the CA `{stem}.pem` and `{stem}.key`; makes it if there is none.
    ///
    /// # Errors
    ///
    /// [`IdentityError`], also when only one of the two files is there: making a new CA would cut off everything that
    /// was issued by the old one.
    pub(super) fn open(
        keep: &Keep,
        stem: &str,
        common_name: &str,
        now: SystemTime,
    ) -> Result<Self, IdentityError> {
        let (certificate_file, key_file) = (format!("{stem}.pem"), format!("{stem}.key"));
        let (certificate_pem, key_pem) = match (
            keep.read(&certificate_file)?,
            keep.read(&key_file)?,
        ) {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => {
                let made = make(common_name, now)?;
                keep.write(&key_file, &made.key)?;
                keep.write(&certificate_file, &made.certificate)?;
                tracing::info!(file = %keep.path(&certificate_file).display(), "made {common_name}");
                (made.certificate, made.key)
            }
            (Some(_), None) => {
                return Err(keep.unreadable(&key_file, &"is missing; restore it from a backup"));
            }
            (None, Some(_)) => {
                return Err(
                    keep.unreadable(&certificate_file, &"is missing; restore it from a backup")
                );
            }
        };
        let key =
            KeyPair::from_pem(&key_pem).map_err(|error| keep.unreadable(&key_file, &error))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)
            .map_err(|error| keep.unreadable(&certificate_file, &error))?;
        Ok(Self {
            certificate_pem,
            issuer,
        })
    }

    /// The CA's certificate, in PEM.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a client certificate for a device's key.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Make`].
    pub fn certify(
        &self,
        device: &DeviceId,
        key: &SubjectPublicKeyInfo,
        life: Duration,
        now: SystemTime,
    ) -> Result<Certified, IdentityError> {
        let mut params = params(&Subject::Client(device.as_str()), life, now)?;
        // Ours to choose, so that one form of it is stored and compared: no leading zero, positive (RFC 5280 section
        // 4.1.2.2), 127 bits of chance.
        let mut serial: [u8; 16] = rand::random();
        serial[0] = serial[0] & 0x7f | 0x40;
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        let certificate = params.signed_by(key, &self.issuer)?;
        Ok(Certified {
            pem: certificate.pem(),
            der: certificate.der().to_vec(),
            serial: hexadecimal(&serial),
        })
    }

    /// Signs the list of serial numbers that are not to be accepted (RFC 5280 section 5). PEM.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Make`].
    pub fn revocation_list(
        &self,
        revoked: &[RevokedSerial],
        now: SystemTime,
    ) -> Result<String, IdentityError> {
        let revoked_certs = revoked.iter().filter_map(RevokedSerial::entry);
        let params = CertificateRevocationListParams {
            this_update: (now - HEAD_START).into(),
            next_update: (now + LIST_LIFE).into(),
            // Grows with time, as section 5.2.3 wants.
            crl_number: SerialNumber::from(unix_ms(now).unsigned_abs()),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.pem()?)
    }

    /// Makes a key and issues a certificate for it.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Make`], for instance when a name is not one.
    pub fn issue(
        &self,
        subject: &Subject<'_>,
        life: Duration,
        now: SystemTime,
    ) -> Result<Issued, IdentityError> {
        let params = params(subject, life, now)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// What every leaf of ours has.
fn params(
    subject: &Subject<'_>,
    life: Duration,
    now: SystemTime,
) -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let common_name = match subject {
        Subject::Server(names) => {
            params.subject_alt_names = names
                .iter()
                .map(|name| san(name))
                .collect::<Result<_, _>>()?;
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            "Heron control plane"
        }
        Subject::Client(common_name) => {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            common_name
        }
    };
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.is_ca = IsCa::ExplicitNoCa;
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = ((now - HEAD_START).into(), (now + life).into());
    Ok(params)
}

/// Lower-case hexadecimal.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn san(name: &str) -> Result<SanType, rcgen::Error> {
    match name.parse::<IpAddr>() {
        Ok(address) => Ok(SanType::IpAddress(address)),
        Err(_) => Ok(SanType::DnsName(name.try_into()?)),
    }
}

fn make(common_name: &str, now: SystemTime) -> Result<Issued, IdentityError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = ((now - HEAD_START).into(), (now + CA_LIFE).into());
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    Ok(Issued {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_with_half_its_files_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::open(dir.path()).unwrap();
        let now = SystemTime::now();
        let made = Authority::open(&keep, "root", "Test CA", now).unwrap();
        let again = Authority::open(&keep, "root", "Test CA", now).unwrap();
        assert_eq!(made.certificate_pem(), again.certificate_pem());

        std::fs::remove_file(keep.path("root.key")).unwrap();
        let error = Authority::open(&keep, "root", "Test CA", now)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("root.key: is missing"), "{error}");
    }
}
