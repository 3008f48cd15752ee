//! Credentials that another service makes on request: fetched ahead and kept, so that no session waits for them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, ensure};
use async_trait::async_trait;
use heron_protocol::SessionId;
use heron_protocol::messages::IceServer;
use heron_turn::Holder;
use parking_lot::RwLock;
use serde::Deserialize;
use tokio::task::AbortHandle;

use super::meter::Relayed;
use super::provider::{Health, Provider};

/// The life that is asked for. The same credential serves every session of its first half, so that what is given out
/// has at least the other half to live.
const LIFE: Duration = Duration::from_secs(2 * 3600);
/// How soon a fetch that failed is tried again: doubled each time, up to the second.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));
/// What the messages to both ends have room for.
const MOST_URLS: usize = 4;

/// A service that makes credentials.
#[async_trait]
pub trait CredentialApi: Send + Sync + 'static {
    /// Asks for one that lives so long.
    async fn fetch(&self, life: Duration) -> anyhow::Result<Vec<IceServer>>;
}

/// What was fetched, and until when it is given out.
struct Kept {
    servers: Vec<IceServer>,
    until: SystemTime,
}

/// Relays whose credentials are fetched.
pub struct Fetched {
    name: String,
    kept: Arc<RwLock<Option<Kept>>>,
    task: AbortHandle,
}

impl Fetched {
    /// Fetches now and ever again, until it is dropped.
    pub fn start(name: String, api: impl CredentialApi) -> Self {
        let kept = Arc::new(RwLock::new(None));
        let task = tokio::spawn(keep_fresh(name.clone(), api, Arc::clone(&kept)));
        Self {
            name,
            kept,
            task: task.abort_handle(),
        }
    }
}

async fn keep_fresh(name: String, api: impl CredentialApi, kept: Arc<RwLock<Option<Kept>>>) {
    let mut retry = RETRY.0;
    loop {
        let asked = SystemTime::now();
        let pause = match api.fetch(LIFE).await {
            Ok(servers) => {
                if retry > RETRY.0 {
                    tracing::info!(relay = name, "credentials are there again");
                }
                retry = RETRY.0;
                *kept.write() = Some(Kept {
                    servers,
                    until: asked + LIFE,
                });
                LIFE / 2
            }
            Err(error) => {
                if retry == RETRY.0 {
                    tracing::warn!(
                        relay = name,
                        error = format!("{error:#}"),
                        "credentials could not be fetched; once those at hand are old, sessions go on with other relays"
                    );
                }
                let pause = retry;
                retry = (retry * 2).min(RETRY.1);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Provider for Fetched {
    fn name(&self) -> &str {
        &self.name
    }

    fn servers(&self, _: &Holder, now: u64, ttl: Duration) -> Vec<IceServer> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
        let kept = self.kept.read();
        let good = kept.as_ref().filter(|kept| now + ttl <= kept.until);
        good.map(|kept| kept.servers.clone()).unwrap_or_default()
    }

    fn health(&self) -> Health {
        let kept = self.kept.read();
        Health {
            usable: kept
                .as_ref()
                .is_some_and(|kept| SystemTime::now() < kept.until),
            allocations: None,
        }
    }

    fn relayed(&self, _: &SessionId) -> Option<Relayed> {
        None
    }

    fn end_session(&self, _: &SessionId) {}
}

/// A member of `iceServers` as services write it.
#[derive(Deserialize)]
struct ApiServer {
    urls: Option<OneOrMany>,
    url: Option<String>,
    #[serde(default)]
    username: String,
    #[serde(default)]
    credential: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Reads a list of ICE servers: an array or a single object, `urls` as a text or an array. Relays come out as one entry
/// in the order udp, tcp, tls. Port 53 is left out, as browsers refuse it (fetch.spec.whatwg.org, "port blocking").
pub fn read_servers(list: serde_json::Value) -> anyhow::Result<Vec<IceServer>> {
    let list = match list {
        serde_json::Value::Array(list) => list,
        one => vec![one],
    };
    let mut stun = Vec::new();
    let mut turn: Vec<(u8, String)> = Vec::new();
    let mut account = None;
    for server in list {
        let server: ApiServer = serde_json::from_value(server)
            .context("its ICE servers are not of the documented form")?;
        let urls = match server.urls {
            Some(OneOrMany::Many(urls)) => urls,
            Some(OneOrMany::One(url)) => vec![url],
            None => server.url.into_iter().collect(),
        };
        for url in urls {
            let (place, _) = url.split_once('?').unwrap_or((&url, ""));
            if place.ends_with(":53") || url.len() > 256 {
                continue;
            }
            match url.split(':').next() {
                Some("stun") => stun.push(url),
                Some("turn") => turn.push((u8::from(url.ends_with("transport=tcp")), url)),
                Some("turns") => turn.push((2, url)),
                _ => {}
            }
        }
        if !server.username.is_empty() {
            account = Some((server.username, server.credential));
        }
    }
    turn.sort_by_key(|(order, _)| *order);
    let (username, credential) = account.context("it gave no user name")?;
    ensure!(!turn.is_empty(), "it gave no turn: URL");
    // The first of each kind, and port 443 for networks where nothing else is open.
    let mut kinds = Vec::new();
    turn.retain(|(kind, url)| {
        let is_first = !kinds.contains(kind);
        kinds.push(*kind);
        is_first || url.contains(":443?")
    });
    turn.truncate(MOST_URLS);
    stun.truncate(1);
    let mut servers: Vec<IceServer> = stun.into_iter().map(super::provider::stun).collect();
    servers.push(IceServer {
        urls: turn.into_iter().map(|(_, url)| url).collect(),
        username,
        credential,
    });
    Ok(servers)
}

/// The token of an API, from its file.
pub fn token(file: &std::path::Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let token = text.trim();
    ensure!(!token.is_empty(), "{}: is empty", file.display());
    Ok(token.to_owned())
}
