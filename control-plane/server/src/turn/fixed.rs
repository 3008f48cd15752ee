//! A static list: URLs, and perhaps one user name for everybody.

use std::time::Duration;

use heron_protocol::SessionId;
use heron_protocol::messages::IceServer;
use heron_turn::Holder;

use super::meter::Relayed;
use super::probe::Probe;
use super::provider::{Health, Provider};

/// Relays of which nothing is known but what the configuration says.
pub struct Fixed {
    /// What it is called.
    pub name: String,
    /// What both ends are given.
    pub servers: Vec<IceServer>,
    /// Whether it answers.
    pub probe: Option<Probe>,
}

impl Provider for Fixed {
    fn name(&self) -> &str {
        &self.name
    }

    fn servers(&self, _: &Holder, _: u64, _: Duration) -> Vec<IceServer> {
        self.servers.clone()
    }

    fn health(&self) -> Health {
        Health {
            usable: self.probe.as_ref().is_none_or(Probe::answers),
            allocations: None,
        }
    }

    fn relayed(&self, _: &SessionId) -> Option<Relayed> {
        None
    }

    fn end_session(&self, _: &SessionId) {}
}
