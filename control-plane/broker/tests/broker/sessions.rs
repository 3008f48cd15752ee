//! What the broker remembers: retained messages, sessions, wills, and for how long.

use std::time::Duration;

use crate::support::{CAMERA, Connecting, OTHER_CAMERA, Site, Tokens, mosquitto, topic};
use heron_broker::Limits;
use rumqttc::{PubAckReason, Publish};

const SESSION: &str = "0123456789abcdef0123456789abcdef";

fn expiry(message: &Publish) -> Option<u32> {
    message
        .properties
        .as_ref()
        .and_then(|properties| properties.message_expiry_interval)
}

#[tokio::test]
async fn presence_is_replayed_to_a_control_plane_that_comes_later() {
    let site = Site::start().await;
    for device in [CAMERA, OTHER_CAMERA] {
        let mut camera = site.camera(device).connect().await.unwrap();
        camera
            .publish(&topic(device, "up/presence"), "offline", true)
            .await;
        camera
            .publish(&topic(device, "up/presence"), "online", true)
            .await;
    }
    let mut control = site.control().connect().await.unwrap();
    control.subscribe("cam/1/+/+/up/presence").await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let message = control.message().await;
        assert!(message.retain);
        assert_eq!(message.payload, "online");
        seen.push(String::from_utf8(message.topic.to_vec()).unwrap());
    }
    seen.sort();
    let mut expected = [
        topic(OTHER_CAMERA, "up/presence"),
        topic(CAMERA, "up/presence"),
    ];
    expected.sort();
    assert_eq!(seen, expected);
    assert_eq!(site.broker.stats().await.retained, 2);
}

#[tokio::test]
async fn a_camera_is_replayed_its_own_desired_state_only() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    for device in [OTHER_CAMERA, CAMERA] {
        control
            .publish(
                &topic(device, "dn/state/video"),
                format!("for {device}"),
                true,
            )
            .await;
    }
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    camera.subscribe(&topic(OTHER_CAMERA, "dn/#")).await;
    camera.subscribe(&topic(CAMERA, "dn/#")).await;
    assert_eq!(
        camera.text().await,
        (topic(CAMERA, "dn/state/video"), format!("for {CAMERA}"))
    );
    // The next one is live, so nothing of the other camera came in between.
    control
        .publish(&topic(CAMERA, "dn/state/audio"), "live", true)
        .await;
    let live = camera.message().await;
    assert_eq!(live.payload, "live");
}

#[tokio::test]
async fn an_empty_message_clears_an_alarm() {
    let site = Site::start().await;
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    let alarm = topic(CAMERA, "up/alarm/hot");
    camera.publish(&alarm, "since noon", true).await;
    assert_eq!(site.broker.stats().await.retained, 1);
    camera.publish(&alarm, "", true).await;
    assert_eq!(site.broker.stats().await.retained, 0);
}

#[tokio::test]
async fn a_camera_cannot_fill_the_store() {
    let limits = Limits {
        retained_per_device: 3,
        ..Limits::default()
    };
    let site = Site::start_with(Tokens::usual(), limits).await;
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    for n in 1..=4 {
        let expected = if n <= 3 {
            PubAckReason::Success
        } else {
            PubAckReason::QuotaExceeded
        };
        assert_eq!(
            camera
                .publish(&topic(CAMERA, &format!("up/alarm/{n}")), "x", true)
                .await,
            expected
        );
    }
    let stats = site.broker.stats().await;
    assert_eq!((stats.retained, stats.refused.retains), (3, 1));
    let mut other = site.camera(OTHER_CAMERA).connect().await.unwrap();
    assert_eq!(
        other
            .publish(&topic(OTHER_CAMERA, "up/alarm/1"), "x", true)
            .await,
        PubAckReason::Success
    );
}

#[tokio::test]
async fn the_control_plane_is_replayed_the_whole_fleet() {
    let site = Site::start().await;
    let queue_of_a_camera = Limits::default().queued;
    let mut sent = 0;
    for device in ["camera-0001", "camera-0002", "camera-0003"] {
        let mut camera = site.camera(device).connect().await.unwrap();
        for n in 0..250 {
            let alarm = topic(device, &format!("up/alarm/{n}"));
            assert_eq!(
                camera.publish(&alarm, "x", true).await,
                PubAckReason::Success
            );
            sent += 1;
        }
    }
    assert!(sent > queue_of_a_camera);
    let mut control = site.control().connect().await.unwrap();
    control.subscribe("cam/1/#").await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..sent {
        assert!(seen.insert(control.text().await.0), "each comes once");
    }
    assert_eq!(site.broker.stats().await.overflows, 0);
}

