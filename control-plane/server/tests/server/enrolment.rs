//! The three ways in, over HTTPS: claims, pairing codes, the factory list.

use std::time::SystemTime;

use crate::support::devices::{ENROL, certificate, names, request};
use crate::support::{ADMIN, ControlPlane, VIEWER};
use heron_control::identity::{ClaimServer, ClaimTerms, make_claim};
use rcgen::KeyPair;
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Some key and the request for it.
fn fresh(name: Option<&str>) -> (KeyPair, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let request = request(&key, name);
    (key, request)
}

fn key_sha256(key: &KeyPair) -> String {
    use rcgen::PublicKeyData as _;
    let hash = Sha256::digest(key.subject_public_key_info());
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_claim_used_twice_at_once_makes_one_camera() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let terms = json!({ "name": "Hall", "site": "Home", "tags": ["indoor"] });
    let secret = control.claim(&admin, &terms).await;
    let client = control.client();
    let requests: Vec<_> = (0..8).map(|_| fresh(None)).collect();
    let asked = requests
        .iter()
        .map(|(_, request)| client.est(ENROL, Some(("claim", &secret)), request));
    let answers = futures::future::join_all(asked).await;
    let (won, lost): (Vec<_>, Vec<_>) = (0..8).partition(|&i| answers[i].status == 200);
    assert_eq!(
        won.len(),
        1,
        "{:?}",
        answers.iter().map(|a| a.status).collect::<Vec<_>>()
    );
    for i in lost {
        assert_eq!(
            (answers[i].status, answers[i].body.as_str()),
            (403, "the claim is used up; make another one\n")
        );
    }
    let list = admin.get("/api/v1/cameras").await.json();
    let cameras = list["cameras"].as_array().unwrap();
    assert_eq!(cameras.len(), 1);
    assert_eq!(
        (
            &cameras[0]["name"],
            &cameras[0]["site"],
            &cameras[0]["tags"]
        ),
        (&json!("Hall"), &json!("Home"), &json!(["indoor"]))
    );
    let claims = admin.get("/api/v1/claims").await;
    assert_eq!(claims.json()["claims"][0]["uses"], 1);
    assert!(!claims.body.contains(&secret));

    // Whose answer got lost asks again with the same key and is the same camera.
    let again = client
        .est(ENROL, Some(("claim", &secret)), &requests[won[0]].1)
        .await;
    assert_eq!(
        names(&certificate(&again)),
        names(&certificate(&answers[won[0]]))
    );
    control.server.stop().await;
}

#[tokio::test]
async fn the_same_device_that_asks_twice_at_once_is_counted_once() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let secret = control.claim(&admin, &json!({ "max_uses": 5 })).await;
    let client = control.client();
    let (_, request) = fresh(Some("front-door-01"));
    let asked = (0..4).map(|_| client.est(ENROL, Some(("claim", &secret)), &request));
    let answers = futures::future::join_all(asked).await;
    let serials: std::collections::HashSet<_> = answers
        .iter()
        .map(|answer| names(&certificate(answer)))
        .collect();
    assert_eq!(serials.len(), 1, "{serials:?}");
    let claims = admin.get("/api/v1/claims").await.json();
    assert_eq!(claims["claims"][0]["uses"], 1);
    control.server.stop().await;
}

#[tokio::test]
async fn cameras_of_one_claim_are_numbered() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let terms = json!({ "name": "Yard", "max_uses": 20 });
    let secret = control.claim(&admin, &terms).await;
    let client = control.client();
    let requests: Vec<_> = (0..20).map(|_| fresh(None).1).collect();
    let asked = requests
        .iter()
        .map(|request| client.est(ENROL, Some(("claim", &secret)), request));
    for answer in futures::future::join_all(asked).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let list = admin.get("/api/v1/cameras").await.json();
    let cameras = list["cameras"].as_array().unwrap();
    assert_eq!(cameras.len(), 20);
    for camera in cameras {
        assert!(camera["name"].as_str().unwrap().starts_with("Yard"));
    }
    control.server.stop().await;
}

