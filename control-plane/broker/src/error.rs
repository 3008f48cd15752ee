//! Why a broker did not start, or did not stop.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use thiserror::Error;

/// What [`Broker`](crate::Broker) reports to the process that embeds it. Clients' mistakes never end up here: they
/// are answered, counted in [`BrokerStats`](crate::BrokerStats) and logged.
#[derive(Debug, Error)]
pub enum BrokerError {
    /// A certificate or key cannot be read.
    #[error("{listener} listener: cannot read {}", path.display())]
    File {
        /// `devices` or `control`.
        listener: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The files were read and are not what they should be.
    #[error("{listener} listener: {reason}")]
    Tls {
        /// `devices` or `control`.
        listener: &'static str,
        /// What is wrong with them.
        reason: String,
    },
    /// The address is taken, or not one of this machine.
    #[error("{listener} listener: cannot listen on {address}: {reason}")]
    Bind {
        /// `devices`, `control` or `websocket`.
        listener: &'static str,
        /// The address from the configuration.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// Devices and the control plane share a CA, so that every camera could act as the control plane.
    #[error("the devices and control listeners must have different client CAs, both are the same")]
    SameCa,
    /// The threads of the broker could not be started.
    #[error("cannot start the broker's threads")]
    Threads(#[source] io::Error),
    /// The broker has stopped, or one of its tasks broke down.
    #[error("the broker is not running")]
    NotRunning,
}
