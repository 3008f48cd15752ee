//! Starting, stopping, and what the embedding process can see and do.

use std::time::Duration;

use crate::support::{BROWSER, CAMERA, OTHER_CAMERA, Pki, Site, Tokens, config, topic};
use heron_broker::{Broker, BrokerError, BrokerStats, Limits};
use rumqttc::PubAckReason;

#[tokio::test]
async fn a_broker_that_stops_leaves_its_ports_to_the_next_at_once() {
    let pki = Pki::new();
    let mut again = config(&pki, Tokens::usual(), Limits::default());
    let broker = Broker::start(again.clone()).await.unwrap();
    let addresses = broker.addresses();
    again.devices.listen = addresses.devices;
    again.control.listen = addresses.control;
    again.websocket = addresses.websocket;
    assert!(matches!(
        Broker::start(again.clone()).await,
        Err(BrokerError::Bind {
            listener: "devices",
            ..
        })
    ));

    let site = Site { pki, broker };
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    camera
        .publish(&topic(CAMERA, "up/presence"), "online", true)
        .await;
    let browser = site
        .browser(BROWSER, "token-01")
        .await
        .connect()
        .await
        .unwrap();
    let Site { pki, broker } = site;
    let began = std::time::Instant::now();
    broker.stop().await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    camera.closed().await;
    browser.closed().await;

    let broker = Broker::start(again).await.unwrap();
    assert_eq!(broker.addresses(), addresses);
    let site = Site { pki, broker };
    assert_eq!(site.broker.stats().await.retained, 0);
    let camera = site.camera(CAMERA).resuming(600).connect().await.unwrap();
    assert!(!camera.resumed);
    site.broker.stop().await;
}

#[tokio::test]
async fn two_brokers_in_one_process_know_nothing_of_each_other() {
    let (one, two) = (Site::start().await, Site::start().await);
    let mut in_one = one.camera(CAMERA).connect().await.unwrap();
    let in_two = two.camera(CAMERA).connect().await.unwrap();
    in_one
        .publish(&topic(CAMERA, "up/presence"), "online", true)
        .await;
    assert_eq!(
        (
            one.broker.stats().await.retained,
            two.broker.stats().await.retained
        ),
        (1, 0)
    );
    one.broker.stop().await;
    in_one.closed().await;
    two.stats(|stats| stats.devices == 1).await;
    in_two.leave().await;
}

#[tokio::test]
async fn a_broker_can_be_asked_from_any_task() {
    let broker = Site::start().await.broker;
    let task = tokio::spawn(async move {
        assert!(!broker.disconnect_device(&CAMERA.parse().unwrap()).await);
        let stats = broker.stats().await;
        broker.stop().await;
        stats
    });
    assert_eq!(task.await.unwrap(), BrokerStats::default());
}

#[tokio::test]
async fn a_broker_that_is_dropped_is_gone_too() {
    let site = Site::start().await;
    let camera = site.camera(CAMERA).connect().await.unwrap();
    drop(site.broker);
    camera.closed().await;
}

#[tokio::test]
async fn sessions_have_a_limit() {
    let site = Site::start_with(
        Tokens::usual(),
        Limits {
            sessions: 1,
            ..Limits::default()
        },
    )
    .await;
    let mut first = site.camera(CAMERA).connect().await.unwrap();
    let refused = site.camera(OTHER_CAMERA).connect().await.err();
    assert_eq!(refused, Some(rumqttc::ConnectReturnCode::ServerUnavailable));
    assert_eq!(
        first
            .publish(&topic(CAMERA, "up/presence"), "online", true)
            .await,
        PubAckReason::Success
    );
}

#[tokio::test]
async fn what_is_wrong_with_the_configuration_is_said_in_one_line() {
    let pki = Pki::new();
    let good = config(&pki, Tokens::usual(), Limits::default());
    let error = async |change: fn(&mut heron_broker::BrokerConfig, &Pki)| {
        let mut config = good.clone();
        change(&mut config, &pki);
        let error = Broker::start(config)
            .await
            .err()
            .expect("this must not start");
        assert!(!error.to_string().contains('\n'));
        error.to_string()
    };

    let missing = error(|config, pki| config.control.key = pki.path("missing.key")).await;
    assert!(
        missing.starts_with("control listener: cannot read ") && missing.ends_with("missing.key"),
        "{missing}"
    );
    let no_key = error(|config, pki| config.devices.key = pki.path("server.pem")).await;
    assert!(no_key.starts_with("devices listener: "), "{no_key}");
    let same = error(|config, _| config.control.client_ca = config.devices.client_ca.clone()).await;
    assert!(same.contains("must have different client CAs"), "{same}");
    let elsewhere = error(|config, _| config.websocket = "192.0.2.1:0".parse().unwrap()).await;
    assert!(
        elsewhere.starts_with("websocket listener: cannot listen on 192.0.2.1:0: "),
        "{elsewhere}"
    );
}
