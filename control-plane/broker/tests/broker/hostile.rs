//! Bytes that are not MQTT, too many of them, or none at all. Each costs its sender the connection; nobody else
//! notices.

use std::time::Duration;

use crate::support::pki::Identity;
use crate::support::raw::{Hello, packet, tls};
use crate::support::{CAMERA, Client, OTHER_CAMERA, PATIENCE, Pki, Site, Tokens, topic};
use futures::{SinkExt, StreamExt};
use heron_broker::Limits;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rumqttc::PubAckReason;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// Patience with handshakes for a tenth of the usual time, so that the tests need not wait long.
fn impatient() -> Limits {
    Limits {
        handshake: Duration::from_secs(1),
        ..Limits::default()
    }
}

/// A TLS connection with a good certificate, for bytes of our own.
async fn raw(site: &Site, identity: &Identity) -> TlsStream<TcpStream> {
    tls(site.broker.addresses().devices, &site.pki, identity)
        .await
        .unwrap()
}

/// Reads until the other side closes, and returns what it said.
async fn until_closed(socket: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut said)).await;
    // A connection may end with an error as well as in order.
    let _ = read.expect("the broker closes the connection");
    said
}

/// A CONNECT packet of MQTT 5 for that client id.
fn connect(client_id: &str) -> Vec<u8> {
    Hello::new(client_id).packet()
}

/// A camera that is connected all the time, and must not notice anything.
struct Bystander(Client);

impl Bystander {
    async fn arrives(site: &Site) -> Self {
        Self(site.camera(OTHER_CAMERA).connect().await.unwrap())
    }

    async fn is_well(&mut self) {
        let answer = self
            .0
            .publish(&topic(OTHER_CAMERA, "up/presence"), "online", true)
            .await;
        assert_eq!(answer, PubAckReason::Success);
    }
}

#[tokio::test]
async fn a_connection_that_never_begins_tls_is_closed() {
    let site = Site::start_with(Tokens::usual(), impatient()).await;
    let mut bystander = Bystander::arrives(&site).await;
    let mut silent = TcpStream::connect(site.broker.addresses().devices)
        .await
        .unwrap();
    let mut slow = TcpStream::connect(site.broker.addresses().devices)
        .await
        .unwrap();
    slow.write_all(&[0x16, 0x03, 0x01, 0x02]).await.unwrap();
    let mut plain = TcpStream::connect(site.broker.addresses().devices)
        .await
        .unwrap();
    plain.write_all(&connect(CAMERA)).await.unwrap();
    bystander.is_well().await;
    for socket in [&mut silent, &mut slow, &mut plain] {
        until_closed(socket).await;
    }
    bystander.is_well().await;
}

#[tokio::test]
async fn half_a_connect_is_not_waited_for() {
    let site = Site::start_with(Tokens::usual(), impatient()).await;
    let mut bystander = Bystander::arrives(&site).await;
    let identity = site.pki.device(CAMERA);
    let mut socket = raw(&site, &identity).await;
    let whole = connect(CAMERA);
    socket.write_all(&whole[..whole.len() - 3]).await.unwrap();
    bystander.is_well().await;
    until_closed(&mut socket).await;
    bystander.is_well().await;
}

#[tokio::test]
async fn a_websocket_that_never_begins_is_closed() {
    let site = Site::start_with(Tokens::usual(), impatient()).await;
    let mut socket = TcpStream::connect(site.broker.addresses().websocket)
        .await
        .unwrap();
    socket
        .write_all(b"GET /mqtt HTTP/1.1\r\nHost: ")
        .await
        .unwrap();
    until_closed(&mut socket).await;
}

#[tokio::test]
async fn what_is_not_mqtt_ends_the_connection() {
    let site = Site::start().await;
    let mut bystander = Bystander::arrives(&site).await;
    let identity = site.pki.device(CAMERA);
    let no_connect_first = packet(0x30, b"\x00\x01a\x00x");
    let unknown_level = packet(0x10, b"\x00\x04MQTT\x09\x02\x00\x1e\x00\x00\x01a");
    let wrong_name = packet(0x10, b"\x00\x04MUTT\x05\x02\x00\x1e\x00\x00\x01a");
    let endless_length = vec![0x10, 0xff, 0xff, 0xff, 0xff, 0xff];
    let http = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
    for bytes in [
        no_connect_first,
        unknown_level,
        wrong_name,
        endless_length,
        http,
    ] {
        let mut socket = raw(&site, &identity).await;
        socket.write_all(&bytes).await.unwrap();
        let said = until_closed(&mut socket).await;
        assert!(
            said.first() != Some(&0x20) || said.get(3) != Some(&0),
            "{bytes:?} is no reason to let anybody in"
        );
        bystander.is_well().await;
    }
}

#[tokio::test]
async fn a_packet_larger_than_any_message_ends_the_connection() {
    let site = Site::start().await;
    let mut bystander = Bystander::arrives(&site).await;
    let identity = site.pki.device(CAMERA);
    // Before the client is known, and after.
    for first in [Vec::new(), connect(CAMERA)] {
        let mut socket = raw(&site, &identity).await;
        socket.write_all(&first).await.unwrap();
        let mut huge = if first.is_empty() {
            packet(0x10, &vec![0; 200_000])
        } else {
            packet(0x30, &vec![0; 200_000])
        };
        if first.is_empty() {
            huge[4..14].copy_from_slice(b"\x00\x04MQTT\x05\x02\x00\x1e");
        }
        // The broker may hang up while we still write.
        let _ = socket.write_all(&huge).await;
        until_closed(&mut socket).await;
        bystander.is_well().await;
    }
    site.stats(|stats| stats.devices == 1).await;
}

