//! Claims: the file on a camera's boot partition by which it enrols (`heron-claim.toml`).
//!
//! ```toml
//! server = "https://heron.example:8443"
//! claim = "…"                 # the secret; kept by us as SHA-256 only
//! ca = """…"""                # only where the server's certificate is not of a public CA
//! ```

use std::time::{Duration, SystemTime};

use heron_protocol::TenantId;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::authority::hexadecimal;
use super::names::{BadName, check_camera_name, check_site, check_tags};
use crate::clock::unix_ms;
use crate::store::{ClaimRow, Claims, StoreError};

/// 160 bits, in hexadecimal.
const SECRET_DIGITS: usize = 40;
/// For how long a claim can be made.
const LIFE_S: std::ops::RangeInclusive<u64> = 60..=30 * 24 * 3600;
const USES: std::ops::RangeInclusive<u32> = 1..=1000;

/// What a claim is to be.
#[derive(Debug, Clone, Default)]
pub struct ClaimTerms {
    /// What to call its cameras; they get numbers if there are several.
    pub name: Option<String>,
    /// Where they are.
    pub site: Option<String>,
    /// What to file them under.
    pub tags: Vec<String>,
    /// How many cameras may enrol.
    pub max_uses: u32,
    /// For how long, in seconds.
    pub ttl_s: u64,
}

/// Why a claim was not made.
#[derive(Debug, Error)]
pub enum NoClaim {
    /// A text is not allowed.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A number is not allowed.
    #[error("ttl_s is {0}; 60 to 2592000 (30 days) are allowed")]
    Life(u64),
    /// A number is not allowed.
    #[error("max_uses is {0}; 1 to 1000 are allowed")]
    Uses(u32),
    /// It could not be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It could not be written as TOML.
    #[error("cannot write the claim file")]
    File(#[from] toml::ser::Error),
}

/// A claim that was just made.
#[derive(Debug, Clone)]
pub struct MadeClaim {
    /// As stored.
    pub claim: ClaimRow,
    /// The claim file. The secret is in it and nowhere else.
    pub file: String,
}

/// Where claim files send cameras.
#[derive(Debug, Clone)]
pub struct ClaimServer {
    /// The HTTPS address of the control plane.
    pub url: String,
    /// The CA of its certificate, unless that is a public one. PEM.
    pub ca: Option<String>,
}

#[derive(Serialize)]
struct ClaimFile<'a> {
    server: &'a str,
    claim: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<&'a str>,
}

/// Makes a claim and stores it.
///
/// # Errors
///
/// [`NoClaim`].
pub async fn make_claim(
    claims: &dyn Claims,
    server: &ClaimServer,
    tenant: &TenantId,
    terms: &ClaimTerms,
    now: SystemTime,
) -> Result<MadeClaim, NoClaim> {
    if !LIFE_S.contains(&terms.ttl_s) {
        return Err(NoClaim::Life(terms.ttl_s));
    }
    if !USES.contains(&terms.max_uses) {
        return Err(NoClaim::Uses(terms.max_uses));
    }
    let (name, site) = (
        terms.name.as_deref().map(check_camera_name).transpose()?,
        terms.site.as_deref().map(check_site).transpose()?,
    );
    let claim = ClaimRow {
        id: format!("{:016x}", rand::random::<u64>()),
        tenant: tenant.clone(),
        name: name.map(str::to_owned),
        site: site.map(str::to_owned),
        tags: check_tags(&terms.tags)?,
        max_uses: terms.max_uses,
        uses: 0,
        made_ms: unix_ms(now),
        expires_ms: unix_ms(now + Duration::from_secs(terms.ttl_s)),
    };
    let secret = hexadecimal(&rand::random::<[u8; SECRET_DIGITS / 2]>());
    let file = toml::to_string_pretty(&ClaimFile {
        server: &server.url,
        claim: &secret,
        ca: server.ca.as_deref(),
    })?;
    claims.add(&claim, &secret_hash(&secret)).await?;
    Ok(MadeClaim { claim, file })
}

/// By which a secret is stored.
pub(super) fn secret_hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whether a claim's secret is whole; if not, how many characters it has.
pub(super) fn check_secret(secret: &str) -> Result<(), usize> {
    let whole =
        secret.len() == SECRET_DIGITS && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    if whole {
        Ok(())
    } else {
        Err(secret.chars().count())
    }
}
