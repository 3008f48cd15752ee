//! Cameras that the control plane wants out: at the gate, and while they are connected.

use std::collections::HashSet;
use std::sync::Arc;

use crate::support::pki::Identity;
use crate::support::{CAMERA, Connecting, OTHER_CAMERA, Pki, Site, Tokens, config, topic};
use heron_broker::{Broker, DeviceGate, DeviceRefused, Limits};
use heron_protocol::DeviceId;
use parking_lot::Mutex;
use rumqttc::{ConnectReturnCode, PubAckReason};
use tokio::sync::{Notify, Semaphore};

/// Refuses the serial numbers it is told, and remembers whom it was asked about.
struct Revoked {
    serials: Mutex<HashSet<String>>,
    asked: Mutex<Vec<(String, String)>>,
    /// Asked now; and may answer.
    asking: Notify,
    answers: Semaphore,
}

impl Revoked {
    fn new(answers: usize) -> Arc<Self> {
        Arc::new(Self {
            serials: Mutex::default(),
            asked: Mutex::default(),
            asking: Notify::new(),
            answers: Semaphore::new(answers),
        })
    }

    fn revoke(&self, identity: &Identity) {
        self.serials.lock().insert(serial(identity));
    }
}

#[async_trait::async_trait]
impl DeviceGate for Revoked {
    async fn admit(&self, device: &DeviceId, serial: &str) -> Result<(), DeviceRefused> {
        let refused = self.serials.lock().contains(serial);
        self.asked.lock().push((device.to_string(), serial.into()));
        self.asking.notify_one();
        self.answers.acquire().await.unwrap().forget();
        if refused {
            return Err(DeviceRefused("revoked".into()));
        }
        Ok(())
    }
}

/// As the openssl command would print it, in lower case.
fn serial(identity: &Identity) -> String {
    let hex: String = identity
        .serial()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    hex.trim_start_matches('0').to_owned()
}

async fn site(gate: Arc<Revoked>) -> Site {
    let pki = Pki::new();
    let mut config = config(&pki, Tokens::usual(), Limits::default());
    config.gate = gate;
    let broker = Broker::start(config).await.unwrap();
    Site { pki, broker }
}

fn camera(site: &Site, identity: &Identity) -> Connecting {
    let devices = site.broker.addresses().devices;
    Connecting::tls(CAMERA, devices, &site.pki, Some(identity))
}

fn id() -> DeviceId {
    CAMERA.parse().unwrap()
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_and_the_camera_s_other_one_is_not() {
    let gate = Revoked::new(100);
    let site = site(gate.clone()).await;
    let (old, new) = (site.pki.device(CAMERA), site.pki.device(CAMERA));
    gate.revoke(&old);
    assert_eq!(
        camera(&site, &old).connect().await.err(),
        Some(ConnectReturnCode::NotAuthorized)
    );
    camera(&site, &new).connect().await.unwrap().leave().await;
    assert_eq!(
        *gate.asked.lock(),
        [
            (CAMERA.to_owned(), serial(&old)),
            (CAMERA.to_owned(), serial(&new))
        ]
    );
    assert_eq!(site.broker.stats().await.refused.connects, 1);
}

#[tokio::test]
async fn a_camera_that_is_put_out_is_off_at_once_and_does_not_come_back() {
    let gate = Revoked::new(100);
    let site = site(gate.clone()).await;
    let mut control = site.control().connect().await.unwrap();
    control.subscribe("cam/1/+/+/up/presence").await;
    let mut other = site.camera(OTHER_CAMERA).connect().await.unwrap();
    let presence = topic(CAMERA, "up/presence");
    let identity = site.pki.device(CAMERA);
    // A session of an hour and a will that waits for its whole life: neither keeps it in.
    let connecting = || camera(&site, &identity).resuming(3600);
    let mut connected = connecting()
        .will(&presence, "lost", true, Some(3600))
        .connect()
        .await
        .unwrap();
    connected.subscribe(&topic(CAMERA, "dn/#")).await;

    gate.revoke(&identity);
    assert!(site.broker.disconnect_device(&id()).await);
    connected.closed().await;
    assert_eq!(control.text().await, (presence, "lost".into()));
    assert_eq!(
        connecting().connect().await.err(),
        Some(ConnectReturnCode::NotAuthorized)
    );
    site.stats(|stats| stats.devices == 1 && stats.waiting == 0)
        .await;
    assert!(!site.broker.disconnect_device(&id()).await, "it is gone");
    assert_eq!(
        other
            .publish(&topic(OTHER_CAMERA, "up/presence"), "online", true)
            .await,
        PubAckReason::Success
    );
}

#[tokio::test]
async fn a_camera_whose_line_was_cut_before_it_was_put_out_is_off_too() {
    let gate = Revoked::new(100);
    let site = site(gate.clone()).await;
    let mut control = site.control().connect().await.unwrap();
    control.subscribe("cam/1/+/+/up/presence").await;
    let presence = topic(CAMERA, "up/presence");
    let identity = site.pki.device(CAMERA);
    let connected = camera(&site, &identity)
        .resuming(3600)
        .will(&presence, "lost", true, Some(3600))
        .connect()
        .await
        .unwrap();
    connected.cut().await;
    site.stats(|stats| stats.waiting == 1).await;
    assert!(site.broker.disconnect_device(&id()).await);
    assert_eq!(control.text().await, (presence, "lost".into()));
    site.stats(|stats| stats.waiting == 0).await;
}

#[tokio::test]
async fn a_camera_that_is_put_out_while_it_comes_in_is_out() {
    // The gate answers once, when told to: with what it knew when it was asked.
    let gate = Revoked::new(0);
    let site = site(gate.clone()).await;
    let identity = site.pki.device(CAMERA);
    let coming = tokio::spawn(camera(&site, &identity).connect());
    gate.asking.notified().await;
    gate.revoke(&identity);
    assert!(!site.broker.disconnect_device(&id()).await, "not in yet");
    gate.answers.add_permits(2);
    let came = coming.await.unwrap();
    came.unwrap().closed().await;
    assert_eq!(gate.asked.lock().len(), 2);
}
