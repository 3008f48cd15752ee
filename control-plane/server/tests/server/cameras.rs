//! Adding cameras: over the API and from the command line, up to the handshake with the broker.

use std::time::Duration;

use crate::support::{ADMIN, ControlPlane};
use clap::Parser as _;
use heron_control::Cli;
use heron_control::identity::Bundle;
use heron_protocol::Topic;
use rumqttc::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions, PublishOptions, TlsConfiguration,
    Transport,
};
use serde_json::json;
use tokio::time::timeout;

async fn add(control: &ControlPlane, name: &str) -> Bundle {
    let admin = control.signed_in(ADMIN).await;
    let added = admin
        .post("/api/v1/cameras", &json!({ "name": name }))
        .await;
    assert_eq!(added.status, 201, "{}", added.body);
    toml::from_str(added.json()["bundle"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_camera_is_added_listed_and_removed() {
    let control = ControlPlane::start().await;
    let bundle = add(&control, " Front door ").await;
    assert!(
        bundle.device.as_str().starts_with("front-door-"),
        "{}",
        bundle.device
    );
    // Where it renews its certificate.
    assert!(bundle.server.is_some_and(|url| url.starts_with("https://")));
    assert!(bundle.server_ca.is_some());

    let admin = control.signed_in(ADMIN).await;
    let list = admin.get("/api/v1/cameras").await.json();
    assert_eq!(list["cameras"][0]["id"], bundle.device.as_str());
    assert_eq!(list["cameras"][0]["name"], "Front door");
    assert_eq!(list["cameras"][0]["online"], false);

    let path = format!("/api/v1/cameras/{}", bundle.device);
    let detail = admin.get(&path).await.json();
    assert_eq!(
        (
            &detail["identity_key"]["kty"],
            &detail["identity_key"]["crv"]
        ),
        (&json!("EC"), &json!("P-256"))
    );
    assert_eq!(detail["identity_key"]["x"].as_str().unwrap().len(), 43);

    let again = admin
        .post("/api/v1/cameras", &json!({ "name": "front DOOR" }))
        .await;
    assert_eq!(again.status, 409);
    assert!(
        again
            .detail()
            .contains("already a camera called \"front DOOR\""),
        "{}",
        again.body
    );
    let nameless = admin.post("/api/v1/cameras", &json!({ "name": "" })).await;
    assert_eq!(nameless.status, 422);
    assert!(nameless.detail().contains("1 to 64"), "{}", nameless.body);

    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(admin.get(&path).await.status, 404);
    assert_eq!(admin.delete(&path).await.status, 404);
    control.server.stop().await;
}

#[tokio::test]
async fn the_bundle_opens_the_broker_and_nothing_else_does() {
    let control = ControlPlane::start().await;
    let bundle = add(&control, "Front door").await;
    assert_eq!(
        connect(&bundle, &bundle.certificate, &bundle.key).await,
        Ok(())
    );

    // Another CA's certificate, with the same common name.
    let mut params = rcgen::CertificateParams::default();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, bundle.device.as_str());
    let key = rcgen::KeyPair::generate().unwrap();
    let forged = params.self_signed(&key).unwrap().pem();
    assert!(
        connect(&bundle, &forged, &key.serialize_pem())
            .await
            .is_err()
    );
    control.server.stop().await;
}

#[tokio::test]
async fn a_camera_that_connects_is_seen_online_until_it_says_otherwise() {
    let control = ControlPlane::start().await;
    let bundle = add(&control, "Front door").await;
    let admin = control.signed_in(ADMIN).await;
    let path = format!("/api/v1/cameras/{}", bundle.device);
    let seen = async |online: bool| {
        let detail = async {
            loop {
                let detail = admin.get(&path).await.json();
                if detail["online"] == online {
                    return detail;
                }
            }
        };
        timeout(Duration::from_secs(10), detail).await.unwrap()
    };

    let presence =
        json!({ "online": true, "boot_id": "b", "firmware": "1.2.3", "seq": 1, "at_ms": 1 });
    let topic = Topic::Presence(bundle.device.clone()).to_string();
    let (client, mut events) = client(&bundle, &bundle.certificate, &bundle.key);
    client
        .publish(
            topic.clone(),
            presence.to_string(),
            PublishOptions::at_least_once().retained(),
        )
        .await
        .unwrap();
    let link = tokio::spawn(async move { while events.poll().await.is_ok() {} });
    let detail = seen(true).await;
    assert_eq!(
        (&detail["firmware"], &detail["reason"]),
        (&json!("1.2.3"), &json!(null))
    );
    assert!(detail["since_ms"].is_i64());

    let gone = json!({ "online": false, "reason": "shutdown", "boot_id": "b", "firmware": "1.2.3", "seq": 1, "at_ms": 2 });
    client
        .publish(
            topic,
            gone.to_string(),
            PublishOptions::at_least_once().retained(),
        )
        .await
        .unwrap();
    assert_eq!(seen(false).await["reason"], "shutdown");
    link.abort();
    control.server.stop().await;
}

/// Connects to the broker as that device.
async fn connect(bundle: &Bundle, certificate: &str, key: &str) -> Result<(), String> {
    let (_client, mut events) = client(bundle, certificate, key);
    let acknowledged = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Incoming::ConnAck(_))) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
    };
    timeout(Duration::from_secs(10), acknowledged)
        .await
        .unwrap()
}

