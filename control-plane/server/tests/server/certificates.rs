//! Certificates at the HTTPS listener: which open it, which renew, and how one takes over from another.

use std::time::{Duration, SystemTime};

use crate::support::devices::{RENEW, certificate, names, request};
use crate::support::{ADMIN, Client, ControlPlane};
use heron_control::identity::{Authority, Bundle, ClaimServer, Subject};
use rcgen::KeyPair;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;

const DAY: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(10);

/// A camera that was added so long ago.
async fn added(control: &ControlPlane, name: &str, ago: Duration) -> Bundle {
    let home = control.server.home();
    let server = ClaimServer {
        url: control.server.url(),
        ca: None,
    };
    let broker = control.server.broker_addresses().devices.to_string();
    let then = SystemTime::now() - ago;
    let added = home
        .enrolment(broker, server)
        .add_camera(&home.tenant, name, then)
        .await
        .unwrap();
    toml::from_str(&added.bundle).unwrap()
}

/// Asks until the gate knows the camera, which another process added.
async fn until(client: &Client, path: &str, status: u16) -> String {
    let wait = async {
        loop {
            let answer = client.get(path).await;
            if answer.status == status {
                return answer.body;
            }
        }
    };
    timeout(PATIENCE, wait).await.unwrap()
}

/// Whether TLS lets a certificate in at all.
async fn handshake(control: &ControlPlane, certificate: &str, key: &str) -> Result<(), String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let device = control.device(certificate, key);
    let tcp = TcpStream::connect(device.address).await.unwrap();
    let name = rustls_pki_types::ServerName::from(device.address.ip());
    let exchange = async {
        let mut stream = device.tls.connect(name, tcp).await?;
        // In TLS 1.3 the server's verdict comes after the client's handshake is done.
        let ask = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(ask).await?;
        stream.read_u8().await
    };
    let answer = timeout(PATIENCE, exchange).await.unwrap();
    answer.map(|_| ()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn only_the_device_cas_certificates_in_date_are_let_in() {
    let control = ControlPlane::start().await;
    let identity = &control.server.home().identity;
    let now = SystemTime::now();
    let of = |authority: &Authority, name: &str, from: SystemTime, life| {
        let issued = authority.issue(&Subject::Client(name), life, from).unwrap();
        (issued.certificate, issued.key)
    };
    for (what, (certificate, key), words) in [
        (
            "the control plane's own",
            of(&identity.control, "heron-control", now, DAY),
            "UnknownCA",
        ),
        (
            "of the CA of servers",
            of(&identity.root, "front-door-01", now, DAY),
            "UnknownCA",
        ),
        (
            "not yet valid",
            of(&identity.devices, "front-door-01", now + 10 * DAY, DAY),
            "CertificateExpired",
        ),
        (
            "expired for more than a year",
            of(&identity.devices, "front-door-01", now - 400 * DAY, DAY),
            "CertificateExpired",
        ),
    ] {
        let refused = handshake(&control, &certificate, &key).await.unwrap_err();
        assert!(
            refused.to_lowercase().contains(&words.to_lowercase()),
            "{what}: {refused}"
        );
    }
    let metrics = control.client().get("/metrics").await.body;
    assert!(
        metrics.contains("heron_client_certificates_refused_total 4"),
        "{metrics}"
    );

    // One of the device CA that is in no record opens TLS, and nothing behind it; neither does none at all.
    let (certificate, key) = of(&identity.devices, "front-door-01", now, DAY);
    let stranger = control.device(&certificate, &key);
    let refused = stranger.get("/api/v1/device").await;
    assert_eq!(refused.status, 403);
    assert!(
        refused.detail().contains("never enrolled"),
        "{}",
        refused.body
    );
    assert_eq!(control.client().get("/api/v1/device").await.status, 401);
    let (_, any) = (
        0,
        request(&KeyPair::generate().unwrap(), Some("front-door-01")),
    );
    assert_eq!(control.client().est(RENEW, None, &any).await.status, 401);
    assert_eq!(stranger.est(RENEW, None, &any).await.status, 403);
    control.server.stop().await;
}

#[tokio::test]
async fn a_renewal_takes_over_and_both_keys_are_good_for_a_day() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let bundle = added(&control, "Front door", 61 * DAY).await;
    let old = control.device_of(&bundle);
    let told = until(&old, "/api/v1/device", 200).await;
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let overdue = told["now_ms"].as_i64().unwrap() - told["renew_after_ms"].as_i64().unwrap();
    assert!(overdue > 0 && overdue < 2 * 86_400_000, "{told}");
    assert_eq!(told["grant_key"], bundle.grant_key.as_str());

    let device = bundle.device.as_str();
    let key = KeyPair::generate().unwrap();
    let next = request(&key, Some(device));
    let answer = old.est(RENEW, None, &next).await;
    let pem = certificate(&answer);
    assert_eq!(names(&pem).0, device);
    let lost = certificate(&old.est(RENEW, None, &next).await);
    assert_eq!(
        names(&lost),
        names(&pem),
        "the same key is the same renewal"
    );

    let keys = async || {
        let camera = admin.get(&format!("/api/v1/cameras/{device}")).await.json();
        let count = camera["identity_keys"].as_array().unwrap().len();
        assert!(
            camera["identity_keys"]
                .as_array()
                .unwrap()
                .contains(&camera["identity_key"])
        );
        (count, camera["identity_key"].clone())
    };
    let (count, before) = keys().await;
    assert_eq!(
        count, 2,
        "pending counts: the camera signs with it from its first moment"
    );
    let new = control.device(&pem, &key.serialize_pem());
    assert_eq!(new.get("/api/v1/device").await.status, 200);
    assert_eq!(old.get("/api/v1/device").await.status, 200, "the overlap");
    let path = format!("/api/v1/cameras/{device}/identity");
    let shown = admin.get(&path).await.json();
    let states: Vec<_> = shown["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["state"])
        .collect();
    assert_eq!(states, ["active", "superseded"]);
    let (count, after) = keys().await;
    assert_eq!(count, 2);
    assert_ne!(before, after);

    for (who, csr, words) in [
        (&new, next.clone(), "a renewal needs a new key"),
        (
            &new,
            request(&KeyPair::generate().unwrap(), None),
            "the common name must be",
        ),
        (
            &new,
            request(&KeyPair::generate().unwrap(), Some("back-door-01")),
            "the common name must be",
        ),
    ] {
        let answer = who.est(RENEW, None, &csr).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.contains(words), "{}", answer.body);
    }
    let mut last = 200;
    for _ in 0..30 {
        let csr = request(&KeyPair::generate().unwrap(), Some(device));
        last = new.est(RENEW, None, &csr).await.status;
        if last != 200 {
            break;
        }
    }
    assert_eq!(last, 429, "a mad camera does not fill the store");
    control.server.stop().await;
}