#[tokio::test]
async fn claims_that_are_not_good_are_told_why() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let client = control.client();
    let (_, request) = fresh(None);
    let secret = control.claim(&admin, &json!({})).await;
    let refused = async |who: Option<(&str, &str)>| {
        let answer = client.est(ENROL, who, &request).await;
        assert_eq!(answer.body.lines().count(), 1, "{}", answer.body);
        (answer.status, answer.body.trim_end().to_owned())
    };
    let (status, reason) = refused(Some(("claim", &secret[..25]))).await;
    assert_eq!(status, 401);
    assert!(reason.contains("has 25 characters; 40"), "{reason}");
    let (status, reason) = refused(Some(("claim", &"0".repeat(40)))).await;
    assert_eq!(status, 401);
    assert!(reason.contains("no such claim"), "{reason}");
    let (status, reason) = refused(None).await;
    assert_eq!(status, 401);
    assert!(reason.contains("HTTP Basic"), "{reason}");
    assert_eq!(refused(Some(("root", "x"))).await.0, 401);

    // One that was made two days ago, for one day.
    let home = control.server.home();
    let past = SystemTime::now() - std::time::Duration::from_secs(2 * 86_400);
    let server = ClaimServer {
        url: control.server.url(),
        ca: None,
    };
    let terms = ClaimTerms {
        max_uses: 1,
        ttl_s: 86_400,
        ..ClaimTerms::default()
    };
    let old = make_claim(&*home.store.claims, &server, &home.tenant, &terms, past)
        .await
        .unwrap();
    let old: toml::Table = toml::from_str(&old.file).unwrap();
    let (status, reason) = refused(Some(("claim", old["claim"].as_str().unwrap()))).await;
    assert_eq!(status, 403);
    assert!(reason.contains("has expired"), "{reason}");

    // One that was withdrawn.
    let claims = admin.get("/api/v1/claims").await.json();
    let id = claims["claims"][0]["id"].as_str().unwrap();
    assert_eq!(
        admin.delete(&format!("/api/v1/claims/{id}")).await.status,
        204
    );
    assert_eq!(refused(Some(("claim", &secret))).await.0, 401);

    // A body that is no request at all.
    let good = control.claim(&admin, &json!({})).await;
    for body in [&b""[..], b"hello", &request[..request.len() / 2]] {
        let answer = client.est(ENROL, Some(("claim", &good)), body).await;
        assert_eq!(answer.status, 400, "{}", answer.body);
        assert!(answer.body.contains("PKCS#10"), "{}", answer.body);
    }
    for (field, terms) in [
        ("max_uses", json!({ "max_uses": 0 })),
        ("ttl_s", json!({ "ttl_s": 5 })),
        ("tag", json!({ "tags": [""] })),
        ("site", json!({ "site": "x".repeat(65) })),
    ] {
        let answer = admin.post("/api/v1/claims", &terms).await;
        assert_eq!(answer.status, 422, "{terms}");
        assert!(answer.detail().contains(field), "{}", answer.body);
    }
    let viewer = control.signed_in(VIEWER).await;
    assert_eq!(viewer.post("/api/v1/claims", &json!({})).await.status, 403);
    let metrics = client.get("/metrics").await.body;
    assert!(
        metrics.contains("heron_enrolments_refused_total 9"),
        "{metrics}"
    );
    control.server.stop().await;
}

#[tokio::test]
async fn who_guesses_too_often_has_to_wait() {
    let control = ControlPlane::start().await;
    let client = control.client();
    let (_, request) = fresh(None);
    let guess = async |n: u32| {
        let secret = format!("{n:040x}");
        client.est(ENROL, Some(("claim", &secret)), &request).await
    };
    let mut last = guess(0).await;
    for n in 1..50 {
        last = guess(n).await;
        if last.status != 401 {
            break;
        }
    }
    assert_eq!(last.status, 429, "{}", last.body);
    assert!(last.header("retry-after").is_some());
    control.server.stop().await;
}

#[tokio::test]
async fn a_code_is_confirmed_by_a_person() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let client = control.client();
    let (key, request) = fresh(None);
    let ask = async || {
        client
            .est(ENROL, Some(("pair", "AB3D-90GH")), &request)
            .await
    };
    let waiting = ask().await;
    assert_eq!(waiting.status, 202, "{}", waiting.body);
    assert_eq!(waiting.header("retry-after"), Some("2"));

    let pairing = admin.get("/api/v1/pairings/ab3d90gh").await.json();
    assert_eq!(
        (&pairing["code"], &pairing["state"], &pairing["address"]),
        (&json!("AB3D-90GH"), &json!("waiting"), &json!("127.0.0.1"))
    );
    assert_eq!(pairing["key_fingerprint"], key_sha256(&key));
    assert_eq!(ask().await.status, 202);

    let wanted = json!({ "name": "Porch", "tags": ["outdoor"] });
    let path = "/api/v1/pairings/AB3D-90GH/confirm";
    let viewer = control.signed_in(VIEWER).await;
    assert_eq!(viewer.post(path, &wanted).await.status, 403);
    let confirmed = admin.post(path, &wanted).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.body);
    let camera = confirmed.json()["camera"].as_str().unwrap().to_owned();
    assert!(camera.starts_with("porch-"), "{camera}");
    assert_eq!(admin.post(path, &wanted).await.status, 409);

    let answer = ask().await;
    let pem = certificate(&answer);
    assert_eq!(names(&pem).0, camera);
    assert_eq!(
        names(&certificate(&ask().await)),
        names(&pem),
        "asked again"
    );
    let device = control.device(&pem, &key.serialize_pem());
    let told = device.get("/api/v1/device").await.json();
    assert_eq!(told["name"], "Porch");
    let pairing = admin.get("/api/v1/pairings/AB3D-90GH").await.json();
    assert_eq!(pairing["camera"], camera.as_str());
    control.server.stop().await;
}

