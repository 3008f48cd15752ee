//! The server's certificate: kept while it fits, issued again when it does not.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

use super::{Authority, IdentityError, Keep, Subject};

/// Browsers refuse server certificates of more than 398 days (CA/Browser Forum baseline requirements, 6.3.2); the day
/// that certificates begin early counts.
const LIFE: Duration = Duration::from_secs(390 * 24 * 3600);
/// Issued again at the first start in its last quarter or so.
const RENEW_BEFORE: Duration = Duration::from_secs(90 * 24 * 3600);

const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";

/// Where the server's certificate and key are, both in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerCertificate {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// The certificate of `root` for exactly these names, with months to go.
///
/// # Errors
///
/// [`IdentityError`] when it cannot be made or written.
pub fn server_certificate(
    keep: &Keep,
    root: &Authority,
    names: &[String],
    now: SystemTime,
) -> Result<ServerCertificate, IdentityError> {
    let _lock = keep.lock()?;
    let there = keep.read(CERTIFICATE)?.filter(|_| keep.path(KEY).exists());
    if !there.is_some_and(|pem| still_good(&pem, root, names, now)) {
        let issued = root.issue(&Subject::Server(names), LIFE, now)?;
        keep.write(KEY, &issued.key)?;
        keep.write(CERTIFICATE, &issued.certificate)?;
        tracing::info!(names = %names.join(", "), "issued the server certificate");
    }
    Ok(ServerCertificate {
        certificate: keep.path(CERTIFICATE),
        key: keep.path(KEY),
    })
}

fn still_good(pem: &str, root: &Authority, names: &[String], now: SystemTime) -> bool {
    let (Ok((_, pem)), Ok((_, root))) = (
        parse_x509_pem(pem.as_bytes()),
        parse_x509_pem(root.certificate_pem().as_bytes()),
    ) else {
        return false;
    };
    let (Ok(certificate), Ok(root)) = (pem.parse_x509(), root.parse_x509()) else {
        return false;
    };
    let until = certificate.validity().not_after.timestamp();
    let needed = crate::clock::unix_ms(now + RENEW_BEFORE) / 1000;
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let has = certificate.subject_alternative_name().ok().flatten();
    let has: BTreeSet<String> = has
        .map(|names| names.value.general_names.iter().filter_map(text).collect())
        .unwrap_or_default();
    until > needed
        && certificate
            .verify_signature(Some(root.public_key()))
            .is_ok()
        && has.iter().map(String::as_str).eq(wanted)
}

fn text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets)
                .ok()
                .map(|octets| std::net::IpAddr::from(octets).to_string()),
            _ => <[u8; 16]>::try_from(*octets)
                .ok()
                .map(|octets| std::net::IpAddr::from(octets).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::authority::DAY;
    use super::*;

    #[test]
    fn it_is_kept_until_a_name_changes_or_its_end_is_near() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::open(dir.path()).unwrap();
        let now = SystemTime::now();
        let root = Authority::open(&keep, "root", "Test CA", now).unwrap();
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let certificate = |names: &[String], now| {
            let files = server_certificate(&keep, &root, names, now).unwrap();
            std::fs::read_to_string(files.certificate).unwrap()
        };
        let first = certificate(&names(&["localhost", "127.0.0.1", "::1"]), now);
        assert_eq!(
            first,
            certificate(&names(&["::1", "127.0.0.1", "localhost"]), now + 30 * DAY),
            "order is nothing"
        );
        let renamed = certificate(&names(&["localhost", "192.0.2.1"]), now);
        assert_ne!(first, renamed);
        assert_eq!(
            renamed,
            certificate(&names(&["localhost", "192.0.2.1"]), now + 299 * DAY)
        );
        assert_ne!(
            renamed,
            certificate(&names(&["localhost", "192.0.2.1"]), now + 301 * DAY)
        );
    }

    #[test]
    fn one_of_another_ca_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::open(dir.path()).unwrap();
        let now = SystemTime::now();
        let names = ["localhost".to_owned()];
        let [one, two] =
            ["one", "two"].map(|stem| Authority::open(&keep, stem, "Test CA", now).unwrap());
        server_certificate(&keep, &one, &names, now).unwrap();
        let pem = keep.read(CERTIFICATE).unwrap().unwrap();
        assert!(still_good(&pem, &one, &names, now));
        assert!(!still_good(&pem, &two, &names, now));
    }
}
