//! A person's browser: signed in, with a token for MQTT over WebSocket on the control plane's own origin.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use futures::{SinkExt as _, StreamExt as _};
use heron_protocol::grant::Right;
use heron_protocol::messages::{CameraUpdate, ViewDown, ViewUp};
use heron_protocol::{BrowserId, CallId, DeviceId, Fingerprint, TenantId, Topic, decode, encode};
use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::{self, client::IntoClientRequest as _};

use crate::http::Control;
use crate::mqtt;
use crate::view::{Seen, View};

/// Bytes between the MQTT client and its WebSocket.
const PIPE: usize = 64 * 1024;

/// A connected browser.
pub struct Dashboard {
    /// The cameras that come and go, as it is told.
    pub view: View,
    client: AsyncClient,
    tenant: TenantId,
    browser: BrowserId,
    calls: mpsc::UnboundedReceiver<(CallId, ViewDown)>,
}

impl Dashboard {
    /// Gets a token and connects; `control` is signed in.
    ///
    /// # Errors
    ///
    /// The control plane's refusal of the token. A connection that fails is tried again.
    pub async fn connect(control: &Control) -> Result<Self> {
        let mut connection = control.connect().await?;
        let answer = connection.post("/api/v1/browser-token", &json!({})).await?;
        let text = |name: &str| answer[name].as_str().with_context(|| format!("no {name}"));
        let tenant: TenantId = text("tenant")?.parse()?;
        let browser: BrowserId = text("browser")?.parse()?;
        let path = text("mqtt_path")?.to_owned();

        let mut options = MqttOptions::new(browser.as_str(), ("unused", 1));
        options.set_credentials(browser.as_str(), text("token")?.to_owned());
        let control = control.clone();
        options.set_socket_connector(move |_, _| {
            let (control, path) = (control.clone(), path.clone());
            async move {
                let socket = websocket(&control, &path).await;
                socket.map_err(std::io::Error::other)
            }
        });
        let (client, events) = mqtt::client(options);
        let (sender, seen) = mpsc::unbounded_channel();
        let (called, calls) = mpsc::unbounded_channel();
        let (subscribed, ready) = watch::channel(false);
        let task = tokio::spawn(mqtt::listen(
            client.clone(),
            events,
            format!("view/1/{tenant}/{browser}/dn/#"),
            subscribed,
            move |publish| {
                let at = SystemTime::now();
                let topic = std::str::from_utf8(&publish.topic)
                    .ok()
                    .and_then(|topic| topic.parse().ok());
                // Whoever does not listen any more ends with its owner.
                match topic {
                    Some(Topic::ViewCamera(_, _, device)) => {
                        let update = decode(&publish.payload).ok();
                        let presence = update.and_then(|update: CameraUpdate| update.presence);
                        if let Some(presence) = presence {
                            let _ = sender.send(Seen {
                                device,
                                presence,
                                at,
                            });
                        }
                    }
                    Some(Topic::ViewDown(_, _, call)) => {
                        if let Ok(message) = decode(&publish.payload) {
                            let _ = called.send((call, message));
                        }
                    }
                    _ => {}
                }
            },
        ));
        Ok(Self {
            view: View {
                seen,
                ready,
                task: task.abort_handle(),
            },
            client,
            tenant,
            browser,
            calls,
        })
    }

    /// Asks to watch a camera; returns the camera's answer or the refusal, whichever comes.
    ///
    /// # Errors
    ///
    /// None that comes from the camera: only a connection that has ended.
    pub async fn watch(&mut self, camera: &DeviceId) -> Result<ViewDown> {
        let call: CallId = format!("{:032x}", rand::random::<u128>()).parse()?;
        let fingerprint = Fingerprint::from_digest(rand::random());
        let open = ViewUp::Open {
            seq: 0,
            camera: camera.clone(),
            offer: format!("v=0\r\na=fingerprint:{fingerprint}\r\n"),
            rights: vec![Right::View],
        };
        let topic = Topic::ViewUp(self.tenant.clone(), self.browser.clone(), call.clone());
        self.client
            .publish(
                topic.to_string(),
                encode(&open)?,
                PublishOptions::at_least_once(),
            )
            .await?;
        loop {
            let (about, message) = self.calls.recv().await.context("the dashboard ended")?;
            if about == call && !matches!(message, ViewDown::Opened { .. }) {
                return Ok(message);
            }
        }
    }
}

/// Carries bytes into the WebSocket, as a browser's MQTT library does.
async fn websocket(control: &Control, path: &str) -> Result<DuplexStream> {
    let stream = control.stream().await?;
    let mut request = format!("ws://{}{path}", control.authority()).into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "mqtt".parse()?);
    headers.insert("origin", control.origin().parse()?);
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    let (near, far) = tokio::io::duplex(PIPE);
    tokio::spawn(async move {
        let (mut to_server, mut from_server) = socket.split();
        let (mut from_client, mut to_client) = tokio::io::split(far);
        let up = async {
            let mut buffer = vec![0; PIPE];
            while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                let message = tungstenite::Message::binary(buffer[..length].to_vec());
                if to_server.send(message).await.is_err() {
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
    Ok(near)
}
