//! What the running parts know at this moment: the API asks, and the signalling router, broker and TURN server know.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use heron_broker::BrokerStats;
use heron_protocol::messages::{CameraUpdate, EndReason, IceServer};
use heron_protocol::{DeviceId, SessionId, TenantId};
use heron_turn::TurnServer;
use serde_json::Value;

use crate::brokers::FleetBroker;
use crate::identity::Bouncer;
use crate::signalling::{Router, SELF_TEST_TTL, SignallingStats};
use crate::turn::Relays;

/// A camera as it last reported itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveCamera {
    /// Whether it is connected.
    pub online: bool,
    /// Why it is online or offline.
    pub reason: Option<String>,
    /// Since when, in milliseconds since the Unix epoch.
    pub since_ms: Option<i64>,
    /// Its firmware's version.
    pub firmware: Option<String>,
    /// How many viewers it has.
    pub viewers: u32,
    /// What it reports, by section.
    pub state: BTreeMap<String, Value>,
}

/// One figure for monitoring.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    /// The metric's name; ends in `_total` if it only grows.
    pub name: Cow<'static, str>,
    /// What it counts.
    pub help: Cow<'static, str>,
    /// The figure.
    pub value: u64,
}

impl fmt::Display for Counter {
    /// Prometheus' text exposition format, version 0.0.4.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, help, value } = self;
        let kind = if name.ends_with("_total") {
            "counter"
        } else {
            "gauge"
        };
        writeln!(
            f,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
        )
    }
}

/// The running parts, as the API sees them. As a [`Bouncer`] they put cameras out.
#[async_trait]
pub trait Live: Bouncer {
    /// A camera's state now; an unknown one is offline.
    fn camera(&self, device: &DeviceId) -> LiveCamera;
    /// Whether the router is connected to the broker.
    fn connected(&self) -> bool;
    /// STUN and TURN servers to test a network with, and how long their credentials last.
    fn self_test(&self, tenant: &TenantId) -> (Vec<IceServer>, Duration);
    /// Ends a video session for that reason; both ends are told.
    async fn end_session(&self, session: &SessionId, detail: &str);
    /// All figures for monitoring.
    async fn counters(&self) -> Vec<Counter>;
}

/// The running parts. They are held weakly: whoever starts them also stops them.
pub struct Parts {
    broker: Weak<FleetBroker>,
    turn: Weak<TurnServer>,
    relays: Weak<Relays>,
    router: Weak<Router>,
}

impl Parts {
    /// These.
    pub fn new(
        broker: &Arc<FleetBroker>,
        turn: Option<&Arc<TurnServer>>,
        relays: &Arc<Relays>,
        router: &Arc<Router>,
    ) -> Self {
        Self {
            broker: Arc::downgrade(broker),
            turn: turn.map(Arc::downgrade).unwrap_or_default(),
            relays: Arc::downgrade(relays),
            router: Arc::downgrade(router),
        }
    }
}

#[async_trait]
impl Live for Parts {
    fn camera(&self, device: &DeviceId) -> LiveCamera {
        let update = self
            .router
            .upgrade()
            .and_then(|router| router.camera(device));
        update.map(LiveCamera::from).unwrap_or_default()
    }

    fn connected(&self) -> bool {
        self.router
            .upgrade()
            .is_some_and(|router| router.is_connected())
    }

    fn self_test(&self, tenant: &TenantId) -> (Vec<IceServer>, Duration) {
        let router = self.router.upgrade();
        let servers = router.map(|router| router.self_test(tenant));
        (servers.unwrap_or_default(), SELF_TEST_TTL)
    }

    async fn end_session(&self, session: &SessionId, detail: &str) {
        if let Some(router) = self.router.upgrade() {
            let (session, detail) = (session.clone(), detail.to_owned());
            router
                .end_session(session, EndReason::NotAllowed, detail)
                .await;
        }
    }

    async fn counters(&self) -> Vec<Counter> {
        let mut counters = Vec::new();
        if let Some(router) = self.router.upgrade() {
            counters.extend(of_signalling(&router.stats()));
        }
        if let Some(broker) = self.broker.upgrade()
            && let Some(stats) = broker.stats().await
        {
            counters.extend(of_broker(&stats));
        }
        if let Some(turn) = self.turn.upgrade() {
            counters.extend(of_turn(&turn.stats()));
        }
        if let Some(relays) = self.relays.upgrade() {
            counters.extend(of_relays(&relays));
        }
        counters
    }
}

#[async_trait]
impl Bouncer for Parts {
    async fn put_out(&self, device: &DeviceId, reason: &str, removed: bool) {
        let mut last = None;
        if let Some(router) = self.router.upgrade() {
            // Before the router forgets it.
            last = router.camera(device).and_then(|known| known.presence);
            let reason = reason.to_owned();
            router.put_out(device.clone(), reason, removed).await;
        }
        if let Some(broker) = self.broker.upgrade() {
            broker.put_out(device, last).await;
        }
    }
}

