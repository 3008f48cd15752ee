//! The control plane's address over HTTPS.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// `https://HOST[:PORT]`, without a path; an IPv6 address stands in brackets, the port is 443 if none is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerUrl {
    /// A name or an address, without brackets. The server's certificate must carry it.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Why a text is not the address of a control plane.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not https://HOST or https://HOST:PORT, with nothing after it")]
pub struct ServerUrlError(String);

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        let bad = || ServerUrlError(text.chars().take(80).collect());
        let rest = text.strip_prefix("https://").ok_or_else(bad)?;
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (authority, 443),
        };
        let bracketed = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let valid = match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.len() <= 253 && host.chars().all(is_name),
        };
        if !valid || port == 0 {
            return Err(bad());
        }
        Ok(Self {
            host: bracketed.unwrap_or(host).to_owned(),
            port,
        })
    }
}

impl ServerUrl {
    /// `HOST:PORT` as in an HTTP `Host` header.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = ServerUrlError;

    fn try_from(text: String) -> Result<Self, ServerUrlError> {
        text.parse()
    }
}

impl From<ServerUrl> for String {
    fn from(server: ServerUrl) -> Self {
        server.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written() {
        for (text, written) in [
            ("https://heron.example:8443", "https://heron.example:8443"),
            ("https://heron.example/", "https://heron.example:443"),
            ("https://192.0.2.7:1", "https://192.0.2.7:1"),
            ("https://[2001:db8::1]", "https://[2001:db8::1]:443"),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ] {
            let server: ServerUrl = text.parse().unwrap();
            assert_eq!(server.to_string(), written);
        }
    }

    #[test]
    fn anything_else_is_refused_in_one_line() {
        for text in [
            "",
            "heron.example:8443",
            "http://heron.example",
            "https://",
            "https://:8443",
            "https://heron.example:0",
            "https://heron.example:99999",
            "https://heron.example/api",
            "https://me@heron.example",
            "https://2001:db8::1",
            "https://heron example",
            "https://[fe80]:1",
        ] {
            let error = text.parse::<ServerUrl>().expect_err(text).to_string();
            assert!(error.contains("https://HOST") && error.lines().count() == 1);
        }
    }
}
