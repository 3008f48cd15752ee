//! `[turn]`: the embedded TURN server, relays elsewhere, and which of them serves whom.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use heron_turn::Cidr;
use serde::{Deserialize, Deserializer};

use super::values;
use super::{Host, PortRange};

/// The region of what names none.
pub const DEFAULT_REGION: &str = "default";

/// A picture does not get through less, in bits a second.
const LEAST_RATE: u64 = 64_000;

/// `[turn]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TurnConfig {
    /// Whether this process relays. Without it there is no listener, and only the pools are given out.
    pub embedded: bool,
    /// Where TURN clients connect, over UDP and TCP.
    #[serde(deserialize_with = "values::listen")]
    pub listen: SocketAddr,
    /// Where they connect over TLS; the HTTPS listener answers them in any case.
    #[serde(deserialize_with = "values::optional_listen")]
    pub tls_listen: Option<SocketAddr>,
    /// A second address and port, by which clients tell the kind of their NAT (RFC 5780); another port of the same
    /// address tells them a part of it.
    #[serde(deserialize_with = "values::optional_listen")]
    pub listen_alternate: Option<SocketAddr>,
    /// Whether the embedded server tells addresses only and relays nothing.
    pub stun_only: bool,
    /// The address that relayed addresses are made of. Unless given, that of `server.public_host`.
    #[serde(deserialize_with = "values::address")]
    pub relay_address: Option<IpAddr>,
    /// The ports they are made of.
    pub relay_ports: PortRange,
    /// Special-purpose blocks (private networks, loopback) that may be relayed to. Public addresses always may.
    #[serde(deserialize_with = "values::blocks")]
    pub allow_peers: Vec<Cidr>,
    /// Whether both ends of every session must go through TURN, unless a relay policy says otherwise.
    pub relay_only: bool,
    /// How long a credential can be used to begin relaying, in seconds: 60 to 86400.
    #[serde(deserialize_with = "values::credential_ttl")]
    pub credential_ttl_s: u64,
    /// How many allocations the embedded server holds at most.
    pub capacity: usize,
    /// What an allocation made by UDP may relay, both ways together, in bits a second.
    pub rate_bps: u64,
    /// The same of one made by TCP or TLS: less, as where UDP is blocked the way is narrow and shared.
    pub stream_rate_bps: u64,
    /// After so many days the secret is replaced by a new one; 0: only by `heron-control turn rotate-secret`.
    pub secret_rotation_days: u32,
    /// The file with the secret, instead of `turn.secret` in the data directory: for `heron-control turn`.
    pub secret_file: Option<PathBuf>,
    /// Where a stand-alone relay listens for its control plane.
    #[serde(deserialize_with = "values::optional_listen")]
    pub admin_listen: Option<SocketAddr>,
    /// How often each relay is probed, in seconds: 1 to 3600.
    #[serde(deserialize_with = "probe_interval")]
    pub probe_s: u64,
    /// Where the embedded server is.
    #[serde(deserialize_with = "region")]
    pub region: String,
    /// Which viewers and cameras are where.
    pub regions: BTreeMap<String, RegionConfig>,
    /// Relays elsewhere.
    pub pool: Vec<PoolConfig>,
}

/// `[turn.regions.NAME]`: who is there.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegionConfig {
    /// The networks of its viewers.
    #[serde(deserialize_with = "values::blocks")]
    pub networks: Vec<Cidr>,
    /// The sites of its cameras.
    pub sites: Vec<String>,
    /// The tags of its cameras.
    pub tags: Vec<String>,
}

/// What kind of relay a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolKind {
    /// `heron-control turn` on another machine.
    Relay,
    /// coturn with a shared secret.
    Coturn,
    /// eturnal with a shared secret.
    Eturnal,
    /// Cloudflare's TURN service.
    Cloudflare,
    /// Twilio's Network Traversal Service.
    Twilio,
    /// Fixed URLs, user name and password.
    Static,
}

