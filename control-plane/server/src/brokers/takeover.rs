//! Puts a camera out of a broker that is not ours: whoever connects with a client id takes the session over that is
//! there (MQTT 5, 3.1.4), so the control plane connects for a moment with the camera's.
//!
//! The session begins clean and ends with the connection: nothing waits for the camera any more. Before it ends, the
//! camera's last word is spoken for it, as its will would have; brokers may forget a delayed will here.

use std::time::Duration;

use heron_protocol::messages::{Offline, Presence};
use heron_protocol::{DeviceId, Topic, encode};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, PublishOptions,
    TlsConfiguration, Transport,
};
use thiserror::Error;
use tokio::time::timeout;

use crate::signalling::BrokerAddress;

/// All of it, on a broker that is near.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a camera was not taken over.
#[derive(Debug, Error)]
pub enum NotTakenOver {
    /// The broker is away, or does not let the control plane in with that id.
    #[error("the broker: {0}")]
    Broker(#[from] ConnectionError),
    /// It is there and says nothing.
    #[error("the broker took more than {} s", PATIENCE.as_secs())]
    Silent,
}

/// Takes the session of `device` over and ends it. `last` is what its presence says from now on; without it the
/// presence that is there stays.
///
/// # Errors
///
/// [`NotTakenOver`].
pub async fn take_over(
    broker: &BrokerAddress,
    device: &DeviceId,
    last: Option<&Presence>,
) -> Result<(), NotTakenOver> {
    let mut options = MqttOptions::new(device.as_str(), (broker.host.clone(), broker.port));
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(
        broker.tls.clone(),
    )));
    options.set_keep_alive(10);
    let (client, events) = AsyncClient::builder(options).capacity(4).build();
    timeout(PATIENCE, speak(client, events, device, last))
        .await
        .unwrap_or(Err(NotTakenOver::Silent))
}

async fn speak(
    client: AsyncClient,
    mut events: EventLoop,
    device: &DeviceId,
    last: Option<&Presence>,
) -> Result<(), NotTakenOver> {
    let topic = Topic::Presence(device.clone()).to_string();
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let word = last.and_then(|last| encode(last).ok());
                let said = word.is_some_and(|word| {
                    let options = PublishOptions::at_least_once().retained();
                    client.try_publish(topic.clone(), word, options).is_ok()
                });
                if !said {
                    let _ = client.try_disconnect();
                }
            }
            Ok(Event::Incoming(Packet::PubAck(ack))) => {
                tracing::debug!(%device, ?ack.reason, "its last word is spoken");
                let _ = client.try_disconnect();
            }
            Ok(_) => {}
            Err(ConnectionError::RequestsDone) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The presence of a camera that is put out, after the one it last had: its own will would have counted the same.
pub fn last_word(before: Presence, reason: Offline, now_ms: u64) -> Presence {
    Presence {
        seq: before.seq + u64::from(before.online),
        online: false,
        reason: Some(reason),
        last_reason: None,
        at_ms: now_ms,
        ..before
    }
}
