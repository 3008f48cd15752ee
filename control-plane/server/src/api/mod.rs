//! The HTTP API under `/api/v1`: one file per noun, each with its JSON shapes and its handlers.
//!
//! Routes and the OpenAPI document come from the same registration, so neither can lack what the other has. Every
//! error is a [`Problem`]. Names are snake_case, times are milliseconds since the Unix epoch (`_ms`).

mod browser_token;
mod cameras;
mod people;
mod problem;
mod sent;
mod service;
mod video_sessions;

use std::sync::Arc;

use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use browser_token::{BrowserToken, BrowserTokenRequest};
pub use cameras::{AddedCamera, Camera, CameraDetail, CameraList, NewCamera};
pub use people::{Me, SignIn};
pub use problem::Problem;
pub use sent::Sent;
pub use service::Readiness;
pub use video_sessions::{SessionFilter, SessionPhases, VideoSession, VideoSessionList};

use crate::access::Door;
use crate::identity::Enrolment;
use crate::live::Live;
use crate::signalling::BrowserRegistry;
use crate::store::Store;

/// Where the API begins.
pub const API_PATH: &str = "/api/v1";

/// What the handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Everything that is stored.
    pub store: Store,
    /// Signing in and out, and who a cookie belongs to.
    pub door: Arc<Door>,
    /// Makes the identity of new cameras.
    pub enrolment: Arc<Enrolment>,
    /// The browsers that may speak MQTT.
    pub browsers: Arc<BrowserRegistry>,
    /// What the running parts know of the moment: presence, viewers, counters.
    pub live: Arc<dyn Live>,
    /// The certificate of the CA behind our own server certificate, in PEM.
    pub ca_pem: Arc<str>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Heron control plane",
        description = "Sign in first (POST /api/v1/sign-in): its cookie is what every other route wants. \
            Errors are application/problem+json."
    ),
    tags(
        (name = "people", description = "signing in and out"),
        (name = "cameras", description = "the cameras of the tenant"),
        (name = "signalling", description = "the way into MQTT"),
        (name = "sessions", description = "who watched what"),
        (name = "service", description = "for whoever runs the control plane"),
    )
)]
struct Document;

/// The routes with their document.
fn registered() -> OpenApiRouter<Context> {
    let api = OpenApiRouter::new()
        .routes(routes!(people::sign_in))
        .routes(routes!(people::sign_out))
        .routes(routes!(people::me))
        .routes(routes!(cameras::list, cameras::add))
        .routes(routes!(cameras::detail, cameras::remove))
        .routes(routes!(browser_token::issue))
        .routes(routes!(video_sessions::list))
        .routes(routes!(service::ca))
        .routes(routes!(service::openapi));
    OpenApiRouter::with_openapi(Document::openapi())
        .nest(API_PATH, api)
        .routes(routes!(service::healthz))
        .routes(routes!(service::readyz))
        .routes(routes!(service::metrics))
}

/// The API's routes, and an answer in its own form for what is not among them.
pub fn router() -> axum::Router<Context> {
    let (router, _) = registered().split_for_parts();
    router
        .route(
            &format!("{API_PATH}/{{*rest}}"),
            axum::routing::any(async || Problem::not_found("route")),
        )
        .method_not_allowed_fallback(async || {
            Problem::new(
                axum::http::StatusCode::METHOD_NOT_ALLOWED,
                "this route has no such method",
            )
        })
}

/// The OpenAPI document of those routes.
pub fn openapi() -> utoipa::openapi::OpenApi {
    registered().split_for_parts().1
}
