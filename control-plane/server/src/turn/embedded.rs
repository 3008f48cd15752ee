//! heron-turn in this process.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context as _;
use heron_protocol::SessionId;
use heron_protocol::messages::IceServer;
use heron_turn::{Holder, Listener, NatDiscovery, Quotas, TurnConfig, TurnServer};
use rustls::ServerConfig;

use super::meter::Relayed;
use super::provider::{Health, Provider};
use super::secrets::SecretFile;
use super::shared_secret::minted;
use crate::config::Config;

/// The realm of TURN (RFC 8489 section 9.2); clients show it to nobody.
pub const REALM: &str = "heron";

/// The embedded server as one relay among others. It is held weakly: whoever starts it also stops it.
pub struct Embedded {
    /// The server.
    pub server: Weak<TurnServer>,
    /// What its credentials are made with.
    pub secret: Arc<SecretFile>,
    /// Its `stun:` URL.
    pub stun_url: String,
    /// Its `turn:` and `turns:` URLs; none if it is one of STUN only.
    pub turn_urls: Vec<String>,
}

/// Starts the server that a configuration describes; `tls` is for its own TLS listener.
///
/// # Errors
///
/// One line that names the address.
pub async fn start(
    config: &Config,
    secret: &SecretFile,
    tls: Option<Arc<ServerConfig>>,
) -> anyhow::Result<TurnServer> {
    let turn = &config.turn;
    let mut listeners = vec![Listener::udp(turn.listen), Listener::tcp(turn.listen)];
    if let Some((address, tls)) = turn.tls_listen.zip(tls) {
        listeners.push(Listener::tls(address, tls));
    }
    let relay = (!turn.stun_only).then(|| config.relay_address());
    let discovery = turn
        .listen_alternate
        .map(|alternate| discovery(config, alternate));
    let config = TurnConfig {
        listeners,
        relay_v4: match relay {
            Some(IpAddr::V4(address)) => Some(address),
            _ => None,
        },
        relay_v6: match relay {
            Some(IpAddr::V6(address)) => Some(address),
            _ => None,
        },
        relay_ports: turn.relay_ports.ports(),
        allow_peers: turn.allow_peers.clone(),
        quotas: Quotas {
            allocations: turn.capacity,
            udp_rate: turn.rate_bps,
            stream_rate: turn.stream_rate_bps,
            ..Quotas::default()
        },
        discovery,
        ..TurnConfig::new(REALM, secret.secrets())
    };
    TurnServer::start(config)
        .await
        .context("the TURN server does not start")
}

fn discovery(config: &Config, alternate: SocketAddr) -> NatDiscovery {
    let own = match config.turn.listen.ip() {
        any if any.is_unspecified() => config.relay_address(),
        own => own,
    };
    let mut addresses = vec![own];
    if alternate.ip() != own {
        addresses.push(alternate.ip());
    }
    NatDiscovery {
        addresses,
        port: alternate.port(),
    }
}

/// Bytes relayed so far for each end of a session.
pub(super) fn relayed(server: &TurnServer, session: &str) -> Relayed {
    let usage = server.session_usage(session);
    Relayed {
        viewer: usage.viewer.bytes,
        device: usage.device.bytes,
    }
}

/// The ports of its UDP and its TCP listener: the same, unless the system chose them.
pub(super) fn ports(server: &TurnServer) -> (u16, u16) {
    let udp = server.local_addr().port();
    let tcp = server.local_addrs().get(1).map_or(udp, SocketAddr::port);
    (udp, tcp)
}

impl Provider for Embedded {
    fn name(&self) -> &str {
        "embedded"
    }

    fn servers(&self, holder: &Holder, now: u64, ttl: Duration) -> Vec<IceServer> {
        let urls = (self.stun_url.as_str(), self.turn_urls.as_slice());
        minted(&self.secret, urls, holder, now, ttl)
    }

    fn health(&self) -> Health {
        let server = self.server.upgrade();
        Health {
            usable: server.is_some(),
            allocations: server.map(|server| server.stats().allocations as u64),
        }
    }

    fn relayed(&self, session: &SessionId) -> Option<Relayed> {
        let server = self.server.upgrade()?;
        Some(relayed(&server, session.as_str()))
    }

    fn end_session(&self, session: &SessionId) {
        if let Some(server) = self.server.upgrade() {
            server.end_session(session.as_str());
        }
    }

    fn limit(&self, session: &SessionId, bits_per_second: u64) {
        if let Some(server) = self.server.upgrade() {
            server.set_session_rate(session.as_str(), Some(bits_per_second));
        }
    }
}
