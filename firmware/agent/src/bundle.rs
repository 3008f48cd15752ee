//! The device bundle: everything a camera needs to know about its control plane, in one file.
//!
//! Enrolment and renewal write it ([`BundleFile`]), or the control plane (`heron-control camera add`) and
//! a person copies it onto the board. It stays readable by its owner only, since it holds the device's
//! private key. It is read and checked whole before anything starts: what is wrong with it is said by
//! file and field.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use heron_protocol::{DeviceId, SigningKey, TenantId, VerifyingKey};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use x509_parser::parse_x509_certificate;

use crate::clock::Clock;
use crate::server::ServerUrl;
use crate::trust::{self, chain};

/// A bundle is a handful of PEM blocks; a larger file is some other file.
const MAX_BYTES: u64 = 256 * 1024;

/// Why a bundle cannot be used. Never quotes the file: it holds a private key.
#[derive(Debug, Error)]
pub enum BundleError {
    /// The file could not be read.
    #[error("bundle {path}: cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not a bundle: a key is missing, unknown or of another type.
    #[error("bundle {path}:{line}: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What the parser met and what it allows.
        reason: String,
    },
    /// A field has a value that cannot be used.
    #[error("bundle {path}: {field}: {reason}")]
    Field {
        /// The file.
        path: PathBuf,
        /// The field's name.
        field: &'static str,
        /// What is wrong, and what is allowed.
        reason: String,
    },
}

/// A device's identity and its way to the control plane.
#[derive(Clone)]
pub struct Bundle {
    /// The camera's id: the common name of its certificate.
    pub device: DeviceId,
    /// The organisation that the camera belongs to.
    pub tenant: TenantId,
    /// Where the broker listens for devices.
    pub broker: BrokerAddress,
    /// The device's private key: it signs what this camera answers, and proves who it is to the broker.
    pub identity: SigningKey,
    /// The key by which the control plane's viewer grants are recognised.
    pub grant_key: VerifyingKey,
    /// From when to when the device certificate is valid.
    pub validity: Validity,
    /// Where the control plane renews certificates; `None` in bundles that do not say.
    pub server: Option<ServerUrl>,
    /// TLS towards the broker.
    pub(crate) tls: Arc<ClientConfig>,
    /// TLS towards the control plane, with the device's certificate.
    pub(crate) https: Arc<ClientConfig>,
    /// What the bundle was read from.
    pub(crate) file: Arc<BundleFile>,
}

/// `host:port` of a broker; an IPv6 address stands in brackets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerAddress {
    /// A name or an address, without brackets. The broker's certificate must carry it.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Validity {
    /// Not valid before.
    pub from: SystemTime,
    /// Not valid after.
    pub until: SystemTime,
}

/// The file's own shape: TOML. It holds a secret and is never printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BundleFile {
    pub device: DeviceId,
    pub tenant: TenantId,
    pub broker: String,
    /// The control plane over HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerUrl>,
    /// Who signs the control plane's HTTPS certificate; without it `ca`, or an authority that this machine trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_ca: Option<String>,
    pub ca: String,
    pub certificate: String,
    pub key: String,
    pub grant_key: String,
}

impl BundleFile {
    /// The file's text.
    pub fn text(&self) -> Result<String, String> {
        toml::to_string_pretty(self).map_err(|error| error.to_string())
    }
}

impl Bundle {
    /// Reads and checks a bundle file.
    ///
    /// # Errors
    ///
    /// [`BundleError`], one line with the file and the field.
    pub fn load(path: &Path) -> Result<Self, BundleError> {
        Self::load_by(path, &Clock::new())
    }

    /// Reads and checks a bundle file; certificates of servers are then judged by `clock`.
    ///
    /// # Errors
    ///
    /// [`BundleError`], one line with the file and the field.
    pub fn load_by(path: &Path, clock: &Clock) -> Result<Self, BundleError> {
        let read = |source| BundleError::Read {
            path: path.to_owned(),
            source,
        };
        let metadata = fs::metadata(path).map_err(read)?;
        if metadata.len() > MAX_BYTES {
            return Err(BundleError::Syntax {
                path: path.to_owned(),
                line: 1,
                reason: format!("{} bytes; a bundle has at most {MAX_BYTES}", metadata.len()),
            });
        }
        let text = fs::read_to_string(path).map_err(read)?;
        Self::parse_by(path, &text, clock)
    }

    /// Checks the text of a bundle; `path` is for messages.
    ///
    /// # Errors
    ///
    /// [`BundleError`], one line with the file and the field.
    pub fn parse(path: &Path, text: &str) -> Result<Self, BundleError> {
        Self::parse_by(path, text, &Clock::new())
    }

