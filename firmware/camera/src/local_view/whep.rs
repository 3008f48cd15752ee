//! WHEP (draft-ietf-wish-whep-03): a player posts an offer and gets an answer; deleting what it was given ends it.
//!
//! The answer has all candidates in it, since the one port is known before anyone asks: there is nothing to trickle, and
//! `PATCH` is answered with 405 as the draft allows (section 4.3).

use axum::extract::{Path, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use heron_session::{Refusal, Rights};

use super::Served;

/// The media type of offers and answers.
pub const SDP: &str = "application/sdp";

/// `POST /whep`.
pub async fn watch(State(served): State<Served>, headers: HeaderMap, offer: String) -> Response {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(SDP) {
        return (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            [(ACCEPT, HeaderValue::from_static(SDP))],
            format!("the content type is {kind:?}; allowed: {SDP}\n"),
        )
            .into_response();
    }
    // Talking and changing things want a person whom a control plane knows.
    match served.hub.watch_locally(&offer, Rights::WATCH).await {
        Ok(answer) => (
            StatusCode::CREATED,
            [
                (CONTENT_TYPE, SDP.to_owned()),
                (LOCATION, format!("/whep/{}", answer.session)),
            ],
            answer.sdp,
        )
            .into_response(),
        Err(refusal) => refused(&refusal),
    }
}

/// `DELETE /whep/{id}`.
pub async fn end(State(served): State<Served>, Path(session): Path<String>) -> Response {
    let known = session
        .parse()
        .is_ok_and(|session| served.hub.close(&session));
    if known {
        StatusCode::OK.into_response()
    } else {
        (StatusCode::NOT_FOUND, "this session is over\n").into_response()
    }
}

fn refused(refusal: &Refusal) -> Response {
    let text = format!("{refusal}\n");
    match refusal {
        Refusal::Offer(_) => (StatusCode::BAD_REQUEST, text).into_response(),
        Refusal::Full(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            [(RETRY_AFTER, HeaderValue::from_static("10"))],
            text,
        )
            .into_response(),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, text).into_response(),
    }
}
