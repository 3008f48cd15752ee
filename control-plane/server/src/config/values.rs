//! Values of the configuration that check themselves.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use heron_turn::Cidr;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// Reads an address and a port.
pub(super) fn listen<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    socket_address(&String::deserialize(from)?).map_err(D::Error::custom)
}

fn socket_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("{text:?}; an address and a port are allowed, such as 0.0.0.0:8443 or [::]:8443")
    })
}

/// Reads an address and a port that need not be given.
pub(super) fn optional_listen<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<SocketAddr>, D::Error> {
    listen(from).map(Some)
}

/// Reads an optional address.
pub(super) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<IpAddr>, D::Error> {
    let text = String::deserialize(from)?;
    let address = text
        .parse()
        .map_err(|_| D::Error::custom(format!("{text:?}; an IP address is allowed")))?;
    Ok(Some(address))
}

/// Reads address blocks.
pub(super) fn blocks<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Cidr>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    texts
        .iter()
        .map(|text| text.parse().map_err(D::Error::custom))
        .collect()
}

/// Reads the life of TURN credentials.
pub(super) fn credential_ttl<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(from)?;
    if (60..=86_400).contains(&seconds) {
        return Ok(seconds);
    }
    Err(D::Error::custom(format!(
        "{seconds} s; 60 to 86400 are allowed"
    )))
}

/// An address to listen on that nobody but this machine can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LoopbackListen(SocketAddr);

impl LoopbackListen {
    /// A port of 127.0.0.1; with 0 the system chooses one.
    pub const fn port(port: u16) -> Self {
        Self(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }

    /// The address and port.
    pub const fn address(self) -> SocketAddr {
        self.0
    }
}

impl TryFrom<String> for LoopbackListen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = socket_address(&text)?;
        if address.ip().is_loopback() {
            return Ok(Self(address));
        }
        Err(format!(
            "{address}; what is not encrypted stays on this machine: 127.0.0.1 or [::1] with a port is allowed"
        ))
    }
}

/// A DNS name or an IP address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Host(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// The address, if it is one.
    pub const fn address(&self) -> Option<IpAddr> {
        match self.0 {
            Kind::Address(address) => Some(address),
            Kind::Name(_) => None,
        }
    }

    /// As it is written before a port, in URLs and elsewhere (RFC 3986 section 3.2.2).
    pub fn with_port(&self, port: u16) -> String {
        match &self.0 {
            Kind::Address(address) => SocketAddr::new(*address, port).to_string(),
            Kind::Name(name) => format!("{name}:{port}"),
        }
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self(Kind::Address(address))
    }
}

impl TryFrom<String> for Host {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self(Kind::Address(address)));
        }
        // RFC 1123 section 2.1.
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 253 && text.split('.').all(label) {
            return Ok(Self(Kind::Name(text.to_ascii_lowercase())));
        }
        Err(format!(
            "{text:?}; a DNS name or an IP address is allowed, without scheme and port"
        ))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Name(name) => f.write_str(name),
            Kind::Address(address) => address.fmt(f),
        }
    }
}

/// UDP ports from the first to the last, written `49160-49359`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PortRange(RangeInclusive<u16>);

impl PortRange {
    /// The ports.
    pub fn ports(&self) -> RangeInclusive<u16> {
        self.0.clone()
    }
}

impl Default for PortRange {
    fn default() -> Self {
        Self(49160..=49359)
    }
}

impl FromStr for PortRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ports = text
            .split_once('-')
            .and_then(|(first, last)| Some(first.parse().ok()?..=last.parse().ok()?));
        ports.filter(|ports| !ports.is_empty() && *ports.start() >= 1024).map(Self).ok_or_else(|| {
            format!("{text:?}; two ports from 1024 to 65535, the lower first, are allowed, such as 49160-49359")
        })
    }
}

impl TryFrom<String> for PortRange {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_else() {
        let host = |text: &str| Host::try_from(text.to_owned());
        assert_eq!(
            host("192.168.1.5").unwrap().with_port(8443),
            "192.168.1.5:8443"
        );
        assert_eq!(
            host("2001:db8::1").unwrap().with_port(8443),
            "[2001:db8::1]:8443"
        );
        assert_eq!(
            host("Heron.Example").unwrap().with_port(1),
            "heron.example:1"
        );
        for bad in ["", "a b", "https://x", "x:1", "-x", "x..y", &"x".repeat(64)] {
            assert!(
                host(bad).unwrap_err().contains("without scheme and port"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_port_range_is_in_order_and_unprivileged() {
        assert_eq!("49160-49359".parse(), Ok(PortRange::default()));
        for bad in ["", "1-2", "5000", "5000-4000", "5000-70000", "a-b"] {
            assert!(
                bad.parse::<PortRange>()
                    .unwrap_err()
                    .contains("such as 49160-49359"),
                "{bad}"
            );
        }
    }
}
