//! The sign-in cookie (RFC 6265bis): 256 random bits, of which the store keeps the SHA-256 only.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::Arrival;

/// `__Host-` makes the browser insist on Secure, on Path=/ and on no Domain (RFC 6265bis section 4.1.3.2).
const NAME_SECURE: &str = "__Host-heron";
/// Over plain HTTP on the loopback interface that prefix is not possible.
const NAME_LOOPBACK: &str = "heron";

/// A fresh token for a cookie.
pub fn fresh_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

/// The token as the store knows it.
pub fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// `Set-Cookie` for a token.
pub fn set(token: &str, life: Duration, arrival: Arrival) -> HeaderValue {
    let (name, secure) = if arrival.secure {
        (NAME_SECURE, "; Secure")
    } else {
        (NAME_LOOPBACK, "")
    };
    let life = life.as_secs();
    let cookie =
        format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={life}{secure}");
    // Base64 and our own words: always a valid header value.
    HeaderValue::try_from(cookie).unwrap_or(HeaderValue::from_static(""))
}

/// `Set-Cookie` that removes it.
pub fn clear(arrival: Arrival) -> HeaderValue {
    set("", Duration::ZERO, arrival)
}

/// The token that a request carries.
pub fn read(headers: &HeaderMap, arrival: Arrival) -> Option<&str> {
    let name = if arrival.secure {
        NAME_SECURE
    } else {
        NAME_LOOPBACK
    };
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, token)| (key == name && !token.is_empty()).then_some(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVER_TLS: Arrival = Arrival {
        peer: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
        secure: true,
    };
    const PLAIN: Arrival = Arrival {
        secure: false,
        ..OVER_TLS
    };

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let cookie = set("t0ken", Duration::from_secs(60), OVER_TLS);
        let cookie = cookie.to_str().unwrap();
        assert_eq!(
            cookie,
            "__Host-heron=t0ken; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure"
        );
        let plain = set("t0ken", Duration::from_secs(60), PLAIN);
        assert_eq!(
            plain,
            "heron=t0ken; Path=/; HttpOnly; SameSite=Strict; Max-Age=60"
        );
    }

    #[test]
    fn it_is_found_among_others() {
        let mut headers = HeaderMap::new();
        assert_eq!(read(&headers, OVER_TLS), None);
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("a=b; __Host-heron=t0ken; heron=other"),
        );
        assert_eq!(read(&headers, OVER_TLS), Some("t0ken"));
        assert_eq!(read(&headers, PLAIN), Some("other"));
    }

    #[test]
    fn tokens_differ() {
        assert_ne!(fresh_token(), fresh_token());
        assert_eq!(fresh_token().len(), 43);
    }
}
