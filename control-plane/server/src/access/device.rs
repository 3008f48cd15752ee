//! Devices, which show a certificate instead of a cookie.

use std::time::SystemTime;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

use crate::api::{Context, Problem};
use crate::identity::{Purpose, ShownCertificate};

/// The certificate that a connection's client showed and that TLS has verified. The listener attaches it to every
/// request. It may have expired or been revoked: that is [`EnrolledDevice`]'s question.
#[derive(Debug, Clone)]
pub struct DeviceConnection(pub ShownCertificate);

/// A device whose certificate is good now.
#[derive(Debug, Clone)]
pub struct EnrolledDevice(pub ShownCertificate);

impl FromRequestParts<Context> for EnrolledDevice {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Problem> {
        let shown = parts.extensions.get::<DeviceConnection>();
        let DeviceConnection(shown) = shown.cloned().ok_or_else(|| {
            let detail = "this route is for devices, which show their certificate in TLS";
            Problem::new(StatusCode::UNAUTHORIZED, detail)
        })?;
        context
            .gate
            .admit(
                &shown.device,
                &shown.serial,
                Purpose::Connect,
                SystemTime::now(),
            )
            .map_err(|refused| Problem::new(StatusCode::FORBIDDEN, refused.to_string()))?;
        Ok(Self(shown))
    }
}
