//! `/mqtt`: MQTT over WebSocket for browsers, passed on to the broker.
//!
//! Browsers then need one origin, one certificate and one port. The embedded broker checks the token, and the
//! [`Gateway`] does for another one; what is checked here is that a page of ours asks, that it speaks MQTT, and that
//! its frames are no larger than a message may be.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{Message as FromBrowser, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::{Router, routing};
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as ForBroker};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tokio_util::sync::CancellationToken;

use crate::access::{Arrival, websocket_origin};
use crate::api::Problem;
use crate::brokers::Gateway;

/// Where browsers connect.
pub const MQTT_PATH: &str = "/mqtt";

/// OASIS MQTT 5, section 6.
const SUBPROTOCOL: &str = "mqtt";
/// The largest message, and room for the headers of MQTT around it.
const FRAME_LIMIT: usize = heron_protocol::MAX_MESSAGE_BYTES + 4096;
const SOCKETS: usize = 2048;
/// The broker is in the same process.
const CONNECT: Duration = Duration::from_secs(5);

/// Where browsers are passed on to. Cheap to clone.
#[derive(Clone)]
pub enum Upstream {
    /// The embedded broker's WebSocket listener.
    Broker(SocketAddr),
    /// Another broker's, by way of the gateway.
    Gateway(Gateway),
}

/// The way from browsers to the broker. Cheap to clone.
#[derive(Clone)]
pub struct MqttSocket {
    upstream: Upstream,
    places: Arc<Semaphore>,
    stop: CancellationToken,
}

impl MqttSocket {
    /// To there; `stop` closes all sockets.
    pub fn new(upstream: Upstream, stop: CancellationToken) -> Self {
        Self {
            upstream,
            places: Arc::new(Semaphore::new(SOCKETS)),
            stop,
        }
    }

    /// Its route.
    pub fn router(self) -> Router {
        Router::new()
            .route(MQTT_PATH, routing::any(open))
            .with_state(self)
    }
}

async fn open(
    State(socket): State<MqttSocket>,
    Extension(arrival): Extension<Arrival>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let upgrade =
        upgrade.map_err(|rejection| Problem::new(rejection.status(), rejection.body_text()))?;
    websocket_origin(&headers, arrival)?;
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(FRAME_LIMIT)
        .max_frame_size(FRAME_LIMIT);
    if upgrade.selected_protocol().is_none() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the WebSocket subprotocol must be \"mqtt\"",
        ));
    }
    let place = Arc::clone(&socket.places)
        .try_acquire_owned()
        .map_err(|_| {
            Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many browsers are connected",
            )
        })?;
    let broker = match socket.upstream {
        Upstream::Broker(broker) => broker,
        Upstream::Gateway(gateway) => {
            return Ok(upgrade.on_upgrade(async move |browser| {
                gateway.carry(browser, socket.stop).await;
                drop(place);
            }));
        }
    };
    let broker = connect(broker).await.map_err(|error| {
        tracing::warn!(%error, "the broker does not take a browser's connection");
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the broker is not there; try again in a moment",
        )
    })?;
    Ok(upgrade.on_upgrade(move |browser| carry(browser, broker, socket.stop, place)))
}

async fn connect(broker: SocketAddr) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
    let connected = async {
        let stream = TcpStream::connect(broker).await?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{broker}{MQTT_PATH}").into_client_request()?;
        request.headers_mut().insert(
            "sec-websocket-protocol",
            HeaderValue::from_static(SUBPROTOCOL),
        );
        let limits = WebSocketConfig::default()
            .max_message_size(Some(FRAME_LIMIT))
            .max_frame_size(Some(FRAME_LIMIT));
        Ok(client_async_with_config(request, stream, Some(limits))
            .await?
            .0)
    };
    timeout(CONNECT, connected)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// Carries messages both ways until either side closes. A side that reads slowly slows the other, and is closed by its
/// keep-alive when it stops.
async fn carry(
    browser: WebSocket,
    broker: WebSocketStream<TcpStream>,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    let (mut to_browser, from_browser) = browser.split();
    let (mut to_broker, from_broker) = broker.split();
    let up = pass(from_browser, &mut to_broker, |message| match message {
        FromBrowser::Binary(bytes) => Some(ForBroker::Binary(bytes)),
        _ => None,
    });
    let down = pass(from_broker, &mut to_browser, |message| match message {
        ForBroker::Binary(bytes) => Some(FromBrowser::Binary(bytes)),
        _ => None,
    });
    tokio::select! {
        () = up => {}
        () = down => {}
        () = stop.cancelled() => {}
    }
    let closed = async { tokio::join!(to_broker.close(), to_browser.close()) };
    let _ = timeout(CONNECT, closed).await;
}

/// Passes binary messages on; pings are answered by the library, and MQTT uses nothing else (MQTT 5, 6.0.0.1).
async fn pass<A, B, E, F>(
    mut from: impl Stream<Item = Result<A, E>> + Unpin,
    to: &mut (impl Sink<B, Error = F> + Unpin),
    binary: impl Fn(A) -> Option<B>,
) where
    A: Control,
{
    while let Some(Ok(message)) = from.next().await {
        if message.is_control() {
            continue;
        }
        let Some(message) = binary(message) else {
            return;
        };
        if to.send(message).await.is_err() {
            return;
        }
    }
}

/// Pings and pongs, told apart from messages and closing.
trait Control {
    fn is_control(&self) -> bool;
}

impl Control for FromBrowser {
    fn is_control(&self) -> bool {
        matches!(self, Self::Ping(_) | Self::Pong(_))
    }
}

impl Control for ForBroker {
    fn is_control(&self) -> bool {
        matches!(self, Self::Ping(_) | Self::Pong(_) | Self::Frame(_))
    }
}
