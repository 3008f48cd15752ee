//! HTTP: the listeners, the dashboard's files, the WebSocket to the broker, and what every answer carries.

mod dashboard;
mod device_certificates;
mod headers;
mod listener;
mod mqtt_socket;
mod tls;

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

pub use device_certificates::device_certificates;
pub use listener::{HttpListener, Security};
pub use mqtt_socket::{MQTT_PATH, MqttSocket, Upstream};
pub use tls::{HttpsTls, TlsError, client_config, relay_tls};

use crate::brokers::Hooks;
use crate::{access, api, est};

/// The largest request is a certificate signing request; the route of the factory list has a limit of its own.
const BODY_LIMIT: usize = 16 * 1024;
/// Nothing that a handler does takes longer, unless something is stuck.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that is served: API, enrolment, WebSocket, and the dashboard for all other paths.
pub fn site(context: api::Context, mqtt: MqttSocket, hooks: Option<Hooks>) -> Router {
    api::router()
        .with_state(context.clone())
        .merge(est::router(context))
        .merge(mqtt.router())
        .merge(hooks.map(Hooks::router).unwrap_or_default())
        .fallback(dashboard::file)
        .layer(axum::middleware::from_fn(est::expired_only_renew))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(axum::middleware::from_fn(access::same_origin))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            TIMEOUT,
        ))
        .layer(CompressionLayer::new().gzip(true))
        .layer(axum::middleware::map_response(headers::secure))
}