/// `[[turn.pool]]`: relays elsewhere. Each kind has keys of its own, and an error says which.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PoolConfig {
    /// What kind it is.
    pub kind: PoolKind,
    /// What it is called in logs and figures; unless given, its kind and its host.
    pub name: Option<String>,
    /// Where it is.
    #[serde(default = "default_region", deserialize_with = "region")]
    pub region: String,
    /// How many allocations it is good for.
    #[serde(default = "default_capacity", deserialize_with = "capacity")]
    pub capacity: u64,
    /// Its name or address.
    pub host: Option<Host>,
    /// Its port for UDP and TCP; 3478 unless given.
    pub port: Option<u16>,
    /// Its port for TLS; without it there is no `turns:` URL.
    pub tls_port: Option<u16>,
    /// The file with the secret that it shares with us.
    pub secret_file: Option<PathBuf>,
    /// The URL of a relay's `admin_listen`.
    pub admin: Option<String>,
    /// The Redis database where coturn reports what it relays.
    pub redis: Option<String>,
    /// The id of Cloudflare's TURN key.
    pub key_id: Option<String>,
    /// The SID of the Twilio account.
    pub account_sid: Option<String>,
    /// The file with the token of Cloudflare's or Twilio's API.
    pub token_file: Option<PathBuf>,
    /// Where that API is, if not where its documents say.
    pub api: Option<String>,
    /// `turn:` and `turns:` URLs of a static pool.
    #[serde(default)]
    pub urls: Vec<String>,
    /// The user name of a static pool.
    pub username: Option<String>,
    /// The file with its password.
    pub password_file: Option<PathBuf>,
}

impl Default for TurnConfig {
    fn default() -> Self {
        Self {
            embedded: true,
            listen: ([0, 0, 0, 0], 3478).into(),
            tls_listen: None,
            listen_alternate: None,
            stun_only: false,
            relay_address: None,
            relay_ports: PortRange::default(),
            allow_peers: Vec::new(),
            relay_only: false,
            credential_ttl_s: 600,
            capacity: 1024,
            rate_bps: 32_000_000,
            stream_rate_bps: 4_000_000,
            secret_rotation_days: 0,
            secret_file: None,
            admin_listen: None,
            probe_s: 5,
            region: default_region(),
            regions: BTreeMap::new(),
            pool: Vec::new(),
        }
    }
}

impl TurnConfig {
    /// Whether its keys go together.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.capacity == 0 {
            return Err("turn.capacity: 0; at least 1 is allowed".into());
        }
        for (key, rate) in [
            ("rate_bps", self.rate_bps),
            ("stream_rate_bps", self.stream_rate_bps),
        ] {
            if rate < LEAST_RATE {
                return Err(format!(
                    "turn.{key}: {rate}; at least {LEAST_RATE} is allowed"
                ));
            }
        }
        if let Some(alternate) = self.listen_alternate
            && (alternate.ip().is_unspecified()
                || alternate.is_ipv4() != self.listen.is_ipv4()
                || alternate.port() != 0 && alternate.port() == self.listen.port())
        {
            return Err(format!(
                "turn.listen_alternate: {alternate} beside {}; an address of this machine of the same family is \
                 allowed (not 0.0.0.0 or [::]), with another port",
                self.listen
            ));
        }
        for (index, pool) in self.pool.iter().enumerate() {
            pool.check()
                .map_err(|reason| format!("turn.pool[{index}].{reason}"))?;
        }
        let mut names: Vec<String> = self.pool.iter().map(PoolConfig::name).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!(
                "turn.pool: {:?} is there twice; a `name` of its own for each is allowed",
                twice[0]
            ));
        }
        Ok(())
    }
}

impl PoolConfig {
    /// What it is called.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let kind = format!("{:?}", self.kind).to_lowercase();
            let place = self.host.as_ref().map(Host::to_string);
            let place = place
                .or_else(|| self.key_id.clone())
                .or_else(|| self.account_sid.clone())
                .or_else(|| self.urls.first().cloned());
            place.map_or_else(|| kind.clone(), |place| format!("{kind} {place}"))
        })
    }

    /// The keys that are given, the keys that its kind must have and those that it may have.
    fn check(&self) -> Result<(), String> {
        let given = [
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("tls_port", self.tls_port.is_some()),
            ("secret_file", self.secret_file.is_some()),
            ("admin", self.admin.is_some()),
            ("redis", self.redis.is_some()),
            ("key_id", self.key_id.is_some()),
            ("account_sid", self.account_sid.is_some()),
            ("token_file", self.token_file.is_some()),
            ("api", self.api.is_some()),
            ("urls", !self.urls.is_empty()),
            ("username", self.username.is_some()),
            ("password_file", self.password_file.is_some()),
        ];
        let shared = ["host", "secret_file"];
        let (kind, must, may): (_, &[&str], &[&str]) = match self.kind {
            PoolKind::Relay => (
                "relay",
                &["host", "secret_file", "admin"],
                &["port", "tls_port"],
            ),
            PoolKind::Coturn => ("coturn", &shared, &["port", "tls_port", "redis"]),
            PoolKind::Eturnal => ("eturnal", &shared, &["port", "tls_port"]),
            PoolKind::Cloudflare => ("cloudflare", &["key_id", "token_file"], &["api"]),
            PoolKind::Twilio => ("twilio", &["account_sid", "token_file"], &["api"]),
            PoolKind::Static => ("static", &["urls"], &["username", "password_file"]),
        };
        for (key, is_given) in given {
            if must.contains(&key) && !is_given {
                return Err(format!("{key}: is missing, and kind = {kind:?} needs it"));
            }
            if is_given && !must.contains(&key) && !may.contains(&key) {
                let allowed = [must, may].concat().join(", ");
                return Err(format!(
                    "{key}: not a key of kind = {kind:?}; {allowed} are allowed"
                ));
            }
        }
        let is_web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        for (key, url) in [("admin", &self.admin), ("api", &self.api)] {
            if let Some(bad) = url.as_ref().filter(|url| !is_web(url)) {
                return Err(format!(
                    "{key}: {bad:?}; a URL that begins with https:// or http:// is allowed"
                ));
            }
        }
        if let Some(bad) = self
            .redis
            .as_ref()
            .filter(|url| !url.starts_with("redis://"))
        {
            return Err(format!(
                "redis: {bad:?}; a URL is allowed such as redis://127.0.0.1:6379/0"
            ));
        }
        let is_turn = |url: &&String| {
            ["stun:", "turn:", "turns:"]
                .iter()
                .any(|scheme| url.starts_with(scheme))
                && url.len() <= 256
        };
        if let Some(bad) = self.urls.iter().find(|url| !is_turn(url)) {
            return Err(format!(
                "urls: {bad:?}; URLs are allowed that begin with turn:, turns: or stun:"
            ));
        }
        if self.username.is_some() != self.password_file.is_some() {
            return Err(
                "username: belongs together with password_file; give both or neither".into(),
            );
        }
        Ok(())
    }
}

