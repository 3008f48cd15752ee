//! When a camera came and went.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Context, Problem};
use crate::access::SignedIn;
use crate::signalling::ConnectionRecord;

const LIMIT_MAX: u32 = 500;
const LIMIT_DEFAULT: u32 = 50;

/// How much to list.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConnectionFilter {
    /// At most so many, newest first; 50 unless told, at most 500.
    pub limit: Option<u32>,
}

/// A camera came, went, or came again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Connection {
    /// When the control plane heard of it, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Whether it is there from then on.
    pub online: bool,
    /// Why it went, or why it had been away.
    pub reason: Option<String>,
    /// Changes with each boot of the machine.
    pub boot_id: String,
    /// The firmware's version.
    pub firmware: String,
}

/// The history of one camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConnectionList {
    /// Newest first; the last 500 are kept.
    pub connections: Vec<Connection>,
}

impl From<ConnectionRecord> for Connection {
    fn from(record: ConnectionRecord) -> Self {
        Self {
            at_ms: record.at_ms,
            online: record.online,
            reason: record.reason,
            boot_id: record.boot_id,
            firmware: record.firmware,
        }
    }
}

/// When a camera came and went, and why.
#[utoipa::path(
    get, path = "/cameras/{id}/connections", tag = "cameras",
    params(("id" = String, Path, description = "the device id"), ConnectionFilter),
    responses((status = 200, body = ConnectionList), (status = 401, body = Problem), (status = 404, body = Problem))
)]
pub(super) async fn list(
    State(context): State<Context>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    filter: Result<Query<ConnectionFilter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<ConnectionList>, Problem> {
    let Query(filter) = filter?;
    let limit = filter.limit.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let tenant = &signed_in.person.tenant;
    let camera = context.store.cameras.get(tenant, &id).await?;
    let camera = camera.ok_or_else(|| Problem::not_found("camera"))?;
    let rows = context.store.connections.recent(&camera.id, limit).await?;
    Ok(Json(ConnectionList {
        connections: rows.into_iter().map(Connection::from).collect(),
    }))
}
