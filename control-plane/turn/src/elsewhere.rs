//! Configuration for TURN servers that are not ours: what makes coturn and eturnal take Heron's credentials, and refuse
//! the peers that the embedded server refuses.
//!
//! What they cannot do is said in the file itself: neither ends a live relay when a session is over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use thiserror::Error;

use crate::credential::{Secret, Secrets};
use crate::special_purpose::SPECIAL;
use crate::{Cidr, Quotas};

/// A TURN server as its configuration describes it.
#[derive(Debug, Clone)]
pub struct ForeignServer {
    /// The realm.
    pub realm: String,
    /// The secrets in force; they must be text.
    pub secrets: Secrets,
    /// The addresses to listen on; empty for every one.
    pub listen: Vec<IpAddr>,
    /// The port for UDP and TCP.
    pub port: u16,
    /// TURN over TLS, if there is a certificate.
    pub tls: Option<ForeignTls>,
    /// The addresses that relayed addresses are made of, at most one of each family; empty for the server's own.
    pub relay: Vec<IpAddr>,
    /// The ports they are made of.
    pub relay_ports: RangeInclusive<u16>,
    /// Special-purpose blocks that may be relayed to nevertheless.
    pub allow_peers: Vec<Cidr>,
    /// How much clients may hold and use: `allocations`, `per_username` and `udp_rate` are written.
    pub quotas: Quotas,
    /// Where coturn reports usage: a connection string of Redis, such as `ip=127.0.0.1 dbname=2 port=6379`.
    pub redis: Option<String>,
    /// Whether coturn serves Prometheus on its port 9641.
    pub prometheus: bool,
}

/// TLS of such a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignTls {
    /// The port.
    pub port: u16,
    /// The certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// Why no configuration can be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ForeignConfigError {
    /// The secret holds bytes that a line of text cannot.
    #[error(
        "the TURN secret must be printable text without quotes to be written into a configuration file"
    )]
    Secret,
    /// The value would break out of its line.
    #[error("{field} must be one line of printable text without quotes")]
    Text {
        /// Which value.
        field: &'static str,
    },
}

/// `turnserver.conf` of coturn 4.6.
///
/// # Errors
///
/// [`ForeignConfigError`] if a value cannot be written into it.
pub fn coturn_config(server: &ForeignServer) -> Result<String, ForeignConfigError> {
    let mut file = String::from(
        "# coturn for Heron: /etc/turnserver.conf\n\
         # coturn does not end a relay when its session is over; with Heron's own server it ends at once.\n\n",
    );
    let mut line = |text: String| {
        file.push_str(&text);
        file.push('\n');
    };
    line(format!("listening-port={}", server.port));
    for address in &server.listen {
        line(format!("listening-ip={address}"));
    }
    match &server.tls {
        Some(tls) => {
            let (certificate, key) = (tls.certificate.display(), tls.key.display());
            line(format!("tls-listening-port={}", tls.port));
            line(format!(
                "cert={}",
                text("tls.certificate", &certificate.to_string())?
            ));
            line(format!("pkey={}", text("tls.key", &key.to_string())?));
            line("no-tlsv1\nno-tlsv1_1".into());
        }
        None => line("no-tls".into()),
    }
    line("no-dtls".into());
    for address in &server.relay {
        line(format!("relay-ip={address}"));
    }
    line(format!("min-port={}", server.relay_ports.start()));
    line(format!("max-port={}", server.relay_ports.end()));
    line(format!("realm={}", text("realm", &server.realm)?));
    line(
        "\n# Credentials of Heron: the user name ends with a date, the password is its HMAC."
            .into(),
    );
    line("use-auth-secret".into());
    for secret in server.secrets.iter() {
        line(format!("static-auth-secret={}", secret_text(secret)?));
    }
    line("stale-nonce=3600\nfingerprint".into());
    line("\n# Quotas; max-bps is in bytes a second, each way.".into());
    line(format!("user-quota={}", server.quotas.per_username));
    line(format!("total-quota={}", server.quotas.allocations));
    line(format!("max-bps={}", server.quotas.udp_rate / 8));
    line("max-allocate-lifetime=3600".into());
    line("\n# Nothing but UDP relays; no console.".into());
    line("no-tcp-relay\nno-cli\nno-software-attribute".into());
    if let Some(redis) = &server.redis {
        line(format!("redis-statsdb=\"{}\"", text("redis", redis)?));
    }
    if server.prometheus {
        line("prometheus\nprometheus-username-labels".into());
    }
    line("\n# Peers at special-purpose addresses are refused, as by Heron's own server.".into());
    line("no-multicast-peers".into());
    for (block, purpose) in SPECIAL {
        let (first, last) = (block.first(), block.last());
        line(format!("# {purpose}"));
        line(match first == last {
            true => format!("denied-peer-ip={first}"),
            false => format!("denied-peer-ip={first}-{last}"),
        });
    }
    // Loopback wants a word of its own.
    let loopback: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let mut allowed = server.allow_peers.iter();
    if allowed.any(|block| loopback.iter().any(|address| block.contains(*address))) {
        line("allow-loopback-peers".into());
    }
    for block in &server.allow_peers {
        line(format!(
            "allowed-peer-ip={}-{}",
            block.first(),
            block.last()
        ));
    }
    Ok(file)
}

