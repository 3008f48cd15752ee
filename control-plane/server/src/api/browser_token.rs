//! The token with which a signed-in person's browser speaks MQTT.

use std::time::{Duration, SystemTime};

use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Context, Problem};
use crate::access::{Arrival, SignedIn};

/// Minutes, as a browser that is still open asks for more and a stolen token is soon worth nothing.
const TOKEN_LIFE: Duration = Duration::from_secs(10 * 60);

/// What kind of token to make.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BrowserTokenRequest {
    /// The id of a browser that is connected now: it keeps the id and its sessions, with a new token. Without it, or
    /// when that browser is not known any more, a new browser id is made.
    pub browser: Option<String>,
}

/// How to connect to the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BrowserToken {
    /// The tenant in the topics `view/1/{tenant}/{browser}/...`.
    pub tenant: String,
    /// The browser id: MQTT client id and user name, and a level of the topics.
    pub browser: String,
    /// The MQTT password.
    pub token: String,
    /// How long it lasts, in seconds. Ask for the next one before.
    pub expires_in_s: u64,
    /// Where the broker listens for WebSockets (subprotocol `mqtt`), on the same origin.
    pub mqtt_path: String,
}

/// Makes a broker token for this browser.
#[utoipa::path(
    post, path = "/browser-token", tag = "signalling", request_body = Option<BrowserTokenRequest>,
    responses((status = 200, body = BrowserToken), (status = 401, body = Problem))
)]
pub(super) async fn issue(
    State(context): State<Context>,
    Extension(arrival): Extension<Arrival>,
    signed_in: SignedIn,
    request: Result<Option<Json<BrowserTokenRequest>>, JsonRejection>,
) -> Result<Json<BrowserToken>, Problem> {
    let browser = request?.and_then(|Json(request)| request.browser);
    let person = &signed_in.person;
    let now = SystemTime::now();
    let renewed = browser
        .and_then(|browser| browser.parse().ok())
        .and_then(|browser| {
            context
                .browsers
                .renew(&browser, &person.id, now, TOKEN_LIFE)
        });
    let issued = renewed.unwrap_or_else(|| {
        context
            .browsers
            .issue(&person.id, &person.tenant, now, TOKEN_LIFE)
    });
    context.browsers.seen_at(&issued.browser, arrival.peer);
    Ok(Json(BrowserToken {
        tenant: person.tenant.to_string(),
        token: issued.token,
        browser: issued.browser.to_string(),
        expires_in_s: issued.expires_in.as_secs(),
        mqtt_path: crate::web::MQTT_PATH.to_owned(),
    }))
}
