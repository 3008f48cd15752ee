//! The whole control plane with Debian's Mosquitto as its broker, started with the configuration that we print.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use crate::relays::{self, uclient, until};
use crate::support::mqtt::{PATIENCE, Peer};
use crate::support::{ADMIN, Client, ControlPlane, VIEWER};
use heron_control::access::Role;
use heron_control::brokers::{Product, config_for, control_door, republish};
use heron_control::identity::Bundle;
use heron_control::signalling::BrokerAddress;
use heron_control::{Config, Server};
use heron_protocol::messages::{
    CameraUpdate, EndReason, Offline, Presence, ReportedState, Section,
};
use heron_protocol::{DeviceId, Message, Topic, decode, encode};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, PublishOptions, QoS,
    TlsConfiguration, Transport,
};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// What the issue allows for a revocation.
const REVOCATION: Duration = Duration::from_secs(5);

struct Site {
    control: ControlPlane,
    config: Config,
    mosquitto: Option<Child>,
    dir: PathBuf,
}

impl Site {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [devices, control, browsers] = [(); 3]
            .map(|()| TcpListener::bind("127.0.0.1:0").unwrap())
            .map(|listener| listener.local_addr().unwrap());
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nhttp_listen = \"127.0.0.1:0\"\npublic_host = \"127.0.0.1\"\n\
             data_dir = {:?}\n[broker]\nkind = \"mosquitto\"\ndevices = \"{devices}\"\ncontrol = \"{control}\"\n\
             websocket = \"{browsers}\"\nreload = \"kill -HUP $(cat {pid})\"\n\
             [turn]\nlisten = \"127.0.0.1:0\"\nrelay_address = \"127.0.0.1\"\n\
             relay_ports = \"20160-20359\"\nallow_peers = [\"127.0.0.0/8\"]\n",
            dir.path().join("data"),
            pid = dir.path().join("mosquitto.pid").display(),
        );
        let config = Config::parse(&text, Path::new("test.toml")).unwrap();
        let server = Server::start(config.clone()).await.unwrap();
        for ((name, password), role) in [(ADMIN, Role::Admin), (VIEWER, Role::Viewer)] {
            let added = server.home().add_person(name, password, role).await;
            added.unwrap();
        }
        let mut site = Self {
            dir: dir.path().to_owned(),
            control: ControlPlane { server, dir },
            config,
            mosquitto: None,
        };
        site.start_mosquitto().await;
        site
    }

    async fn start_mosquitto(&mut self) {
        let file = self.dir.join("mosquitto.conf");
        // Where the test runs as root, Mosquitto must be able to read our files.
        let config = format!(
            "user root\npid_file {}\n{}",
            self.dir.join("mosquitto.pid").display(),
            config_for(Product::Mosquitto, &self.config)
        );
        std::fs::write(&file, config).unwrap();
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("these tests need mosquitto: install the package mosquitto");
        self.mosquitto = Some(child);
        let browsers = self.config.broker.websocket.address();
        let listens = async {
            while TcpStream::connect(browsers).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, listens)
            .await
            .expect("mosquitto starts with our configuration");
    }

    async fn add_camera(&self, name: &str) -> Bundle {
        let admin = self.control.signed_in(ADMIN).await;
        let added = admin
            .post("/api/v1/cameras", &json!({ "name": name }))
            .await;
        assert_eq!(added.status, 201, "{}", added.body);
        toml::from_str(added.json()["bundle"].as_str().unwrap()).unwrap()
    }

    async fn browser(&self) -> (Client, Peer) {
        let http = self.control.signed_in(VIEWER).await;
        let token = http.post("/api/v1/browser-token", &json!({})).await.json();
        let text = |field: &str| token[field].as_str().unwrap().to_owned();
        let peer = Peer::browser(
            http.clone(),
            self.control.server.url(),
            &text("tenant").parse().unwrap(),
            &text("browser").parse().unwrap(),
            &text("token"),
        )
        .await;
        (http, peer)
    }

    async fn order(&self, camera: &DeviceId, what: &str) {
        let admin = self.control.signed_in(ADMIN).await;
        let path = format!("/api/v1/cameras/{camera}/{what}");
        let answer = admin.post(&path, &json!({ "reason": "a test" })).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
    }
}

fn presence(seq: u64) -> Presence {
    Presence {
        online: true,
        reason: None,
        boot_id: "boot".into(),
        firmware: "1.2.3".into(),
        slot: None,
        last_reason: None,
        seq,
        at_ms: 0,
    }
}

async fn hears_presence(browser: &mut Peer, online: bool) -> Presence {
    let wanted = |_: &Topic, update: CameraUpdate| {
        update.presence.filter(|presence| presence.online == online)
    };
    browser.hear(wanted).await
}

/// One attempt to come in with that bundle.
async fn attempt(bundle: &Bundle) -> Result<(AsyncClient, EventLoop), ConnectionError> {
    let (host, port) = bundle.broker.rsplit_once(':').unwrap();
    let mut options = MqttOptions::new(bundle.device.as_str(), (host, port.parse().unwrap()));
    options.set_transport(Transport::tls_with_config(TlsConfiguration::Simple {
        ca: bundle.ca.clone().into(),
        alpn: None,
        client_auth: Some((bundle.certificate.clone().into(), bundle.key.clone().into())),
    }));
    let (client, mut events) = AsyncClient::builder(options).capacity(4).build();
    events.poll().await?;
    Ok((client, events))
}

