//! The local view: the camera by itself, for viewers that need no control plane.
//!
//! | request | answer |
//! |---|---|
//! | `POST /whep`, an SDP offer | 201, the SDP answer, and where to end it (draft-ietf-wish-whep-03) |
//! | `DELETE /whep/{id}` | ends it |
//! | `GET /snapshot.jpg` | the picture of this moment |
//! | `GET /` | a page with a player |
//!
//! Off unless the config turns it on. All but the page want the token of the config, as a bearer token (RFC 6750) or,
//! for players that can send no header, as `?token=` in the URL.
//! A camera that is not enrolled yet serves what it waits for instead ([`pairing`]).

mod pairing;
mod token;
mod whep;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE,
};
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{delete, get, post};
use heron_session::Hub;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::config::LocalView;
use crate::media::Media;
use token::Token;

pub use pairing::waiting;

/// An offer is a few kilobytes.
const MAX_BODY: usize = 64 * 1024;
/// A still may be this old; a player that asks every second shows a picture of this second.
const STILL_AGE: Duration = Duration::from_millis(500);
/// How long a camera may take to open and show its first picture.
const STILL_PATIENCE: Duration = Duration::from_secs(5);

/// What the requests are answered from.
#[derive(Clone)]
struct Served {
    hub: Hub,
    media: Arc<Media>,
    token: Token,
}

/// Listens, and answers until the task is aborted.
pub async fn serve(
    config: &LocalView,
    hub: Hub,
    media: Arc<Media>,
) -> anyhow::Result<JoinHandle<()>> {
    let token = config.token.reveal().map_err(anyhow::Error::msg)?;
    let listener = listen(config).await?;
    let address = listener.local_addr()?;
    info!("local view at http://{address}/");
    let router = router(Served {
        hub,
        media,
        token: Token::new(&token),
    });
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            warn!("the local view's listener ended: {error}");
        }
    }))
}

async fn listen(config: &LocalView) -> anyhow::Result<TcpListener> {
    TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("local_view.listen: {} cannot be used", config.listen))
}

fn router(served: Served) -> Router {
    let guarded = Router::new()
        .route("/whep", post(whep::watch))
        .route("/whep/{id}", delete(whep::end))
        .route("/snapshot.jpg", get(snapshot))
        .route_layer(middleware::from_fn_with_state(
            served.token.clone(),
            token::guard,
        ));
    Router::new()
        .route("/", get(async || Html(include_str!("player.html"))))
        .merge(guarded)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(share))
        .with_state(served)
}

/// Pages of other origins may use it: it is the token that guards the camera, and no cookie is ever set. A preflight is
/// answered with 200 and `Accept-Post`, as WHIP (RFC 9725) wants it.
async fn share(request: Request<axum::body::Body>, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response = if preflight {
        ([(HeaderName::from_static("accept-post"), whep::SDP)]).into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
        (ACCESS_CONTROL_EXPOSE_HEADERS, "location"),
        (ACCESS_CONTROL_MAX_AGE, "600"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn snapshot(State(served): State<Served>) -> Response {
    let still =
        tokio::task::spawn_blocking(move || served.media.still(STILL_AGE, STILL_PATIENCE)).await;
    match still {
        Ok(Ok(still)) => ([(CONTENT_TYPE, "image/jpeg")], still.jpeg).into_response(),
        Ok(Err(reason)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
        Err(error) => {
            warn!(%error, "a still was not made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
