//! Relays that share a secret with us: credentials in the REST form (draft-uberti-behave-turn-rest), which coturn,
//! eturnal and our own relay take alike. Minted here, so that nothing is asked of anybody.

use std::sync::Arc;
use std::time::Duration;

use heron_protocol::SessionId;
use heron_protocol::messages::IceServer;
use heron_turn::{Holder, mint};

use super::coturn_status::CoturnStatus;
use super::meter::Relayed;
use super::probe::Probe;
use super::provider::{Health, Provider, stun};
use super::relay_link::RelayLink;
use super::secrets::SecretFile;

/// Where what it relays can be learned.
pub enum Reports {
    /// Nowhere: eturnal, and coturn without Redis.
    None,
    /// In coturn's Redis database.
    Coturn(CoturnStatus),
    /// From our own relay itself.
    Relay(RelayLink),
}

/// One such relay.
pub struct SharedSecret {
    /// What it is called.
    pub name: String,
    /// Its `stun:` URL.
    pub stun_url: String,
    /// Its `turn:` and `turns:` URLs.
    pub turn_urls: Vec<String>,
    /// What it shares with us.
    pub secret: Arc<SecretFile>,
    /// Whether it answers.
    pub probe: Option<Probe>,
    /// Where what it relays can be learned.
    pub reports: Reports,
}

/// A STUN server and a TURN server with a credential of its own for that holder.
pub(super) fn minted(
    secret: &SecretFile,
    urls: (&str, &[String]),
    holder: &Holder,
    now: u64,
    ttl: Duration,
) -> Vec<IceServer> {
    let (stun_url, turn_urls) = urls;
    let mut servers = vec![stun(stun_url.to_owned())];
    if !turn_urls.is_empty() {
        let credential = mint(&secret.minting(now), holder.clone(), now, ttl);
        servers.push(IceServer {
            urls: turn_urls.to_vec(),
            username: credential.username,
            credential: credential.password,
        });
    }
    servers
}

impl Provider for SharedSecret {
    fn name(&self) -> &str {
        &self.name
    }

    fn servers(&self, holder: &Holder, now: u64, ttl: Duration) -> Vec<IceServer> {
        let urls = (self.stun_url.as_str(), self.turn_urls.as_slice());
        minted(&self.secret, urls, holder, now, ttl)
    }

    fn health(&self) -> Health {
        let (is_open, allocations) = match &self.reports {
            Reports::None => (true, None),
            Reports::Coturn(status) => (true, status.allocations()),
            Reports::Relay(link) => (!link.is_draining(), link.allocations()),
        };
        Health {
            usable: is_open && self.probe.as_ref().is_none_or(Probe::answers),
            allocations,
        }
    }

    fn relayed(&self, session: &SessionId) -> Option<Relayed> {
        match &self.reports {
            Reports::None => None,
            Reports::Coturn(status) => status.relayed(session),
            Reports::Relay(link) => link.relayed(session),
        }
    }

    fn end_session(&self, session: &SessionId) {
        match &self.reports {
            // Neither can end one: its credential does, and both ends are told.
            Reports::None | Reports::Coturn(_) => {}
            Reports::Relay(link) => link.end_session(session),
        }
    }

    fn limit(&self, session: &SessionId, bits_per_second: u64) {
        if let Reports::Relay(link) = &self.reports {
            link.limit(session, bits_per_second);
        }
    }
}