fn say<M: Message>(client: &AsyncClient, topic: &Topic, message: &M) {
    let options = PublishOptions::at_least_once().retained();
    client
        .try_publish(topic.to_string(), encode(message).unwrap(), options)
        .unwrap();
}

/// The presence that the broker has for a camera that is away, once it has it.
async fn presence_of_who_is_away(door: &BrokerAddress) -> Presence {
    let mut options = MqttOptions::new("control.test", (door.host.clone(), door.port));
    let tls = TlsConfiguration::Rustls(door.tls.clone());
    options.set_transport(Transport::tls_with_config(tls));
    let (client, mut events) = AsyncClient::builder(options).capacity(4).build();
    client
        .try_subscribe("cam/1/+/+/up/presence", QoS::AtLeastOnce)
        .unwrap();
    let wait = async {
        loop {
            if let Event::Incoming(Packet::Publish(publish)) = events.poll().await.unwrap() {
                let presence: Presence = decode(&publish.payload).unwrap();
                if !presence.online {
                    return presence;
                }
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("there is one")
}

#[tokio::test]
async fn a_browser_sees_a_camera_and_a_revocation_puts_it_out() {
    let site = Site::start().await;
    let bundle = site.add_camera("Front door").await;
    let other = site.add_camera("Back door").await;
    let (_, mut browser) = site.browser().await;
    let (client, mut events) = attempt(&bundle).await.unwrap();
    say(
        &client,
        &Topic::Presence(bundle.device.clone()),
        &presence(2),
    );
    let state = ReportedState {
        rev: 0,
        state: json!({ "width": 1280 }).as_object().cloned().unwrap(),
        errors: Default::default(),
    };
    let topic = Topic::ReportedState(bundle.device.clone(), Section::Video);
    say(&client, &topic, &state);
    let camera = tokio::spawn(async move { while events.poll().await.is_ok() {} });
    assert_eq!(hears_presence(&mut browser, true).await, presence(2));
    let width = |_: &Topic, update: CameraUpdate| update.state.get("video").cloned();
    assert_eq!(browser.hear(width).await["width"], 1280);

    site.order(&bundle.device, "revoke").await;
    tokio::time::timeout(REVOCATION, camera)
        .await
        .expect("its connection is closed")
        .unwrap();
    hears_presence(&mut browser, false).await;
    assert!(attempt(&bundle).await.is_err(), "it stays out");
    attempt(&other).await.expect("others stay in");
    let door = control_door(site.control.server.home(), site.config.broker.control).unwrap();
    let last = presence_of_who_is_away(&door).await;
    assert_eq!((last.online, last.seq), (false, 3));
    site.control.server.stop().await;
}

#[tokio::test]
async fn a_revocation_ends_what_is_relayed() {
    let site = Site::start().await;
    let mut open = relays::session(&site.control).await;
    let turn = relays::turn(&open.viewer_servers);
    let watching = uclient(turn, &turn.urls[0], 4000).await.spawn().unwrap();
    let server = site.control.server.turn().unwrap();
    until("packets", || server.usage(open.session.as_str()) > 20_000).await;
    site.order(&open.bundle.device, "revoke").await;
    let ended = until("the relay's end", || server.stats().allocations == 0);
    tokio::time::timeout(REVOCATION, ended)
        .await
        .expect("within the time that a revocation may take");
    assert_eq!(open.viewer.closed().await.0, EndReason::NotAllowed);
    drop(watching);
    site.control.server.stop().await;
}

#[tokio::test]
async fn a_quarantined_camera_comes_back_when_it_is_released() {
    let site = Site::start().await;
    let bundle = site.add_camera("Front door").await;
    let (_, mut browser) = site.browser().await;
    let _camera = Peer::camera(&bundle, presence(2)).await;
    hears_presence(&mut browser, true).await;
    site.order(&bundle.device, "quarantine").await;
    let last = hears_presence(&mut browser, false).await;
    assert_eq!(last.reason, Some(Offline::Certificate));
    assert!(attempt(&bundle).await.is_err());
    site.order(&bundle.device, "release").await;
    let comes_in = async { while attempt(&bundle).await.is_err() {} };
    tokio::time::timeout(REVOCATION, comes_in)
        .await
        .expect("the list is written again");
    site.control.server.stop().await;
}

#[tokio::test]
async fn republish_rebuilds_what_a_broker_lost() {
    let mut site = Site::start().await;
    let away = site.add_camera("Front door").await;
    let silent = site.add_camera("Back door").await;
    let (_, mut browser) = site.browser().await;
    let camera = Peer::camera(&away, presence(2)).await;
    hears_presence(&mut browser, true).await;
    drop(camera);
    // A broker without a memory: a camera that is away is on it no more.
    site.mosquitto.take().unwrap().kill().await.unwrap();
    site.start_mosquitto().await;
    let home = site.control.server.home();
    let door = control_door(home, site.config.broker.control).unwrap();
    let recorded = async {
        while home
            .store
            .connections
            .recent(&away.device, 1)
            .await
            .unwrap()
            .is_empty()
        {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, recorded).await.unwrap();
    let done = republish(home, &door).await.unwrap();
    assert_eq!(
        (done.cameras, done.unheard),
        (1, 1),
        "and {}",
        silent.device
    );
    let found = presence_of_who_is_away(&door).await;
    assert_eq!(
        (found.reason, found.seq),
        (Some(Offline::ConnectionLost), 3)
    );
    site.control.server.stop().await;
}
