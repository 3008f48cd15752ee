//! The connection to the broker: one MQTT 5 client that never gives up. The only place that knows the MQTT library.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use heron_protocol::{MAX_MESSAGE_BYTES, Topic};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet,
    PublishOptions, PublishProperties, QoS, SubscribeFilter, SubscribeReasonCode, TlsConfiguration,
    Transport,
};
use tokio::sync::mpsc;

/// What every camera and every browser says.
const FILTERS: [&str; 2] = ["cam/1/+/+/up/#", "view/1/+/+/up/#"];
/// The broker is near, so it is asked for often: this long at first, then twice as long up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const KEEP_ALIVE_S: u16 = 10;
/// Messages of ours that may wait for the broker; more are dropped, as signalling is worth nothing when old.
const OUTGOING: usize = 4096;
/// Messages of ours without an acknowledgement: as many as the embedded broker takes from us. The library sets memory
/// aside for all of them, 14 MB unless told.
const INFLIGHT: u16 = 1024;
/// Messages that may wait for us; then the broker waits.
const INCOMING: usize = 1024;

/// Where the control plane's listener of the broker is, and how to show who we are.
#[derive(Debug, Clone)]
pub struct BrokerAddress {
    /// Host name or address, as the broker's certificate has it.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The CA to trust and the client certificate to show.
    pub tls: Arc<rustls::ClientConfig>,
}

/// What the broker brings.
#[derive(Debug)]
pub enum Arrival {
    /// Connected, for the first time or again; the retained messages come next.
    Connected,
    /// A message.
    Message {
        /// Its topic.
        topic: String,
        /// Its body.
        payload: bytes::Bytes,
    },
}

/// The sending half.
#[derive(Clone)]
pub struct Link {
    client: AsyncClient,
    connected: Arc<AtomicBool>,
}

impl Link {
    /// Begins to connect. What arrives comes out of the receiver; `task` is to be aborted in the end.
    pub fn start(
        broker: &BrokerAddress,
    ) -> (Self, mpsc::Receiver<Arrival>, tokio::task::JoinHandle<()>) {
        // Each process has an id of its own: two that run by mistake do not throw each other out in turns. The dot makes
        // it an id that no camera and no browser can have.
        let id = format!("control.{:016x}", rand::random::<u64>());
        let mut options = MqttOptions::new(id, (broker.host.clone(), broker.port));
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(
            Arc::clone(&broker.tls),
        )));
        options.set_keep_alive(KEEP_ALIVE_S);
        // Small messages in quick succession: Nagle's algorithm would hold the second one back for a delayed
        // acknowledgement, some 40 ms on each hop of a session's start.
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        options.set_outgoing_inflight_upper_limit(INFLIGHT);
        options.set_max_packet_size(u32::try_from(2 * MAX_MESSAGE_BYTES).ok());
        let (client, events) = AsyncClient::builder(options).capacity(OUTGOING).build();
        let connected = Arc::new(AtomicBool::new(false));
        let (arrivals, received) = mpsc::channel(INCOMING);
        let link = Self { client, connected };
        let task = tokio::spawn(link.clone().run(events, arrivals));
        (link, received, task)
    }

    /// Whether the broker is connected and subscribed to.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Sends a message as its row of the topic table says; false if it had to be dropped.
    pub fn publish(&self, topic: &Topic, payload: Vec<u8>) -> bool {
        let row = topic.row();
        let qos = if row.qos == 0 {
            QoS::AtMostOnce
        } else {
            QoS::AtLeastOnce
        };
        let properties = PublishProperties {
            message_expiry_interval: row.expiry_s,
            ..PublishProperties::default()
        };
        let options = PublishOptions::new(qos)
            .retain(row.retained)
            .properties(properties);
        self.is_connected()
            && self
                .client
                .try_publish(topic.to_string(), payload, options)
                .is_ok()
    }

    /// Says goodbye.
    pub async fn disconnect(&self) {
        // The broker may be gone already.
        let _ = self.client.disconnect_now().await;
    }

    async fn run(self, mut events: EventLoop, arrivals: mpsc::Sender<Arrival>) {
        let mut pause = FIRST_PAUSE;
        let mut last_reason = String::new();
        loop {
            let arrival = match events.poll().await {
                // Said before the retained messages begin to come, which may be before the acknowledgement.
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    self.subscribe();
                    Arrival::Connected
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    let granted = |code: &SubscribeReasonCode| {
                        matches!(code, SubscribeReasonCode::Success(_))
                    };
                    if ack.return_codes.iter().all(granted) {
                        tracing::info!("connected to the broker");
                    } else {
                        tracing::error!(reasons = ?ack.return_codes, "the broker refuses a subscription");
                    }
                    pause = FIRST_PAUSE;
                    last_reason.clear();
                    self.connected.store(true, Ordering::Relaxed);
                    continue;
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    match String::from_utf8(publish.topic.to_vec()) {
                        Ok(topic) => Arrival::Message {
                            topic,
                            payload: publish.payload,
                        },
                        Err(_) => continue,
                    }
                }
                Ok(_) => continue,
                // After `disconnect`, which is the end.
                Err(ConnectionError::RequestsDone) => return,
                Err(reason) => {
                    self.connected.store(false, Ordering::Relaxed);
                    // The same reason again says nothing new.
                    let reason = reason.to_string();
                    if reason != last_reason {
                        tracing::warn!(reason, "the broker is not connected; trying again");
                        last_reason = reason;
                    }
                    tokio::time::sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                    continue;
                }
            };
            if arrivals.send(arrival).await.is_err() {
                return;
            }
        }
    }

    /// Both filters in one packet, so that one acknowledgement says that all is subscribed. The session begins clean
    /// each time: retained messages then come again, and they are the state.
    fn subscribe(&self) {
        let filters = FILTERS.map(|filter| SubscribeFilter::new(filter, QoS::AtLeastOnce));
        if let Err(reason) = self.client.try_subscribe_many(filters) {
            tracing::error!(%reason, "cannot subscribe");
        }
    }
}
