//! The broker goes away and comes back: the router finds it again, and who is online is right within seconds.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::support::mqtt::{PATIENCE, Peer};
use async_trait::async_trait;
use heron_broker::{
    Broker, BrokerConfig, BrowserAccess, EveryDevice, Limits, TlsListener, TokenRefused,
    TokenVerifier,
};
use heron_control::identity::{Bundle, Identity, Subject, server_certificate};
use heron_control::signalling::{
    BrokerAddress, BrowserRegistry, CameraRecord, ConnectionRecord, Directory, IceProvisioner,
    PresenceLog, Router, RouterConfig, SessionLog, SessionRecord,
};
use heron_control::turn::Relays;
use heron_control::web;
use heron_protocol::grant::Right;
use heron_protocol::messages::Presence;
use heron_protocol::{DeviceId, SigningKey};

/// Presence must be right this long after the broker's return.
const RIGHT_AGAIN: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Every camera belongs to one tenant, and no session is opened here.
struct OneTenant;

#[async_trait]
impl Directory for OneTenant {
    async fn camera(&self, device: &DeviceId) -> anyhow::Result<Option<CameraRecord>> {
        Ok(Some(CameraRecord {
            tenant: "home".parse()?,
            name: device.to_string(),
            kept_out: None,
        }))
    }

    async fn may_view(&self, _: &str, _: &DeviceId) -> anyhow::Result<Vec<Right>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl SessionLog for OneTenant {
    async fn opened(&self, _: &SessionRecord) -> anyhow::Result<()> {
        Ok(())
    }

    async fn updated(&self, _: &SessionRecord) -> anyhow::Result<()> {
        Ok(())
    }

    async fn ended(&self, _: &SessionRecord) -> anyhow::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl PresenceLog for OneTenant {
    async fn connections(&self, _: &[ConnectionRecord]) -> anyhow::Result<()> {
        Ok(())
    }

    async fn cloned(&self, _: &DeviceId, _: &str) -> anyhow::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl TokenVerifier for OneTenant {
    async fn verify(&self, _: &str) -> Result<BrowserAccess, TokenRefused> {
        Err(TokenRefused("no browsers here".into()))
    }
}

async fn start_broker(identity: &Identity, devices: SocketAddr, control: SocketAddr) -> Broker {
    let names = ["127.0.0.1".to_owned()];
    let own =
        server_certificate(&identity.keep, &identity.root, &names, SystemTime::now()).unwrap();
    let listener = |listen, client_ca: &str| TlsListener {
        listen,
        certificate: own.certificate.clone(),
        key: own.key.clone(),
        client_ca: identity.keep.path(client_ca),
    };
    Broker::start(BrokerConfig {
        devices: listener(devices, "devices.pem"),
        control: listener(control, "control.pem"),
        websocket: "127.0.0.1:0".parse().unwrap(),
        gate: Arc::new(EveryDevice),
        tokens: Arc::new(OneTenant),
        limits: Limits::default(),
    })
    .await
    .unwrap()
}

fn start_router(identity: &Identity, control: SocketAddr) -> Router {
    let own = identity
        .control
        .issue(&Subject::Client("control"), DAY, SystemTime::now())
        .unwrap();
    let tls = web::client_config(identity.root.certificate_pem(), &own).unwrap();
    let browsers = Arc::new(BrowserRegistry::new());
    Router::start(RouterConfig {
        broker: BrokerAddress {
            host: control.ip().to_string(),
            port: control.port(),
            tls,
        },
        grant_key: SigningKey::from_pem(&identity.grant_key).unwrap(),
        ice: IceProvisioner::new(Arc::new(Relays::none()), Arc::clone(&browsers)),
        directory: Arc::new(OneTenant),
        log: Arc::new(OneTenant),
        presence: Arc::new(OneTenant),
        browsers,
        limits: heron_control::signalling::Limits::default(),
    })
}

async fn start_camera(identity: &Identity, name: &str, broker: SocketAddr) -> (DeviceId, Peer) {
    let own = identity
        .devices
        .issue(&Subject::Client(name), DAY, SystemTime::now())
        .unwrap();
    let bundle = Bundle {
        device: name.parse().unwrap(),
        tenant: "home".parse().unwrap(),
        broker: broker.to_string(),
        server: None,
        server_ca: None,
        ca: identity.root.certificate_pem().to_owned(),
        certificate: own.certificate,
        key: own.key,
        grant_key: identity.grant_public_key.clone(),
    };
    let presence = Presence {
        online: true,
        reason: None,
        boot_id: "boot".into(),
        firmware: "1".into(),
        slot: None,
        last_reason: None,
        seq: 1,
        at_ms: 0,
    };
    (bundle.device.clone(), Peer::camera(&bundle, presence).await)
}

/// Waits until a camera is as wanted, by the router's own news.
async fn becomes(router: &Router, device: &DeviceId, online: bool, patience: Duration) {
    let mut changes = router.subscribe();
    let is = || {
        let update = router.camera(device);
        update
            .and_then(|update| update.presence)
            .is_some_and(|presence| presence.online)
            == online
    };
    let wait = async {
        while !is() {
            changes.recv().await.unwrap();
        }
    };
    let waited = tokio::time::timeout(patience, wait).await;
    waited
        .unwrap_or_else(|_| panic!("{device} did not become online={online} within {patience:?}"));
}

#[tokio::test]
async fn presence_is_right_again_after_the_broker_was_away() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::open(dir.path(), SystemTime::now()).unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let broker = start_broker(&identity, any, any).await;
    let addresses = broker.addresses();
    let router = start_router(&identity, addresses.control);
    let (stays, _stays) = start_camera(&identity, "front-door-01", addresses.devices).await;
    let (leaves, leaving) = start_camera(&identity, "back-door-01", addresses.devices).await;
    becomes(&router, &stays, true, PATIENCE).await;
    becomes(&router, &leaves, true, PATIENCE).await;

    broker.stop().await;
    // One camera loses its power while nobody can be told.
    drop(leaving);
    let broker = start_broker(&identity, addresses.devices, addresses.control).await;
    becomes(&router, &leaves, false, RIGHT_AGAIN).await;
    becomes(&router, &stays, true, Duration::ZERO).await;
    assert!(router.is_connected());
    router.stop().await;
    broker.stop().await;
}
