//! Keeps other sites' pages from acting with a person's cookie.
//!
//! `SameSite=Strict` already keeps the cookie at home; this is the second lock, for requests that change something and
//! for WebSockets, which no browser restricts by itself. Programs that are no browsers send no `Origin` and pass.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Arrival;
use crate::api::Problem;

/// Middleware: refuses what another site's page sends, unless it only reads.
pub async fn same_origin(request: Request, next: Next) -> Response {
    let reads = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let arrival = request.extensions().get::<Arrival>().copied();
    if reads || arrival.is_some_and(|arrival| allowed(request.headers(), arrival)) {
        next.run(request).await
    } else {
        Problem::new(
            StatusCode::FORBIDDEN,
            "the Origin header names another site than this one",
        )
        .into_response()
    }
}

/// A WebSocket must come from a page of our own: the `Origin` must be there and ours.
///
/// # Errors
///
/// The refusal to send.
pub fn websocket_origin(headers: &HeaderMap, arrival: Arrival) -> Result<(), Problem> {
    let origin = headers
        .get(header::ORIGIN)
        .and_then(|value| value.to_str().ok());
    if origin.is_some_and(|origin| is_own(origin, headers, arrival)) {
        return Ok(());
    }
    let detail = "a WebSocket needs the Origin header of this site's own pages";
    Err(Problem::new(StatusCode::FORBIDDEN, detail))
}

fn allowed(headers: &HeaderMap, arrival: Arrival) -> bool {
    match headers.get(header::ORIGIN) {
        Some(origin) => origin
            .to_str()
            .is_ok_and(|origin| is_own(origin, headers, arrival)),
        // Browsers that leave out Origin still say where from (Fetch Metadata, section 2.4).
        None => headers
            .get("sec-fetch-site")
            .is_none_or(|site| site == "same-origin" || site == "none"),
    }
}

/// Whether `origin` (RFC 6454 section 6.1) is the scheme and authority that the request was sent to.
fn is_own(origin: &str, headers: &HeaderMap, arrival: Arrival) -> bool {
    let host = headers
        .get(header::HOST)
        .and_then(|value| value.to_str().ok());
    match (origin.split_once("://"), host) {
        (Some((scheme, authority)), Some(host)) => {
            scheme == arrival.scheme() && authority.eq_ignore_ascii_case(host)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TLS: Arrival = Arrival {
        peer: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        secure: true,
    };

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_our_own_pages_may_change_things() {
        let ours = [
            ("host", "heron.example:8443"),
            ("origin", "https://heron.example:8443"),
        ];
        assert!(allowed(&headers(&ours), TLS));
        for other in [
            "https://evil.example",
            "http://heron.example:8443",
            "https://heron.example",
            "null",
            "",
        ] {
            assert!(
                !allowed(
                    &headers(&[("host", "heron.example:8443"), ("origin", other)]),
                    TLS
                ),
                "{other}"
            );
        }
        assert!(
            allowed(&headers(&[("host", "heron.example:8443")]), TLS),
            "no browser"
        );
        assert!(!allowed(
            &headers(&[
                ("host", "heron.example:8443"),
                ("sec-fetch-site", "cross-site")
            ]),
            TLS
        ));
    }

    #[test]
    fn a_websocket_must_name_its_origin() {
        assert!(websocket_origin(&headers(&[("host", "a"), ("origin", "https://a")]), TLS).is_ok());
        assert!(websocket_origin(&headers(&[("host", "a")]), TLS).is_err());
        assert!(
            websocket_origin(&headers(&[("host", "a"), ("origin", "https://b")]), TLS).is_err()
        );
    }
}