    pub(crate) fn parse_by(path: &Path, text: &str, clock: &Clock) -> Result<Self, BundleError> {
        let file: BundleFile = toml::from_str(text).map_err(|error| BundleError::Syntax {
            path: path.to_owned(),
            line: line_of(text, error.span().map_or(0, |span| span.start)),
            reason: error.message().to_owned(),
        })?;
        let field = |field, reason: String| BundleError::Field {
            path: path.to_owned(),
            field,
            reason,
        };

        let broker = file
            .broker
            .parse()
            .map_err(|error: AddressError| field("broker", error.to_string()))?;
        let roots = trust::roots(&file.ca).map_err(|reason| field("ca", reason))?;
        let server_roots = match &file.server_ca {
            Some(pem) => trust::roots(pem).map_err(|reason| field("server_ca", reason))?,
            None => {
                let mut both = roots.clone();
                // Without public authorities the bundle's own are those there are.
                both.extend(trust::public_roots().unwrap_or_else(|_| both.clone()).roots);
                both
            }
        };
        let chain = chain(&file.certificate).map_err(|reason| field("certificate", reason))?;
        let (name, validity) = subject(&chain[0]).map_err(|reason| field("certificate", reason))?;
        if name != file.device.as_str() {
            return Err(field(
                "certificate",
                format!(
                    "issued for {name:?}, but this bundle is for device {:?}",
                    file.device.as_str()
                ),
            ));
        }
        let signing =
            SigningKey::from_pem(&file.key).map_err(|error| field("key", error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(file.key.as_bytes())
            .map_err(|error| field("key", format!("not a private key in PEM: {error}")))?;
        let identity = (chain.clone(), key.clone_key());
        let tls = trust::client_config(roots, Some((chain, key)), clock)
            .map_err(|reason| field("key", reason))?;
        let https = trust::client_config(server_roots, Some(identity), clock)
            .map_err(|reason| field("key", reason))?;
        let grant_key = VerifyingKey::from_pem(&file.grant_key)
            .map_err(|error| field("grant_key", error.to_string()))?;

        Ok(Self {
            device: file.device.clone(),
            tenant: file.tenant.clone(),
            broker,
            identity: signing,
            grant_key,
            validity,
            server: file.server.clone(),
            tls: Arc::new(tls),
            https: Arc::new(https),
            file: Arc::new(file),
        })
    }
}

impl Bundle {
    /// Who may vouch for relays that are reached over TLS (`turns:`): who signs the broker's and the control plane's
    /// certificates, and public authorities.
    ///
    /// # Errors
    ///
    /// One line, when the bundle's authorities are none.
    pub fn relay_roots(&self) -> Result<RootCertStore, String> {
        let mut roots = trust::roots(&self.file.ca)?;
        if let Some(pem) = &self.file.server_ca {
            roots.extend(trust::roots(pem)?.roots);
        }
        // Without public authorities the bundle's own are those there are.
        if let Ok(public) = trust::public_roots() {
            roots.extend(public.roots);
        }
        Ok(roots)
    }

    /// TLS towards relays, without a certificate of ours. Theirs are judged by `clock`.
    ///
    /// # Errors
    ///
    /// One line, when TLS cannot be configured.
    pub fn relay_tls(&self, clock: &Clock) -> Result<Arc<ClientConfig>, String> {
        trust::client_config(self.relay_roots()?, None, clock).map(Arc::new)
    }
}

impl fmt::Debug for Bundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle")
            .field("device", &self.device)
            .field("tenant", &self.tenant)
            .field("broker", &self.broker)
            .finish_non_exhaustive()
    }
}

impl Validity {
    /// Whether the certificate may be used at `now`; if not, why not.
    ///
    /// A board without a battery clock can be wrong about `now`, so the caller decides what this means.
    ///
    /// # Errors
    ///
    /// One line that says by how much the certificate misses.
    pub fn check(&self, now: SystemTime) -> Result<(), String> {
        if let Ok(early) = self.from.duration_since(now) {
            return Err(format!(
                "the device certificate becomes valid in {}; is this board's clock right?",
                rounded(early)
            ));
        }
        if let Ok(late) = now.duration_since(self.until) {
            return Err(format!(
                "the device certificate expired {} ago; it is renewed if the control plane still allows it, else enrol anew",
                rounded(late)
            ));
        }
        Ok(())
    }
}

/// Why a text is not a broker's address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not HOST:PORT (an IPv6 address stands in brackets, the port is 1 to 65535)")]
pub struct AddressError(String);

impl FromStr for BrokerAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bad = || AddressError(text.chars().take(80).collect());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad)?;
        let port: u16 = port.parse().map_err(|_| bad())?;
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = bracketed.unwrap_or(host);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let valid = if bracketed.is_some() {
            host.parse::<std::net::Ipv6Addr>().is_ok()
        } else {
            !host.is_empty() && host.chars().all(is_name)
        };
        if !valid || port == 0 {
            return Err(bad());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The common name and the validity of a certificate.
fn subject(certificate: &CertificateDer<'_>) -> Result<(String, Validity), String> {
    let (_, certificate) = parse_x509_certificate(certificate)
        .map_err(|error| format!("not an X.509 certificate: {error}"))?;
    let name = certificate
        .subject()
        .iter_common_name()
        .find_map(|name| name.as_str().ok())
        .ok_or("it has no common name")?
        .to_owned();
    let at = |timestamp: i64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(timestamp).unwrap_or(0))
    };
    let validity = certificate.validity();
    Ok((
        name,
        Validity {
            from: at(validity.not_before.timestamp()),
            until: at(validity.not_after.timestamp()),
        },
    ))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
        + 1
}

/// A duration as a person says it.
fn rounded(duration: Duration) -> String {
    let (count, unit) = match duration.as_secs() {
        seconds @ ..120 => (seconds, "seconds"),
        seconds @ ..7_200 => (seconds / 60, "minutes"),
        seconds @ ..172_800 => (seconds / 3_600, "hours"),
        seconds => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}
