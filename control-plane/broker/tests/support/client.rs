//! A client of the rumqttc crate, with every answer of the broker in hand.

use std::net::SocketAddr;

use rumqttc::{
    AsyncClient, BrokerSessionResumePolicy, ConnectReturnCode, ConnectionError, Event, LastWill,
    LastWillProperties, MqttOptions, Packet, PubAckReason, Publish, PublishOptions,
    PublishProperties, QoS, SessionMode, SubscribeReasonCode, TlsConfiguration, Transport,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::PATIENCE;
use super::pki::{Identity, Pki};

/// A client about to connect.
pub struct Connecting(MqttOptions);

impl Connecting {
    pub fn tls(
        client_id: &str,
        broker: SocketAddr,
        pki: &Pki,
        identity: Option<&Identity>,
    ) -> Self {
        let mut this = Self::plain(client_id, broker.port());
        this.0
            .set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
                ca: pki.server_ca(),
                alpn: None,
                client_auth: identity.map(|identity| {
                    (
                        identity.certificate.clone().into(),
                        identity.key.clone().into(),
                    )
                }),
            }));
        this
    }

    pub fn plain(client_id: &str, port: u16) -> Self {
        let mut options = MqttOptions::new(client_id, ("localhost", port));
        options.set_keep_alive(30);
        Self(options)
    }

    pub fn credentials(mut self, name: &str, password: &str) -> Self {
        self.0.set_credentials(name, password.to_owned());
        self
    }

    /// Asks for a session that outlives the connection, and takes up the one that is there.
    pub fn resuming(mut self, expiry_s: u32) -> Self {
        self.0.set_session_mode(SessionMode::Persistent);
        self.0.set_session_expiry_interval(Some(expiry_s));
        self.0
            .set_broker_session_resume_policy(BrokerSessionResumePolicy::AllowBrokerOnly);
        self
    }

    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.0.set_keep_alive(seconds);
        self
    }

    pub fn will(mut self, topic: &str, payload: &str, retain: bool, delay_s: Option<u32>) -> Self {
        let properties = delay_s.map(|delay| LastWillProperties {
            delay_interval: Some(delay),
            payload_format_indicator: None,
            message_expiry_interval: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        });
        self.0.set_last_will(LastWill::new(
            topic,
            payload,
            QoS::AtLeastOnce,
            retain,
            properties,
        ));
        self
    }

    /// Connects, and says whether the broker had a session to resume; or the reason code it refused with.
    pub async fn connect(self) -> Result<Client, ConnectReturnCode> {
        match self.attempt().await {
            Ok(client) => Ok(client),
            Err(ConnectionError::ConnectionRefused(code)) => Err(code),
            Err(error) => panic!("neither let in nor refused by a CONNACK: {error}"),
        }
    }

    /// Connects, or says what went wrong, be it below MQTT.
    pub async fn attempt(self) -> Result<Client, ConnectionError> {
        let (handle, mut events) = AsyncClient::builder(self.0).capacity(64).build();
        let first = tokio::time::timeout(PATIENCE, events.poll())
            .await
            .expect("the broker says something in time")?;
        let Event::Incoming(Packet::ConnAck(answer)) = first else {
            panic!("expected a CONNACK, got {first:?}")
        };
        let (sender, incoming) = mpsc::unbounded_channel();
        let pump = tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(packet) = event {
                    let _ = sender.send(packet);
                }
            }
        });
        Ok(Client {
            handle,
            incoming,
            pump,
            messages: Vec::new(),
            resumed: answer.session_present,
        })
    }
}

/// A connected client.
pub struct Client {
    handle: AsyncClient,
    incoming: mpsc::UnboundedReceiver<Packet>,
    pump: JoinHandle<()>,
    /// Messages that have come and were not asked for yet.
    messages: Vec<Publish>,
    /// Whether the broker still had this client's session.
    pub resumed: bool,
}

impl Client {
    /// Publishes with QoS 1 and says how the broker acknowledged it.
    pub async fn publish(
        &mut self,
        topic: &str,
        payload: impl Into<Vec<u8>>,
        retain: bool,
    ) -> PubAckReason {
        self.publish_with(
            topic,
            payload,
            PublishOptions::at_least_once().retain(retain),
        )
        .await
    }

    /// The same for a message that lives for `seconds`.
    pub async fn publish_for(
        &mut self,
        seconds: u32,
        topic: &str,
        payload: &str,
        retain: bool,
    ) -> PubAckReason {
        let properties = PublishProperties {
            message_expiry_interval: Some(seconds),
            ..PublishProperties::default()
        };
        self.publish_with(
            topic,
            payload,
            PublishOptions::at_least_once()
                .retain(retain)
                .properties(properties),
        )
        .await
    }

    async fn publish_with(
        &mut self,
        topic: &str,
        payload: impl Into<Vec<u8>>,
        options: PublishOptions,
    ) -> PubAckReason {
        self.handle
            .publish(topic, payload.into(), options)
            .await
            .unwrap();
        self.wait_for(|packet| match packet {
            Packet::PubAck(ack) => Some(ack.reason),
            _ => None,
        })
        .await
    }

    /// Subscribes with QoS 1 and says how the broker answered.
    pub async fn subscribe(&mut self, filter: &str) -> SubscribeReasonCode {
        self.handle
            .subscribe(filter, QoS::AtLeastOnce)
            .await
            .unwrap();
        self.wait_for(|packet| match packet {
            Packet::SubAck(ack) => Some(ack.return_codes[0]),
            _ => None,
        })
        .await
    }

    /// The next message.
    pub async fn message(&mut self) -> Publish {
        while self.messages.is_empty() {
            self.wait_for(|packet| matches!(packet, Packet::Publish(_)).then_some(()))
                .await;
        }
        self.messages.remove(0)
    }

    /// The next message as text: topic and payload.
    pub async fn text(&mut self) -> (String, String) {
        let message = self.message().await;
        (
            String::from_utf8_lossy(&message.topic).into_owned(),
            String::from_utf8_lossy(&message.payload).into_owned(),
        )
    }

    /// Waits until the broker has closed the connection.
    pub async fn closed(mut self) {
        let end = async { while self.incoming.recv().await.is_some() {} };
        tokio::time::timeout(PATIENCE, end)
            .await
            .expect("the broker closes the connection");
    }

    /// Says goodbye, so that no will is due.
    pub async fn leave(self) {
        self.handle.disconnect().await.unwrap();
        self.closed().await;
    }

    /// Lets the connection break without a word.
    pub async fn cut(self) {
        self.pump.abort();
        let _ = self.pump.await;
    }

    /// Waits for a packet that `wanted` recognises. Messages are kept for [`Self::message`], whatever is waited for.
    async fn wait_for<T>(&mut self, wanted: impl Fn(&Packet) -> Option<T>) -> T {
        let wait = async {
            loop {
                let packet = self.incoming.recv().await.expect("the connection stays up");
                let found = wanted(&packet);
                if let Packet::Publish(publish) = packet {
                    self.messages.push(publish);
                }
                if let Some(found) = found {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("the broker answers in time")
    }
}
