//! The three doors: their sockets, certificates and limits.

use std::fs;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::Path;
use std::time::Duration;

use heron_protocol::MAX_MESSAGE_BYTES;
use rmqtt::net::{Builder, Listener};
use rmqtt::types::QoS;

use crate::config::{BrokerConfig, Limits, TlsListener};
use crate::error::BrokerError;
use crate::identity::Door;

/// Room for a message's topic and properties besides its body.
pub(crate) const PACKET_OVERHEAD: u32 = 4 * 1024;
/// A client that does not take a packet within this time is let go, so that it holds nothing up.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that wait to be accepted. A fleet that comes back at once has them by the thousand, and one that finds no
/// room believes itself connected until its own time is up. The system's `net.core.somaxconn` bounds it.
const BACKLOG: i32 = 8192;
const MIN_KEEP_ALIVE_S: u16 = 5;
const MAX_CLIENT_ID_BYTES: usize = 64;
/// Levels in a topic: the deepest of the table has seven.
const MAX_TOPIC_LEVELS: usize = 8;

/// Binds all three.
pub(crate) fn bind(config: &BrokerConfig) -> Result<[(Door, Listener); 3], BrokerError> {
    check_files(Door::Devices, &config.devices)?;
    check_files(Door::Control, &config.control)?;
    if read(Door::Devices, &config.devices.client_ca)?
        == read(Door::Control, &config.control.client_ca)?
    {
        return Err(BrokerError::SameCa);
    }
    Ok([
        (
            Door::Devices,
            tls(Door::Devices, &config.devices, &config.limits)?,
        ),
        (
            Door::Control,
            tls(Door::Control, &config.control, &config.limits)?,
        ),
        (Door::Browsers, websocket(config.websocket, &config.limits)?),
    ])
}

/// The address a listener is really bound to.
pub(crate) fn local_address(door: Door, listener: &Listener) -> Result<SocketAddr, BrokerError> {
    listener
        .local_addr()
        .map_err(|error| bind_error(door, listener.cfg.laddr, &error))
}

fn tls(door: Door, listener: &TlsListener, limits: &Limits) -> Result<Listener, BrokerError> {
    let path = |path: &Path| Some(path.to_string_lossy().into_owned());
    builder(door, listener.listen, limits)
        .tls_cert(path(&listener.certificate))
        .tls_key(path(&listener.key))
        .tls_client_ca_certs(path(&listener.client_ca))
        .tls_cross_certificate(true)
        .collect_cert_info(true)
        .bind()
        .map_err(|error| bind_error(door, listener.listen, &error))?
        .tls()
        .map_err(|error| BrokerError::Tls {
            listener: door.name(),
            reason: format!("{error:#}"),
        })
}

fn websocket(address: SocketAddr, limits: &Limits) -> Result<Listener, BrokerError> {
    builder(Door::Browsers, address, limits)
        .max_session_expiry_interval(limits.browser_session_expiry)
        .bind()
        .and_then(Listener::ws)
        .map_err(|error| bind_error(Door::Browsers, address, &error))
}

fn builder(door: Door, address: SocketAddr, limits: &Limits) -> Builder {
    let (inflight, queued) = match door {
        Door::Devices | Door::Browsers => (limits.inflight, limits.queued),
        Door::Control => (limits.control_inflight, limits.control_queued),
    };
    let max_packet = u32::try_from(MAX_MESSAGE_BYTES)
        .unwrap_or(u32::MAX)
        .saturating_add(PACKET_OVERHEAD);
    Builder::new()
        .name(door.name())
        .laddr(address)
        // A broker that comes back finds its ports at once, though connections of the one before still time out.
        .reuseaddr(Some(true))
        .backlog(BACKLOG)
        .nodelay(true)
        .allow_anonymous(false)
        .max_packet_size(max_packet)
        .max_clientid_len(MAX_CLIENT_ID_BYTES)
        .max_topic_levels(MAX_TOPIC_LEVELS)
        .max_qos_allowed(QoS::AtLeastOnce)
        .max_subscriptions(limits.subscriptions)
        .max_inflight(NonZeroU16::new(inflight).unwrap_or(NonZeroU16::MIN))
        .max_mqueue_len(queued)
        .handshake_timeout(limits.handshake)
        .send_timeout(SEND_TIMEOUT)
        .allow_zero_keepalive(false)
        .min_keepalive(MIN_KEEP_ALIVE_S.min(limits.keep_alive_s))
        .max_keepalive(limits.keep_alive_s)
        .max_session_expiry_interval(limits.session_expiry)
        // No expiry but the sender's and the table's; nothing is sent twice on one connection (MQTT 5, 4.4).
        .message_expiry_interval(Duration::ZERO)
        .message_retry_interval(Duration::ZERO)
}

/// Reads what the library will read, so that a missing file is reported by its name.
fn check_files(door: Door, listener: &TlsListener) -> Result<(), BrokerError> {
    for path in [&listener.certificate, &listener.key, &listener.client_ca] {
        read(door, path)?;
    }
    Ok(())
}

fn read(door: Door, path: &Path) -> Result<Vec<u8>, BrokerError> {
    fs::read(path).map_err(|source| BrokerError::File {
        listener: door.name(),
        path: path.to_owned(),
        source,
    })
}

fn bind_error(door: Door, address: SocketAddr, error: &rmqtt::Error) -> BrokerError {
    BrokerError::Bind {
        listener: door.name(),
        address,
        reason: format!("{error:#}"),
    }
}
