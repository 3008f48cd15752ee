//! What a `[[turn.pool]]` of the configuration becomes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use heron_protocol::messages::IceServer;

use super::cloudflare::{self, Cloudflare};
use super::coturn_status::CoturnStatus;
use super::fetched::{self, Fetched};
use super::fixed::Fixed;
use super::probe::Probe;
use super::provider::{Provider, stun, turn_urls};
use super::relay_link::RelayLink;
use super::secrets::SecretFile;
use super::shared_secret::{Reports, SharedSecret};
use super::twilio::{self, Twilio};
use crate::config::{PoolConfig, PoolKind};

/// coturn's port, and everybody's.
const TURN_PORT: u16 = 3478;

/// The relay of a pool, running. Call within a tokio runtime; it is probed every `period`.
///
/// # Errors
///
/// One line that names the key or the file.
pub fn provider(pool: &PoolConfig, period: Duration) -> anyhow::Result<Arc<dyn Provider>> {
    let name = pool.name();
    let missing = |key: &'static str| format!("{key} is missing");
    let token_file = || {
        pool.token_file
            .clone()
            .with_context(|| missing("token_file"))
    };
    let api = |usual: &str| pool.api.clone().unwrap_or_else(|| usual.to_owned());
    Ok(match pool.kind {
        PoolKind::Cloudflare => {
            let api = Cloudflare {
                api: api(cloudflare::API),
                key_id: pool.key_id.clone().with_context(|| missing("key_id"))?,
                token_file: token_file()?,
            };
            Arc::new(Fetched::start(name, api))
        }
        PoolKind::Twilio => {
            let sid = pool.account_sid.clone();
            let api = Twilio {
                api: api(twilio::API),
                account_sid: sid.with_context(|| missing("account_sid"))?,
                token_file: token_file()?,
            };
            Arc::new(Fetched::start(name, api))
        }
        PoolKind::Static => {
            let password = pool.password_file.as_deref().map(fetched::token);
            let (with, without): (Vec<String>, Vec<String>) = pool
                .urls
                .iter()
                .cloned()
                .partition(|url| !url.starts_with("stun:"));
            let probed = pool.urls.iter().find_map(|url| udp_place(url));
            let mut servers: Vec<IceServer> = without.into_iter().map(stun).collect();
            if !with.is_empty() {
                servers.push(IceServer {
                    urls: with,
                    username: pool.username.clone().unwrap_or_default(),
                    credential: password.transpose()?.unwrap_or_default(),
                });
            }
            Arc::new(Fixed {
                probe: probed.map(|place| Probe::start(name.clone(), place, period)),
                name,
                servers,
            })
        }
        PoolKind::Relay | PoolKind::Coturn | PoolKind::Eturnal => {
            let host = pool.host.clone().with_context(|| missing("host"))?;
            let file = pool.secret_file.as_deref();
            let secret = SecretFile::open(file.with_context(|| missing("secret_file"))?)?;
            let secret = Arc::new(secret);
            // Not told to anybody: it is read where credentials are made.
            secret.follow(|_| {});
            let port = pool.port.unwrap_or(TURN_PORT);
            let reports = match (&pool.admin, &pool.redis) {
                (Some(admin), _) => {
                    Reports::Relay(RelayLink::start(name.clone(), admin, Arc::clone(&secret)))
                }
                (None, Some(redis)) => Reports::Coturn(CoturnStatus::start(name.clone(), redis)?),
                (None, None) => Reports::None,
            };
            Arc::new(SharedSecret {
                stun_url: format!("stun:{}", host.with_port(port)),
                turn_urls: turn_urls(&host, (port, port), pool.tls_port),
                probe: Some(Probe::start(name.clone(), host.with_port(port), period)),
                secret,
                reports,
                name,
            })
        }
    })
}

/// Host and port of a URL that is reached by UDP.
fn udp_place(url: &str) -> Option<String> {
    let (place, query) = url.split_once('?').unwrap_or((url, ""));
    let place = place
        .strip_prefix("turn:")
        .or_else(|| place.strip_prefix("stun:"))?;
    if query.contains("transport=tcp") {
        return None;
    }
    let has_port = place
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(if has_port {
        place.to_owned()
    } else {
        format!("{place}:{TURN_PORT}")
    })
}

#[cfg(test)]
mod tests {
    use super::udp_place;

    #[test]
    fn what_is_probed_is_reached_by_udp() {
        let place = |url| udp_place(url);
        assert_eq!(place("turn:turn.example"), Some("turn.example:3478".into()));
        assert_eq!(place("stun:192.0.2.1:80"), Some("192.0.2.1:80".into()));
        assert_eq!(
            place("turn:turn.example:443?transport=udp"),
            Some("turn.example:443".into())
        );
        assert_eq!(place("turn:turn.example?transport=tcp"), None);
        assert_eq!(place("turns:turn.example"), None);
    }
}