#[tokio::test]
async fn a_camera_that_was_off_for_200_days_renews_and_is_back() {
    let control = ControlPlane::start().await;
    let bundle = added(&control, "Shed", 200 * DAY).await;
    let old = control.device_of(&bundle);
    for path in ["/api/v1/device", "/healthz", "/.well-known/est/cacerts"] {
        let refused = old.get(path).await;
        assert_eq!(refused.status, 403, "{path}");
        assert!(
            refused.body.contains("only simplereenroll"),
            "{}",
            refused.body
        );
    }
    let key = KeyPair::generate().unwrap();
    let next = request(&key, Some(bundle.device.as_str()));
    let renewed = async {
        loop {
            let answer = old.est(RENEW, None, &next).await;
            if answer.status == 200 {
                return answer;
            }
            assert_eq!(answer.status, 403, "{}", answer.body);
        }
    };
    let pem = certificate(&timeout(PATIENCE, renewed).await.unwrap());
    let new = control.device(&pem, &key.serialize_pem());
    assert_eq!(new.get("/api/v1/device").await.status, 200);
    let again = old.est(RENEW, None, &next).await;
    assert_eq!(again.status, 403, "superseded and expired: {}", again.body);
    control.server.stop().await;
}

#[tokio::test]
async fn a_database_of_before_keeps_its_cameras() {
    let dir = tempfile::tempdir().unwrap();
    let config = crate::support::config(dir.path());
    // A camera as the first migration stored it: its certificate in its own row, good for ten years.
    let issued = {
        let home = heron_control::home::Home::open(&config).await.unwrap();
        let life = 3600 * DAY;
        let issued = home
            .identity
            .devices
            .issue(&Subject::Client("front-door-01"), life, SystemTime::now())
            .unwrap();
        home.store.close().await;
        issued
    };
    let file = dir.path().join("data/heron.db");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", file.display()));
    }
    crate::support::database::of_the_first_version(&file, "front-door-01", &issued.certificate)
        .await;

    let server = heron_control::Server::start(config).await.unwrap();
    server
        .home()
        .add_person(ADMIN.0, ADMIN.1, heron_control::access::Role::Admin)
        .await
        .unwrap();
    let control = ControlPlane { server, dir };
    let admin = control.signed_in(ADMIN).await;
    let shown = admin
        .get("/api/v1/cameras/front-door-01/identity")
        .await
        .json();
    assert_eq!(shown["state"], "active");
    let camera = admin.get("/api/v1/cameras/front-door-01").await.json();
    assert_eq!(camera["identity_keys"], json!([camera["identity_key"]]));
    let device = control.device(&issued.certificate, &issued.key);
    assert_eq!(device.get("/api/v1/device").await.status, 200);
    control.server.stop().await;
}
