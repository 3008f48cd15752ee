//! What a broker is started with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::gate::DeviceGate;
use crate::token::TokenVerifier;

/// Everything [`Broker::start`](crate::Broker::start) needs.
#[derive(Clone)]
pub struct BrokerConfig {
    /// Where cameras connect: MQTT 5 on TLS, with a client certificate of the device CA.
    pub devices: TlsListener,
    /// Where the control plane connects: MQTT 5 on TLS, with a client certificate of the control CA.
    pub control: TlsListener,
    /// Where browsers connect: MQTT 5 over a plain WebSocket. It belongs on a loopback address, behind the HTTPS
    /// server that carries it to the outside.
    pub websocket: SocketAddr,
    /// Who decides about cameras whose certificate is good; [`EveryDevice`](crate::EveryDevice) lets all of them in.
    pub gate: Arc<dyn DeviceGate>,
    /// Who checks the tokens that browsers show.
    pub tokens: Arc<dyn TokenVerifier>,
    /// How much of everything a client may use.
    pub limits: Limits,
}

/// One TLS listener. The files are PEM and are read once, when the broker starts.
#[derive(Debug, Clone)]
pub struct TlsListener {
    /// The address to listen on; port 0 lets the system choose, see [`Broker::addresses`](crate::Broker::addresses).
    pub listen: SocketAddr,
    /// The broker's certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    /// The CA that must have issued the client's certificate.
    pub client_ca: PathBuf,
}

/// Bounds on what one client, and all of them together, may use. The defaults fit ten thousand cameras.
#[derive(Debug, Clone)]
pub struct Limits {
    /// TLS, WebSocket and CONNECT must each be done within this time.
    pub handshake: Duration,
    /// Sessions at a time, connected or waiting to be resumed.
    pub sessions: usize,
    /// QoS 1 messages on their way to or from a camera or browser without an acknowledgement.
    pub inflight: u16,
    /// Messages that wait for a camera or browser; the oldest goes first when there are more.
    pub queued: usize,
    /// The same for a connection of the control plane, which hears all cameras.
    pub control_inflight: u16,
    /// The same for a connection of the control plane. It must hold the retained messages of the whole fleet, which
    /// come at once when the control plane subscribes.
    pub control_queued: usize,
    /// Messages a second that one camera may publish over a longer time. Telemetry and the signalling of 64 viewers
    /// are some 15.
    pub device_messages_per_s: u32,
    /// The same at once, after a pause: what a camera says when it connects, and the candidates of many viewers.
    pub device_burst: u32,
    /// Subscriptions of one client.
    pub subscriptions: usize,
    /// The longest keep-alive in seconds. A client that asks for more, or for none, is told this one
    /// (MQTT 5, 3.2.2.3.14) or, for none, refused.
    pub keep_alive_s: u16,
    /// The longest a camera's or the control plane's session outlives its connection.
    pub session_expiry: Duration,
    /// The same for a browser, whose token lives for minutes only.
    pub browser_session_expiry: Duration,
    /// Retained messages in all.
    pub retained: usize,
    /// Bytes of all retained messages.
    pub retained_bytes: usize,
    /// Retained messages below one camera's topic tree.
    pub retained_per_device: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            sessions: 100_000,
            inflight: 64,
            queued: 500,
            control_inflight: 1024,
            control_queued: 500_000,
            device_messages_per_s: 30,
            device_burst: 300,
            subscriptions: 64,
            keep_alive_s: 120,
            session_expiry: Duration::from_secs(24 * 3600),
            browser_session_expiry: Duration::from_secs(60),
            retained: 500_000,
            retained_bytes: 256 * 1024 * 1024,
            retained_per_device: 256,
        }
    }
}
