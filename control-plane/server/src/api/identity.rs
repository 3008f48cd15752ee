//! The identity of a camera: its certificates, and putting it out and letting it in again.

use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::audit::Change;
use super::{Context, Problem, Sent};
use crate::access::{Admin, Arrival, Person, SignedIn};
use crate::clock::unix_ms;
use crate::identity::{check_reason, is_valid, renew_after_ms};
use crate::store::{CameraRow, CertificateRow, CertificateState, Standing};

/// How it stands with a camera's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IdentityState {
    /// It has not connected yet.
    Pending,
    /// It takes part.
    Active,
    /// It is kept out until somebody releases it.
    Quarantined,
    /// It is kept out for ever; remove it and enrol it again.
    Revoked,
}

/// How it stands with one certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertificateStatus {
    /// Issued and not used yet.
    Pending,
    /// In use.
    Active,
    /// A newer one is in use; this one is still good for a day after that.
    Superseded,
    /// Ended by a person, or because its camera was removed.
    Revoked,
    /// Its time is over.
    Expired,
}

/// A certificate of a camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of it, hexadecimal.
    pub fingerprint: String,
    /// When it was issued, in milliseconds since the Unix epoch.
    pub issued_ms: i64,
    /// Its end, likewise.
    pub not_after_ms: i64,
    /// How it stands with it.
    pub state: CertificateStatus,
    /// When it was first used.
    pub first_used_ms: Option<i64>,
    /// Why it was revoked.
    pub reason: Option<String>,
}

/// The identity of a camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Identity {
    /// How it stands with it.
    pub state: IdentityState,
    /// Why it is kept out.
    pub reason: Option<String>,
    /// Since when it is kept out, or was let in again; in milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// When the camera will renew the certificate in use, likewise.
    pub renew_after_ms: Option<i64>,
    /// Newest first.
    pub certificates: Vec<Certificate>,
}

/// Why something is done, for the record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// 1 to 200 characters.
    pub reason: String,
}

impl Identity {
    fn of(camera: CameraRow, certificates: &[CertificateRow], now_ms: i64) -> Self {
        let active = |one: &&CertificateRow| one.state == CertificateState::Active;
        let in_use = certificates
            .iter()
            .find(active)
            .or_else(|| certificates.iter().find(|one| is_valid(one, now_ms)));
        Self {
            state: match camera.standing {
                Standing::Quarantined => IdentityState::Quarantined,
                Standing::Revoked => IdentityState::Revoked,
                Standing::Trusted if certificates.iter().any(|one| active(&one)) => {
                    IdentityState::Active
                }
                Standing::Trusted => IdentityState::Pending,
            },
            reason: camera.standing_reason,
            since_ms: camera.standing_since_ms,
            renew_after_ms: in_use.map(renew_after_ms),
            certificates: certificates
                .iter()
                .map(|one| show_one(one, now_ms))
                .collect(),
        }
    }
}

fn show_one(row: &CertificateRow, now_ms: i64) -> Certificate {
    Certificate {
        serial: row.serial.clone(),
        fingerprint: row.fingerprint.clone(),
        issued_ms: row.issued_ms,
        not_after_ms: row.not_after_ms,
        state: match row.state {
            CertificateState::Revoked => CertificateStatus::Revoked,
            _ if row.not_after_ms <= now_ms => CertificateStatus::Expired,
            CertificateState::Pending => CertificateStatus::Pending,
            CertificateState::Active => CertificateStatus::Active,
            CertificateState::Superseded => CertificateStatus::Superseded,
        },
        first_used_ms: row.first_used_ms,
        reason: row.reason.clone(),
    }
}

