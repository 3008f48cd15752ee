//! Nobody leaves their tree: every topic of the protocol's table, for publish, subscribe and will.

use crate::support::{
    BROWSER, CAMERA, OTHER_BROWSER, OTHER_CAMERA, Site, TENANT, mosquitto, topic, topics,
};
use heron_protocol::topics::Role;
use rumqttc::{ConnectReturnCode, PubAckReason, QoS, SubscribeReasonCode};

const GRANTED: SubscribeReasonCode = SubscribeReasonCode::Success(QoS::AtLeastOnce);

/// Every topic, once in the tree of the first camera and browser and once in that of the others.
fn all_topics() -> Vec<(&'static heron_protocol::topics::Row, String, bool)> {
    let own = topics(CAMERA, TENANT, BROWSER)
        .into_iter()
        .map(|(row, topic)| (row, topic, true));
    let foreign = topics(OTHER_CAMERA, TENANT, OTHER_BROWSER)
        .into_iter()
        .map(|(row, topic)| (row, topic, false));
    own.chain(foreign).collect()
}

/// Publishes everything everywhere while the control plane listens to all of it: each answer must fit the table, and
/// nothing that was refused may arrive.
async fn publish_everywhere(site: &Site, sender: &mut crate::support::Client, role: Role) {
    let mut watcher = site.control().connect().await.unwrap();
    assert_eq!(watcher.subscribe("cam/1/#").await, GRANTED);
    assert_eq!(watcher.subscribe("view/1/#").await, GRANTED);
    let mut expected = Vec::new();
    for (row, topic, own) in all_topics() {
        let allowed = row.writer == role && own;
        let wanted = if allowed {
            PubAckReason::Success
        } else {
            PubAckReason::NotAuthorized
        };
        assert_eq!(
            sender.publish(&topic, "{}", row.retained).await,
            wanted,
            "{role:?} publishes {topic}"
        );
        if allowed {
            expected.push(topic);
        }
    }
    assert!(!expected.is_empty());
    for topic in expected {
        assert_eq!(
            watcher.text().await.0,
            topic,
            "only what is allowed arrives, and in this order"
        );
    }
}

async fn subscribe_everywhere(subscriber: &mut crate::support::Client, role: Role) {
    for (row, topic, own) in all_topics() {
        let in_view = topic.starts_with("view/");
        let allowed = match role {
            Role::Control => true,
            Role::Device => own && !in_view && row.writer == Role::Control,
            Role::Browser => own && in_view && row.writer == Role::Control,
        };
        let wanted = if allowed {
            GRANTED
        } else {
            SubscribeReasonCode::NotAuthorized
        };
        assert_eq!(
            subscriber.subscribe(&topic).await,
            wanted,
            "{role:?} subscribes {topic}"
        );
    }
}

#[tokio::test]
async fn a_camera_publishes_only_what_it_writes_in_its_own_tree() {
    let site = Site::start().await;
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    publish_everywhere(&site, &mut camera, Role::Device).await;
    assert!(site.broker.stats().await.refused.publishes > 15);
}

#[tokio::test]
async fn a_camera_subscribes_only_to_what_is_written_for_it() {
    let site = Site::start().await;
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    subscribe_everywhere(&mut camera, Role::Device).await;
    assert!(site.broker.stats().await.refused.subscribes > 15);
}

#[tokio::test]
async fn a_camera_leaves_a_will_only_on_its_own_presence() {
    let site = Site::start().await;
    for (row, topic, own) in all_topics() {
        let answer = site
            .camera(CAMERA)
            .will(&topic, "{}", row.retained, None)
            .connect()
            .await;
        let allowed = own && row.will;
        match answer {
            Ok(camera) => {
                assert!(allowed, "a camera may leave a will on {topic}");
                camera.leave().await;
            }
            Err(code) => {
                assert!(!allowed, "a camera may not leave a will on {topic}");
                assert_eq!(code, ConnectReturnCode::NotAuthorized);
            }
        }
    }
    assert!(site.broker.stats().await.refused.wills > 15);
}

#[tokio::test]
async fn a_browser_reaches_only_its_own_tree() {
    let site = Site::start().await;
    let mut browser = site
        .browser(BROWSER, "token-01")
        .await
        .connect()
        .await
        .unwrap();
    publish_everywhere(&site, &mut browser, Role::Browser).await;
    subscribe_everywhere(&mut browser, Role::Browser).await;
}

#[tokio::test]
async fn a_browser_leaves_no_will_at_all() {
    let site = Site::start().await;
    for (row, topic, _) in all_topics() {
        let connecting =
            site.browser(BROWSER, "token-01")
                .await
                .will(&topic, "{}", row.retained, None);
        let code = connecting.connect().await.err();
        assert_eq!(
            code,
            Some(ConnectReturnCode::NotAuthorized),
            "a will on {topic}"
        );
    }
}

