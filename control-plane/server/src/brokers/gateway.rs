//! The way of browsers to a broker that knows nothing of their tokens.
//!
//! The gateway reads a browser's CONNECT, checks the token in it, and writes it anew with the browser's place in the
//! topic tree as user name, by which the broker's access file confines it. All later bytes pass as they are. When the
//! token ends, so does the connection; a browser with a newer token comes back before.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::extract::ws::{Message, WebSocket};
use bytes::{Bytes, BytesMut};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use heron_broker::TokenVerifier;
use thiserror::Error;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::connect::{self, Connect, NotConnect};

/// The CONNECT comes, and the broker answers, within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// As the embedded broker does it: a browser that is gone for longer asks for a new token anyway.
const LONGEST_SESSION_S: u32 = 60;
const NOT_AUTHORIZED: u8 = 0x87;
const BAD_PASSWORD: u8 = 0x86;
const UNAVAILABLE: u8 = 0x88;

/// Where browsers are passed on to, and who checks their tokens. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    /// The broker's listener for browsers: plain MQTT, on this machine.
    pub broker: SocketAddr,
    /// Says whose token it is.
    pub tokens: Arc<dyn TokenVerifier>,
    /// Whether the broker asks the control plane about the token itself, by its hooks.
    pub hooks: bool,
}

#[derive(Debug, Error)]
enum Refused {
    #[error(transparent)]
    Packet(#[from] NotConnect),
    #[error("the token: {0}")]
    Token(String),
    #[error("client id and user name must be the browser id that the token was made for")]
    Name,
    #[error("the broker is not there: {0}")]
    Broker(std::io::Error),
    #[error("no CONNECT came")]
    Silent,
}

impl Refused {
    const fn reason(&self) -> u8 {
        match self {
            Self::Packet(packet) => packet.reason(),
            Self::Token(_) => BAD_PASSWORD,
            Self::Name | Self::Silent => NOT_AUTHORIZED,
            Self::Broker(_) => UNAVAILABLE,
        }
    }
}

impl Gateway {
    /// Carries a browser's connection until either side closes it, its token ends, or `stop`.
    pub async fn carry(self, browser: WebSocket, stop: CancellationToken) {
        let (mut to_browser, mut from_browser) = browser.split();
        let admitted = timeout(PATIENCE, self.admit(&mut from_browser)).await;
        let (broker, expires) = match admitted.unwrap_or(Err(Refused::Silent)) {
            Ok(admitted) => admitted,
            Err(refused) => {
                tracing::debug!(%refused, "a browser is not let in");
                let answer = Bytes::copy_from_slice(&connect::refusal(refused.reason()));
                let _ = to_browser.send(Message::Binary(answer)).await;
                let _ = timeout(PATIENCE, to_browser.close()).await;
                return;
            }
        };
        // Counted on the monotonic clock from here: setting the wall clock later does not matter.
        let left = expires
            .duration_since(SystemTime::now())
            .unwrap_or_default();
        let (from_broker, mut to_broker) = broker.into_split();
        let up = async {
            while let Some(bytes) = next_bytes(&mut from_browser).await {
                if to_broker.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        };
        tokio::select! {
            () = up => {}
            () = down(from_broker, &mut to_browser) => {}
            () = tokio::time::sleep(left) => {}
            () = stop.cancelled() => {}
        }
        let _ = timeout(PATIENCE, to_browser.close()).await;
    }

    /// Reads the CONNECT, and passes it on if all is well.
    async fn admit(
        &self,
        from_browser: &mut SplitStream<WebSocket>,
    ) -> Result<(TcpStream, SystemTime), Refused> {
        let mut bytes = BytesMut::new();
        let (connect, length) = loop {
            bytes.extend(next_bytes(from_browser).await.ok_or(Refused::Silent)?);
            if let Some(read) = connect::read(&bytes)? {
                break read;
            }
        };
        let (connect, expires) = self.check(connect).await?;
        let mut passed_on = connect.write();
        passed_on.extend(&bytes[length..]);
        let open = async {
            let mut broker = TcpStream::connect(self.broker).await?;
            broker.set_nodelay(true)?;
            broker.write_all(&passed_on).await?;
            Ok(broker)
        };
        let broker = open.await.map_err(Refused::Broker)?;
        Ok((broker, expires))
    }

    /// Binds client id and user name to whom the token was made for.
    async fn check(&self, connect: Connect) -> Result<(Connect, SystemTime), Refused> {
        let token = connect.password.as_deref().unwrap_or_default();
        let token = std::str::from_utf8(token).map_err(|_| Refused::Token("not text".into()))?;
        let access = self.tokens.verify(token).await;
        let access = access.map_err(|refused| Refused::Token(refused.to_string()))?;
        let browser = access.browser.as_str();
        if connect.client_id != browser || connect.user_name.as_deref() != Some(browser) {
            return Err(Refused::Name);
        }
        let connect = Connect {
            session_expiry_s: connect
                .session_expiry_s
                .map(|seconds| seconds.min(LONGEST_SESSION_S)),
            ..connect
        };
        let connect = if self.hooks {
            connect
        } else {
            Connect {
                user_name: Some(format!("{}/{browser}", access.tenant)),
                password: None,
                ..connect
            }
        };
        Ok((connect, access.expires))
    }
}

/// The next bytes of MQTT; `None` at the end, and when something else than binary messages comes (MQTT 5, 6.0.0.1).
async fn next_bytes(from: &mut SplitStream<WebSocket>) -> Option<Bytes> {
    loop {
        match from.next().await?.ok()? {
            Message::Binary(bytes) => return Some(bytes),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Text(_) | Message::Close(_) => return None,
        }
    }
}

async fn down(mut from: OwnedReadHalf, to_browser: &mut SplitSink<WebSocket, Message>) {
    let mut buffer = BytesMut::with_capacity(16 * 1024);
    while let Ok(1..) = from.read_buf(&mut buffer).await {
        let bytes = buffer.split().freeze();
        if to_browser.send(Message::Binary(bytes)).await.is_err() {
            return;
        }
        buffer.reserve(16 * 1024);
    }
}