#[tokio::test]
async fn a_retained_message_expires_and_says_how_long_it_has_left() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    let (long, short) = (topic(CAMERA, "dn/job/long"), topic(CAMERA, "dn/job/short"));
    control.publish_for(600, &long, "long", true).await;
    control.publish_for(1, &short, "short", true).await;
    // Real time has to pass here: the retained message lives for one second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    camera.subscribe(&topic(CAMERA, "dn/#")).await;
    let message = camera.message().await;
    assert_eq!(message.payload, "long");
    assert!(
        (590..600).contains(&expiry(&message).unwrap()),
        "{:?}",
        expiry(&message)
    );
}

#[tokio::test]
async fn a_session_is_resumed_with_its_subscriptions_and_what_came_meanwhile() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    let mut camera = site.camera(CAMERA).resuming(600).connect().await.unwrap();
    assert!(!camera.resumed);
    camera.subscribe(&topic(CAMERA, "dn/#")).await;
    camera.cut().await;
    site.stats(|stats| stats.waiting == 1 && stats.devices == 0)
        .await;

    control
        .publish(&topic(CAMERA, "dn/state/video"), "while away", true)
        .await;
    let mut camera = site.camera(CAMERA).resuming(600).connect().await.unwrap();
    assert!(camera.resumed);
    assert_eq!(camera.text().await.1, "while away");
    control
        .publish(&topic(CAMERA, "dn/state/video"), "live again", true)
        .await;
    assert_eq!(camera.text().await.1, "live again");
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over() {
    let site = Site::start().await;
    site.camera(CAMERA)
        .resuming(1)
        .connect()
        .await
        .unwrap()
        .cut()
        .await;
    site.stats(|stats| stats.waiting == 1).await;
    site.stats(|stats| stats.waiting == 0).await;
    let camera = site.camera(CAMERA).resuming(1).connect().await.unwrap();
    assert!(!camera.resumed);
}

#[tokio::test]
async fn nobody_keeps_a_session_longer_than_allowed() {
    let limits = Limits {
        session_expiry: Duration::from_secs(1),
        ..Limits::default()
    };
    let site = Site::start_with(Tokens::usual(), limits).await;
    site.camera(CAMERA)
        .resuming(3600)
        .connect()
        .await
        .unwrap()
        .cut()
        .await;
    site.stats(|stats| stats.waiting == 1).await;
    site.stats(|stats| stats.waiting == 0).await;
}

#[tokio::test]
async fn signalling_for_a_camera_that_is_away_does_not_reach_it_late() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    let mut camera = site.camera(CAMERA).resuming(600).connect().await.unwrap();
    camera.subscribe(&topic(CAMERA, "dn/#")).await;
    camera.cut().await;
    site.stats(|stats| stats.waiting == 1).await;
    control
        .publish_for(
            1,
            &topic(CAMERA, &format!("dn/rtc/{SESSION}")),
            "open",
            false,
        )
        .await;
    control
        .publish(&topic(CAMERA, "dn/state/video"), "state", true)
        .await;
    // Real time has to pass here: the first message lives for one second.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let mut camera = site.camera(CAMERA).resuming(600).connect().await.unwrap();
    assert_eq!(camera.text().await.1, "state");
}

#[tokio::test]
async fn the_table_s_expiry_holds_even_if_the_sender_sets_none() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    camera.subscribe(&topic(CAMERA, "dn/#")).await;
    let rtc = topic(CAMERA, &format!("dn/rtc/{SESSION}"));
    control.publish(&rtc, "none", false).await;
    control.publish_for(3600, &rtc, "too long", false).await;
    control.publish_for(5, &rtc, "shorter", false).await;
    control
        .publish(&topic(CAMERA, "dn/state/video"), "lasting", true)
        .await;
    for (text, longest) in [
        ("none", Some(15)),
        ("too long", Some(15)),
        ("shorter", Some(5)),
        ("lasting", None),
    ] {
        let message = camera.message().await;
        assert_eq!(message.payload, text);
        assert_eq!(expiry(&message).is_some(), longest.is_some(), "{text}");
        assert!(
            expiry(&message) <= longest,
            "{text}: {:?}",
            expiry(&message)
        );
    }
}

