//! The configuration file: TOML, every key optional, unknown keys refused.
//!
//! Each value is checked while it is read, so an error knows its line: `heron-control.toml:3: server.http_listen: ...`.

mod broker;
mod locate;
mod turn;
mod values;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use crate::store::StoreUrl;
pub use broker::{BrokerConfig, BrokerKind};

pub use turn::{DEFAULT_REGION, PoolConfig, PoolKind, RegionConfig, TurnConfig};
pub use values::{Host, LoopbackListen, PortRange};

/// What `heron-control` is told. `Config::default()` is a working control plane for one machine's network.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// HTTPS, names, and where things are kept.
    pub server: ServerConfig,
    /// The database.
    pub store: StoreConfig,
    /// The broker.
    pub broker: BrokerConfig,
    /// The embedded TURN server, and relays elsewhere.
    pub turn: TurnConfig,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where HTTPS listens.
    #[serde(deserialize_with = "values::listen")]
    pub listen: SocketAddr,
    /// Where plain HTTP listens: for this machine only.
    pub http_listen: LoopbackListen,
    /// The name or address under which cameras and browsers reach this machine; in URLs and in the certificate.
    /// Unless given, this machine's address in its network.
    pub public_host: Option<Host>,
    /// Where keys, certificates and the database are kept.
    pub data_dir: PathBuf,
    /// A certificate chain for HTTPS instead of the one of our own CA, in PEM.
    pub certificate: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    pub key: Option<PathBuf>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: ([0, 0, 0, 0], 8443).into(),
            http_listen: LoopbackListen::port(8080),
            public_host: None,
            data_dir: PathBuf::from("heron-data"),
            certificate: None,
            key: None,
        }
    }
}

/// `[store]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// A PostgreSQL database; unless given, SQLite in the data directory.
    pub url: Option<StoreUrl>,
}

/// What is wrong with a configuration, in one line.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line of it is not allowed.
    #[error("{}:{line}: {field}{}{reason}", file.display(), if field.is_empty() { "" } else { ": " })]
    Line {
        /// The file.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The key with its section, as far as it can be told.
        field: String,
        /// What is wrong and what is allowed.
        reason: String,
    },
    /// Values that do not go together.
    #[error("{}: {reason}", file.display())]
    Whole {
        /// The file.
        file: PathBuf,
        /// What is wrong and what is allowed.
        reason: String,
    },
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with line, key and what is allowed.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|source| ConfigError::File {
            file: file.to_owned(),
            source,
        })?;
        Self::parse(&text, file)
    }

    /// Reads a text; `file` is only named in errors.
    ///
    /// # Errors
    ///
    /// As [`Config::load`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|error| {
            let place = locate::place(text, error.span().map_or(0, |span| span.start));
            let reason = error.message().lines().collect::<Vec<_>>().join("; ");
            ConfigError::Line {
                file: file.to_owned(),
                line: place.line,
                field: place.field,
                reason,
            }
        })?;
        let pair = config.server.certificate.is_some() == config.server.key.is_some();
        let whole = if pair {
            config.broker.check().and_then(|()| config.turn.check())
        } else {
            Err("server.certificate and server.key belong together: give both or neither".into())
        };
        whole.map_err(|reason| ConfigError::Whole {
            file: file.to_owned(),
            reason,
        })?;
        Ok(config)
    }

    /// The name or address under which others reach this machine.
    pub fn public_host(&self) -> Host {
        self.server
            .public_host
            .clone()
            .unwrap_or_else(|| Host::from(own_address()))
    }

    /// The address that relayed addresses are made of.
    pub fn relay_address(&self) -> IpAddr {
        self.turn
            .relay_address
            .or_else(|| self.public_host().address())
            .unwrap_or_else(own_address)
    }

    /// How long a TURN credential can be used.
    pub const fn credential_ttl(&self) -> Duration {
        Duration::from_secs(self.turn.credential_ttl_s)
    }
}

