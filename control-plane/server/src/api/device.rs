//! What a device needs to know besides its certificate.

use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Context, Problem};
use crate::access::EnrolledDevice;
use crate::clock::unix_ms;
use crate::identity::renew_after_ms;

/// The parts of a device bundle that are the control plane's to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceConfig {
    /// The device id, also the common name of the certificate.
    pub device: String,
    /// The tenant it belongs to.
    pub tenant: String,
    /// The name people gave the camera.
    pub name: String,
    /// Where the broker listens for devices: host and port.
    pub broker: String,
    /// The CA of the broker's certificate, in PEM.
    pub ca: String,
    /// Verifies viewer grants: SPKI, PEM.
    pub grant_key: String,
    /// The control plane's clock, in milliseconds since the Unix epoch.
    pub now_ms: i64,
    /// When to renew the certificate that was shown, likewise.
    pub renew_after_ms: i64,
}

/// The device that asks, by its TLS client certificate. No person asks this, so no cookie is wanted.
#[utoipa::path(
    get, path = "/device", tag = "enrolment",
    responses(
        (status = 200, body = DeviceConfig),
        (status = 401, body = Problem, description = "no certificate was shown"),
        (status = 403, body = Problem, description = "the certificate is not good any more, or the camera is kept out"),
    )
)]
pub(super) async fn show(
    State(context): State<Context>,
    EnrolledDevice(shown): EnrolledDevice,
) -> Result<Json<DeviceConfig>, Problem> {
    let camera = context.store.cameras.find(shown.device.as_str()).await?;
    let camera = camera.ok_or_else(|| Problem::not_found("camera"))?;
    let certificates = context.store.certificates.of_camera(&camera.id).await?;
    let certificate = certificates.iter().find(|one| one.serial == shown.serial);
    let certificate = certificate.ok_or_else(|| Problem::not_found("certificate"))?;
    let enrolment = &context.enrolment;
    Ok(Json(DeviceConfig {
        device: camera.id.to_string(),
        tenant: camera.tenant.to_string(),
        name: camera.name,
        broker: enrolment.broker.clone(),
        ca: enrolment.broker_ca.clone(),
        grant_key: enrolment.grant_public_key.clone(),
        now_ms: unix_ms(SystemTime::now()),
        renew_after_ms: renew_after_ms(certificate),
    }))
}