fn with_will(site: &Site, delay_s: u32) -> Connecting {
    site.camera(CAMERA).resuming(600).will(
        &topic(CAMERA, "up/presence"),
        "lost",
        true,
        Some(delay_s),
    )
}

#[tokio::test]
async fn a_camera_whose_line_is_cut_is_reported_after_the_delay_of_its_will() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    control.subscribe("cam/1/+/+/up/presence").await;
    let mut camera = with_will(&site, 1).connect().await.unwrap();
    camera
        .publish(&topic(CAMERA, "up/presence"), "online", true)
        .await;
    assert_eq!(control.text().await.1, "online");
    let cut = std::time::Instant::now();
    camera.cut().await;
    assert_eq!(
        control.text().await,
        (topic(CAMERA, "up/presence"), "lost".into())
    );
    assert!(
        cut.elapsed() >= Duration::from_millis(900),
        "the delay is kept"
    );
    // And it is the retained one now.
    let identity = site.pki.control("later");
    let later = Connecting::tls(
        "later",
        site.broker.addresses().control,
        &site.pki,
        Some(&identity),
    );
    let mut later = later.connect().await.unwrap();
    later.subscribe("cam/1/+/+/up/presence").await;
    assert_eq!(later.text().await.1, "lost");
}

#[tokio::test]
async fn a_camera_that_is_back_in_time_is_not_reported() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    control.subscribe("cam/1/+/+/up/presence").await;
    with_will(&site, 2).connect().await.unwrap().cut().await;
    site.stats(|stats| stats.waiting == 1).await;
    let camera = with_will(&site, 2).connect().await.unwrap();
    assert!(camera.resumed);
    // Real time has to pass here: the will of the first connection would come now.
    tokio::time::sleep(Duration::from_millis(2200)).await;
    let mut other = site.camera(OTHER_CAMERA).connect().await.unwrap();
    other
        .publish(&topic(OTHER_CAMERA, "up/presence"), "next", true)
        .await;
    assert_eq!(control.text().await.1, "next");
}

#[tokio::test]
async fn a_camera_that_says_goodbye_leaves_no_will() {
    let site = Site::start().await;
    let mut control = site.control().connect().await.unwrap();
    control.subscribe("cam/1/+/+/up/presence").await;
    let mut camera = site
        .camera(CAMERA)
        .will(&topic(CAMERA, "up/presence"), "lost", true, None)
        .connect()
        .await
        .unwrap();
    camera
        .publish(&topic(CAMERA, "up/presence"), "stopped", true)
        .await;
    camera.leave().await;
    site.stats(|stats| stats.devices == 0 && stats.waiting == 0)
        .await;
    assert_eq!(control.text().await.1, "stopped");
    let mut other = site.camera(OTHER_CAMERA).connect().await.unwrap();
    other
        .publish(&topic(OTHER_CAMERA, "up/presence"), "next", true)
        .await;
    assert_eq!(control.text().await.1, "next");
}

#[tokio::test]
async fn the_same_camera_again_replaces_its_old_connection() {
    let site = Site::start().await;
    let first = site.camera(CAMERA).resuming(600).connect().await.unwrap();
    let second = site.camera(CAMERA).resuming(600).connect().await.unwrap();
    assert!(second.resumed);
    first.closed().await;
    site.stats(|stats| stats.devices == 1 && stats.waiting == 0)
        .await;
}

#[tokio::test]
async fn mosquitto_sees_retained_presence_too() {
    let site = Site::start().await;
    let mut camera = site.camera(CAMERA).connect().await.unwrap();
    camera
        .publish(&topic(CAMERA, "up/presence"), "online", true)
        .await;
    let identity = site.pki.control("watcher");
    let arguments = [
        "-V",
        "mqttv5",
        "-i",
        "watcher",
        "-q",
        "1",
        "-t",
        "cam/1/+/+/up/presence",
        "-C",
        "1",
        "-F",
        "%r %t %p",
    ];
    let said = mosquitto::run(
        "mosquitto_sub",
        site.broker.addresses().control,
        &site.pki,
        Some(&identity),
        &arguments,
    )
    .await;
    assert_eq!(
        said.text.trim(),
        format!("1 {} online", topic(CAMERA, "up/presence"))
    );
}
