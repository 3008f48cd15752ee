//! A certificate is renewed under a running link: Mosquitto as broker, which knows nothing of enrolment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod est_server;
mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use est_server::{EstServer, Reply};
use heron_agent::{AgentConfig, Bundle, Clock, Down, IdentityEvent, Link, Renewer, Status};
use heron_protocol::messages::{EndReason, Offline, RtcDown};
use heron_protocol::{Topic, encode};
use support::{Authority, Broker, DEVICE, Observer, PATIENCE, SESSION, until};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A camera whose certificate is so many days old, on a link, with its renewer.
struct Camera {
    place: TempDir,
    link: Link,
    down: mpsc::Receiver<Down>,
    events: mpsc::Receiver<IdentityEvent>,
}

impl Camera {
    async fn start(authority: &Authority, broker: u16, server: &EstServer, age: i64) -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("bundle.toml");
        let issued = authority.aged_client(DEVICE, -age, 90 - age);
        let text = authority.bundle_text(DEVICE, broker, &issued);
        let text = format!("server = {:?}\n{text}", server.url());
        fs::write(&path, text).unwrap();
        Self::on(place, path).await
    }

    /// Renewal begins when the link is up.
    async fn on(place: TempDir, path: PathBuf) -> Self {
        let bundle = Bundle::load(&path).unwrap();
        let (link, down) = Link::start(AgentConfig {
            last_reason: Some(Offline::Power),
            ..AgentConfig::new(bundle.clone(), "1.2.3", "boot-1", 1000)
        });
        until(&link, Status::Online).await;
        let (renewer, events) =
            Renewer::new(link.clone(), bundle, path, None, Clock::new()).unwrap();
        tokio::spawn(renewer.run());
        Self {
            place,
            link,
            down,
            events,
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.place.path().join(name)).ok()
    }

    async fn event(&mut self) -> IdentityEvent {
        timeout(PATIENCE, self.events.recv())
            .await
            .expect("nothing happened")
            .unwrap()
    }
}

#[tokio::test]
async fn the_link_goes_on_with_a_new_key_and_the_old_one_is_forgotten() {
    let authority = Arc::new(Authority::new());
    let broker = Broker::start(&authority);
    let mut observer = Observer::start(&authority, broker.port).await;
    let server = EstServer::start(&authority, broker.port).await;
    let mut camera = Camera::start(&authority, broker.port, &server, 62).await;
    let old = camera.text("bundle.toml").unwrap();

    let IdentityEvent::Renewed(renewed) = camera.event().await else {
        panic!("it was refused");
    };
    until(&camera.link, Status::Online).await;
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/.well-known/est/simplereenroll");
    assert!(seen[0].certificate, "by the old certificate");
    let new = camera.text("bundle.toml").unwrap();
    let kept = Bundle::load(&camera.place.path().join("bundle.toml")).unwrap();
    assert_eq!(kept.validity, renewed.validity);
    let key = |text: &str| text.split("key = ").nth(1).unwrap().to_owned();
    assert_ne!(key(&new), key(&old));
    assert_eq!(camera.text("bundle.toml.next"), None);

    // The broker's session went on, and so does signalling.
    let topic = Topic::RtcDown(DEVICE.parse().unwrap(), SESSION.parse().unwrap());
    let close = RtcDown::Close {
        seq: 1,
        reason: EndReason::ViewerClosed,
    };
    observer.publish(&topic, encode(&close).unwrap()).await;
    let down = timeout(PATIENCE, camera.down.recv()).await.unwrap();
    assert!(matches!(down, Some(Down::Rtc { .. })));

    // Why it had been away is said once, and a renewal is no absence.
    let first = observer.presence().await;
    assert_eq!(
        (first.online, first.last_reason),
        (true, Some(Offline::Power))
    );
    let mut last = first.clone();
    while last.seq == first.seq {
        last = observer.presence().await;
    }
    assert_eq!((last.online, last.last_reason), (true, None));
}

#[tokio::test]
async fn a_broker_that_does_not_take_the_new_certificate_has_the_old_one_again() {
    let authority = Arc::new(Authority::new());
    let strangers = Arc::new(Authority::new());
    let broker = Broker::start(&authority);
    let server = EstServer::issuing(&authority, &strangers, broker.port).await;
    let camera = Camera::start(&authority, broker.port, &server, 62).await;
    let old = camera.text("bundle.toml").unwrap();

    let mut accepted = camera.link.accepted();
    // The third identity of this link is the first one again.
    let back = accepted.wait_for(|accepted| *accepted == Some(2));
    timeout(6 * PATIENCE, back)
        .await
        .expect("it did not go back")
        .unwrap();
    until(&camera.link, Status::Online).await;
    assert_eq!(camera.text("bundle.toml").unwrap(), old);
    assert!(
        camera.text("bundle.toml.next").is_some(),
        "it is tried again later"
    );
}

#[tokio::test]
async fn a_power_cut_before_the_first_use_is_made_up_for() {
    let authority = Arc::new(Authority::new());
    let broker = Broker::start(&authority);
    let server = EstServer::start(&authority, broker.port).await;
    let camera = Camera::start(&authority, broker.port, &server, 1).await;
    until(&camera.link, Status::Online).await;
    // What a process that was cut off had written.
    let issued = authority.aged_client(DEVICE, 0, 90);
    let next = authority.bundle_text(DEVICE, broker.port, &issued);
    let Camera { place, link, .. } = camera;
    link.stop(Offline::Restart).await;
    let next = format!("server = {:?}\n{next}", server.url());
    fs::write(place.path().join("bundle.toml.next"), &next).unwrap();

    let path = place.path().join("bundle.toml");
    let mut camera = Camera::on(place, path).await;
    assert!(matches!(camera.event().await, IdentityEvent::Renewed(_)));
    assert_eq!(camera.text("bundle.toml").unwrap(), next);
    assert_eq!(camera.text("bundle.toml.next"), None);
    assert!(server.seen().is_empty(), "nothing had to be asked for");
}

#[tokio::test]
async fn a_refusal_for_good_is_told() {
    let authority = Arc::new(Authority::new());
    let broker = Broker::start(&authority);
    let server = EstServer::start(&authority, broker.port).await;
    server.next([Reply::Status(403, "the camera was revoked: stolen")]);
    let mut camera = Camera::start(&authority, broker.port, &server, 62).await;
    let IdentityEvent::Refused(reason) = camera.event().await else {
        panic!("it was renewed");
    };
    assert_eq!(reason, "the camera was revoked: stolen");
    until(&camera.link, Status::Online).await;
}

#[tokio::test]
async fn a_damaged_next_bundle_is_thrown_away() {
    let authority = Arc::new(Authority::new());
    let broker = Broker::start(&authority);
    let server = EstServer::start(&authority, broker.port).await;
    let camera = Camera::start(&authority, broker.port, &server, 1).await;
    let Camera { place, link, .. } = camera;
    link.stop(Offline::Restart).await;
    fs::write(place.path().join("bundle.toml.next"), "device = ").unwrap();
    let path = place.path().join("bundle.toml");
    let camera = Camera::on(place, path).await;
    until(&camera.link, Status::Online).await;
    assert_eq!(camera.text("bundle.toml.next"), None);
}
