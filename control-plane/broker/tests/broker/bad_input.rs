//! The bad input that a camera with a good certificate may send, well-formed or not: each has its reason, is counted,
//! and nobody else notices.

use crate::support::raw::{Answer, Hello, Raw, tls};
use crate::support::{CAMERA, OTHER_CAMERA, Site, topic};
use heron_broker::Refused;

const NOT_AUTHORIZED: Answer = Answer::Code(0x87);

async fn enter(site: &Site, hello: &Hello) -> Result<Raw, Answer> {
    let identity = site.pki.device(CAMERA);
    let devices = site.broker.addresses().devices;
    Raw::connect(tls(devices, &site.pki, &identity).await.unwrap(), hello).await
}

/// Comes in, does that, and is out again; the other camera is there all the time and must not notice.
struct Bystander(Raw);

impl Bystander {
    async fn arrives(site: &Site) -> Self {
        let identity = site.pki.device(OTHER_CAMERA);
        let stream = tls(site.broker.addresses().devices, &site.pki, &identity)
            .await
            .unwrap();
        let hello = Hello::new(OTHER_CAMERA);
        let mut raw = Raw::connect(stream, &hello).await.unwrap();
        let own = topic(OTHER_CAMERA, "dn/#");
        assert!(raw.subscribe(own.as_bytes()).await.is_yes());
        Self(raw)
    }

    async fn is_well(&mut self) {
        let own = topic(OTHER_CAMERA, "up/presence");
        let answer = self.0.publish(own.as_bytes(), b"online", true).await;
        assert!(answer.is_yes(), "{answer:?}");
        assert_eq!(self.0.came, [], "nothing came to it");
    }
}

#[tokio::test]
async fn a_client_id_that_is_not_the_identity() {
    let site = Site::start().await;
    let mut bystander = Bystander::arrives(&site).await;
    let long = "x".repeat(65_000);
    let ids: [(&[u8], &[Answer]); 7] = [
        (OTHER_CAMERA.as_bytes(), &[NOT_AUTHORIZED]),
        (b"FRONT-DOOR-01", &[NOT_AUTHORIZED]),
        (b"control", &[NOT_AUTHORIZED]),
        (b"#", &[NOT_AUTHORIZED]),
        // The identifier is not valid: 0x85. What is not UTF-8 may be answered by closing.
        (long.as_bytes(), &[Answer::Code(0x85), Answer::Closed]),
        (
            b"front-door-01\0",
            &[NOT_AUTHORIZED, Answer::Code(0x85), Answer::Closed],
        ),
        // RMQTT says that it is unavailable to what it cannot read.
        (
            b"\xff\xfe",
            &[Answer::Code(0x81), Answer::Code(0x88), Answer::Closed],
        ),
    ];
    for (id, allowed) in ids {
        let hello = Hello {
            client_id: id.to_vec(),
            ..Hello::default()
        };
        let answer = enter(&site, &hello).await.err().expect("refused");
        assert!(allowed.contains(&answer), "{id:?}: {answer:?}");
        bystander.is_well().await;
    }
    let refused = site.broker.stats().await.refused;
    assert!(refused.connects >= 4, "{refused:?}");
}

/// What is no topic of the camera's own, and how it is answered when it is published.
fn foreign_topics() -> Vec<Vec<u8>> {
    let own = topic(CAMERA, "up/presence");
    let (head, _) = own.rsplit_once('/').unwrap();
    [
        topic(OTHER_CAMERA, "up/presence"),
        topic(CAMERA, "dn/state/video"),
        own.replacen("cam/1/", "cam/1//", 1),
        format!("{own}/"),
        format!("/{own}"),
        format!("{head}//presence"),
        own.replace(CAMERA, "+"),
        format!("{head}/#"),
        "#".to_owned(),
        String::new(),
        "$SYS/broker/clients".to_owned(),
        format!("$share/all/{own}"),
        format!("{own}\0"),
        format!("{head}/{}", "x".repeat(65_000)),
        "/".repeat(65_000),
    ]
    .map(String::into_bytes)
    .into_iter()
    .chain([b"cam/1/\xff\xfe".to_vec()])
    .collect()
}

#[tokio::test]
async fn a_will_outside_the_own_tree() {
    let site = Site::start().await;
    let mut bystander = Bystander::arrives(&site).await;
    for topic in foreign_topics() {
        let mut hello = Hello::new(CAMERA);
        hello.will = Some((topic.clone(), b"gone".to_vec(), true));
        let answer = enter(&site, &hello).await.err();
        let shown = String::from_utf8_lossy(&topic[..topic.len().min(60)]).into_owned();
        assert!(answer.is_some(), "let in with a will on {shown:?}");
        bystander.is_well().await;
    }
    let Refused { wills, .. } = site.broker.stats().await.refused;
    assert!(wills >= 8, "{wills} were counted");
    assert_eq!(site.broker.stats().await.retained, 1, "the bystander's");
}

#[tokio::test]
async fn a_retained_message_outside_the_own_tree() {
    let site = Site::start().await;
    let mut bystander = Bystander::arrives(&site).await;
    for topic in foreign_topics() {
        let mut camera = enter(&site, &Hello::new(CAMERA)).await.unwrap();
        let answer = camera.publish(&topic, b"mine", true).await;
        let shown = String::from_utf8_lossy(&topic[..topic.len().min(60)]).into_owned();
        assert!(!answer.is_yes(), "{shown:?}: {answer:?}");
        if answer != Answer::Closed {
            let own = crate::support::topic(CAMERA, "up/presence");
            let answer = camera.publish(own.as_bytes(), b"online", true).await;
            assert!(answer.is_yes(), "after {shown:?} the camera goes on");
        }
        bystander.is_well().await;
    }
    let stats = site.broker.stats().await;
    assert!(stats.refused.publishes >= 6, "{:?}", stats.refused);
    assert_eq!(stats.retained, 2, "both cameras' presence");
}

#[tokio::test]
async fn a_filter_outside_the_own_tree() {
    let site = Site::start().await;
    let mut bystander = Bystander::arrives(&site).await;
    for filter in foreign_topics() {
        let mut camera = enter(&site, &Hello::new(CAMERA)).await.unwrap();
        // Its own rows of the other direction are its to read; the list has one.
        if filter == topic(CAMERA, "dn/state/video").as_bytes() {
            continue;
        }
        let answer = camera.subscribe(&filter).await;
        let shown = String::from_utf8_lossy(&filter[..filter.len().min(60)]).into_owned();
        assert!(!answer.is_yes(), "{shown:?}: {answer:?}");
        bystander.is_well().await;
    }
    assert!(site.broker.stats().await.refused.subscribes >= 6);
}