fn default_region() -> String {
    DEFAULT_REGION.to_owned()
}

const fn default_capacity() -> u64 {
    1000
}

fn region<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let good = (1..=40).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if good {
        return Ok(text);
    }
    Err(serde::de::Error::custom(format!(
        "{text:?}; up to 40 letters, digits and hyphens are allowed"
    )))
}

fn capacity<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match u64::deserialize(from)? {
        0 => Err(serde::de::Error::custom("0; at least 1 is allowed")),
        capacity => Ok(capacity),
    }
}

fn probe_interval<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let seconds = u64::deserialize(from)?;
    if (1..=3600).contains(&seconds) {
        return Ok(seconds);
    }
    Err(serde::de::Error::custom(format!(
        "{seconds} s; 1 to 3600 are allowed"
    )))
}

#[cfg(test)]
mod tests {
    use crate::config::tests::error;

    #[test]
    fn a_pool_says_which_key_is_missing_or_foreign() {
        let pool = |keys: &str| error(&format!("[[turn.pool]]\n{keys}"));
        assert_eq!(
            pool("kind = \"coturn\"\nhost = \"turn.example\""),
            "heron.toml: turn.pool[0].secret_file: is missing, and kind = \"coturn\" needs it"
        );
        let foreign =
            pool("kind = \"cloudflare\"\nkey_id = \"k\"\ntoken_file = \"t\"\nhost = \"x\"");
        assert!(
            foreign
                .starts_with("heron.toml: turn.pool[0].host: not a key of kind = \"cloudflare\""),
            "{foreign}"
        );
        let kind = pool("kind = \"pion\"");
        assert!(kind.starts_with("heron.toml:2: turn.pool.kind: "), "{kind}");
        let region = pool("kind = \"static\"\nurls = [\"turn:x\"]\nregion = \"a b\"");
        assert!(
            region.starts_with("heron.toml:4: turn.pool.region: "),
            "{region}"
        );
        let urls = pool("kind = \"static\"\nurls = [\"http://x\"]");
        assert!(urls.contains("turn.pool[0].urls: \"http://x\""), "{urls}");
        let twice = "[[turn.pool]]\nkind = \"static\"\nurls = [\"turn:x\"]\n";
        assert!(error(&twice.repeat(2)).contains("is there twice"));
    }

    #[test]
    fn values_that_cannot_be_are_named() {
        for (text, field) in [
            ("[turn]\nprobe_s = 0", "heron.toml:2: turn.probe_s: "),
            (
                "[turn]\nlisten_alternate = \"127.0.0.1\"",
                "heron.toml:2: turn.listen_alternate: ",
            ),
            (
                "[turn]\nlisten_alternate = \"0.0.0.0:3479\"",
                "heron.toml: turn.listen_alternate: ",
            ),
            ("[turn]\ncapacity = 0", "heron.toml: turn.capacity: "),
            (
                "[turn.regions.eu]\nnetworks = [\"10.0.0.1/8\"]",
                "heron.toml:2: turn.regions.eu.networks: ",
            ),
        ] {
            let error = error(text);
            assert!(error.starts_with(field), "{error}");
        }
    }
}
