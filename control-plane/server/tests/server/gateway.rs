//! The gateway for browsers to a broker that knows nothing of their tokens: what reaches that broker, and what does not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Extension;
use futures::{SinkExt as _, StreamExt as _};
use heron_broker::{BrowserAccess, TokenRefused, TokenVerifier};
use heron_control::access::Arrival;
use heron_control::brokers::Gateway;
use heron_control::web::{MqttSocket, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(10);
const BROWSER: &str = "browser-01";

/// One token, that lives so long.
struct Tokens(Duration);

#[async_trait::async_trait]
impl TokenVerifier for Tokens {
    async fn verify(&self, token: &str) -> Result<BrowserAccess, TokenRefused> {
        if token != "good" {
            return Err(TokenRefused("unknown".into()));
        }
        Ok(BrowserAccess {
            tenant: "home".parse().unwrap(),
            browser: BROWSER.parse().unwrap(),
            expires: SystemTime::now() + self.0,
        })
    }
}

/// The gateway, and a socket in the place of the broker.
struct Site {
    gateway: SocketAddr,
    broker: TcpListener,
}

impl Site {
    async fn start(token_life: Duration, hooks: bool) -> Self {
        let broker = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = Gateway {
            broker: broker.local_addr().unwrap(),
            tokens: Arc::new(Tokens(token_life)),
            hooks,
        };
        let socket = MqttSocket::new(Upstream::Gateway(gateway), CancellationToken::new());
        let arrival = Arrival {
            peer: [127, 0, 0, 1].into(),
            secure: false,
        };
        let site = socket.router().layer(Extension(arrival));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, site).await });
        Self {
            gateway: address,
            broker,
        }
    }

    async fn browser(&self) -> WebSocketStream<MaybeTlsStream<TcpStream>> {
        let mut request = format!("ws://{}/mqtt", self.gateway)
            .into_client_request()
            .unwrap();
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "mqtt".parse().unwrap());
        let origin = format!("http://{}", self.gateway);
        headers.insert("origin", origin.parse().unwrap());
        tokio_tungstenite::connect_async(request).await.unwrap().0
    }

    /// The next connection at the broker.
    async fn arrives(&self) -> TcpStream {
        let accepted = tokio::time::timeout(PATIENCE, self.broker.accept()).await;
        accepted.expect("the gateway passes it on").unwrap().0
    }

    /// What the gateway answers by itself.
    async fn refuses(&self, packet: Vec<u8>) -> u8 {
        let mut browser = self.browser().await;
        browser.send(Message::Binary(packet.into())).await.unwrap();
        let answer = tokio::time::timeout(PATIENCE, browser.next())
            .await
            .unwrap();
        let answer = answer.unwrap().unwrap().into_data();
        assert_eq!((answer[0], answer.len()), (0x20, 5), "a CONNACK");
        answer[3]
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

/// A CONNECT with those flags besides user name, password and clean start; `properties` with their length.
fn connect(level: u8, flags: u8, properties: &[u8], texts: &[&str]) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([level, 0xc2 | flags, 0, 30]);
    body.extend(properties);
    body.extend(texts.iter().flat_map(|one| text(one)));
    let mut packet = vec![0x10, u8::try_from(body.len()).unwrap()];
    packet.extend(body);
    packet
}

/// A session of an hour and a user property.
const PROPERTIES: &[u8] = b"\x0c\x11\x00\x00\x0e\x10\x26\x00\x01a\x00\x01b";

fn good() -> Vec<u8> {
    connect(5, 0, PROPERTIES, &[BROWSER, BROWSER, "good"])
}

#[tokio::test]
async fn the_broker_learns_who_it_is_and_not_the_token() {
    let site = Site::start(PATIENCE * 6, false).await;
    let mut browser = site.browser().await;
    // In pieces, and with the next packet in the same message.
    let mut bytes = good();
    bytes.extend(b"\xc0\x00");
    let (first, rest) = bytes.split_at(7);
    for piece in [first, rest] {
        let piece = Message::Binary(Bytes::copy_from_slice(piece));
        browser.send(piece).await.unwrap();
    }
    let mut broker = site.arrives().await;
    let mut expected = text("MQTT");
    expected.extend(b"\x05\x82\x00\x1e\x05\x11\x00\x00\x00\x3c");
    expected.extend(text(BROWSER));
    expected.extend(text("home/browser-01"));
    let mut expected = [vec![0x10, u8::try_from(expected.len()).unwrap()], expected].concat();
    expected.extend(b"\xc0\x00");
    let mut came = vec![0; expected.len()];
    broker.read_exact(&mut came).await.unwrap();
    assert_eq!(came, expected);

    // From there on both ways as it is.
    browser
        .send(Message::Binary(b"up".to_vec().into()))
        .await
        .unwrap();
    let mut up = [0; 2];
    broker.read_exact(&mut up).await.unwrap();
    assert_eq!(&up, b"up");
    broker.write_all(b"down").await.unwrap();
    let down = browser.next().await.unwrap().unwrap().into_data();
    assert_eq!(&down[..], b"down");
}

#[tokio::test]
async fn a_broker_that_asks_us_is_given_the_token() {
    let site = Site::start(PATIENCE * 6, true).await;
    let mut browser = site.browser().await;
    browser.send(Message::Binary(good().into())).await.unwrap();
    let mut broker = site.arrives().await;
    let mut came = vec![0; 200];
    let length = broker.read(&mut came).await.unwrap();
    assert!(came[..length].ends_with(&[text(BROWSER), text("good")].concat()));
}

#[tokio::test]
async fn what_is_not_as_it_should_be_never_reaches_the_broker() {
    let site = Site::start(PATIENCE * 6, false).await;
    let of = |texts: &[&str]| connect(5, 0, b"\x00", texts);
    for (packet, reason) in [
        (of(&[BROWSER, BROWSER, "bad"]), 0x86),
        (of(&["browser-02", BROWSER, "good"]), 0x87),
        (of(&[BROWSER, "home/browser-01", "good"]), 0x87),
        (of(&["front-door-01", BROWSER, "good"]), 0x87),
        (connect(4, 0, b"", &[BROWSER, BROWSER, "good"]), 0x84),
        (connect(5, 0x04, b"\x00", &[BROWSER, BROWSER, "good"]), 0x87),
        (b"\x30\x05\x00\x01a\x00x".to_vec(), 0x81),
        (b"\x10\xff\xff\xff\x7f".to_vec(), 0x95),
    ] {
        assert_eq!(site.refuses(packet.clone()).await, reason, "{packet:02x?}");
    }
    let accepted = tokio::time::timeout(Duration::ZERO, site.broker.accept()).await;
    assert!(accepted.is_err(), "nobody came to the broker");
}

#[tokio::test]
async fn when_the_token_ends_so_does_the_connection() {
    let site = Site::start(Duration::from_millis(500), false).await;
    let mut browser = site.browser().await;
    browser.send(Message::Binary(good().into())).await.unwrap();
    let mut broker = site.arrives().await;
    let mut rest = Vec::new();
    let ended = broker.read_to_end(&mut rest);
    tokio::time::timeout(PATIENCE, ended)
        .await
        .expect("the gateway closes it")
        .unwrap();
    let end = async { while let Some(Ok(_)) = browser.next().await {} };
    tokio::time::timeout(PATIENCE, end).await.unwrap();
}
