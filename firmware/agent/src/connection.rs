//! Keeps the connection: connects, subscribes, receives, and comes back after every loss.
//!
//! The first connection of a process starts clean: what an earlier process left in the broker's
//! session was meant for sessions that died with it, and `rumqttc` rightly refuses to continue a
//! session whose packet numbers it never saw. Later connections resume, so that what the broker took
//! for us during a short break still arrives.
//!
//! A new identity ([`Link::adopt`](crate::Link::adopt)) is one more connection: the old one is dropped,
//! the session and what waits in it go on, and a broker that turns the new identity away is told apart
//! from one that is merely not there.
//!
//! A change of the network ([`Link::network_changed`](crate::Link::network_changed)) is looked into at once ([`Path`]):
//! a connection whose address is gone is replaced, one that may have survived has a second to carry a SUBSCRIBE and its
//! answer, and an outage gets its next attempt now.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use heron_protocol::messages::Offline;
use heron_protocol::{DeviceId, MAX_MESSAGE_BYTES, Topic, encode};
use rumqttc::{
    AsyncClient, Broker, ConnAck, ConnectionError, Event, EventLoop, LastWill, LastWillProperties,
    MqttOptions, NetworkOptions, Outgoing, Packet, Publish, QoS, RetainForwardRule, SubAck,
    SubscribeFilter, SubscribeReasonCode, TlsConfiguration, Transport,
};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info, warn};

use crate::backoff::Backoff;
use crate::bundle::Bundle;
use crate::inbox::{self, Down};
use crate::link::{Adopted, Shared, Status, Trouble};
use crate::outage;
use crate::path::{self, Path, Verdict};
use crate::presence::{ConnectionNumber, Herald};

/// How long the broker keeps our session while we are away.
const SESSION_S: u32 = 3600;
const KEEP_ALIVE_S: u16 = 20;
/// TCP, TLS and MQTT together; a small board needs a while for its half of TLS.
const CONNECT: Duration = Duration::from_secs(10);
/// Packets between the sender and the socket. More would only make what waits older.
const REQUESTS: usize = 16;
/// Publications without an acknowledgement: as many as our own brokers take. `rumqttc` sets memory aside for all of
/// them, 14 MB unless told.
const INFLIGHT: u16 = 64;
/// Topic, properties and header on top of the largest body.
const PACKET_BYTES: usize = MAX_MESSAGE_BYTES + 1024;

/// The loop around `rumqttc`'s own.
pub struct Connection {
    client: AsyncClient,
    events: EventLoop,
    shared: Arc<Shared>,
    herald: Arc<Herald>,
    down: mpsc::Sender<Down>,
    will_delay: Duration,
    backoff: Backoff,
    attempts: u64,
    number: ConnectionNumber,
    /// Whether the broker's session has our subscription.
    subscribed: bool,
    outage: Option<Outage>,
    identity: watch::Receiver<Adopted>,
    network: watch::Receiver<()>,
    path: Path,
    /// Until when the broker has to say something.
    deadline: Option<Instant>,
}

/// Why a connection, or an attempt at one, is given up.
enum Interruption {
    /// There is another identity.
    Adopted,
    /// It did not survive a change of the network.
    Moved,
}

/// An outage that a person was told of.
struct Outage {
    since: Instant,
    reason: String,
}

impl Connection {
    /// Nothing is connected before [`run`](Self::run).
    pub fn new(
        will_delay: Duration,
        herald: Arc<Herald>,
        shared: Arc<Shared>,
        down: mpsc::Sender<Down>,
    ) -> (AsyncClient, Self) {
        let mut identity = shared.identity.subscribe();
        let path = Path::default();
        let options = options(&identity.borrow_and_update().bundle, true, &path);
        let (client, events) = AsyncClient::builder(options).capacity(REQUESTS).build();
        let connection = Self {
            client: client.clone(),
            events,
            network: shared.network.subscribe(),
            shared,
            number: herald.number(0),
            herald,
            down,
            will_delay,
            backoff: Backoff::new(),
            attempts: 0,
            subscribed: false,
            outage: None,
            identity,
            path,
            deadline: None,
        };
        (client, connection)
    }

    /// Who speaks for this device.
    pub fn herald(&self) -> Arc<Herald> {
        Arc::clone(&self.herald)
    }

