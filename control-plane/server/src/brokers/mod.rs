//! The broker that carries the fleet: the one inside this process, or one beside it.
//!
//! | `broker.kind` | who may connect | what they may reach | browsers' tokens | putting a camera out |
//! |---|---|---|---|---|
//! | `embedded` | asks [`Gate`] at each CONNECT | the protocol's table | the broker checks them | ends its session |
//! | `mosquitto` | certificates, and the list of revoked ones | access files, made from the table | the gateway checks them | the list, then a takeover of its client id |
//! | `external` | asks `hooks` | asks `hooks` | gateway, and `hooks` | the same |
//!
//! The decision is made in one place, [`Gate`]; everything here tells it to somebody.

mod connect;
mod control;
mod foreign;
mod gateway;
mod hooks;
mod install;
mod republish;
mod takeover;

use std::sync::Arc;

use anyhow::Context as _;
use heron_broker::{
    Addresses, Broker, BrokerConfig, BrokerStats, DeviceGate, Limits, TlsListener, TokenVerifier,
};
use heron_protocol::DeviceId;
use heron_protocol::messages::Presence;
use tokio_util::task::AbortOnDropHandle;

pub use control::control_door;
pub use foreign::{ForeignBroker, Surroundings};
pub use gateway::Gateway;
pub use hooks::Hooks;
pub use install::{Product, config_for};
pub use republish::republish;

use crate::config::{BrokerKind, Config};
use crate::home::Home;
use crate::identity::{Gate, ServerCertificate};
use crate::web::Upstream;

/// The broker, whosever it is. Dropping it ends it abruptly; [`stop`](Self::stop) waits.
pub struct FleetBroker {
    addresses: Addresses,
    upstream: Upstream,
    kind: Kind,
}

enum Kind {
    Embedded(Broker),
    Foreign {
        broker: Arc<ForeignBroker>,
        /// Ends with this.
        _following: AbortOnDropHandle<()>,
    },
}

impl FleetBroker {
    /// Starts the broker of the configuration, or begins to serve the one that runs beside us.
    ///
    /// # Errors
    ///
    /// One line: which listener or file, and why.
    pub async fn start(
        config: &Config,
        home: &Home,
        own: &ServerCertificate,
        gate: Arc<Gate>,
        tokens: Arc<dyn TokenVerifier>,
    ) -> anyhow::Result<Self> {
        match config.broker.kind {
            BrokerKind::Embedded => {
                let listener = |listen, client_ca: &str| TlsListener {
                    listen,
                    certificate: own.certificate.clone(),
                    key: own.key.clone(),
                    client_ca: home.identity.keep.path(client_ca),
                };
                let broker = Broker::start(BrokerConfig {
                    devices: listener(config.broker.devices, "devices.pem"),
                    control: listener(config.broker.control, "control.pem"),
                    websocket: config.broker.websocket.address(),
                    gate: gate as Arc<dyn DeviceGate>,
                    tokens,
                    limits: Limits::default(),
                });
                let broker = broker.await.context("the broker does not start")?;
                Ok(Self {
                    addresses: broker.addresses(),
                    upstream: Upstream::Broker(broker.addresses().websocket),
                    kind: Kind::Embedded(broker),
                })
            }
            BrokerKind::Mosquitto | BrokerKind::External => {
                let copies = install::COPIES
                    .map(|(name, from)| (name, home.identity.keep.path(from)))
                    .to_vec();
                let broker = ForeignBroker::new(Surroundings {
                    directory: config.broker.directory(&config.server),
                    copies,
                    reload: config.broker.reload.clone(),
                    control: control_door(home, config.broker.control)?,
                    gate,
                    devices: Arc::clone(&home.identity.devices),
                });
                let broker = Arc::new(broker.await.context("[broker]")?);
                let following = tokio::spawn({
                    let broker = Arc::clone(&broker);
                    async move { broker.follow().await }
                });
                let following = AbortOnDropHandle::new(following);
                let browsers = config.broker.websocket.address();
                Ok(Self {
                    addresses: Addresses {
                        devices: config.broker.devices,
                        control: config.broker.control,
                        websocket: browsers,
                    },
                    upstream: Upstream::Gateway(Gateway {
                        broker: browsers,
                        tokens,
                        hooks: config.broker.kind == BrokerKind::External,
                    }),
                    kind: Kind::Foreign {
                        broker,
                        _following: following,
                    },
                })
            }
        }
    }

    /// Where it listens.
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// How browsers get there.
    pub fn upstream(&self) -> Upstream {
        self.upstream.clone()
    }

    /// Puts a camera out whose standing has changed already. `last` is its presence so far.
    pub async fn put_out(&self, device: &DeviceId, last: Option<Presence>) {
        match &self.kind {
            Kind::Embedded(broker) => {
                broker.disconnect_device(device).await;
            }
            Kind::Foreign { broker, .. } => broker.put_out(device, last).await,
        }
    }

    /// What it is doing. Of a foreign broker nothing is known here: it has figures of its own.
    pub async fn stats(&self) -> Option<BrokerStats> {
        match &self.kind {
            Kind::Embedded(broker) => Some(broker.stats().await),
            Kind::Foreign { .. } => None,
        }
    }

    /// Ends the embedded broker; a foreign one goes on.
    pub async fn stop(self) {
        if let Kind::Embedded(broker) = self.kind {
            broker.stop().await;
        }
    }
}