#[tokio::test]
async fn a_code_belongs_to_its_key_and_can_be_refused() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let client = control.client();
    let (_, request) = fresh(None);
    let code = Some(("pair", "AB3D-90GH"));
    assert_eq!(client.est(ENROL, code, &request).await.status, 202);
    let (_, other) = fresh(None);
    assert_eq!(client.est(ENROL, code, &other).await.status, 409);
    let refuse = "/api/v1/pairings/AB3D-90GH/refuse";
    assert_eq!(admin.post(refuse, &json!({})).await.status, 204);
    let refused = client.est(ENROL, code, &request).await;
    assert_eq!(
        (refused.status, refused.body.as_str()),
        (403, "the pairing was refused\n")
    );
    assert_eq!(admin.post(refuse, &json!({})).await.status, 409);
    assert_eq!(admin.get("/api/v1/pairings/ZZZZ-ZZZZ").await.status, 404);
    assert_eq!(admin.get("/api/v1/pairings/nonsense!").await.status, 422);
    let wrong = client.est(ENROL, Some(("pair", "short")), &request).await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    control.server.stop().await;
}

#[tokio::test]
async fn waiting_devices_are_bounded_in_number() {
    let control = ControlPlane::start().await;
    let client = control.client();
    let (_, request) = fresh(None);
    let mut statuses = Vec::new();
    for n in 0..20 {
        let code = format!("0000{n:04}");
        let answer = client.est(ENROL, Some(("pair", &code)), &request).await;
        statuses.push(answer.status);
    }
    assert!(
        statuses[..16].iter().all(|&status| status == 202),
        "{statuses:?}"
    );
    assert!(
        statuses[16..].iter().all(|&status| status == 429),
        "{statuses:?}"
    );
    control.server.stop().await;
}

#[tokio::test]
async fn the_factory_list_admits_a_serial_number_with_its_key() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let client = control.client();
    let (key, request) = fresh(None);
    let entry = json!({ "serial": "SN-1", "key_sha256": key_sha256(&key) });
    let list = async |entries: serde_json::Value| {
        let body = json!({ "entries": entries });
        admin.post("/api/v1/factory-list", &body).await
    };
    assert_eq!(list(json!([entry])).await.status, 204);
    let who = Some(("factory", "SN-1"));
    let (_, other) = fresh(None);
    assert_eq!(client.est(ENROL, who, &other).await.status, 403);
    let unlisted = client.est(ENROL, Some(("factory", "SN-2")), &request).await;
    assert_eq!(unlisted.status, 403, "{}", unlisted.body);

    let camera = names(&certificate(&client.est(ENROL, who, &request).await)).0;
    let listing = admin.get("/api/v1/factory-list").await.json();
    assert_eq!(listing["devices"][0]["camera"], camera.as_str());
    let shown = admin.get(&format!("/api/v1/cameras/{camera}")).await.json();
    assert_eq!(shown["name"], "Camera SN-1");
    // Reset to factory state, it comes back as the same camera.
    let again = names(&certificate(&client.est(ENROL, who, &request).await)).0;
    assert_eq!(again, camera);

    // Removed, it stays out until it is listed again.
    let path = format!("/api/v1/cameras/{camera}");
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(client.est(ENROL, who, &request).await.status, 403);
    assert_eq!(list(json!([entry])).await.status, 204);
    assert_ne!(
        names(&certificate(&client.est(ENROL, who, &request).await)).0,
        camera
    );

    let wrong = list(json!([entry, { "serial": "SN-3", "key_sha256": "12" }])).await;
    assert_eq!(wrong.status, 422);
    assert!(
        wrong.detail().contains("entries[1].key_sha256"),
        "{}",
        wrong.body
    );
    let many: Vec<_> = (0..10_000)
        .map(|n| json!({ "serial": format!("SN-{n}"), "key_sha256": key_sha256(&key) }))
        .collect();
    assert_eq!(list(json!(many)).await.status, 204);
    control.server.stop().await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_and_the_claim_stays() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let client = control.client();
    let secret = control.claim(&admin, &json!({ "max_uses": 2 })).await;
    let claim = Some(("claim", secret.as_str()));
    let (_, first) = fresh(Some("front-door-01"));
    assert_eq!(client.est(ENROL, claim, &first).await.status, 200);
    let (_, second) = fresh(Some("front-door-01"));
    let taken = client.est(ENROL, claim, &second).await;
    assert_eq!(taken.status, 409);
    assert!(taken.body.contains("front-door-01"), "{}", taken.body);
    let (_, third) = fresh(None);
    assert_eq!(client.est(ENROL, claim, &third).await.status, 200);
    control.server.stop().await;
}
