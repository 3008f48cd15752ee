//! Giving cameras an identity: the three ways in, the bundle a person adds a camera with, and renewal.
//!
//! ```text
//! claim (a secret)  ─┐                              ┌─ a camera, if it is a new one
//! pairing (a code)  ─┼─► certificate request ─► enrol ─┤
//! factory (serial)  ─┘    (key, perhaps a name)     └─ a pending certificate of 90 days
//! certificate ───────────► certificate request ─► renew ── another one, for a new key
//! ```
//!
//! Whoever asks again with the same key gets the same answer, as the first one may have been lost on the way; nothing
//! is counted twice. Time comes in, so that years pass in tests.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use heron_protocol::{DeviceId, ParseIdError, TenantId};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SubjectPublicKeyInfo};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::admission::{NotAdmitted, millis};
use super::authority::hexadecimal;
use super::claim::{ClaimServer, check_secret, secret_hash};
use super::names::{device_id, new_device_id};
use super::pairing::{BadCode, CODE_LIFE, parse_code};
use super::request::CertificateRequest;
use super::{Authority, Bundle, IdentityError};
use crate::clock::unix_ms;
use crate::store::{
    CameraRow, CertificateRow, CertificateState, NotEnrolled, PairingRow, PairingState, Standing,
    Store, StoreError, Ticket,
};

/// How long a certificate is good for. Cameras renew at two thirds.
pub const LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// Certificates one camera may have made in a day: more than it needs, fewer than a mad one asks for.
const A_DAY: usize = 20;
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Names tried for a camera before giving up: `Hall`, `Hall 2`, ...
const NAMES_TRIED: u32 = 50;
const NAME_LONGEST: usize = 64;
/// Leaves room for a number.
const NUMBERED_LONGEST: usize = 58;