    /// Runs until our own DISCONNECT has left.
    pub async fn run(mut self) {
        self.prepare();
        loop {
            let polled = match self.next().await {
                Ok(polled) => polled,
                Err(Interruption::Adopted) => {
                    self.renewed();
                    continue;
                }
                Err(Interruption::Moved) => {
                    self.moved();
                    continue;
                }
            };
            if matches!(polled, Ok(Event::Incoming(_)) | Err(_)) {
                self.deadline = None;
            }
            match polled {
                Ok(Event::Incoming(Packet::ConnAck(ack))) => self.accepted(&ack),
                Ok(Event::Incoming(Packet::SubAck(ack))) => self.subscribed(&ack).await,
                Ok(Event::Incoming(Packet::Publish(publish))) => self.received(&publish),
                Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(ConnectionError::RequestsDone) => {
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    if matches!(error, ConnectionError::SessionStateMismatch { .. }) {
                        self.events.options.set_clean_start(true);
                    }
                    self.lost(outage::reason(&error), error.to_string()).await;
                }
            }
        }
    }

    /// Polls the connection, and looks after it when the network changes. What is half written or read stays so: the
    /// poll is dropped only with its connection.
    async fn next(&mut self) -> Result<Result<Event, ConnectionError>, Interruption> {
        let Self {
            client,
            events,
            shared,
            identity,
            network,
            path,
            deadline,
            ..
        } = self;
        let poll = events.poll();
        tokio::pin!(poll);
        loop {
            let silent = async {
                match *deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                polled = &mut poll => return Ok(polled),
                Ok(()) = identity.changed() => return Err(Interruption::Adopted),
                () = silent => return Err(Interruption::Moved),
                Ok(()) = network.changed() => {
                    let is_connected = shared.online.borrow().is_some();
                    let patience = match path.verdict() {
                        Verdict::Wait => continue,
                        Verdict::Replace if is_connected => return Err(Interruption::Moved),
                        Verdict::Probe if is_connected => {
                            debug!("the network changed: is the broker still there?");
                            if let Err(error) = client.try_subscribe_many(filters(&shared.device)) {
                                warn!("the broker cannot be asked: {error}");
                            }
                            path::PROBE
                        }
                        Verdict::Probe | Verdict::Replace => path::ATTEMPT,
                    };
                    deadline.get_or_insert_with(|| Instant::now() + patience);
                }
            }
        }
    }

