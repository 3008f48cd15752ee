//! The local view of a camera that belongs to nobody yet: the pairing code, instead of a picture.
//!
//! | request | answer |
//! |---|---|
//! | `GET /pairing` | JSON: the code, where to confirm it, and that as a QR code; or what is in the way |
//! | `GET /` | a page that shows it |

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use heron_agent::Standing;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use super::token::{self, Token};
use crate::config::LocalView;
use crate::qr;

/// Serves the page until the task is aborted; then the address is free for the camera's own view.
pub async fn waiting(
    config: &LocalView,
    standing: watch::Receiver<Standing>,
) -> anyhow::Result<JoinHandle<()>> {
    let token = config.token.reveal().map_err(anyhow::Error::msg)?;
    let listener: TcpListener = super::listen(config).await?;
    info!("what this camera waits for: http://{}/", config.listen);
    let guarded = Router::new()
        .route("/pairing", get(pairing))
        .route_layer(middleware::from_fn_with_state(
            Token::new(&token),
            token::guard,
        ))
        .with_state(standing);
    let router = Router::new()
        .route("/", get(async || Html(include_str!("pairing.html"))))
        .merge(guarded);
    Ok(tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            warn!("the local view's listener ended: {error}");
        }
    }))
}

async fn pairing(State(standing): State<watch::Receiver<Standing>>) -> Response {
    let standing = standing.borrow().clone();
    ([(CACHE_CONTROL, "no-store")], Json(told(&standing))).into_response()
}

fn told(standing: &Standing) -> Value {
    match standing {
        Standing::Busy => json!({"state": "busy"}),
        Standing::Pairing { code, page, key } => json!({
            "state": "pairing",
            "code": code.to_string(),
            "page": page,
            "key": key,
            "qr": qr::svg(page),
        }),
        Standing::Waiting { reason } => json!({"state": "waiting", "reason": reason}),
        Standing::Enrolled { device } => json!({"state": "enrolled", "device": device}),
    }
}
