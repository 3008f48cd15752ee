//! Where the control plane is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `https://HOST[:PORT]`, or `http://` for an address of this very machine. No path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => {
                return Err(
                    "an address begins with https:// (or http:// on its own machine)".to_owned(),
                );
            }
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let uri: hyper::http::uri::Authority = authority.parse().map_err(|_| {
            format!("{authority:?} is not HOST or HOST:PORT, with nothing after it")
        })?;
        if authority.contains('@') || uri.host().is_empty() {
            return Err(format!("{authority:?} is not HOST or HOST:PORT"));
        }
        let host = uri.host().trim_start_matches('[').trim_end_matches(']');
        if !tls && !is_this_machine(host) {
            // A password would travel in the open.
            return Err(
                "http:// is for the control plane's own machine, such as http://127.0.0.1:8080"
                    .to_owned(),
            );
        }
        let usual = if tls { 443 } else { 80 };
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(usual),
        })
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

impl Address {
    /// `HOST:PORT`, as in an HTTP `Host` header.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_and_written() {
        for (text, shown) in [
            ("https://heron.example", "https://heron.example:443"),
            ("https://heron.example:8443/", "https://heron.example:8443"),
            ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]", "http://[::1]:80"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!(address.to_string(), shown);
            assert_eq!(shown.parse(), Ok(address));
        }
    }

    #[test]
    fn what_is_no_address_or_no_safe_one_is_refused() {
        for text in [
            "heron.example",
            "ftp://heron.example",
            "https://",
            "https://heron.example/api",
            "https://ada@heron.example",
            "http://heron.example:8080",
            "http://192.168.1.5:8080",
        ] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }
}