fn client(bundle: &Bundle, certificate: &str, key: &str) -> (AsyncClient, EventLoop) {
    let broker: std::net::SocketAddr = bundle.broker.parse().unwrap();
    let mut options = MqttOptions::new(
        bundle.device.as_str(),
        (broker.ip().to_string(), broker.port()),
    );
    options.set_keep_alive(30);
    options.set_transport(Transport::Tls(TlsConfiguration::Simple {
        ca: bundle.ca.clone().into_bytes(),
        alpn: None,
        client_auth: Some((
            certificate.to_owned().into_bytes(),
            key.to_owned().into_bytes(),
        )),
    }));
    AsyncClient::builder(options).capacity(4).build()
}

#[tokio::test]
async fn the_command_line_adds_a_camera_while_the_server_runs() {
    let control = ControlPlane::start().await;
    let config = control.dir.path().join("heron.toml");
    let text = format!(
        "[server]\npublic_host = \"heron.example\"\ndata_dir = {:?}\n[broker]\ndevices = \"0.0.0.0:8883\"\n",
        control.dir.path().join("data")
    );
    std::fs::write(&config, text).unwrap();
    let bundle_file = control.dir.path().join("bundle.toml");
    let (config, out) = (config.to_str().unwrap(), bundle_file.to_str().unwrap());
    let run = async |arguments: &[&str]| {
        let mut printed = Vec::new();
        let cli = Cli::try_parse_from([&["heron-control"], arguments].concat()).unwrap();
        let done = cli
            .run(&mut printed)
            .await
            .map_err(|error| format!("{error:#}"));
        done.map(|()| String::from_utf8(printed).unwrap())
    };

    let said = run(&["camera", "add", "Hall", "--out", out, "--config", config])
        .await
        .unwrap();
    assert!(said.starts_with("hall-"), "{said}");
    let bundle: Bundle = toml::from_str(&std::fs::read_to_string(out).unwrap()).unwrap();
    assert_eq!(bundle.broker, "heron.example:8883");
    assert!(
        run(&["camera", "list", "--config", config])
            .await
            .unwrap()
            .contains("Hall")
    );

    let seen = control
        .signed_in(ADMIN)
        .await
        .get("/api/v1/cameras")
        .await
        .json();
    assert_eq!(seen["cameras"][0]["id"], bundle.device.as_str());

    let again = run(&["camera", "add", "Porch", "--out", out, "--config", config])
        .await
        .unwrap_err();
    assert!(again.contains("bundle.toml: File exists"), "{again}");
    let other = control.dir.path().join("other.toml");
    let taken = run(&[
        "camera",
        "add",
        "Hall",
        "--out",
        other.to_str().unwrap(),
        "--config",
        config,
    ])
    .await
    .unwrap_err();
    assert!(
        taken.contains("already a camera called \"Hall\""),
        "{taken}"
    );
    assert!(!other.exists(), "no empty bundle is left behind");

    let made = run(&["user", "add", "Carol", "--config", config])
        .await
        .unwrap();
    let password = made.trim().rsplit(' ').next().unwrap();
    assert!(made.starts_with("Carol may sign in as viewer"), "{made}");
    control.signed_in(("carol", password)).await;
    assert!(
        run(&["user", "list", "--config", config])
            .await
            .unwrap()
            .contains("admin")
    );
    control.server.stop().await;
}
