//! Cameras: what there is, whether it is live, and adding and removing one.

use std::collections::BTreeMap;
use std::time::SystemTime;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::audit::Change;
use super::{Context, Problem, Sent};
use crate::access::{Admin, Arrival, SignedIn};
use crate::clock::unix_ms;
use crate::identity::{IdentityKey, check_camera_name, is_valid};
use crate::store::{CameraRow, CertificateRow, CertificateState, Standing};

/// A camera in the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Camera {
    /// The device id.
    pub id: String,
    /// The name people gave it.
    pub name: String,
    /// Where it is, if people said so.
    pub site: Option<String>,
    /// What people filed it under.
    pub tags: Vec<String>,
    /// When it was added, in milliseconds since the Unix epoch.
    pub added_ms: i64,
    /// Whether it may take part: `trusted`, `quarantined` or `revoked`.
    pub standing: Standing,
    /// Whether it is connected now. Live changes come over MQTT, on `view/1/{tenant}/{browser}/dn/camera/{id}`.
    pub online: bool,
    /// Why it is online or offline, in a word of the camera's or the broker's.
    pub reason: Option<String>,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// The firmware's version.
    pub firmware: Option<String>,
    /// How many viewers watch it now.
    pub viewers: u32,
    /// What it reports of itself, by section: `video`, `audio`, `network`, `system`.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub state: BTreeMap<String, Value>,
}

/// One camera, with the key by which a browser knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CameraDetail {
    /// The camera as in the list.
    #[serde(flatten)]
    pub camera: Camera,
    /// The public key of the device's certificate in use, as a JWK (RFC 7517). Absent before it has one.
    pub identity_key: Option<IdentityKey>,
    /// The keys of all its certificates that are valid now: two while one takes over from the other, none when the
    /// camera is kept out. A session's proof must be signed by one of them.
    pub identity_keys: Vec<IdentityKey>,
}

/// All cameras of the tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CameraList {
    /// By name.
    pub cameras: Vec<Camera>,
}

/// What to call a new camera.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCamera {
    /// 1 to 64 characters, not used by another camera.
    pub name: String,
}

/// A new camera's identity. The key in the bundle is shown this once and is not kept.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AddedCamera {
    /// The device id.
    pub id: String,
    /// The camera's name.
    pub name: String,
    /// The device bundle (TOML): save it on the camera as its bundle file, readable by its user only.
    pub bundle: String,
}

/// The cameras that the person may see.
#[utoipa::path(
    get, path = "/cameras", tag = "cameras",
    responses((status = 200, body = CameraList), (status = 401, body = Problem))
)]
pub(super) async fn list(
    State(context): State<Context>,
    signed_in: SignedIn,
) -> Result<Json<CameraList>, Problem> {
    let rows = context.store.cameras.list(&signed_in.person.tenant).await?;
    let cameras = rows
        .into_iter()
        .map(|row| describe(&context, row))
        .collect();
    Ok(Json(CameraList { cameras }))
}

/// One camera and its identity key.
#[utoipa::path(
    get, path = "/cameras/{id}", tag = "cameras", params(("id" = String, Path, description = "the device id")),
    responses((status = 200, body = CameraDetail), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn detail(
    State(context): State<Context>,
    signed_in: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<CameraDetail>, Problem> {
    let row = context
        .store
        .cameras
        .get(&signed_in.person.tenant, &id)
        .await?;
    let row = row.ok_or_else(|| Problem::not_found("camera"))?;
    let certificates = context.store.certificates.of_camera(&row.id).await?;
    let key = |certificate: &CertificateRow| {
        IdentityKey::of_certificate(&certificate.pem).map_err(Problem::internal)
    };
    let now_ms = unix_ms(SystemTime::now());
    let valid = |one: &&CertificateRow| row.standing == Standing::Trusted && is_valid(one, now_ms);
    let identity_keys: Vec<_> = certificates
        .iter()
        .filter(valid)
        .map(key)
        .collect::<Result<_, _>>()?;
    let in_use = certificates
        .iter()
        .find(|one| one.state == CertificateState::Active)
        .or_else(|| certificates.first());
    Ok(Json(CameraDetail {
        identity_key: in_use.map(key).transpose()?,
        identity_keys,
        camera: describe(&context, row),
    }))
}

/// Adds a camera and hands out its bundle.
#[utoipa::path(
    post, path = "/cameras", tag = "cameras", request_body = NewCamera,
    responses(
        (status = 201, body = AddedCamera),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem, description = "another camera has this name"),
        (status = 422, body = Problem, description = "the name is not allowed"),
    )
)]
pub(super) async fn add(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Sent(NewCamera { name }): Sent<NewCamera>,
) -> Result<(StatusCode, Json<AddedCamera>), Problem> {
    let name = check_camera_name(&name)
        .map_err(|error| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    let added = context
        .enrolment
        .add_camera(&person.tenant, name, SystemTime::now())
        .await?;
    context.settle().await;
    let change = Change {
        action: "camera.add",
        subject: Some(added.id.as_str()),
        after: Some(json!({ "name": name })),
        ..Change::default()
    };
    context.audit(&person, arrival, change).await?;
    tracing::info!(camera = %added.id, person = %person.name, "camera added");
    let body = AddedCamera {
        id: added.id.to_string(),
        name: name.to_owned(),
        bundle: added.bundle,
    };
    Ok((StatusCode::CREATED, Json(body)))
}

/// Removes a camera: it is in no list any more, its certificates are revoked, and its connection and sessions end.
#[utoipa::path(
    delete, path = "/cameras/{id}", tag = "cameras", params(("id" = String, Path, description = "the device id")),
    responses(
        (status = 204, description = "removed"),
        (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    )
)]
pub(super) async fn remove(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let Some(camera) = context.store.cameras.get(&person.tenant, &id).await? else {
        return Err(Problem::not_found("camera"));
    };
    let now_ms = unix_ms(SystemTime::now());
    let (cameras, tenant) = (&context.store.cameras, &person.tenant);
    cameras.remove(tenant, camera.id.as_str(), now_ms).await?;
    context.settle().await;
    let before = json!({ "name": camera.name, "site": camera.site, "tags": camera.tags });
    let change = Change {
        action: "camera.remove",
        subject: Some(camera.id.as_str()),
        before: Some(before),
        ..Change::default()
    };
    context.audit(&person, arrival, change).await?;
    tracing::info!(camera = %id, person = %person.name, "camera removed");
    Ok(StatusCode::NO_CONTENT)
}

/// What the store knows and what the camera last said, as one.
fn describe(context: &Context, row: CameraRow) -> Camera {
    let live = context.live.camera(&row.id);
    Camera {
        online: live.online,
        reason: live.reason,
        since_ms: live.since_ms,
        firmware: live.firmware,
        viewers: live.viewers,
        state: live.state,
        id: row.id.to_string(),
        name: row.name,
        site: row.site,
        tags: row.tags,
        added_ms: row.added_ms,
        standing: row.standing,
    }
}