impl From<CameraUpdate> for LiveCamera {
    fn from(update: CameraUpdate) -> Self {
        let viewers = update.telemetry.map_or(0, |telemetry| telemetry.viewers);
        let state = update.state.into_iter().collect();
        let Some(presence) = update.presence else {
            return Self {
                state,
                ..Self::default()
            };
        };
        let reason = presence
            .reason
            .and_then(|reason| serde_json::to_value(reason).ok());
        Self {
            online: presence.online,
            reason: reason.and_then(|reason| reason.as_str().map(str::to_owned)),
            since_ms: i64::try_from(update.since_ms).ok(),
            firmware: Some(presence.firmware),
            // What an offline camera said last is not so any more.
            viewers: if presence.online { viewers } else { 0 },
            state,
        }
    }
}

const fn counter(name: &'static str, help: &'static str, value: u64) -> Counter {
    Counter {
        name: Cow::Borrowed(name),
        help: Cow::Borrowed(help),
        value,
    }
}

fn of_signalling(stats: &SignallingStats) -> [Counter; 10] {
    [
        counter(
            "heron_sessions",
            "Video sessions now.",
            stats.sessions as u64,
        ),
        counter(
            "heron_sessions_opened_total",
            "Video sessions opened.",
            stats.opened,
        ),
        counter(
            "heron_sessions_denied_total",
            "Video sessions denied for want of rights or room.",
            stats.denied,
        ),
        counter(
            "heron_messages_malformed_total",
            "Messages that broke the limits of their type.",
            stats.malformed,
        ),
        counter(
            "heron_messages_duplicate_total",
            "Messages that came a second time.",
            stats.duplicates,
        ),
        counter(
            "heron_messages_foreign_total",
            "Messages about somebody else's session or camera.",
            stats.foreign,
        ),
        counter(
            "heron_messages_unordered_total",
            "Messages that did not fit their session's state.",
            stats.out_of_order,
        ),
        counter(
            "heron_messages_unsent_total",
            "Messages of ours that the broker did not take.",
            stats.unsent,
        ),
        counter(
            "heron_sessions_restarts_total",
            "Times that a session looked for another path.",
            stats.restarts,
        ),
        counter(
            "heron_sessions_ended_total",
            "Video sessions ended.",
            stats.ended,
        ),
    ]
}

fn of_broker(stats: &BrokerStats) -> [Counter; 9] {
    [
        counter(
            "heron_broker_cameras",
            "Cameras connected.",
            stats.devices as u64,
        ),
        counter(
            "heron_broker_browsers",
            "Browsers connected.",
            stats.browsers as u64,
        ),
        counter(
            "heron_broker_retained",
            "Retained messages.",
            stats.retained as u64,
        ),
        counter(
            "heron_broker_refused_connects_total",
            "Connections refused.",
            stats.refused.connects,
        ),
        counter(
            "heron_broker_refused_wills_total",
            "Wills on foreign topics.",
            stats.refused.wills,
        ),
        counter(
            "heron_broker_refused_publishes_total",
            "Messages on foreign topics, or too large.",
            stats.refused.publishes,
        ),
        counter(
            "heron_broker_refused_subscribes_total",
            "Subscriptions to foreign topics.",
            stats.refused.subscribes,
        ),
        counter(
            "heron_broker_refused_retains_total",
            "Retained messages without room.",
            stats.refused.retains,
        ),
        counter(
            "heron_broker_overflows_total",
            "Messages pushed out of a full queue.",
            stats.overflows,
        ),
    ]
}

fn of_turn(stats: &heron_turn::Stats) -> Vec<Counter> {
    let done = [
        counter(
            "heron_turn_allocations",
            "TURN allocations now.",
            stats.allocations as u64,
        ),
        counter(
            "heron_turn_connections",
            "TURN connections over TCP and TLS now.",
            stats.connections as u64,
        ),
        counter(
            "heron_turn_allocated_total",
            "TURN allocations made.",
            stats.allocated,
        ),
        counter(
            "heron_turn_bindings_total",
            "STUN binding requests answered.",
            stats.bindings,
        ),
        counter(
            "heron_turn_relayed_bytes_total",
            "Bytes relayed, both ways.",
            stats.bytes_relayed,
        ),
        counter(
            "heron_turn_relayed_packets_total",
            "Packets relayed, both ways.",
            stats.packets_relayed,
        ),
    ];
    let refused = stats.refused.iter().map(|(reason, count)| Counter {
        name: format!("heron_turn_refused_{}_total", reason.as_str()).into(),
        help: format!(
            "Refused by the TURN server: {}.",
            reason.as_str().replace('_', " ")
        )
        .into(),
        value: count,
    });
    done.into_iter().chain(refused).collect()
}

fn of_relays(relays: &Relays) -> [Counter; 2] {
    let overview = relays.overview();
    let usable = overview.iter().filter(|(.., health)| health.usable).count();
    [
        counter(
            "heron_relays",
            "TURN servers that sessions can be given.",
            overview.len() as u64,
        ),
        counter(
            "heron_relays_usable",
            "Those of them that answer and have credentials.",
            usable as u64,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_written_as_prometheus_reads_it() {
        let counter = Counter {
            name: "heron_x_total".into(),
            help: "Things.".into(),
            value: 3,
        };
        assert_eq!(
            counter.to_string(),
            "# HELP heron_x_total Things.\n# TYPE heron_x_total counter\nheron_x_total 3\n"
        );
    }
}
