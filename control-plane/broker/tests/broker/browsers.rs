//! Browsers: a token of minutes, over WebSocket.

use std::time::{Duration, Instant};

use crate::support::{BROWSER, CAMERA, OTHER_BROWSER, Site, TENANT, Tokens, bridge, mosquitto};
use heron_broker::Limits;
use rumqttc::{ConnectReturnCode, PubAckReason, QoS, SubscribeReasonCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CALL: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_browser_and_the_control_plane_talk() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    control.subscribe("view/1/+/+/up/#").await;
    let mut browser = site
        .browser(BROWSER, "token-01")
        .await
        .connect()
        .await
        .unwrap();
    browser
        .subscribe(&format!("view/1/{TENANT}/{BROWSER}/dn/#"))
        .await;

    let up = format!("view/1/{TENANT}/{BROWSER}/up/rtc/{CALL}");
    browser.publish(&up, "open", false).await;
    assert_eq!(control.text().await, (up, "open".into()));
    let down = format!("view/1/{TENANT}/{BROWSER}/dn/rtc/{CALL}");
    control.publish(&down, "opened", false).await;
    assert_eq!(browser.text().await, (down, "opened".into()));
    site.stats(|stats| (stats.browsers, stats.control) == (1, 1))
        .await;
}

#[tokio::test]
async fn a_wrong_an_expired_another_s_and_no_token_are_refused() {
    let tokens = Tokens::usual().with("old", TENANT, BROWSER, Duration::ZERO);
    let site = Site::start_with(tokens, Limits::default()).await;
    for token in ["guess", "old", "token-02", ""] {
        let code = site.browser(BROWSER, token).await.connect().await.err();
        assert_eq!(
            code,
            Some(ConnectReturnCode::BadUserNamePassword),
            "token {token:?}"
        );
    }
    let port = bridge::start(site.broker.addresses().websocket).await;
    let unnamed = crate::support::Connecting::plain(BROWSER, port)
        .connect()
        .await
        .err();
    assert_eq!(unnamed, Some(ConnectReturnCode::NotAuthorized));
    let other_name = crate::support::Connecting::plain(BROWSER, port)
        .credentials(OTHER_BROWSER, "token-01")
        .connect()
        .await;
    assert_eq!(other_name.err(), Some(ConnectReturnCode::NotAuthorized));
    assert_eq!(site.broker.stats().await.refused.connects, 6);
}

#[tokio::test]
async fn when_the_token_ends_so_does_the_connection() {
    let (began, life) = (Instant::now(), Duration::from_secs(2));
    let tokens = Tokens::usual().with("short", TENANT, BROWSER, life);
    let site = Site::start_with(tokens, Limits::default()).await;
    let browser = site
        .browser(BROWSER, "short")
        .await
        .resuming(600)
        .connect()
        .await
        .unwrap();
    let neighbour = site
        .browser(OTHER_BROWSER, "token-02")
        .await
        .connect()
        .await
        .unwrap();
    browser.closed().await;
    assert!(began.elapsed() >= life, "not before its time");
    assert!(began.elapsed() < 2 * life, "and soon after it");
    // Nothing of it is left, and others do not notice.
    let stats = site
        .stats(|stats| stats.waiting == 0 && stats.browsers == 1)
        .await;
    assert_eq!(stats.refused.connects, 0);
    neighbour.leave().await;
}

#[tokio::test]
async fn a_camera_s_certificate_is_no_use_at_the_browsers_door_nor_its_id() {
    let site = Site::start().await;
    let camera = site.camera(CAMERA).connect().await.unwrap();
    let code = site.browser(CAMERA, "token-01").await.connect().await.err();
    assert_eq!(code, Some(ConnectReturnCode::BadUserNamePassword));
    // The camera is still there.
    site.stats(|stats| stats.devices == 1).await;
    camera.leave().await;
}

#[tokio::test]
async fn a_session_does_not_pass_to_another_tenant() {
    let tokens = Tokens::usual().with("work", "work", BROWSER, Duration::from_secs(600));
    let site = Site::start_with(tokens, Limits::default()).await;
    let mut browser = site
        .browser(BROWSER, "token-01")
        .await
        .resuming(60)
        .connect()
        .await
        .unwrap();
    let own = format!("view/1/{TENANT}/{BROWSER}/dn/#");
    assert_eq!(
        browser.subscribe(&own).await,
        SubscribeReasonCode::Success(QoS::AtLeastOnce)
    );
    browser.cut().await;
    let code = site
        .browser(BROWSER, "work")
        .await
        .resuming(60)
        .connect()
        .await
        .err();
    assert_eq!(code, Some(ConnectReturnCode::BadUserNamePassword));
    let back = site
        .browser(BROWSER, "token-01")
        .await
        .resuming(60)
        .connect()
        .await
        .unwrap();
    assert!(back.resumed);
}

#[tokio::test]
async fn the_door_for_browsers_speaks_only_the_mqtt_subprotocol() {
    let site = Site::start().await;
    let mut socket = tokio::net::TcpStream::connect(site.broker.addresses().websocket)
        .await
        .unwrap();
    let request = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(crate::support::PATIENCE, socket.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    let answer = String::from_utf8_lossy(&answer);
    assert!(!answer.contains("101 Switching"), "{answer}");
}

#[tokio::test]
async fn mosquitto_plays_a_browser() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    assert_eq!(
        control.subscribe("view/1/#").await,
        SubscribeReasonCode::Success(QoS::AtLeastOnce)
    );
    let port = bridge::start(site.broker.addresses().websocket).await;
    let publish = async |topic: &str| {
        let arguments = [
            "-V", "mqttv5", "-i", BROWSER, "-u", BROWSER, "-P", "token-01", "-q", "1", "-t", topic,
            "-m", "hello",
        ];
        mosquitto::run_plain("mosquitto_pub", port, &arguments).await
    };
    let foreign = publish(&format!("view/1/{TENANT}/{OTHER_BROWSER}/up/rtc/{CALL}")).await;
    assert!(foreign.text.contains("Not authorized"), "{}", foreign.text);
    let topic = format!("view/1/{TENANT}/{BROWSER}/up/rtc/{CALL}");
    let own = publish(&topic).await;
    assert!(own.success, "{}", own.text);
    assert_eq!(control.text().await, (topic.clone(), "hello".into()));
    assert_eq!(
        control.publish(&topic, "not its to write", false).await,
        PubAckReason::NotAuthorized
    );
}