/// `eturnal.yml` of eturnal 1.12.
///
/// # Errors
///
/// [`ForeignConfigError`] if a value cannot be written into it.
pub fn eturnal_config(server: &ForeignServer) -> Result<String, ForeignConfigError> {
    let mut file = String::from(
        "# eturnal for Heron: /etc/eturnal.yml\n\
         # eturnal does not end a relay when its session is over, but when its credential expires;\n\
         # with Heron's own server it ends at once. max_bps is in bytes a second.\n\
         eturnal:\n",
    );
    let mut line = |text: String| {
        file.push_str("  ");
        file.push_str(&text);
        file.push('\n');
    };
    line("secret:".into());
    for secret in server.secrets.iter() {
        line(format!("  - \"{}\"", secret_text(secret)?));
    }
    line(format!("realm: \"{}\"", text("realm", &server.realm)?));
    line("listen:".into());
    // One socket for both families.
    let every = [IpAddr::from([0; 16])];
    let listen = match server.listen.is_empty() {
        true => &every[..],
        false => &server.listen,
    };
    for address in listen {
        let tls = server.tls.as_ref().map(|tls| ("tls", tls.port));
        for (transport, port) in [("udp", server.port), ("tcp", server.port)]
            .into_iter()
            .chain(tls)
        {
            line(format!(
                "  - {{ ip: \"{address}\", port: {port}, transport: {transport} }}"
            ));
        }
    }
    if let Some(tls) = &server.tls {
        let (certificate, key) = (tls.certificate.display(), tls.key.display());
        let certificate = text("tls.certificate", &certificate.to_string())?.to_owned();
        line(format!("tls_crt_file: \"{certificate}\""));
        line(format!(
            "tls_key_file: \"{}\"",
            text("tls.key", &key.to_string())?
        ));
    }
    for address in &server.relay {
        match address {
            IpAddr::V4(address) => line(format!("relay_ipv4_addr: \"{address}\"")),
            IpAddr::V6(address) => line(format!("relay_ipv6_addr: \"{address}\"")),
        }
    }
    line(format!("relay_min_port: {}", server.relay_ports.start()));
    line(format!("relay_max_port: {}", server.relay_ports.end()));
    line(format!("max_allocations: {}", server.quotas.per_username));
    line(format!("max_permissions: {}", server.quotas.peers));
    line(format!("max_bps: {}", server.quotas.udp_rate / 8));
    line("strict_expiry: true".into());
    line("blacklist_peers:".into());
    for (block, purpose) in SPECIAL {
        line(format!("  - \"{block}\" # {purpose}"));
    }
    if !server.allow_peers.is_empty() {
        line("whitelist_peers:".into());
    }
    for block in &server.allow_peers {
        line(format!("  - \"{block}\""));
    }
    Ok(file)
}

/// A value that stays within its line and its quotes.
fn text<'a>(field: &'static str, value: &'a str) -> Result<&'a str, ForeignConfigError> {
    let fits = |letter: char| !letter.is_control() && !matches!(letter, '"' | '\'' | '\\' | '#');
    if value.chars().all(fits) {
        Ok(value)
    } else {
        Err(ForeignConfigError::Text { field })
    }
}

fn secret_text(secret: &Secret) -> Result<&str, ForeignConfigError> {
    let secret = secret.as_text().ok_or(ForeignConfigError::Secret)?;
    text("secret", secret).map_err(|_| ForeignConfigError::Secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> ForeignServer {
        ForeignServer {
            realm: "heron".into(),
            secrets: Secrets {
                current: Secret::new("north"),
                previous: Some(Secret::new("south")),
            },
            listen: Vec::new(),
            port: 3478,
            tls: Some(ForeignTls {
                port: 5349,
                certificate: "/etc/turn/chain.pem".into(),
                key: "/etc/turn/key.pem".into(),
            }),
            relay: vec!["198.51.100.7".parse().unwrap()],
            relay_ports: 49_160..=49_359,
            allow_peers: vec!["10.1.0.0/16".parse().unwrap()],
            quotas: Quotas::default(),
            redis: Some("ip=127.0.0.1 dbname=2 port=6379".into()),
            prometheus: true,
        }
    }

    #[test]
    fn coturn_is_told_secrets_relay_and_every_refused_block() {
        let file = coturn_config(&server()).unwrap();
        for line in [
            "static-auth-secret=north",
            "static-auth-secret=south",
            "relay-ip=198.51.100.7",
            "tls-listening-port=5349",
            "redis-statsdb=\"ip=127.0.0.1 dbname=2 port=6379\"",
            "allowed-peer-ip=10.1.0.0-10.1.255.255",
        ] {
            assert!(file.lines().any(|found| found == line), "{line}:\n{file}");
        }
        let denied = file
            .lines()
            .filter(|line| line.starts_with("denied-peer-ip="));
        assert_eq!(denied.count(), SPECIAL.len());
    }

    #[test]
    fn eturnal_is_told_the_same() {
        let file = eturnal_config(&server()).unwrap();
        for line in [
            "    - \"north\"",
            "    - \"south\"",
            "  relay_ipv4_addr: \"198.51.100.7\"",
            "    - { ip: \"::\", port: 5349, transport: tls }",
            "    - \"169.254.0.0/16\" # link local",
            "    - \"10.1.0.0/16\"",
        ] {
            assert!(file.lines().any(|found| found == line), "{line}:\n{file}");
        }
    }

    #[test]
    fn what_would_break_out_of_its_line_is_refused() {
        for realm in ["a\nno-auth", "a\"", "a # b"] {
            let server = ForeignServer {
                realm: realm.into(),
                ..server()
            };
            let refused = ForeignConfigError::Text { field: "realm" };
            assert_eq!(coturn_config(&server), Err(refused.clone()));
            assert_eq!(eturnal_config(&server), Err(refused));
        }
        for secret in [&b"a\nno-auth"[..], b"\xff\xfe"] {
            let mut server = server();
            server.secrets.current = Secret::new(secret);
            assert_eq!(coturn_config(&server), Err(ForeignConfigError::Secret));
        }
    }
}
