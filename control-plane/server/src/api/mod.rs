//! The HTTP API under `/api/v1`: one file per noun, each with its JSON shapes and its handlers.
//!
//! Routes and the OpenAPI document come from the same registration, so neither can lack what the other has. Every
//! error is a [`Problem`]. Names are snake_case, times are milliseconds since the Unix epoch (`_ms`).

mod audit;
mod browser_token;
mod cameras;
mod claims;
mod connections;
mod device;
mod device_ice;
mod document;
mod factory_list;
mod identity;
mod pairings;
mod paths;
mod people;
mod problem;
mod relay_policy;
mod self_test;
mod sent;
mod service;
mod video_sessions;

use std::sync::Arc;
use std::time::SystemTime;

use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use browser_token::{BrowserToken, BrowserTokenRequest};
pub use cameras::{AddedCamera, Camera, CameraDetail, CameraList, NewCamera};
pub use claims::{Claim, ClaimList, MadeClaimFile, NewClaim};
pub use connections::{Connection, ConnectionFilter, ConnectionList};
pub use device::DeviceConfig;
pub use device_ice::DeviceIce;
pub use factory_list::{FactoryEntries, FactoryEntry, FactoryListing, ListedDevice};
pub use identity::{Certificate, CertificateStatus, Identity, IdentityState, Reason};
pub use pairings::{Confirmation, ConfirmedPairing, Pairing};
pub use paths::{Failure, PathFilter, PathKindFigures, PathOverview, Percentiles, RelayShare};
pub use people::{Me, SignIn};
pub use problem::Problem;
pub use relay_policy::{RelayPolicy, RelayPolicyInForce};
pub use self_test::{SelfTest, SelfTestServer};
pub use sent::Sent;
pub use service::Readiness;
pub use video_sessions::{
    PhaseTimes, SeenPath, SessionFilter, SessionPhases, TriedPair, VideoSession,
    VideoSessionDetail, VideoSessionList,
};

use crate::access::Door;
use crate::est::EnrolmentCounters;
use crate::identity::{Enrolment, Gate};
use crate::live::Live;
use crate::signalling::BrowserRegistry;
use crate::store::Store;
use crate::turn::Relays;

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
    /// Who may come in with which certificate.
    pub gate: Arc<Gate>,
    /// What was counted at enrolment.
    pub counters: Arc<EnrolmentCounters>,
    /// The browsers that may speak MQTT.
    pub browsers: Arc<BrowserRegistry>,
    /// What the running parts know of the moment: presence, viewers, counters.
    pub live: Arc<dyn Live>,
    /// TURN servers, and what may be relayed.
    pub relays: Arc<Relays>,
    /// The certificate of the CA behind our own server certificate, in PEM.
    pub ca_pem: Arc<str>,
}

impl Context {
    /// What was just stored about identities takes effect: who lost its standing is put out now and not at the next
    /// look.
    pub(crate) async fn settle(&self) {
        let live: &dyn Live = &*self.live;
        if let Err(error) = self.gate.catch_up(live, SystemTime::now()).await {
            tracing::error!(
                error = format!("{:#}", anyhow::Error::from(error)),
                "an identity changed, which the next look will find"
            );
        }
    }
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
        (name = "identity", description = "certificates of cameras, and putting one out"),
        (name = "enrolment", description = "the ways in: claims, pairing codes, the factory list; the certificates \
            themselves come by EST (RFC 7030) under /.well-known/est"),
        (name = "signalling", description = "the way into MQTT"),
        (name = "sessions", description = "who watched what, and over which path"),
        (name = "relays", description = "what may go through TURN servers, and how much did"),
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
        .routes(routes!(audit::list))
        .routes(routes!(cameras::list, cameras::add))
        .routes(routes!(cameras::detail, cameras::remove))
        .routes(routes!(identity::show))
        .routes(routes!(identity::revoke))
        .routes(routes!(identity::quarantine))
        .routes(routes!(identity::release))
        .routes(routes!(connections::list))
        .routes(routes!(claims::list, claims::make))
        .routes(routes!(claims::remove))
        .routes(routes!(pairings::show))
        .routes(routes!(pairings::confirm))
        .routes(routes!(pairings::refuse))
        .routes(factory_list::routes())
        .routes(routes!(device::show))
        .routes(routes!(device_ice::show))
        .routes(routes!(browser_token::issue))
        .routes(routes!(video_sessions::list))
        .routes(routes!(video_sessions::detail))
        .routes(routes!(video_sessions::end))
        .routes(routes!(paths::overview))
        .routes(routes!(self_test::begin))
        .routes(routes!(
            relay_policy::of_camera,
            relay_policy::set_of_camera
        ))
        .routes(routes!(
            relay_policy::of_tenant,
            relay_policy::set_of_tenant
        ))
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
    document::complete(registered().split_for_parts().1)
}
