//! `[broker]`: the broker inside this process, or one beside it.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::{LoopbackListen, ServerConfig, values};

/// The shortest `hook_secret`, in characters.
const SHORTEST_SECRET: usize = 16;

/// Whose broker it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BrokerKind {
    /// Ours, in this process.
    #[default]
    Embedded,
    /// Mosquitto, with what `heron-control broker config --for mosquitto` prints.
    Mosquitto,
    /// One that asks us about each client over HTTP, such as EMQX.
    External,
}

/// `[broker]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BrokerConfig {
    /// Whose broker it is.
    pub kind: BrokerKind,
    /// Where cameras connect.
    #[serde(deserialize_with = "values::listen")]
    pub devices: SocketAddr,
    /// Where the control plane connects.
    #[serde(deserialize_with = "values::listen")]
    pub control: SocketAddr,
    /// Where the HTTPS server passes browsers on to; never in the open, as it has no TLS. WebSocket for the embedded
    /// broker, plain MQTT for another.
    pub websocket: LoopbackListen,
    /// Where the files that another broker reads are written; `broker` in the data directory unless given.
    pub files: Option<PathBuf>,
    /// The command that makes another broker read them again.
    pub reload: Option<String>,
    /// What another broker has in the path of its questions over HTTP.
    pub hook_secret: Option<String>,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            kind: BrokerKind::Embedded,
            devices: ([0, 0, 0, 0], 8883).into(),
            control: ([127, 0, 0, 1], 8884).into(),
            websocket: LoopbackListen::port(0),
            files: None,
            reload: None,
            hook_secret: None,
        }
    }
}

impl BrokerConfig {
    /// Where the files for another broker are written.
    pub fn directory(&self, server: &ServerConfig) -> PathBuf {
        let files = self.files.clone();
        let directory = files.unwrap_or_else(|| server.data_dir.join("broker"));
        // Another program reads the name, in a working directory of its own.
        std::path::absolute(&directory).unwrap_or(directory)
    }

    /// Whether its keys go together.
    pub(super) fn check(&self) -> Result<(), String> {
        let short = |secret: &String| {
            secret.len() < SHORTEST_SECRET
                || !secret.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        if self.hook_secret.as_ref().is_some_and(short) {
            return Err(format!(
                "broker.hook_secret: at least {SHORTEST_SECRET} letters and digits are allowed"
            ));
        }
        let ports = [self.devices, self.control, self.websocket.address()];
        match self.kind {
            BrokerKind::Embedded => Ok(()),
            _ if ports.iter().any(|address| address.port() == 0) => Err(
                "broker.devices, control and websocket must have ports other than 0 unless broker.kind is \
                 \"embedded\""
                    .into(),
            ),
            BrokerKind::Mosquitto if self.reload.is_none() => Err(
                "broker.reload is missing: the command that makes Mosquitto read its files again, such as \
                 \"systemctl reload mosquitto\""
                    .into(),
            ),
            BrokerKind::External if self.hook_secret.is_none() => {
                Err("broker.hook_secret is missing: what the broker has in the path of its questions".into())
            }
            BrokerKind::Mosquitto | BrokerKind::External => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config::Config;

    fn error(broker: &str) -> String {
        let text = format!("[broker]\n{broker}");
        Config::parse(&text, Path::new("heron.toml"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_foreign_broker_needs_what_we_cannot_guess() {
        assert!(error("kind = \"mosquitto\"").contains("ports other than 0"));
        let websocket = "websocket = \"127.0.0.1:8885\"\n";
        let reload = error(&format!("{websocket}kind = \"mosquitto\""));
        assert!(
            reload.starts_with("heron.toml: broker.reload is missing"),
            "{reload}"
        );
        let secret = error(&format!("{websocket}kind = \"external\""));
        assert!(secret.contains("broker.hook_secret is missing"), "{secret}");
        for bad in ["short", "with/slash-and-more-than-16"] {
            let secret = error(&format!("hook_secret = \"{bad}\""));
            assert!(
                secret.contains("at least 16 letters and digits"),
                "{secret}"
            );
        }
        let kind = error("kind = \"rabbit\"");
        assert!(kind.starts_with("heron.toml:2: broker.kind: "), "{kind}");
    }
}
