//! The factory list: devices that enrol by the key that was made with them.

use std::time::SystemTime;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::{UtoipaMethodRouter, UtoipaMethodRouterExt as _};
use utoipa_axum::routes;

use super::audit::Change;
use super::{Context, Problem, Sent};
use crate::access::{Admin, Arrival};
use crate::clock::unix_ms;
use crate::identity::{check_camera_name, is_serial};
use crate::store::FactoryRow;

/// Some ten thousand entries.
const BODY_LIMIT: usize = 2 * 1024 * 1024;

/// A device that may enrol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FactoryEntry {
    /// Its serial number: 1 to 64 printable ASCII characters.
    pub serial: String,
    /// SHA-256 of its public key (SubjectPublicKeyInfo, DER): 64 hexadecimal digits.
    pub key_sha256: String,
    /// What to call the camera; `Camera` and its serial number unless told.
    pub name: Option<String>,
}

/// Devices to list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FactoryEntries {
    /// A device that is listed already is listed anew.
    pub entries: Vec<FactoryEntry>,
}

/// A device of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ListedDevice {
    /// As listed.
    #[serde(flatten)]
    pub entry: FactoryEntry,
    /// When it was listed, in milliseconds since the Unix epoch.
    pub listed_ms: i64,
    /// The device id of the camera it became.
    pub camera: Option<String>,
}

/// The list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FactoryListing {
    /// By serial number.
    pub devices: Vec<ListedDevice>,
}

/// Both routes; the one that takes a list has room for it.
pub(super) fn routes() -> UtoipaMethodRouter<Context> {
    routes!(list, add).layer(DefaultBodyLimit::max(BODY_LIMIT))
}

/// The devices of the list.
#[utoipa::path(
    get, path = "/factory-list", tag = "enrolment",
    responses((status = 200, body = FactoryListing), (status = 401, body = Problem), (status = 403, body = Problem))
)]
pub(super) async fn list(
    State(context): State<Context>,
    Admin(person): Admin,
) -> Result<Json<FactoryListing>, Problem> {
    let rows = context.store.factory_list.all(&person.tenant).await?;
    let devices = rows.into_iter().map(|row| ListedDevice {
        entry: FactoryEntry {
            serial: row.serial,
            key_sha256: row.key_sha256,
            name: row.name,
        },
        listed_ms: row.listed_ms,
        camera: row.camera.map(|camera| camera.to_string()),
    });
    Ok(Json(FactoryListing {
        devices: devices.collect(),
    }))
}

/// Lists devices, all of them or none.
#[utoipa::path(
    post, path = "/factory-list", tag = "enrolment", request_body = FactoryEntries,
    responses(
        (status = 204, description = "listed"),
        (status = 401, body = Problem), (status = 403, body = Problem),
        (status = 413, body = Problem, description = "too many at once"),
        (status = 422, body = Problem, description = "an entry is not allowed; nothing was listed"),
    )
)]
pub(super) async fn add(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    Admin(person): Admin,
    Sent(FactoryEntries { entries }): Sent<FactoryEntries>,
) -> Result<StatusCode, Problem> {
    let listed_ms = unix_ms(SystemTime::now());
    let mut rows = Vec::with_capacity(entries.len());
    for (position, entry) in entries.into_iter().enumerate() {
        let wrong = |what: &str| {
            let detail = format!("entries[{position}].{what}");
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        };
        if !is_serial(&entry.serial) {
            return Err(wrong(
                "serial: 1 to 64 printable ASCII characters are allowed",
            ));
        }
        let is_hash = entry.key_sha256.len() == 64
            && entry
                .key_sha256
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            return Err(wrong("key_sha256: 64 hexadecimal digits are needed"));
        }
        let name = entry.name.as_deref().map(check_camera_name).transpose();
        let name = name.map_err(|error| wrong(&format!("name: {error}")))?;
        rows.push(FactoryRow {
            tenant: person.tenant.clone(),
            name: name.map(str::to_owned),
            serial: entry.serial,
            key_sha256: entry.key_sha256.to_ascii_lowercase(),
            listed_ms,
            camera: None,
        });
    }
    context.store.factory_list.list(&rows).await?;
    let serials: Vec<&str> = rows.iter().map(|row| &*row.serial).collect();
    let change = Change {
        action: "factory_list.extend",
        after: Some(json!({ "serials": serials })),
        ..Change::default()
    };
    context.audit(&person, arrival, change).await?;
    tracing::info!(count = rows.len(), person = %person.name, "factory list extended");
    Ok(StatusCode::NO_CONTENT)
}