    /// Gives the next attempt its number and its will.
    fn prepare(&mut self) {
        self.number = self.herald.number(self.attempts);
        self.attempts += 1;
        let presence = self.herald.offline(self.number, Offline::ConnectionLost);
        let Ok(body) = encode(&presence) else {
            return;
        };
        let topic = Topic::Presence(self.shared.device.clone());
        let properties = LastWillProperties {
            delay_interval: u32::try_from(self.will_delay.as_secs()).ok(),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        let will = LastWill::new(
            topic.to_string(),
            body,
            QoS::AtLeastOnce,
            true,
            Some(properties),
        );
        self.events.options.set_last_will(will);
    }

    fn accepted(&mut self, ack: &ConnAck) {
        self.events.options.set_clean_start(false);
        self.backoff.connected(Instant::now());
        if ack.session_present && self.subscribed {
            self.online();
            return;
        }
        self.subscribed = false;
        if let Err(error) = self.client.try_subscribe_many(filters(&self.shared.device)) {
            warn!("the subscription could not be queued: {error}");
        }
    }

    async fn subscribed(&mut self, ack: &SubAck) {
        let refused = ack
            .return_codes
            .iter()
            .find(|code| !matches!(code, SubscribeReasonCode::Success(_)));
        if let Some(code) = refused {
            let reason = format!("the broker refused our subscription: {code:?}");
            self.events.clean();
            self.lost(Offline::Certificate, reason).await;
            return;
        }
        self.subscribed = true;
        // Else it answers whether it is still there.
        if self.shared.online.borrow().is_none() {
            self.online();
        }
    }

    fn online(&mut self) {
        let generation = self.identity.borrow().generation;
        let broker = self.broker();
        match self.outage.take() {
            Some(outage) => info!(
                broker,
                away_s = outage.since.elapsed().as_secs(),
                "back on the broker"
            ),
            None => info!(broker, "connected to the broker"),
        }
        self.shared.trouble.send_replace(None);
        self.shared.accepted.send_replace(Some(generation));
        self.shared.status.send_replace(Status::Online);
        self.shared.online.send_replace(Some(self.number));
    }

    /// Drops the connection and goes on with the identity that was adopted. The broker keeps the session, so nothing
    /// that waits in it is lost, and the will is not published.
    fn renewed(&mut self) {
        self.shared.online.send_replace(None);
        self.events.clean();
        let bundle = self.identity.borrow_and_update().bundle.clone();
        let clean = self.events.options.clean_start();
        self.events.options = options(&bundle, clean, &self.path);
        self.deadline = None;
        info!(broker = %bundle.broker, "connecting with another certificate");
        self.prepare();
    }

    /// Drops a connection that lost its way, and connects anew at once. The session goes on.
    fn moved(&mut self) {
        if self.shared.online.send_replace(None).is_some() {
            let mut reason = self.shared.last_reason.lock();
            reason.get_or_insert(Offline::Network);
            info!(
                broker = self.broker(),
                "the network changed: connecting anew"
            );
        }
        self.shared.status.send_replace(Status::Offline);
        self.deadline = None;
        self.backoff.anew();
        self.events.clean();
        self.prepare();
    }

    fn broker(&self) -> String {
        self.identity.borrow().bundle.broker.to_string()
    }

    /// Waits for the next attempt. A reason that lasts is told once.
    async fn lost(&mut self, kind: Offline, reason: String) {
        if self.shared.online.send_replace(None).is_some() {
            self.shared.last_reason.lock().get_or_insert(kind);
        }
        let generation = self.identity.borrow().generation;
        self.shared.trouble.send_replace(Some(Trouble {
            generation,
            reason: kind,
        }));
        self.shared.status.send_replace(Status::Offline);
        let broker = self.broker();
        let now = Instant::now();
        let delay = self.backoff.delay(now, rand::random());
        let since = self.outage.as_ref().map_or(now, |outage| outage.since);
        let known = self
            .outage
            .as_ref()
            .is_some_and(|outage| outage.reason == reason);
        if known {
            debug!(broker, ?delay, "still no broker: {reason}");
        } else {
            warn!(broker, "no broker, trying again: {reason}");
        }
        self.outage = Some(Outage { since, reason });
        self.prepare();
        // Another identity is a reason to try at once, and so is another network.
        let (identity, network) = (&mut self.identity, &mut self.network);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            Ok(()) = identity.changed() => self.renewed(),
            Ok(()) = network.changed() => {
                let since = now.elapsed();
                tokio::time::sleep(path::BETWEEN.saturating_sub(since)).await;
                self.backoff.anew();
            }
        }
    }

    fn received(&mut self, publish: &Publish) {
        match inbox::read(&self.shared.device, &publish.topic, &publish.payload) {
            Ok(None) => {}
            Ok(Some(message)) => {
                if self.down.try_send(message).is_err() {
                    self.refuse("too many messages at once");
                }
            }
            Err(reason) => self.refuse(reason),
        }
    }

    fn refuse(&self, reason: impl std::fmt::Display) {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        warn!("refused a message from the broker: {reason}");
    }
}

/// What the link wants to hear.
fn filters(device: &DeviceId) -> [SubscribeFilter; 2] {
    // What the broker retains it sends after a new subscription only: asking again is a question, no wish.
    inbox::filters(device).map(|filter| SubscribeFilter {
        retain_forward_rule: RetainForwardRule::OnNewSubscribe,
        ..SubscribeFilter::new(filter, QoS::AtLeastOnce)
    })
}

/// How to connect as the device of this bundle. The will comes with each attempt.
pub fn options(bundle: &Bundle, clean: bool, path: &Path) -> MqttOptions {
    let broker = Broker::tcp(bundle.broker.host.clone(), bundle.broker.port);
    let mut options = MqttOptions::new(bundle.device.as_str(), broker);
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(
        Arc::clone(&bundle.tls),
    )));
    path.watch(&mut options);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    options
        .set_network_options(network)
        .set_keep_alive(KEEP_ALIVE_S)
        .set_connect_timeout(CONNECT)
        .set_clean_start(clean)
        .set_session_expiry_interval(Some(SESSION_S))
        .set_outgoing_inflight_upper_limit(INFLIGHT)
        .set_max_packet_size(u32::try_from(PACKET_BYTES).ok());
    options
}
