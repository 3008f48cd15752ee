//! A camera that tests its network: STUN and TURN servers as a session would have, without a session.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Context, Problem, SelfTestServer};
use crate::access::EnrolledDevice;

/// What to test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeviceIce {
    /// The servers that a session of this camera's would be given, with credentials of a minute.
    pub ice_servers: Vec<SelfTestServer>,
}

/// The servers of the device that asks, by its TLS client certificate.
#[utoipa::path(
    get, path = "/device/ice", tag = "enrolment",
    responses(
        (status = 200, body = DeviceIce),
        (status = 401, body = Problem, description = "no certificate was shown"),
        (status = 403, body = Problem, description = "the certificate is not good any more, or the camera is kept out"),
    )
)]
pub(super) async fn show(
    State(context): State<Context>,
    EnrolledDevice(shown): EnrolledDevice,
) -> Result<Json<DeviceIce>, Problem> {
    let camera = context.store.cameras.find(shown.device.as_str()).await?;
    let camera = camera.ok_or_else(|| Problem::not_found("camera"))?;
    let (servers, _) = context.live.self_test(&camera.tenant);
    Ok(Json(DeviceIce {
        ice_servers: servers.into_iter().map(Into::into).collect(),
    }))
}