#[tokio::test]
async fn a_websocket_that_carries_something_else_is_closed() {
    let site = Site::start().await;
    let address = site.broker.addresses().websocket;
    let mut request = format!("ws://{address}/mqtt")
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", "mqtt".parse().unwrap());
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut websocket, _) = tokio_tungstenite::client_async(request, socket)
        .await
        .unwrap();
    websocket
        .send(Message::Text("{\"hello\":\"broker\"}".into()))
        .await
        .unwrap();
    let end = async { while let Some(Ok(_)) = websocket.next().await {} };
    tokio::time::timeout(PATIENCE, end)
        .await
        .expect("the broker closes the connection");
}

/// Packets with some bytes changed, after a good CONNECT and instead of one. Whatever they do, the broker and the
/// bystander live on, and no session is left behind.
#[tokio::test]
async fn packets_with_wrong_bytes_harm_only_their_sender() {
    let site = Site::start().await;
    let mut bystander = Bystander::arrives(&site).await;
    let identity = site.pki.device(CAMERA);
    let own = topic(CAMERA, "dn/#");
    let mut subscribe = b"\x00\x07\x00".to_vec();
    subscribe.extend(u16::try_from(own.len()).unwrap().to_be_bytes());
    subscribe.extend(own.as_bytes());
    subscribe.push(1);
    let presence = topic(CAMERA, "up/presence");
    let mut publish = u16::try_from(presence.len())
        .unwrap()
        .to_be_bytes()
        .to_vec();
    publish.extend(presence.as_bytes());
    publish.extend(b"\x00\x08\x05\x02\x00\x00\x00\x0a{}");
    let packets = [
        connect(CAMERA),
        packet(0x82, &subscribe),
        packet(0x32, &publish),
        packet(0xe0, b"\x00\x00"),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let mut runner = TestRunner::deterministic();
    for round in 0..300 {
        let mut bytes = packets[round % packets.len()].clone();
        for (at, byte) in changes.new_tree(&mut runner).unwrap().current() {
            bytes[at.index(packets[round % packets.len()].len())] = byte;
        }
        let mut socket = raw(&site, &identity).await;
        if round % 2 == 0 || bytes[0] >> 4 != 1 {
            socket.write_all(&connect(CAMERA)).await.unwrap();
        }
        socket.write_all(&bytes).await.unwrap();
        socket.shutdown().await.unwrap();
        until_closed(&mut socket).await;
        bystander.is_well().await;
    }
    site.stats(|stats| stats.devices == 1 && stats.waiting == 0)
        .await;
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    assert_eq!(
        camera.publish(&presence, "online", true).await,
        PubAckReason::Success
    );
}

#[tokio::test]
async fn a_client_that_goes_silent_is_dropped_after_its_keep_alive() {
    let limits = Limits {
        keep_alive_s: 1,
        ..Limits::default()
    };
    let site = Site::start_with(Tokens::usual(), limits).await;
    let identity = site.pki.device(CAMERA);
    let mut socket = raw(&site, &identity).await;
    // It asks for 30 s and is told 1 s.
    socket.write_all(&connect(CAMERA)).await.unwrap();
    let said = until_closed(&mut socket).await;
    assert_eq!(said.get(3), Some(&0), "it was let in first: {said:?}");
    site.stats(|stats| stats.devices == 0).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_nobody_up() {
    let limits = Limits {
        queued: 20,
        inflight: 4,
        ..Limits::default()
    };
    let site = Site::start_with(Tokens::usual(), limits).await;
    let mut control = site.control().connect().await.unwrap();
    let identity = site.pki.device(CAMERA);
    let mut deaf = raw(&site, &identity).await;
    deaf.write_all(&connect(CAMERA)).await.unwrap();
    let own = topic(CAMERA, "dn/#");
    let mut subscribe = b"\x00\x07\x00".to_vec();
    subscribe.extend(u16::try_from(own.len()).unwrap().to_be_bytes());
    subscribe.extend(own.as_bytes());
    subscribe.push(1);
    deaf.write_all(&packet(0x82, &subscribe)).await.unwrap();
    // The answers to both, and then it never acknowledges a message.
    let mut answers = [0; 5];
    deaf.read_exact(&mut answers).await.unwrap();
    site.stats(|stats| stats.devices == 1).await;
    let mut listening = site.camera(OTHER_CAMERA).connect().await.unwrap();
    listening.subscribe(&topic(OTHER_CAMERA, "dn/#")).await;
    for n in 0..100 {
        for device in [CAMERA, OTHER_CAMERA] {
            let answer = control
                .publish(&topic(device, "dn/state/video"), format!("{n}"), true)
                .await;
            assert_eq!(answer, PubAckReason::Success);
        }
        assert_eq!(listening.text().await.1, format!("{n}"));
    }
    // What did not fit was counted.
    let stats = site.stats(|stats| stats.overflows > 0).await;
    assert!(stats.overflows >= 70, "{stats:?}");
}

#[test]
fn the_test_s_own_packets_are_well_formed() {
    assert_eq!(
        connect("ab"),
        b"\x10\x14\x00\x04MQTT\x05\x02\x00\x1e\x05\x11\x00\x00\x00\x00\x00\x02ab"
    );
    assert_eq!(packet(0x30, &[0; 200])[..3], [0x30, 0xc8, 0x01]);
    let _ = Pki::new();
}
