//! Tests of this camera's network: can it be reached, can it be seen, and if not, what is to be done.
//!
//! # Place
//!
//! `heron-camera doctor` runs it for a person ([`command`]), the running service for itself and for viewers who ask
//! ([`crate::self_test`]). It has sockets of its own and disturbs nothing that runs.
//!
//! # Flow
//!
//! ```text
//! control plane: HTTPS, its clock, which servers? ──┬──> STUN, NAT, MTU, IPv6, relays over UDP, TCP, TLS ──> uplink
//! broker: TCP, TLS, MQTT                            └──> the names of all of them
//!                                  each a Check: a state, a sentence, what to do ──> Report
//! ```
//!
//! What is decided from answers is pure ([`nat`], [`finding`]); the rest is IO with deadlines. A test ends within half a
//! minute, whatever answers or does not: nothing here can fail but as a sentence.

pub mod command;
mod discovery;
mod finding;
mod mtu;
mod nat;
mod reach;
mod relays;
mod stun;
mod turn;
mod uplink;
mod wire;

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heron_agent::{Bundle, Clock, ServerUrl};

pub use finding::Report;

/// What a test is to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything that costs no more than a few packets.
    Short,
    /// The uplink too, at twice the picture's bitrate for two seconds.
    Full,
}

/// How the broker may be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    /// As this device: nobody else is connected as it.
    Connect,
    /// Up to TLS: the running service has the connection, and another as the same device would end it.
    InUse,
    /// Not at all: this service's link is up.
    Online,
}

/// Whose network is tested.
#[derive(Debug, Clone)]
pub struct Patient {
    /// Its identity and its way to the control plane.
    pub bundle: Bundle,
    /// By which certificates are judged.
    pub clock: Clock,
    /// The control plane, for bundles that name none.
    pub server: Option<ServerUrl>,
    /// How the broker may be tried.
    pub broker: Broker,
    /// What picture and sound need at their best, in bits a second.
    pub bitrate_bps: u64,
}

impl Patient {
    /// Runs the tests.
    pub async fn test(&self, scope: Scope) -> Report {
        let (told, broker) = tokio::join!(reach::control_plane(self), reach::broker(self));
        let relays = relays::Relays::new(&told.servers);
        let (dns, media) = tokio::join!(reach::dns(self, &relays), relays.test(self, scope));
        let mut checks = vec![dns, told.clock, told.check, broker];
        checks.extend(media);
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        Report {
            at_ms: u64::try_from(at.unwrap_or(Duration::ZERO).as_millis()).unwrap_or(u64::MAX),
            checks,
        }
    }
}
