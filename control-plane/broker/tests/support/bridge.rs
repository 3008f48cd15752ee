//! Carries TCP connections into the broker's WebSocket, as the control plane's HTTPS server does for browsers. So any
//! MQTT client can play a browser.

use std::net::SocketAddr;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::{Bytes, Message, client::IntoClientRequest};

/// Listens, and returns the port.
pub async fn start(broker: SocketAddr) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, broker));
        }
    });
    port
}

async fn carry(mut client: TcpStream, broker: SocketAddr) {
    let mut request = format!("ws://{broker}/mqtt").into_client_request().unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    let socket = TcpStream::connect(broker).await.unwrap();
    let (websocket, _) = tokio_tungstenite::client_async(request, socket)
        .await
        .unwrap();
    let (mut to_broker, mut from_broker) = websocket.split();
    let (mut from_client, mut to_client) = client.split();
    let up = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            if to_broker
                .send(Message::Binary(Bytes::copy_from_slice(&buffer[..read])))
                .await
                .is_err()
            {
                break;
            }
        }
    };
    let down = async {
        while let Some(Ok(message)) = from_broker.next().await {
            if to_client.write_all(&message.into_data()).await.is_err() {
                break;
            }
        }
    };
    // Whoever hangs up first ends it for both.
    tokio::select! {
        () = up => {}
        () = down => {}
    }
}
