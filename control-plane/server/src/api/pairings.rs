//! Pairing codes: looking at the device behind one, and saying yes or no.

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
use crate::clock::unix_ms;
use crate::identity::{
    CODE_LIFE, check_camera_name, check_site, check_tags, new_device_id, parse_code, show_code,
};
use crate::store::{CameraRow, PairingRow, PairingState};

/// A device that shows a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pairing {
    /// The code as the device shows it: `ABCD-EFGH`.
    pub code: String,
    /// Its serial number, as it says.
    pub serial: Option<String>,
    /// What it is, as it says.
    pub model: Option<String>,
    /// SHA-256 of its public key (SubjectPublicKeyInfo), hexadecimal. The device shows its beginning, too.
    pub key_fingerprint: String,
    /// Where it asked from.
    pub address: String,
    /// When it asked first, in milliseconds since the Unix epoch.
    pub asked_ms: i64,
    /// The code's end, likewise.
    pub expires_ms: i64,
    /// How far it has come.
    pub state: PairingState,
    /// The device id of the camera, once confirmed.
    pub camera: Option<String>,
}

/// What to make of the device.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// What to call it: 1 to 64 characters, not used by another camera.
    pub name: String,
    /// Where it is, 1 to 64 characters.
    pub site: Option<String>,
    /// What to file it under: up to 16, of 1 to 32 characters.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// The camera that a device becomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConfirmedPairing {
    /// The device id. The camera comes online within seconds.
    pub camera: String,
}

impl From<PairingRow> for Pairing {
    fn from(row: PairingRow) -> Self {
        Self {
            code: show_code(&row.code),
            serial: row.serial,
            model: row.model,
            key_fingerprint: row.key_sha256,
            address: row.address,
            asked_ms: row.asked_ms,
            expires_ms: row.expires_ms,
            state: row.state,
            camera: row.camera.map(|camera| camera.to_string()),
        }
    }
}

/// The device behind a code.
#[utoipa::path(
    get, path = "/pairings/{code}", tag = "enrolment",
    params(("code" = String, Path, description = "the code, with or without the dash")),
    responses(
        (status = 200, body = Pairing), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem, description = "no device shows this code, or it is out of time"),
        (status = 422, body = Problem, description = "that is no code"),
    )
)]
pub(super) async fn show(
    State(context): State<Context>,
    Admin(person): Admin,
    Path(code): Path<String>,
) -> Result<Json<Pairing>, Problem> {
    let (code, now_ms) = (parse_code(&code)?, unix_ms(SystemTime::now()));
    let pairings = &context.store.pairings;
    let found = pairings.get(&person.tenant, &code, now_ms).await?;
    found
        .map(|row| Json(row.into()))
        .ok_or_else(|| Problem::not_found("pairing code"))
}

/// Confirms a code: the device becomes a camera and fetches its certificate.
#[utoipa::path(
    post, path = "/pairings/{code}/confirm", tag = "enrolment", request_body = Confirmation,
    params(("code" = String, Path, description = "the code, with or without the dash")),
    responses(
        (status = 200, body = ConfirmedPairing), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem, description = "no device shows this code, or it is out of time"),
        (status = 409, body = Problem, description = "another camera has this name, or the code is decided already"),
        (status = 422, body = Problem, description = "a field is not allowed"),
    )
)]
pub(super) async fn confirm(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Path(code): Path<String>,
    Sent(wanted): Sent<Confirmation>,
) -> Result<Json<ConfirmedPairing>, Problem> {
    let (code, now) = (parse_code(&code)?, SystemTime::now());
    let name = check_camera_name(&wanted.name)?;
    let site = wanted.site.as_deref().map(check_site).transpose()?;
    let tags = check_tags(&wanted.tags)?;
    let pairing = waiting(&context, &person.tenant, &code).await?;
    let id = new_device_id(name).map_err(Problem::internal)?;
    let camera = CameraRow {
        site: site.map(str::to_owned),
        tags,
        ..CameraRow::new(id, person.tenant.clone(), name.to_owned(), unix_ms(now))
    };
    let until = unix_ms(now + CODE_LIFE);
    let pairings = &context.store.pairings;
    if !pairings.confirm(&pairing.code, &camera, until).await? {
        return Err(decided());
    }
    let change = Change {
        action: "pairing.confirm",
        subject: Some(camera.id.as_str()),
        after: Some(json!({
            "code": show_code(&pairing.code), "key_sha256": pairing.key_sha256, "name": camera.name,
            "site": camera.site, "tags": camera.tags,
        })),
        ..Change::default()
    };
    context.audit(&person, arrival, change).await?;
    tracing::info!(camera = %camera.id, person = %person.name, "pairing confirmed");
    Ok(Json(ConfirmedPairing {
        camera: camera.id.to_string(),
    }))
}

/// Refuses a code: the device is told so and stops asking.
#[utoipa::path(
    post, path = "/pairings/{code}/refuse", tag = "enrolment",
    params(("code" = String, Path, description = "the code, with or without the dash")),
    responses(
        (status = 204, description = "refused"), (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem, description = "no device shows this code, or it is out of time"),
        (status = 422, body = Problem, description = "not a code"),
        (status = 409, body = Problem, description = "the code is decided already"),
    )
)]
pub(super) async fn refuse(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Path(code): Path<String>,
) -> Result<StatusCode, Problem> {
    let (code, now_ms) = (parse_code(&code)?, unix_ms(SystemTime::now()));
    waiting(&context, &person.tenant, &code).await?;
    let pairings = &context.store.pairings;
    if !pairings.refuse(&person.tenant, &code, now_ms).await? {
        return Err(decided());
    }
    let shown = show_code(&code);
    let change = Change {
        action: "pairing.refuse",
        subject: Some(&shown),
        ..Change::default()
    };
    context.audit(&person, arrival, change).await?;
    tracing::info!(person = %person.name, "pairing refused");
    Ok(StatusCode::NO_CONTENT)
}

async fn waiting(
    context: &Context,
    tenant: &heron_protocol::TenantId,
    code: &str,
) -> Result<PairingRow, Problem> {
    let now_ms = unix_ms(SystemTime::now());
    let found = context.store.pairings.get(tenant, code, now_ms).await?;
    let found = found.ok_or_else(|| Problem::not_found("pairing code"))?;
    match found.state {
        PairingState::Waiting => Ok(found),
        PairingState::Confirmed | PairingState::Refused => Err(decided()),
    }
}

fn decided() -> Problem {
    let detail = "this code was confirmed or refused already";
    Problem::new(StatusCode::CONFLICT, detail)
}
