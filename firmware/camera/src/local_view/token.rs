//! The token that every request of the local view must carry.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::{Request, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

/// The token's digest: comparing digests takes no longer for a guess that begins right.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The secret of the config.
    pub fn new(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    fn is(&self, given: &str) -> bool {
        *self == Self::new(given)
    }

    /// Whether a request may pass: by its header, or where there is none, by its query.
    fn admits(&self, request: &Request<Body>) -> bool {
        if let Some(header) = request.headers().get(AUTHORIZATION) {
            let header = header.to_str().unwrap_or_default();
            return header.split_once(' ').is_some_and(|(scheme, given)| {
                scheme.eq_ignore_ascii_case("bearer") && self.is(given.trim())
            });
        }
        let query = request.uri().query().unwrap_or_default();
        query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("token="))
            .any(|given| self.is(given))
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Turns away who does not know it (RFC 6750 section 3).
pub async fn guard(State(token): State<Token>, request: Request<Body>, next: Next) -> Response {
    if token.admits(&request) {
        return next.run(request).await;
    }
    (
        StatusCode::UNAUTHORIZED,
        [(WWW_AUTHENTICATE, "Bearer realm=\"heron-camera\"")],
        "the token of [local_view] in the camera's config is needed: Authorization: Bearer TOKEN\n",
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(uri: &str, header: Option<&str>) -> bool {
        let mut request = Request::get(uri);
        if let Some(header) = header {
            request = request.header(AUTHORIZATION, header);
        }
        Token::new("0123456789abcdef").admits(&request.body(Body::empty()).unwrap())
    }

    #[test]
    fn the_token_comes_in_a_header_or_in_the_query() {
        assert!(admits("/whep", Some("Bearer 0123456789abcdef")));
        assert!(admits("/whep", Some("bearer  0123456789abcdef")));
        assert!(admits("/snapshot.jpg?a=b&token=0123456789abcdef", None));
    }

    #[test]
    fn anything_else_is_turned_away() {
        assert!(!admits("/whep", None));
        assert!(!admits("/whep", Some("Basic 0123456789abcdef")));
        assert!(!admits("/whep", Some("Bearer 0123456789abcde")));
        assert!(!admits("/whep?token=", None));
        // A wrong header is not made good by the query.
        assert!(!admits("/whep?token=0123456789abcdef", Some("Bearer no")));
    }
}
