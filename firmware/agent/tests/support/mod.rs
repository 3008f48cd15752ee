//! A real broker, its certificates, and somebody who listens: what the link's tests stand on.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

mod broker;
mod certificates;
mod observer;
mod tap;

use std::time::Duration;

use heron_agent::{AgentConfig, Bundle};
use tokio::sync::watch;

pub use broker::Broker;
pub use certificates::{Authority, grant_key};
pub use observer::Observer;
pub use tap::Tap;

pub const DEVICE: &str = "front-door-01";
pub const SESSION: &str = "000102030405060708090a0b0c0d0e0f";

/// A host of the laboratory that brokers' certificates are for.
pub const FAR: &str = "10.79.0.2";

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A link's config for this bundle, with a will that comes at once.
pub fn config(bundle: Bundle) -> AgentConfig {
    AgentConfig {
        will_delay: Duration::ZERO,
        ..AgentConfig::new(bundle, "1.2.3", "boot-1", 1000)
    }
}

/// Waits until the link stands as wanted.
pub async fn until(link: &heron_agent::Link, wanted: heron_agent::Status) {
    let mut status: watch::Receiver<_> = link.status();
    let reached = status.wait_for(|status| *status == wanted);
    tokio::time::timeout(PATIENCE, reached)
        .await
        .unwrap_or_else(|_| panic!("the link never became {wanted:?}"))
        .unwrap();
}
