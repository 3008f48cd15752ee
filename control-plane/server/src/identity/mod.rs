//! Keys and certificates: what the control plane is known by, and what it makes for cameras.
//!
//! At the first start everything is made and kept in the data directory, each file readable by its user only:
//!
//! | file | what it is |
//! |---|---|
//! | `root.pem`, `root.key` | the CA that browsers and cameras trust: it issues the server certificate, of HTTPS and of the broker |
//! | `server.pem`, `server.key` | that certificate; issued again when a name changes or its end is near |
//! | `devices.pem`, `devices.key` | the CA of the cameras' certificates |
//! | `control.pem`, `control.key` | the CA of the control plane's own client certificates |
//! | `grant.key` | signs viewer grants (ES256) |
//! | `turn.secret` | shared with TURN servers, made by [`crate::turn::SecretFile`] |
//!
//! Three CAs, so that a camera's certificate opens nothing but the doors for cameras.
//!
//! A camera's certificates are of 90 days; they and the camera's standing are in the database. [`Enrolment`] gives them
//! out (a claim, a pairing code, the factory list, or a renewal), [`CertificateRequest`] is what a device asks with, and
//! [`Gate`] decides at every door which of them is good now. What a certificate is good for, and until when, is one
//! pure function in `admission`.

mod admission;
mod authority;
mod bundle;
mod claim;
mod enrolment;
mod gate;
mod identity_key;
mod keep;
mod names;
mod pairing;
mod request;
mod server_certificate;
mod stored_certificate;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use thiserror::Error;

pub use admission::{NotAdmitted, OVERLAP, Purpose, RENEWABLE, is_valid, renew_after_ms};
pub use authority::{Authority, Certified, Issued, RevokedSerial, Subject};
pub use bundle::Bundle;
pub use claim::{ClaimServer, ClaimTerms, MadeClaim, NoClaim, make_claim};
pub use enrolment::{AddedBundle, Asker, Credential, EnrolError, Enrolled, Enrolment, LIFE};
pub use gate::{Bouncer, Gate};
pub use identity_key::IdentityKey;
pub use keep::Keep;
pub use names::{
    BadName, check_camera_name, check_person_name, check_reason, check_site, check_tags,
    new_device_id,
};
pub use pairing::{BadCode, CODE_LIFE, parse_code, show_code};
pub use request::{BadRequest, CertificateRequest};
pub(crate) use request::{CONTROL_NAME, is_serial};
pub use server_certificate::{ServerCertificate, server_certificate};
pub use stored_certificate::{ShownCertificate, row_of};

/// Why a key or certificate is not there.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file was read and is not what it should be.
    #[error("{}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A certificate is not one of ours.
    #[error("not a certificate of a P-256 key: {0}")]
    Certificate(String),
    /// A certificate or key could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
}

/// Everything the control plane keeps secret or is known by.
pub struct Identity {
    /// Where it is kept.
    pub keep: Keep,
    /// Behind the server certificate.
    pub root: Authority,
    /// Behind the cameras' certificates.
    pub devices: Arc<Authority>,
    /// Behind our own client certificates.
    pub control: Authority,
    /// Signs grants: PKCS#8, PEM.
    pub grant_key: String,
    /// Verifies grants: SPKI, PEM.
    pub grant_public_key: String,
}

impl Identity {
    /// Reads everything from `dir`, and makes what is not there yet. Two processes may do this at once.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] names the file.
    pub fn open(dir: &Path, now: SystemTime) -> Result<Self, IdentityError> {
        let keep = Keep::open(dir)?;
        let _lock = keep.lock()?;
        let root = Authority::open(&keep, "root", "Heron root CA", now)?;
        let devices = Arc::new(Authority::open(&keep, "devices", "Heron device CA", now)?);
        let control = Authority::open(&keep, "control", "Heron control CA", now)?;
        let grant_key = keep.read_or_make("grant.key", || {
            Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?.serialize_pem())
        })?;
        let grant_public_key = KeyPair::from_pem(&grant_key)
            .map_err(|error| keep.unreadable("grant.key", &error))?
            .public_key_pem();
        Ok(Self {
            keep,
            root,
            devices,
            control,
            grant_key,
            grant_public_key,
        })
    }
}
