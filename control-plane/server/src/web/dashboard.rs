//! The dashboard's files, embedded when this crate is built.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{EmbeddedFile, RustEmbed};

/// What `build.rs` found in the dashboard's `dist`, or its stand-in.
#[derive(RustEmbed)]
#[folder = "$OUT_DIR/dashboard"]
struct Dashboard;

const PAGE: &str = "index.html";

/// Serves a file; any other path is a view of the single page, unless it looks like a file.
pub async fn file(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let path = uri.path().trim_start_matches('/');
    let is_view = !path
        .rsplit('/')
        .next()
        .is_some_and(|last| last.contains('.'));
    let found = match Dashboard::get(path) {
        None if is_view => Dashboard::get(PAGE).map(|file| (PAGE, file)),
        found => found.map(|file| (path, file)),
    };
    match found {
        Some((path, file)) => answer(path, file, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn answer(path: &str, file: EmbeddedFile, asked: &HeaderMap) -> Response {
    let hash = file.metadata.sha256_hash();
    // Weak (RFC 9110 section 8.8.1), as the bytes sent may be compressed.
    let tag = format!(
        "W/\"{}\"",
        hash[..12]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    );
    // Vite names files under assets/ by their content, so those never change.
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let known = asked
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let unchanged = known.is_some_and(|known| {
        known
            .split(',')
            .any(|one| one.trim() == tag || one.trim() == "*")
    });

    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let kind = match file.metadata.mimetype() {
            kind if kind.starts_with("text/") => format!("{kind}; charset=utf-8"),
            kind => kind.to_owned(),
        };
        (
            [(header::CONTENT_TYPE, kind)],
            Body::from(file.data.into_owned()),
        )
            .into_response()
    };
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
