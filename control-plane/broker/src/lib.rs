//! The embedded MQTT broker: RMQTT used as a library, with the protocol's access rules in front of it.
//!
//! # Place
//!
//! The control plane starts one [`Broker`] in its own process; a fleet that outgrows it moves to a clustered broker
//! with the same rules. Besides [`heron_protocol`], whose table says who may write and read which topic, this crate
//! depends on nothing of ours, and it is the only one that knows RMQTT.
//!
//! # Flow
//!
//! ```text
//!             MQTT 5 on TLS, certificate              MQTT 5 on TLS, certificate
//!             of the device CA                        of the control CA
//! camera ----------------------> [devices]   [control] <---------------------- control plane
//!                                     |          |
//!                        guard: who is it? may it publish, subscribe, leave this will?
//!                                     |          |
//!                              RMQTT: sessions, queues, routing -- retained messages (bounded)
//!                                     |
//!                        guard: the same, and the token is still valid
//!                                     |
//! browser --- HTTPS server ---> [websocket]   MQTT 5, password = token of minutes
//! ```
//!
//! A camera is its certificate: the common name is the device id, and must be the MQTT client id; the control plane's
//! [`DeviceGate`] has the last word, and [`Broker::disconnect_device`] puts a connected camera out. The control plane is
//! whoever has a certificate of its own CA, and connects to its own listener only. A browser is what the control
//! plane's token says, for as long as that lives. Whatever the table does not allow is refused with an MQTT 5 reason
//! code, counted in [`BrokerStats`] and logged, a few lines a minute for each client. MQTT 3.1.1 is refused.
//!
//! # Another broker
//!
//! [`Mosquitto`] prints what Mosquitto is to be started with, so that it can stand where this broker stands; its
//! documentation says where it is less strict. `tests/acl_matrix.rs` runs every role against every topic on both.
//!
//! # Interoperability
//!
//! Of the 27 MQTT 5 tests of Eclipse Paho (`paho.mqtt.testing`, commit 9d7bb80) the engine passes 22; Mosquitto 2.0.11
//! passes 21. They use clients without a name on free topics, so they run against the engine without the guard, with
//! QoS 2: `examples/interoperability.rs`. What fails, and why:
//!
//! | test | reason |
//! |---|---|
//! | `test_flow_control2`, `test_client_topic_alias` | RMQTT 0.24 closes the connection, as it must, but before it would send the DISCONNECT with the reason |
//! | `test_shared_subscriptions` | left out: the guard refuses them, as no role may share a filter |
//! | `test_subscribe_failure` | wants a topic that is refused, and refusing is the guard's work |
//! | `test_server_keep_alive` | wants a server that grants no more than 60 s; ours grants [`Limits::keep_alive_s`] |
//!
//! # Bounds
//!
//! [`Limits`] bound what a client can use, the rate of a camera's messages among it. A client with a *valid*
//! certificate that completes TLS and then says nothing keeps its one socket until it or the network closes it: the
//! library does not time that step.
//!
//! # Example
//!
//! ```no_run
//! use std::sync::Arc;
//! use heron_broker::{Broker, BrowserAccess, BrokerConfig, BrokerError, EveryDevice, Limits, TlsListener, TokenRefused,
//!     TokenVerifier};
//!
//! struct Tokens;
//!
//! #[async_trait::async_trait]
//! impl TokenVerifier for Tokens {
//!     async fn verify(&self, token: &str) -> Result<BrowserAccess, TokenRefused> {
//!         Err(TokenRefused(format!("nobody is let in, {} bytes or not", token.len())))
//!     }
//! }
//!
//! # async fn run() -> Result<(), BrokerError> {
//! let listener = |address: &str, ca: &str| TlsListener {
//!     listen: address.parse().unwrap(),
//!     certificate: "server.pem".into(),
//!     key: "server.key".into(),
//!     client_ca: ca.into(),
//! };
//! let broker = Broker::start(BrokerConfig {
//!     devices: listener("0.0.0.0:8883", "device-ca.pem"),
//!     control: listener("127.0.0.1:8884", "control-ca.pem"),
//!     websocket: "127.0.0.1:0".parse().unwrap(),
//!     gate: Arc::new(EveryDevice),
//!     tokens: Arc::new(Tokens),
//!     limits: Limits::default(),
//! })
//! .await?;
//! println!("browsers connect to {}", broker.addresses().websocket);
//! broker.stop().await;
//! # Ok(())
//! # }
//! ```

mod admissions;
mod broker;
mod config;
mod error;
mod eviction;
mod filter;
mod gate;
mod guard;
mod identity;
mod listeners;
mod log_budget;
mod mosquitto;
mod rate;
mod refusals;
mod retain_storage;
mod retained;
mod token;

pub use broker::{Addresses, Broker, BrokerStats};
pub use config::{BrokerConfig, Limits, TlsListener};
pub use error::BrokerError;
pub use gate::{DeviceGate, DeviceRefused, EveryDevice};
pub use mosquitto::Mosquitto;
pub use refusals::Refused;
pub use token::{BrowserAccess, TokenRefused, TokenVerifier};
