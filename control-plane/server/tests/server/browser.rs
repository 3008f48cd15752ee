//! A browser's way into MQTT: the token, and the WebSocket on the same origin.

use std::time::Duration;

use crate::support::{Client, ControlPlane, VIEWER};
use futures::{SinkExt as _, StreamExt as _};
use rustls_pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

const SOON: Duration = Duration::from_secs(10);

async fn websocket(
    client: &Client,
    origin: Option<&str>,
    protocol: &str,
) -> Result<WebSocketStream<TlsStream<TcpStream>>, u16> {
    let host = ServerName::from(client.address.ip());
    let stream = client
        .tls
        .connect(host, TcpStream::connect(client.address).await.unwrap())
        .await
        .unwrap();
    let mut request = format!("wss://{}/mqtt", client.address)
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol.parse().unwrap());
    if let Some(origin) = origin {
        request
            .headers_mut()
            .insert("origin", origin.parse().unwrap());
    }
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, answer)) => {
            assert_eq!(answer.headers()["sec-websocket-protocol"], "mqtt");
            Ok(socket)
        }
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// MQTT 5 CONNECT (OASIS MQTT 5, section 3.1): clean start, user name and password.
fn connect(client_id: &str, password: &str) -> Message {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 5, 0b1100_0010, 0, 30, 0];
    for text in [client_id, client_id, password] {
        body.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        body.extend(text.as_bytes());
    }
    let mut packet = vec![
        0x10,
        (body.len() % 128) as u8 | 0x80,
        (body.len() / 128) as u8,
    ];
    packet.extend(body);
    Message::binary(packet)
}

async fn token(client: &Client, request: &Value) -> Value {
    let answer = client.post("/api/v1/browser-token", request).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[tokio::test]
async fn a_signed_in_browser_reaches_the_broker() {
    let control = ControlPlane::start().await;
    assert_eq!(
        control
            .client()
            .post("/api/v1/browser-token", &json!({}))
            .await
            .status,
        401
    );
    let client = control.signed_in(VIEWER).await;
    let first = token(&client, &json!({})).await;
    assert_eq!(
        (&first["tenant"], &first["mqtt_path"]),
        (&json!("home"), &json!("/mqtt"))
    );
    assert!(first["expires_in_s"].as_u64().unwrap() <= 3600);
    let renewed = token(&client, &json!({ "browser": first["browser"] })).await;
    assert_eq!(
        renewed["browser"], first["browser"],
        "a browser that is known keeps its id"
    );
    let (browser, password) = (
        renewed["browser"].as_str().unwrap(),
        renewed["token"].as_str().unwrap(),
    );

    let origin = control.server.url();
    let reason = async |password: &str| {
        let mut socket = websocket(&client, Some(&origin), "mqtt").await.unwrap();
        socket.send(connect(browser, password)).await.unwrap();
        let answer = timeout(SOON, socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
            .into_data();
        assert_eq!(answer[0], 0x20, "CONNACK");
        answer[3]
    };
    assert_eq!(reason(password).await, 0, "success");
    assert_ne!(
        reason(first["token"].as_str().unwrap()).await,
        0,
        "the former token is worth nothing"
    );
    control.server.stop().await;
}

#[tokio::test]
async fn only_our_own_pages_may_open_the_websocket() {
    let control = ControlPlane::start().await;
    let (client, own) = (control.client(), control.server.url());
    assert_eq!(
        websocket(&client, Some("https://evil.example"), "mqtt")
            .await
            .err(),
        Some(403)
    );
    assert_eq!(websocket(&client, None, "mqtt").await.err(), Some(403));
    assert_eq!(
        websocket(&client, Some(&own), "chat").await.err(),
        Some(400)
    );
    assert!(websocket(&client, Some(&own), "mqtt").await.is_ok());
    assert_ne!(client.get("/mqtt").await.status, 200, "not a page");
    control.server.stop().await;
}

#[tokio::test]
async fn a_frame_that_no_message_needs_ends_the_connection() {
    let control = ControlPlane::start().await;
    let mut socket = websocket(&control.client(), Some(&control.server.url()), "mqtt")
        .await
        .unwrap();
    // The other end may close before all of it is written.
    let _ = socket.send(Message::binary(vec![0; 1 << 20])).await;
    let ended = async {
        while let Some(Ok(message)) = socket.next().await {
            assert!(message.is_close());
        }
    };
    timeout(SOON, ended).await.unwrap();
    control.server.stop().await;
}
