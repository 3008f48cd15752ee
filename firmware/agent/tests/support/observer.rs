//! Stands in for the control plane: sees every topic and writes the device's.

use heron_protocol::Topic;
use heron_protocol::messages::Presence;
use rumqttc::{
    AsyncClient, Event, MqttOptions, Packet, PublishOptions, QoS, SubscribeFilter,
    TlsConfiguration, Transport,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::PATIENCE;
use super::certificates::Authority;

pub struct Observer {
    client: AsyncClient,
    seen: mpsc::UnboundedReceiver<Seen>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
pub struct Seen {
    pub topic: Topic,
    pub retained: bool,
    pub expiry_s: Option<u32>,
    pub body: Vec<u8>,
}

impl Observer {
    /// Connects, and returns once the broker has confirmed the subscription to everything.
    pub async fn start(authority: &Authority, port: u16) -> Self {
        let issued = authority.client("observer");
        let mut options = MqttOptions::new("observer", ("127.0.0.1", port));
        options.set_max_packet_size(Some(100_000));
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
            ca: authority.pem().into_bytes(),
            alpn: None,
            client_auth: Some((issued.certificate.into_bytes(), issued.key.into_bytes())),
        }));
        let (client, mut events) = AsyncClient::builder(options).capacity(64).build();
        let all = SubscribeFilter {
            preserve_retain: true,
            ..SubscribeFilter::new("cam/1/#", QoS::AtLeastOnce)
        };
        client.subscribe_many([all]).await.unwrap();
        let (forward, seen) = mpsc::unbounded_channel();
        let (ready, subscribed) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let mut ready = Some(ready);
            while let Ok(event) = events.poll().await {
                match event {
                    Event::Incoming(Packet::SubAck(_)) => {
                        ready.take().map(|ready| ready.send(()));
                    }
                    Event::Incoming(Packet::Publish(publish)) => {
                        let topic = std::str::from_utf8(&publish.topic).unwrap();
                        let _ = forward.send(Seen {
                            topic: topic.parse().unwrap(),
                            retained: publish.retain,
                            expiry_s: publish
                                .properties
                                .as_ref()
                                .and_then(|properties| properties.message_expiry_interval),
                            body: publish.payload.to_vec(),
                        });
                    }
                    _ => {}
                }
            }
        });
        tokio::time::timeout(PATIENCE, subscribed)
            .await
            .unwrap()
            .unwrap();
        Self { client, seen, task }
    }

    /// The next message that `wanted` picks.
    pub async fn next<T>(&mut self, mut wanted: impl FnMut(&Seen) -> Option<T>) -> T {
        let search = async {
            loop {
                let seen = self
                    .seen
                    .recv()
                    .await
                    .expect("the observer lost its broker");
                if let Some(found) = wanted(&seen) {
                    return found;
                }
            }
        };
        tokio::time::timeout(PATIENCE, search)
            .await
            .expect("nothing of the kind was published")
    }

    pub async fn presence(&mut self) -> Presence {
        self.next(|seen| match seen.topic {
            Topic::Presence(_) => Some(heron_protocol::decode(&seen.body).unwrap()),
            _ => None,
        })
        .await
    }

    pub async fn publish(&self, topic: &Topic, body: impl Into<Vec<u8>>) {
        let options = PublishOptions::at_least_once().retain(topic.row().retained);
        let notice = self
            .client
            .publish_tracked(topic.to_string(), body.into(), options)
            .await
            .unwrap();
        tokio::time::timeout(PATIENCE, notice.wait_completion_async())
            .await
            .unwrap()
            .unwrap();
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
