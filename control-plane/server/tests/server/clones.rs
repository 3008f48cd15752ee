//! Two devices with one identity, and the history of connections, through the real broker.

use std::time::Duration;

use crate::support::mqtt::Peer;
use crate::support::{ADMIN, Client, ControlPlane};
use heron_control::identity::Bundle;
use heron_protocol::messages::Presence;
use serde_json::{Value, json};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

async fn add(admin: &Client) -> Bundle {
    let added = admin
        .post("/api/v1/cameras", &json!({ "name": "Front door" }))
        .await;
    toml::from_str(added.json()["bundle"].as_str().unwrap()).unwrap()
}

fn presence(boot: &str, seq: u64) -> Presence {
    let said =
        json!({ "online": true, "boot_id": boot, "firmware": "1.0", "seq": seq, "at_ms": 1 });
    serde_json::from_value(said).unwrap()
}

/// Asks until the answer is as wanted.
async fn until(admin: &Client, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let wait = async {
        loop {
            let answer = admin.get(path).await.json();
            if wanted(&answer) {
                return answer;
            }
        }
    };
    timeout(PATIENCE, wait).await.unwrap()
}

#[tokio::test]
async fn a_copied_identity_is_quarantined_and_released_by_a_person() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let bundle = add(&admin).await;
    let path = format!("/api/v1/cameras/{}/identity", bundle.device);

    // Two devices that know nothing of each other; each comes back when the other has thrown it out.
    let one = Peer::camera(&bundle, presence("boot-one", 2)).await;
    let two = Peer::camera(&bundle, presence("boot-two", 2)).await;
    let shown = until(&admin, &path, |shown| shown["state"] == "quarantined").await;
    assert!(
        shown["reason"]
            .as_str()
            .unwrap()
            .contains("two devices use this identity"),
        "{shown}"
    );
    assert!(shown["since_ms"].is_i64());
    let camera = format!("/api/v1/cameras/{}", bundle.device);
    let detail = until(&admin, &camera, |camera| camera["online"] == false).await;
    assert_eq!(detail["standing"], "quarantined");
    assert_eq!(detail["identity_keys"], json!([]));
    let refused = control.device_of(&bundle).get("/api/v1/device").await;
    assert_eq!(refused.status, 403);
    assert!(refused.detail().contains("quarantined"), "{}", refused.body);
    let metrics = control.client().get("/metrics").await.body;
    assert!(metrics.contains("heron_cameras_kept_out 1"), "{metrics}");

    // A person takes one of them away and releases the other.
    drop(two);
    let release = admin.post(&format!("{camera}/release"), &json!({})).await;
    assert_eq!(release.status, 204, "{}", release.body);
    let shown = until(&admin, &camera, |camera| camera["online"] == true).await;
    assert_eq!(shown["standing"], "trusted");
    drop(one);
    control.server.stop().await;
}

#[tokio::test]
async fn connections_are_listed_newest_first_and_a_restart_adds_none() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let bundle = add(&admin).await;
    let path = format!("/api/v1/cameras/{}/connections", bundle.device);
    assert_eq!(admin.get(&path).await.json(), json!({ "connections": [] }));
    let topic = heron_protocol::Topic::Presence(bundle.device.clone());
    let camera = Peer::camera(&bundle, presence("boot-one", 2)).await;
    let seen = |count: usize| {
        move |answer: &Value| answer["connections"].as_array().unwrap().len() == count
    };
    until(&admin, &path, seen(1)).await;
    let mut gone = presence("boot-one", 3);
    gone.online = false;
    gone.reason = Some(heron_protocol::messages::Offline::Shutdown);
    camera.say(&topic, &gone).await;
    until(&admin, &path, seen(2)).await;
    let mut back = presence("boot-two", 2);
    back.last_reason = Some(heron_protocol::messages::Offline::Power);
    camera.say(&topic, &back).await;
    let list = until(&admin, &path, seen(3)).await;
    let told: Vec<_> = list["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["online"].clone(),
                one["reason"].clone(),
                one["boot_id"].clone(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (json!(true), json!("power"), json!("boot-two")),
            (json!(false), json!("shutdown"), json!("boot-one")),
            (json!(true), Value::Null, json!("boot-one")),
        ]
    );
    let newest = admin.get(&format!("{path}?limit=1")).await.json();
    assert_eq!(newest["connections"].as_array().unwrap().len(), 1);
    assert_eq!(admin.get(&format!("{path}?limit=x")).await.status, 400);
    let nobody = "/api/v1/cameras/no-such-camera/connections";
    assert_eq!(admin.get(nobody).await.status, 404);
    control.server.stop().await;
}
