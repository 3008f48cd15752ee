//! Claims: files by which cameras enrol by themselves.

use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::audit::Change;
use super::{Context, Problem, Sent};
use crate::access::{Admin, Arrival};
use crate::identity::{ClaimTerms, make_claim};
use crate::store::ClaimRow;

/// What a claim is to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewClaim {
    /// What to call its cameras, 1 to 64 characters; they are numbered if there are several.
    pub name: Option<String>,
    /// Where they are, 1 to 64 characters.
    pub site: Option<String>,
    /// What to file them under: up to 16, of 1 to 32 characters.
    #[serde(default)]
    pub tags: Vec<String>,
    /// How many cameras may enrol with it: 1 (unless told) to 1000.
    #[serde(default = "one")]
    pub max_uses: u32,
    /// For how long, in seconds: 60 to 2592000; a day unless told.
    #[serde(default = "a_day")]
    pub ttl_s: u64,
}

const fn one() -> u32 {
    1
}

const fn a_day() -> u64 {
    24 * 3600
}

/// A claim that was just made. The secret in its file is shown this once and is not kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MadeClaimFile {
    /// Names the claim.
    pub id: String,
    /// `heron-claim.toml`: save it on the boot partition of each camera.
    pub file: String,
    /// Its end, in milliseconds since the Unix epoch.
    pub expires_ms: i64,
    /// How many cameras may enrol with it.
    pub max_uses: u32,
}

/// A claim, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Claim {
    /// Names the claim.
    pub id: String,
    /// What its cameras are called.
    pub name: Option<String>,
    /// Where they are.
    pub site: Option<String>,
    /// What they are filed under.
    pub tags: Vec<String>,
    /// How many cameras may enrol with it.
    pub max_uses: u32,
    /// How many have.
    pub uses: u32,
    /// When it was made, in milliseconds since the Unix epoch.
    pub made_ms: i64,
    /// Its end, likewise.
    pub expires_ms: i64,
}

/// The claims of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ClaimList {
    /// Newest first; those that expired are kept for a month.
    pub claims: Vec<Claim>,
}

impl From<ClaimRow> for Claim {
    fn from(row: ClaimRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            site: row.site,
            tags: row.tags,
            max_uses: row.max_uses,
            uses: row.uses,
            made_ms: row.made_ms,
            expires_ms: row.expires_ms,
        }
    }
}

/// Makes a claim and hands out its file.
#[utoipa::path(
    post, path = "/claims", tag = "enrolment", request_body = NewClaim,
    responses(
        (status = 201, body = MadeClaimFile),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 422, body = Problem, description = "a field is not allowed"),
    )
)]
pub(super) async fn make(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Sent(terms): Sent<NewClaim>,
) -> Result<(StatusCode, Json<MadeClaimFile>), Problem> {
    let terms = ClaimTerms {
        name: terms.name,
        site: terms.site,
        tags: terms.tags,
        max_uses: terms.max_uses,
        ttl_s: terms.ttl_s,
    };
    let made = make_claim(
        &*context.store.claims,
        &context.enrolment.server,
        &person.tenant,
        &terms,
        SystemTime::now(),
    )
    .await?;
    let change = Change {
        action: "claim.make",
        subject: Some(&made.claim.id),
        after: Some(json!({
            "name": terms.name, "site": terms.site, "tags": terms.tags, "max_uses": made.claim.max_uses,
            "expires_ms": made.claim.expires_ms,
        })),
        ..Change::default()
    };
    context.audit(&person, arrival, change).await?;
    tracing::info!(claim = made.claim.id, person = %person.name, "claim made");
    let body = MadeClaimFile {
        id: made.claim.id,
        file: made.file,
        expires_ms: made.claim.expires_ms,
        max_uses: made.claim.max_uses,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// The claims, without their secrets.
#[utoipa::path(
    get, path = "/claims", tag = "enrolment",
    responses((status = 200, body = ClaimList), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(super) async fn list(
    State(context): State<Context>,
    Admin(person): Admin,
) -> Result<Json<ClaimList>, Problem> {
    let claims = context.store.claims.list(&person.tenant).await?;
    Ok(Json(ClaimList {
        claims: claims.into_iter().map(Claim::from).collect(),
    }))
}

/// Withdraws a claim. Cameras that have enrolled with it stay.
#[utoipa::path(
    delete, path = "/claims/{id}", tag = "enrolment", params(("id" = String, Path, description = "the claim's id")),
    responses(
        (status = 204, description = "withdrawn"),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    )
)]
pub(super) async fn remove(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if !context.store.claims.remove(&person.tenant, &id).await? {
        return Err(Problem::not_found("claim"));
    }
    let change = Change {
        action: "claim.remove",
        subject: Some(&id),
        ..Change::default()
    };
    context.audit(&person, arrival, change).await?;
    tracing::info!(claim = id, person = %person.name, "claim withdrawn");
    Ok(StatusCode::NO_CONTENT)
}
