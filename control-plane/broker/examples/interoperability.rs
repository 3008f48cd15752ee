//! The broker's engine without its guard, for foreign test suites that use clients without a name on free topics: on
//! plain TCP, for anybody, with QoS 2. Session and retained messages are the broker's own.
//!
//! `cargo run -p heron-broker --example interoperability -- 127.0.0.1:1883`; then, in a copy of
//! <https://github.com/eclipse/paho.mqtt.testing>, `python3 interoperability/client_test5.py -p 1883`.
#![allow(
    clippy::print_stdout,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "the broker's modules, of which this uses a part"
)]

#[path = "../src/config.rs"]
mod config;
#[path = "../src/filter.rs"]
mod filter;
#[path = "../src/gate.rs"]
mod gate;
#[path = "../src/retain_storage.rs"]
mod retain_storage;
#[path = "../src/retained.rs"]
mod retained;
#[path = "../src/token.rs"]
mod token;

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rmqtt::context::ServerContext;
use rmqtt::net::Builder;
use rmqtt::server::MqttServer;
use rmqtt::types::QoS;

use crate::config::Limits;
use crate::retain_storage::Storage;
use crate::retained::Retained;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address: SocketAddr = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "127.0.0.1:1883".into())
        .parse()?;
    let limits = Limits::default();
    let library = ServerContext::new().busy_check_enable(false).build().await;
    let retained = Arc::new(Mutex::new(Retained::new(&limits)));
    *library.extends.retain_mut().await = Box::new(Storage(retained));
    let listener = Builder::new()
        .name("anybody")
        .laddr(address)
        .reuseaddr(Some(true))
        .nodelay(true)
        .allow_anonymous(true)
        .max_packet_size(1024 * 1024)
        .max_qos_allowed(QoS::ExactlyOnce)
        .max_inflight(NonZeroU16::new(limits.inflight).unwrap_or(NonZeroU16::MIN))
        .max_mqueue_len(limits.queued)
        .handshake_timeout(limits.handshake)
        .allow_zero_keepalive(true)
        .min_keepalive(0)
        .max_session_expiry_interval(limits.session_expiry)
        .message_expiry_interval(Duration::ZERO)
        .message_retry_interval(Duration::ZERO)
        .max_topic_aliases(10)
        .bind()?
        .tcp()?;
    println!("{}", listener.local_addr()?);
    MqttServer::new(library)
        .listener_by_id(listener, 1)
        .build()
        .run()
        .await?;
    Ok(())
}