/// The identity of a camera.
#[utoipa::path(
    get, path = "/cameras/{id}/identity", tag = "identity",
    params(("id" = String, Path, description = "the device id")),
    responses((status = 200, body = Identity), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn show(
    State(context): State<Context>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<Identity>, Problem> {
    let camera = find(&context, &signed_in.person, &id).await?;
    // What was used a moment ago is shown as used.
    context.gate.write_uses().await?;
    let certificates = context.store.certificates.of_camera(&camera.id).await?;
    let now_ms = unix_ms(SystemTime::now());
    Ok(Json(Identity::of(camera, &certificates, now_ms)))
}

/// Revokes a camera: its certificates are refused from now on, its connection, sessions and relays end. There is no way
/// back but to remove it and to enrol it again.
#[utoipa::path(
    post, path = "/cameras/{id}/revoke", tag = "identity", request_body = Reason,
    params(("id" = String, Path, description = "the device id")),
    responses(
        (status = 204, description = "revoked"),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 422, body = Problem, description = "the reason is not allowed"),
    )
)]
pub(super) async fn revoke(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Path(id): Path<String>,
    Sent(Reason { reason }): Sent<Reason>,
) -> Result<StatusCode, Problem> {
    let reason = check_reason(&reason)?;
    let camera = find(&context, &person, &id).await?;
    if camera.standing == Standing::Revoked {
        return Ok(StatusCode::NO_CONTENT);
    }
    let (standing, by) = (Standing::Revoked, (&person, arrival));
    set(&context, by, &camera, standing, Some(reason)).await
}

/// Quarantines a camera: it is kept out, as if revoked, until it is released.
#[utoipa::path(
    post, path = "/cameras/{id}/quarantine", tag = "identity", request_body = Reason,
    params(("id" = String, Path, description = "the device id")),
    responses(
        (status = 204, description = "quarantined"),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "it is revoked"),
        (status = 422, body = Problem, description = "the reason is not allowed"),
    )
)]
pub(super) async fn quarantine(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Path(id): Path<String>,
    Sent(Reason { reason }): Sent<Reason>,
) -> Result<StatusCode, Problem> {
    let reason = check_reason(&reason)?;
    let camera = not_revoked(find(&context, &person, &id).await?)?;
    let (standing, by) = (Standing::Quarantined, (&person, arrival));
    set(&context, by, &camera, standing, Some(reason)).await
}

/// Lets a quarantined camera in again.
#[utoipa::path(
    post, path = "/cameras/{id}/release", tag = "identity",
    params(("id" = String, Path, description = "the device id")),
    responses(
        (status = 204, description = "released"),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "it is revoked"),
    )
)]
pub(super) async fn release(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let camera = not_revoked(find(&context, &person, &id).await?)?;
    if camera.standing == Standing::Trusted {
        return Ok(StatusCode::NO_CONTENT);
    }
    set(
        &context,
        (&person, arrival),
        &camera,
        Standing::Trusted,
        None,
    )
    .await
}

async fn find(context: &Context, person: &Person, id: &str) -> Result<CameraRow, Problem> {
    let found = context.store.cameras.get(&person.tenant, id).await?;
    found.ok_or_else(|| Problem::not_found("camera"))
}

fn not_revoked(camera: CameraRow) -> Result<CameraRow, Problem> {
    if camera.standing == Standing::Revoked {
        let detail = "a revocation is final; remove the camera and enrol it again";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    }
    Ok(camera)
}

async fn set(
    context: &Context,
    (person, arrival): (&Person, Arrival),
    camera: &CameraRow,
    standing: Standing,
    reason: Option<&str>,
) -> Result<StatusCode, Problem> {
    let now_ms = unix_ms(SystemTime::now());
    let certificates = &context.store.certificates;
    certificates
        .set_standing(&camera.id, standing, reason, now_ms)
        .await?;
    context.settle().await;
    let change = Change {
        action: match standing {
            Standing::Revoked => "camera.revoke",
            Standing::Quarantined => "camera.quarantine",
            Standing::Trusted => "camera.release",
        },
        subject: Some(camera.id.as_str()),
        before: Some(json!({ "standing": camera.standing, "reason": camera.standing_reason })),
        after: Some(json!({ "standing": standing, "reason": reason })),
    };
    context.audit(person, arrival, change).await?;
    tracing::info!(camera = %camera.id, person = %person.name, standing = standing.as_str(), "standing changed");
    Ok(StatusCode::NO_CONTENT)
}
