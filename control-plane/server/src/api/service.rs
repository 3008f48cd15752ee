//! For whoever runs the control plane: is it well, what has it counted, which CA to trust.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Context, Problem};
use crate::access::{Arrival, SignedIn};
use crate::live::Counter;

/// Which parts are ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// All of them are.
    pub ready: bool,
    /// The database answers.
    pub store: bool,
    /// The router is connected to the broker.
    pub signalling: bool,
}

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "service", responses((status = 200, body = String)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether it can do its work.
#[utoipa::path(
    get, path = "/readyz", tag = "service",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness, description = "a part is not ready"))
)]
pub(super) async fn readyz(State(context): State<Context>) -> impl IntoResponse {
    let store = context.store.answers().await;
    let signalling = context.live.connected();
    let readiness = Readiness {
        ready: store && signalling,
        store,
        signalling,
    };
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness))
}

/// Counters in Prometheus' text form; for this machine's own clients, or for a signed-in person.
#[utoipa::path(
    get, path = "/metrics", tag = "service",
    responses((status = 200, body = String), (status = 401, body = Problem))
)]
pub(super) async fn metrics(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    signed_in: Result<SignedIn, Problem>,
) -> Result<impl IntoResponse, Problem> {
    if !arrival.peer.is_loopback() {
        signed_in?;
    }
    let live = context.live.counters().await;
    let kept_out = Counter {
        name: "heron_cameras_kept_out".into(),
        help: "Cameras that are revoked or quarantined.".into(),
        value: context.gate.kept_out() as u64,
    };
    let text: String = live
        .iter()
        .chain(&context.counters.figures())
        .chain([&kept_out])
        .map(ToString::to_string)
        .collect();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}

/// The CA certificate to trust, so that browsers accept the control plane's own server certificate.
#[utoipa::path(
    get, path = "/ca.pem", tag = "service",
    responses((status = 200, body = String, content_type = "application/x-pem-file"))
)]
pub(super) async fn ca(State(context): State<Context>) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "application/x-pem-file"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"heron-ca.pem\"",
        ),
    ];
    (headers, context.ca_pem.to_string())
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", tag = "service",
    responses((status = 200, content_type = "application/json", description = "the OpenAPI document of this API"))
)]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(super::openapi())
}
