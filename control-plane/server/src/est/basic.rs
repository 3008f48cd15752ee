//! HTTP Basic (RFC 7617).

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A user and a password.
pub(super) struct Basic {
    pub(super) user: String,
    pub(super) password: String,
}

impl Basic {
    /// Of a request's headers; `None` if they hold none.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let text = String::from_utf8(STANDARD.decode(token.trim()).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        Basic::of(&headers).map(|basic| (basic.user, basic.password))
    }

    #[test]
    fn user_and_password_are_told_apart_at_the_first_colon() {
        // The vector of RFC 7617 section 2.
        let aladdin = Some(("Aladdin".to_owned(), "open sesame".to_owned()));
        assert_eq!(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), aladdin);
        assert_eq!(read("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), aladdin);
        let colons = Some(("a".to_owned(), "b:c".to_owned()));
        assert_eq!(read("Basic YTpiOmM="), colons);
        for wrong in [
            "",
            "Basic",
            "Basic !",
            "Bearer QQ==",
            "Basic QQ==",
            "Basic /w==",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
