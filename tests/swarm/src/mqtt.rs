//! MQTT for everything in the swarm that is not the agent.

use std::time::Duration;

use rumqttc::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions, NetworkOptions, Publish, QoS,
    TlsConfiguration, Transport,
};
use tokio::sync::watch;

use crate::identity::Identity;

/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(500);
const KEEP_ALIVE_S: u16 = 30;
/// Publications without an acknowledgement; the library sets memory aside for all of them.
const INFLIGHT: u16 = 64;
/// Packets between a client's two halves.
const REQUESTS: usize = 64;

/// A client with a camera's identity.
pub(crate) fn as_camera(identity: &Identity) -> anyhow::Result<(AsyncClient, EventLoop)> {
    let broker = &identity.bundle.broker;
    let address = (broker.host.clone(), broker.port);
    let mut options = MqttOptions::new(identity.device().as_str(), address);
    let tls = TlsConfiguration::Rustls(identity.tls()?);
    options.set_transport(Transport::tls_with_config(tls));
    Ok(client(options))
}

/// A client with these options and the swarm's own habits.
pub(crate) fn client(mut options: MqttOptions) -> (AsyncClient, EventLoop) {
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_keep_alive(KEEP_ALIVE_S)
        .set_outgoing_inflight_upper_limit(INFLIGHT)
        .set_max_packet_size(Some(128 * 1024));
    AsyncClient::builder(options).capacity(REQUESTS).build()
}

/// Subscribes on each connection and hands on what comes; never ends. `subscribed` becomes true when it is.
pub(crate) async fn listen(
    client: AsyncClient,
    mut events: EventLoop,
    filter: String,
    subscribed: watch::Sender<bool>,
    mut heard: impl FnMut(&Publish) + Send,
) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                if let Err(error) = client.try_subscribe(filter.as_str(), QoS::AtLeastOnce) {
                    tracing::error!(%error, "cannot subscribe");
                }
            }
            Ok(Event::Incoming(Incoming::SubAck(_))) => {
                subscribed.send_replace(true);
            }
            Ok(Event::Incoming(Incoming::Publish(publish))) => heard(&publish),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "not connected");
                subscribed.send_replace(false);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