/// The address from which this machine would reach the world; loopback if it could not.
fn own_address() -> IpAddr {
    // Connecting a UDP socket sends nothing: it only has the system choose a route (192.0.2.1 is in TEST-NET-1).
    let route = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    route.map_or(IpAddr::from([127, 0, 0, 1]), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn error(text: &str) -> String {
        Config::parse(text, Path::new("heron.toml"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(
            Config::parse("", Path::new("heron.toml")).unwrap(),
            Config::default()
        );
    }

    #[test]
    fn the_example_is_the_default() {
        let example = include_str!("../../heron-control.toml");
        assert_eq!(
            Config::parse(example, Path::new("heron-control.toml")).unwrap(),
            Config::default()
        );
        let uncommented = example.replace("\n# ", "\n");
        let uncommented = uncommented.split_once("[server]").unwrap().1;
        Config::parse(
            &format!("[server]{uncommented}"),
            Path::new("heron-control.toml"),
        )
        .unwrap();
    }

    #[test]
    fn every_key_is_read() {
        let text = r#"
            [server]
            listen = "[::]:9443"
            http_listen = "[::1]:9080"
            public_host = "heron.example"
            data_dir = "/var/lib/heron"
            certificate = "chain.pem"
            key = "key.pem"
            [store]
            url = "postgres://heron:secret@db.example/heron"
            [broker]
            devices = "0.0.0.0:1883"
            control = "127.0.0.1:1884"
            websocket = "127.0.0.1:1885"
            kind = "mosquitto"
            files = "/etc/mosquitto/heron"
            reload = "systemctl reload mosquitto"
            hook_secret = "0123456789abcdef"
            [turn]
            listen = "0.0.0.0:3479"
            relay_address = "192.0.2.7"
            relay_ports = "50000-50100"
            allow_peers = ["127.0.0.0/8", "fc00::/7"]
            relay_only = true
            credential_ttl_s = 60
            embedded = true
            tls_listen = "0.0.0.0:5349"
            stun_only = false
            capacity = 10
            rate_bps = 4000000
            stream_rate_bps = 1000000
            secret_rotation_days = 30
            secret_file = "turn.secret"
            admin_listen = "127.0.0.1:3480"
            probe_s = 2
            region = "eu"
            [turn.regions.us]
            networks = ["198.51.100.0/24"]
            sites = ["Boston"]
            tags = ["us"]
            [[turn.pool]]
            kind = "relay"
            name = "us-1"
            region = "us"
            capacity = 500
            host = "relay.example"
            port = 3478
            tls_port = 443
            secret_file = "relay.secret"
            admin = "http://relay.example:3480"
            [[turn.pool]]
            kind = "coturn"
            host = "turn.example"
            secret_file = "coturn.secret"
            redis = "redis://127.0.0.1:6379/2"
            [[turn.pool]]
            kind = "eturnal"
            host = "eturnal.example"
            secret_file = "eturnal.secret"
            [[turn.pool]]
            kind = "cloudflare"
            key_id = "0123"
            token_file = "cloudflare.token"
            api = "https://rtc.live.cloudflare.com"
            [[turn.pool]]
            kind = "twilio"
            account_sid = "AC0123"
            token_file = "twilio.token"
            [[turn.pool]]
            kind = "static"
            urls = ["turn:turn.example:3478?transport=udp"]
            username = "heron"
            password_file = "static.password"
        "#;
        let config = Config::parse(text, Path::new("heron.toml")).unwrap();
        assert_eq!(config.public_host().to_string(), "heron.example");
        assert_eq!(config.relay_address().to_string(), "192.0.2.7");
        assert_eq!(config.turn.allow_peers.len(), 2);
        assert!(config.turn.relay_only);
        assert_eq!(config.turn.pool.len(), 6);
        assert_eq!(config.turn.pool[1].name(), "coturn turn.example");
    }

    #[test]
    fn an_error_names_line_field_and_what_is_allowed() {
        let unknown = error("[server]\nlisten = \"0.0.0.0:1\"\nport = 3\n");
        assert!(
            unknown.starts_with(
                "heron.toml:3: server.port: unknown field `port`, expected one of `listen`"
            ),
            "{unknown}"
        );
        let kind = error("[turn]\nrelay_only = \"yes\"\n");
        assert!(
            kind.starts_with("heron.toml:2: turn.relay_only: "),
            "{kind}"
        );
        assert!(kind.contains("boolean"), "{kind}");
        let listen = error("\n[server]\nlisten = \"8443\"\n");
        assert!(
            listen.starts_with("heron.toml:3: server.listen: "),
            "{listen}"
        );
        assert!(listen.contains("such as 0.0.0.0:8443"), "{listen}");
        let ttl = error("[turn]\ncredential_ttl_s = 5");
        assert_eq!(
            ttl,
            "heron.toml:2: turn.credential_ttl_s: 5 s; 60 to 86400 are allowed"
        );
        let ports = error("[turn]\nrelay_ports = \"9-1\"");
        assert!(
            ports.starts_with("heron.toml:2: turn.relay_ports: "),
            "{ports}"
        );
        let block = error("[turn]\nallow_peers = [\n  \"127.0.0.0/8\",\n  \"10.0.0.1/8\",\n]");
        assert!(
            block.starts_with("heron.toml:2: turn.allow_peers: "),
            "{block}"
        );
        assert!(block.contains("did you mean 10.0.0.0/8?"), "{block}");
        let host = error("server.public_host = \"https://x\"");
        assert!(
            host.starts_with("heron.toml:1: server.public_host: "),
            "{host}"
        );
        let pair = error("[server]\nkey = \"k.pem\"");
        assert_eq!(
            pair,
            "heron.toml: server.certificate and server.key belong together: give both or neither"
        );
        let store = error("[store]\nurl = \"mysql://heron:secret@db/heron\"");
        assert!(
            store.starts_with("heron.toml:2: store.url: not the URL"),
            "{store}"
        );
        assert!(!store.contains("secret"), "{store}");
        let syntax = error("[server\n");
        assert!(syntax.starts_with("heron.toml:1: "), "{syntax}");
        assert!(!syntax.contains('\n'), "{syntax}");
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for open in ["0.0.0.0:8080", "192.168.1.5:8080", "[::]:8080"] {
            let refused = error(&format!("[server]\nhttp_listen = \"{open}\"\n"));
            assert!(
                refused.starts_with("heron.toml:2: server.http_listen: "),
                "{refused}"
            );
            assert!(refused.contains("127.0.0.1 or [::1]"), "{refused}");
        }
        assert!(error("[broker]\nwebsocket = \"0.0.0.0:9001\"").contains("broker.websocket"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_in_one_line(text: String) {
            if let Err(error) = Config::parse(&text, Path::new("heron.toml")) {
                proptest::prop_assert_eq!(error.to_string().lines().count(), 1);
            }
        }
    }
}