/// Why a camera got no identity.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum EnrolError {
    #[error("the claim has {0} characters; 40 hexadecimal digits are a whole one")]
    ClaimCut(usize),
    #[error("there is no such claim; it was withdrawn or never made here")]
    ClaimUnknown,
    #[error("the claim has expired; make another one")]
    ClaimExpired,
    #[error("the claim is used up; make another one")]
    ClaimSpent,
    #[error(transparent)]
    Code(#[from] BadCode),
    #[error("this pairing code belongs to another key; choose another code")]
    CodeTaken,
    #[error("the pairing was refused")]
    PairingRefused,
    #[error("the pairing code is out of time; choose another code")]
    PairingExpired,
    #[error("too many devices wait for their pairing; try again later")]
    PairingBusy,
    #[error("the factory list has no such device: serial number and key must both be listed")]
    NotListed,
    #[error("the common name {0:?} is taken; leave it out, or choose another one")]
    IdTaken(String),
    #[error("the common name must be {0:?}, as in the certificate that is renewed")]
    OtherName(String),
    #[error("a renewal needs a new key")]
    SameKey,
    #[error("this camera had {A_DAY} certificates within a day; try again tomorrow")]
    TooMany,
    #[error(transparent)]
    KeptOut(#[from] NotAdmitted),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Id(#[from] ParseIdError),
    #[error("cannot write the bundle")]
    Bundle(#[from] toml::ser::Error),
}

/// By which a device enrols.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// A claim's secret.
    Claim(&'a str),
    /// A code that the device shows.
    Pair(&'a str),
    /// The device's serial number.
    Factory(&'a str),
}

/// Who asks, for a person to recognise.
#[derive(Debug, Clone, Default)]
pub struct Asker {
    /// Its address.
    pub address: String,
    /// What it says it is.
    pub model: Option<String>,
}

/// The answer to a request.
#[derive(Debug, Clone)]
pub enum Enrolled {
    /// A certificate.
    Certificate(CertificateRow),
    /// A person has to confirm the code first.
    Waiting,
}

/// A camera that was just added.
pub struct AddedBundle {
    /// Its device id.
    pub id: DeviceId,
    /// Its bundle, as TOML.
    pub bundle: String,
}

/// Gives cameras their identities.
#[derive(Clone)]
pub struct Enrolment {
    /// Where they are kept.
    pub store: Store,
    /// The organisation that new cameras belong to.
    pub tenant: TenantId,
    /// Issues the cameras' certificates.
    pub devices: Arc<Authority>,
    /// The CA that cameras check the broker's certificate with, in PEM.
    pub broker_ca: String,
    /// Where cameras find the broker: host and port.
    pub broker: String,
    /// Verifies grants, in PEM.
    pub grant_public_key: String,
    /// Where claim files send cameras.
    pub server: ClaimServer,
}

impl Enrolment {
    /// Makes a key and a certificate, stores the camera, and returns the bundle. The key is in the bundle only.
    ///
    /// # Errors
    ///
    /// [`EnrolError`]; then no camera was stored.
    pub async fn add_camera(
        &self,
        tenant: &TenantId,
        name: &str,
        now: SystemTime,
    ) -> Result<AddedBundle, EnrolError> {
        let id = new_device_id(name)?;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(IdentityError::from)?;
        let public = key.public_key_pem();
        let public = SubjectPublicKeyInfo::from_pem(&public).map_err(IdentityError::from)?;
        let certificate = self.certify(&id, &public, now)?;
        let bundle = toml::to_string_pretty(&Bundle {
            device: id.clone(),
            tenant: tenant.clone(),
            broker: self.broker.clone(),
            server: Some(self.server.url.clone()),
            server_ca: self.server.ca.clone(),
            ca: self.broker_ca.clone(),
            certificate: certificate.pem.clone(),
            key: key.serialize_pem(),
            grant_key: self.grant_public_key.clone(),
        })?;
        let camera = CameraRow::new(id.clone(), tenant.clone(), name.to_owned(), unix_ms(now));
        match self
            .store
            .enrolments
            .enrol(Ticket::Person, &camera, &certificate)
            .await
        {
            Ok(()) => Ok(AddedBundle { id, bundle }),
            Err(NotEnrolled::Store(error)) => Err(error.into()),
            Err(NotEnrolled::Spent) => Err(EnrolError::ClaimSpent),
        }
    }

    /// A device asks for its first certificate.
    ///
    /// # Errors
    ///
    /// [`EnrolError`].
    pub async fn enrol(
        &self,
        credential: Credential<'_>,
        request: &CertificateRequest,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Enrolled, EnrolError> {
        match credential {
            Credential::Claim(secret) => self.by_claim(secret, request, now).await,
            Credential::Pair(code) => return self.by_code(code, request, asker, now).await,
            Credential::Factory(serial) => self.by_factory_list(serial, request, now).await,
        }
        .map(Enrolled::Certificate)
    }

    /// A camera that has a certificate asks for the next one. The caller has admitted it.
    ///
    /// # Errors
    ///
    /// [`EnrolError`].
    pub async fn renew(
        &self,
        camera: &DeviceId,
        request: &CertificateRequest,
        now: SystemTime,
    ) -> Result<CertificateRow, EnrolError> {
        if request.device.as_ref() != Some(camera) {
            return Err(EnrolError::OtherName(camera.to_string()));
        }
        let had = self.store.certificates.of_camera(camera).await?;
        let same_key = |one: &&CertificateRow| one.key_sha256 == request.key_sha256;
        match had.iter().find(same_key) {
            Some(one) if one.state == CertificateState::Pending => Ok(one.clone()),
            Some(_) => Err(EnrolError::SameKey),
            None => self.issue(camera, &had, request, now).await,
        }
    }

    async fn by_claim(
        &self,
        secret: &str,
        request: &CertificateRequest,
        now: SystemTime,
    ) -> Result<CertificateRow, EnrolError> {
        check_secret(secret).map_err(EnrolError::ClaimCut)?;
        let claims = &self.store.claims;
        let claim = claims
            .by_secret(&secret_hash(&secret.to_ascii_lowercase()))
            .await?
            .ok_or(EnrolError::ClaimUnknown)?;
        if unix_ms(now) >= claim.expires_ms {
            return Err(EnrolError::ClaimExpired);
        }
        if let Some(camera) = claims.camera_of(&claim.id, &request.key_sha256).await? {
            return self.again(&camera, request, now).await;
        }
        if claim.uses >= claim.max_uses {
            return Err(EnrolError::ClaimSpent);
        }
        // The cameras of one claim are numbered.
        let first = if claim.name.is_some() {
            claim.uses + 1
        } else {
            1
        };
        let mut camera = self.new_camera(request, claim.tenant, claim.name, now)?;
        camera.site = claim.site;
        camera.tags = claim.tags;
        let ticket = Ticket::Claim(&claim.id);
        match self.add(ticket, camera, first, request, now).await {
            // Somebody was faster; unless that was the same camera.
            Err(EnrolError::ClaimSpent) => {
                match claims.camera_of(&claim.id, &request.key_sha256).await? {
                    Some(camera) => self.again(&camera, request, now).await,
                    None => Err(EnrolError::ClaimSpent),
                }
            }
            other => other,
        }
    }

    async fn by_code(
        &self,
        code: &str,
        request: &CertificateRequest,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Enrolled, EnrolError> {
        let fresh = PairingRow {
            code: parse_code(code)?,
            tenant: self.tenant.clone(),
            key_sha256: request.key_sha256.clone(),
            serial: request.serial.clone(),
            model: asker.model,
            address: asker.address,
            asked_ms: unix_ms(now),
            expires_ms: unix_ms(now + CODE_LIFE),
            state: PairingState::Waiting,
            camera: None,
        };
        let pairing = self.store.pairings.ask(&fresh).await?;
        let pairing = pairing.ok_or(EnrolError::PairingBusy)?;
        if pairing.key_sha256 != request.key_sha256 {
            return Err(EnrolError::CodeTaken);
        }
        if unix_ms(now) >= pairing.expires_ms {
            return Err(EnrolError::PairingExpired);
        }
        match (pairing.state, pairing.camera) {
            (PairingState::Refused, _) => Err(EnrolError::PairingRefused),
            (PairingState::Confirmed, Some(camera)) => {
                let certificate = self.again(&camera, request, now).await?;
                Ok(Enrolled::Certificate(certificate))
            }
            _ => Ok(Enrolled::Waiting),
        }
    }

    async fn by_factory_list(
        &self,
        serial: &str,
        request: &CertificateRequest,
        now: SystemTime,
    ) -> Result<CertificateRow, EnrolError> {
        let find = async || {
            let listed = self
                .store
                .factory_list
                .find(&self.tenant, serial)
                .await?
                .filter(|listed| listed.key_sha256 == request.key_sha256);
            listed.ok_or(EnrolError::NotListed)
        };
        let listed = find().await?;
        if let Some(camera) = listed.camera {
            return self.again(&camera, request, now).await;
        }
        let name = listed.name.unwrap_or_else(|| format!("Camera {serial}"));
        let camera = self.new_camera(request, listed.tenant, Some(name), now)?;
        let ticket = Ticket::Factory(&self.tenant, serial);
        match self.add(ticket, camera, 1, request, now).await {
            Err(EnrolError::ClaimSpent) => {
                let camera = find().await?.camera.ok_or(EnrolError::NotListed)?;
                self.again(&camera, request, now).await
            }
            other => other,
        }
    }

    /// A camera that has its place already: the certificate of that key, or another one.
    async fn again(
        &self,
        camera: &DeviceId,
        request: &CertificateRequest,
        now: SystemTime,
    ) -> Result<CertificateRow, EnrolError> {
        let row = self.store.cameras.find(camera.as_str()).await?;
        let row = row.ok_or(NotAdmitted::UnknownCamera)?;
        let reason = row.standing_reason.unwrap_or_default();
        match row.standing {
            Standing::Trusted => {}
            Standing::Quarantined => return Err(NotAdmitted::Quarantined(reason).into()),
            Standing::Revoked => return Err(NotAdmitted::CameraRevoked(reason).into()),
        }
        if request.device.as_ref().is_some_and(|name| name != camera) {
            return Err(EnrolError::OtherName(camera.to_string()));
        }
        let had = self.store.certificates.of_camera(camera).await?;
        let good = |one: &&CertificateRow| {
            one.key_sha256 == request.key_sha256
                && one.not_after_ms > unix_ms(now)
                && matches!(
                    one.state,
                    CertificateState::Pending | CertificateState::Active
                )
        };
        match had.iter().find(good) {
            Some(one) => Ok(one.clone()),
            None => self.issue(camera, &had, request, now).await,
        }
    }

    async fn issue(
        &self,
        camera: &DeviceId,
        had: &[CertificateRow],
        request: &CertificateRequest,
        now: SystemTime,
    ) -> Result<CertificateRow, EnrolError> {
        let lately = unix_ms(now) - DAY_MS;
        if had.iter().filter(|one| one.issued_ms > lately).count() >= A_DAY {
            return Err(EnrolError::TooMany);
        }
        let certificate = self.certify(camera, &request.key, now)?;
        Ok(self.store.certificates.issue(certificate).await?)
    }

    /// The row of a camera that does not exist yet.
    fn new_camera(
        &self,
        request: &CertificateRequest,
        tenant: TenantId,
        name: Option<String>,
        now: SystemTime,
    ) -> Result<CameraRow, EnrolError> {
        let random: u32 = rand::random();
        let name = match (name, &request.serial) {
            (Some(name), _) => name,
            (None, Some(serial)) => format!("Camera {serial}"),
            (None, None) => format!("Camera {random:08x}"),
        };
        // `Camera` and a serial number may be longer than a name.
        let name: String = name.chars().take(NAME_LONGEST).collect();
        let id = match &request.device {
            Some(id) => id.clone(),
            None => device_id(&name, random).parse()?,
        };
        Ok(CameraRow::new(id, tenant, name, unix_ms(now)))
    }

    /// Adds a camera under its name, or under its name with a number: `first` is the one to try first.
    async fn add(
        &self,
        ticket: Ticket<'_>,
        mut camera: CameraRow,
        first: u32,
        request: &CertificateRequest,
        now: SystemTime,
    ) -> Result<CertificateRow, EnrolError> {
        let certificate = self.certify(&camera.id, &request.key, now)?;
        let name = std::mem::take(&mut camera.name);
        for number in first..first + NAMES_TRIED {
            camera.name = if number == 1 {
                name.clone()
            } else {
                let short: String = name.chars().take(NUMBERED_LONGEST).collect();
                format!("{short} {number}")
            };
            let added = self
                .store
                .enrolments
                .enrol(ticket, &camera, &certificate)
                .await;
            match added {
                Ok(()) => {
                    tracing::info!(camera = %camera.id, name = camera.name, "camera enrolled");
                    return Ok(certificate);
                }
                Err(NotEnrolled::Spent) => return Err(EnrolError::ClaimSpent),
                Err(NotEnrolled::Store(StoreError::NameTaken {
                    what: "device",
                    name,
                })) => {
                    return Err(EnrolError::IdTaken(name));
                }
                Err(NotEnrolled::Store(StoreError::NameTaken { .. })) => {}
                Err(NotEnrolled::Store(error)) => return Err(error.into()),
            }
        }
        Err(StoreError::NameTaken {
            what: "camera",
            name,
        }
        .into())
    }

    /// Signs a certificate; it is not stored yet.
    fn certify(
        &self,
        camera: &DeviceId,
        key: &SubjectPublicKeyInfo,
        now: SystemTime,
    ) -> Result<CertificateRow, IdentityError> {
        let certified = self.devices.certify(camera, key, LIFE, now)?;
        // X.509 has no fractions of a second.
        let not_after_ms = (unix_ms(now) + millis(LIFE)) / 1000 * 1000;
        Ok(CertificateRow {
            serial: certified.serial,
            camera: camera.clone(),
            fingerprint: hexadecimal(&Sha256::digest(&certified.der)),
            key_sha256: key_sha256(key),
            pem: certified.pem,
            issued_ms: unix_ms(now),
            not_after_ms,
            state: CertificateState::Pending,
            first_used_ms: None,
            ended_ms: None,
            reason: None,
        })
    }
}

fn key_sha256(key: &SubjectPublicKeyInfo) -> String {
    use rcgen::PublicKeyData as _;
    hexadecimal(&Sha256::digest(key.subject_public_key_info()))
}