#[tokio::test]
async fn the_control_plane_reads_everything_and_writes_only_its_own_rows() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    subscribe_everywhere(&mut control, Role::Control).await;
    for (row, topic, _) in all_topics() {
        let wanted = if row.writer == Role::Control {
            PubAckReason::Success
        } else {
            PubAckReason::NotAuthorized
        };
        assert_eq!(
            control.publish(&topic, "{}", row.retained).await,
            wanted,
            "control publishes {topic}"
        );
    }
}

#[tokio::test]
async fn wide_filters_shared_subscriptions_and_the_broker_s_own_topics_are_refused() {
    let site = Site::start().await;
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    let mut browser = site
        .browser(BROWSER, "token-01")
        .await
        .connect()
        .await
        .unwrap();
    let own = topic(CAMERA, "dn/#");
    let filters = [
        "#".to_owned(),
        "+/#".into(),
        "cam/#".into(),
        "cam/1/#".into(),
        format!("cam/1/+/{CAMERA}/dn/#"),
        topic(CAMERA, "#"),
        topic(CAMERA, "up/#"),
        topic(CAMERA, "+/rtc/+"),
        "view/1/#".into(),
        "view/1/home/#".into(),
        "view/1/home/+/dn/#".into(),
        "view/1/+/browser-01/dn/#".into(),
        "$SYS/#".into(),
        "$SYS/broker/clients".into(),
        format!("$share/all/{own}"),
    ];
    for filter in &filters {
        for (name, client) in [("camera", &mut camera), ("browser", &mut browser)] {
            let answer = client.subscribe(filter).await;
            assert_ne!(answer, GRANTED, "{name} subscribes {filter}");
        }
    }
    assert_eq!(camera.subscribe(&own).await, GRANTED);
}

#[tokio::test]
async fn what_the_table_does_not_retain_is_not_retained() {
    let site = Site::start().await;
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    assert_eq!(
        camera.publish(&topic(CAMERA, "up/tele"), "{}", true).await,
        PubAckReason::NotAuthorized
    );
    assert_eq!(site.broker.stats().await.retained, 0);
}

#[tokio::test]
async fn a_message_larger_than_its_topic_allows_is_refused_and_the_camera_stays() {
    let site = Site::start().await;
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    let (row, presence) = topics(CAMERA, TENANT, BROWSER)
        .into_iter()
        .find(|(row, _)| row.will)
        .expect("presence is in the table");
    let answer = camera
        .publish(&presence, vec![b' '; row.max_bytes + 1], true)
        .await;
    assert_eq!(answer, PubAckReason::QuotaExceeded);
    assert_eq!(
        camera
            .publish(&presence, vec![b' '; row.max_bytes], true)
            .await,
        PubAckReason::Success
    );
}

#[tokio::test]
async fn mosquitto_is_told_the_same() {
    let site = Site::start().await;
    let devices = site.broker.addresses().devices;
    let identity = site.pki.device(CAMERA);
    let publish = async |topic: &str| {
        let arguments = [
            "-V", "mqttv5", "-i", CAMERA, "-q", "1", "-t", topic, "-m", "{}",
        ];
        mosquitto::run(
            "mosquitto_pub",
            devices,
            &site.pki,
            Some(&identity),
            &arguments,
        )
        .await
    };
    let own = publish(&topic(CAMERA, "up/presence")).await;
    assert!(own.success && own.text.is_empty(), "{}", own.text);
    let foreign = publish(&topic(OTHER_CAMERA, "up/presence")).await;
    assert!(foreign.text.contains("Not authorized"), "{}", foreign.text);

    let subscribe = async |topic: &str| {
        let arguments = ["-V", "mqttv5", "-i", CAMERA, "-q", "1", "-t", topic, "-E"];
        mosquitto::run(
            "mosquitto_sub",
            devices,
            &site.pki,
            Some(&identity),
            &arguments,
        )
        .await
    };
    let own = subscribe(&topic(CAMERA, "dn/#")).await;
    assert!(own.success, "{}", own.text);
    let foreign = subscribe(&topic(OTHER_CAMERA, "dn/#")).await;
    assert!(
        foreign.text.contains("denied") || foreign.text.contains("Not authorized"),
        "{}",
        foreign.text
    );

    let will = topic(OTHER_CAMERA, "up/presence");
    let arguments = [
        "-V",
        "mqttv5",
        "-i",
        CAMERA,
        "-t",
        &topic(CAMERA, "up/tele"),
        "-m",
        "{}",
        "--will-topic",
        &will,
        "--will-payload",
        "{}",
    ];
    let said = mosquitto::run(
        "mosquitto_pub",
        devices,
        &site.pki,
        Some(&identity),
        &arguments,
    )
    .await;
    assert!(
        !said.success && said.text.to_lowercase().contains("not authorized"),
        "{}",
        said.text
    );
}
