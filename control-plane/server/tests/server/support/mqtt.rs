//! A camera and a browser as the control plane meets them: MQTT clients that are not ours.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses its part; a failure here is a failed test"
)]

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use heron_control::identity::Bundle;
use heron_protocol::messages::Presence;
use heron_protocol::{BrowserId, Message, TenantId, Topic, decode, encode};
use rumqttc::{
    AsyncClient, Event, Incoming, MqttOptions, PublishOptions, QoS, SubscribeReasonCode,
    TlsConfiguration, Transport,
};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use super::Client;

pub const PATIENCE: Duration = Duration::from_secs(10);

/// A connected client that has subscribed to what it may read.
pub struct Peer {
    mqtt: AsyncClient,
    arrivals: mpsc::UnboundedReceiver<(Topic, Vec<u8>)>,
    /// Came while something else was waited for.
    early: Vec<(Topic, Vec<u8>)>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// A camera with its bundle. `online` is published each time it connects.
    pub async fn camera(bundle: &Bundle, online: Presence) -> Self {
        let (host, port) = bundle.broker.rsplit_once(':').unwrap();
        let mut options = MqttOptions::new(bundle.device.as_str(), (host, port.parse().unwrap()));
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
            ca: bundle.ca.clone().into(),
            alpn: None,
            client_auth: Some((bundle.certificate.clone().into(), bundle.key.clone().into())),
        }));
        let hello = (
            Topic::Presence(bundle.device.clone()),
            encode(&online).unwrap(),
        );
        Self::start(
            options,
            format!("cam/1/{}/{}/dn/#", bundle.device.shard(), bundle.device),
            Some(hello),
        )
        .await
    }

    /// A browser with its token, by way of the WebSocket of the HTTPS server.
    pub async fn browser(
        http: Client,
        origin: String,
        tenant: &TenantId,
        browser: &BrowserId,
        token: &str,
    ) -> Self {
        let mut options = MqttOptions::new(browser.as_str(), ("unused", 1));
        options.set_credentials(browser.as_str(), token.to_owned());
        options.set_socket_connector(move |_, _| {
            let (http, origin) = (http.clone(), origin.clone());
            async move { Ok(websocket(&http, &origin).await) }
        });
        Self::start(options, format!("view/1/{tenant}/{browser}/dn/#"), None).await
    }

    async fn start(
        mut options: MqttOptions,
        filter: String,
        hello: Option<(Topic, Vec<u8>)>,
    ) -> Self {
        options.set_keep_alive(30);
        options.set_max_packet_size(Some(128 * 1024));
        let (mqtt, mut events) = AsyncClient::builder(options).capacity(64).build();
        let (sender, arrivals) = mpsc::unbounded_channel();
        let (ready, connected) = tokio::sync::oneshot::channel();
        let client = mqtt.clone();
        let task = tokio::spawn(async move {
            let mut ready = Some(ready);
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                        client
                            .try_subscribe(filter.as_str(), QoS::AtLeastOnce)
                            .unwrap();
                        if let Some((topic, payload)) = &hello {
                            let options = PublishOptions::at_least_once().retained();
                            client
                                .try_publish(topic.to_string(), payload.clone(), options)
                                .unwrap();
                        }
                    }
                    Ok(Event::Incoming(Incoming::SubAck(ack))) => {
                        assert!(
                            matches!(ack.return_codes[..], [SubscribeReasonCode::Success(_)]),
                            "{ack:?}"
                        );
                        if let Some(ready) = ready.take() {
                            let _ = ready.send(());
                        }
                    }
                    Ok(Event::Incoming(Incoming::Publish(publish))) => {
                        let topic = std::str::from_utf8(&publish.topic)
                            .unwrap()
                            .parse()
                            .unwrap();
                        let _ = sender.send((topic, publish.payload.to_vec()));
                    }
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        });
        tokio::time::timeout(PATIENCE, connected)
            .await
            .expect("connects in time")
            .unwrap();
        Self {
            mqtt,
            arrivals,
            early: Vec::new(),
            task,
        }
    }

    pub async fn say<M: Message>(&self, topic: &Topic, message: &M) {
        self.say_bytes(topic, encode(message).unwrap()).await;
    }

    pub async fn say_bytes(&self, topic: &Topic, payload: Vec<u8>) {
        self.mqtt
            .publish(topic.to_string(), payload, PublishOptions::at_least_once())
            .await
            .unwrap();
    }

    /// The next message that `wanted` recognises; others are kept.
    pub async fn hear<M: Message, T>(&mut self, wanted: impl Fn(&Topic, M) -> Option<T>) -> T {
        let recognise = |(topic, payload): &(Topic, Vec<u8>)| {
            let message = (topic.row().message == M::NAME).then(|| decode(payload).unwrap())?;
            wanted(topic, message)
        };
        if let Some((position, found)) = self
            .early
            .iter()
            .enumerate()
            .find_map(|(i, arrival)| Some((i, recognise(arrival)?)))
        {
            self.early.remove(position);
            return found;
        }
        let wait = async {
            loop {
                let arrival = self.arrivals.recv().await.unwrap();
                if let Some(found) = recognise(&arrival) {
                    return found;
                }
                self.early.push(arrival);
            }
        };
        let found = tokio::time::timeout(PATIENCE, wait).await;
        found.unwrap_or_else(|_| panic!("no {} came; but {:?}", M::NAME, self.early))
    }
}

/// Carries bytes into the WebSocket, as a browser's MQTT library does.
async fn websocket(http: &Client, origin: &str) -> DuplexStream {
    let host = ServerName::from(http.address.ip());
    let stream = http
        .tls
        .connect(host, TcpStream::connect(http.address).await.unwrap())
        .await
        .unwrap();
    let mut request = format!("wss://{}/mqtt", http.address)
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "mqtt".parse().unwrap());
    request
        .headers_mut()
        .insert("origin", origin.parse().unwrap());
    let (socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    tokio::spawn(async move {
        let (mut to_server, mut from_server) = socket.split();
        let (mut from_client, mut to_client) = tokio::io::split(far);
        let up = async {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                if to_server
                    .send(tungstenite::Message::binary(buffer[..length].to_vec()))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        };
        let down = async {
            while let Some(Ok(message)) = from_server.next().await {
                if to_client.write_all(&message.into_data()).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = up => {}
            () = down => {}
        }
    });
    near
}
