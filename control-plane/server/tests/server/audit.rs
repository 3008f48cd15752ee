//! What people changed is in the log: who, from where, before and after, and nothing secret.

use serde_json::{Value, json};

use crate::support::{ADMIN, ControlPlane, VIEWER, config_file, heron_control};

#[tokio::test]
async fn every_change_is_written_down_and_nothing_secret() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let added = admin
        .post("/api/v1/cameras", &json!({ "name": "Barn" }))
        .await
        .json();
    let id = added["id"].as_str().unwrap();
    let claim = admin
        .post("/api/v1/claims", &json!({ "name": "Stable" }))
        .await
        .json();
    let claim_id = claim["id"].as_str().unwrap();
    let headers = [("content-type", "application/json")];
    let path = format!("/api/v1/cameras/{id}/relay-policy");
    for rate in [64_000, 128_000] {
        let policy = json!({ "max_bps": rate }).to_string();
        assert_eq!(
            admin.send("PUT", &path, &headers, &policy).await.status,
            200
        );
    }
    let quarantined = admin
        .post(
            &format!("/api/v1/cameras/{id}/quarantine"),
            &json!({ "reason": "odd" }),
        )
        .await;
    assert_eq!(quarantined.status, 204);
    assert_eq!(
        admin
            .post(&format!("/api/v1/cameras/{id}/release"), &json!({}))
            .await
            .status,
        204
    );
    assert_eq!(
        admin
            .delete(&format!("/api/v1/claims/{claim_id}"))
            .await
            .status,
        204
    );
    assert_eq!(
        admin.delete(&format!("/api/v1/cameras/{id}")).await.status,
        204
    );
    // What was refused is no change.
    assert_eq!(
        admin.delete(&format!("/api/v1/cameras/{id}")).await.status,
        404
    );

    let log = admin.get("/api/v1/audit").await;
    let entries = log.json()["entries"].as_array().unwrap().clone();
    let told: Vec<_> = entries
        .iter()
        .rev()
        .map(|entry| (entry["action"].as_str().unwrap(), &entry["subject"]))
        .collect();
    let (camera, claim) = (json!(id), json!(claim_id));
    assert_eq!(
        told,
        [
            ("sign_in", &Value::Null),
            ("camera.add", &camera),
            ("claim.make", &claim),
            ("camera.relay_policy", &camera),
            ("camera.relay_policy", &camera),
            ("camera.quarantine", &camera),
            ("camera.release", &camera),
            ("claim.remove", &claim),
            ("camera.remove", &camera),
        ]
    );
    for entry in &entries {
        assert_eq!(
            (&entry["actor_name"], &entry["address"]),
            (&json!("Ada"), &json!("127.0.0.1"))
        );
    }
    let policy = &entries[4];
    assert_eq!(
        (&policy["before"], &policy["after"]),
        (
            &json!({ "max_bps": 64_000 }),
            &json!({ "max_bps": 128_000 })
        )
    );
    assert_eq!(entries[0]["before"]["name"], "Barn");
    for secret in ["PRIVATE KEY", "secret", ADMIN.1, "BEGIN"] {
        assert!(!log.body.contains(secret), "{secret} in {}", log.body);
    }

    // Page by page it is the same.
    let (mut paged, mut next) = (Vec::new(), String::new());
    loop {
        let page = admin
            .get(&format!("/api/v1/audit?limit=4{next}"))
            .await
            .json();
        paged.extend(page["entries"].as_array().unwrap().clone());
        let Some(id) = page["next"].as_i64() else {
            break;
        };
        next = format!("&before={id}");
    }
    assert_eq!(paged, entries);
    let removed = admin.get("/api/v1/audit?action=camera.remove").await.json();
    assert_eq!(removed["entries"].as_array().unwrap().len(), 1);
    let viewer = control.signed_in(VIEWER).await;
    assert_eq!(viewer.get("/api/v1/audit").await.status, 403);
    control.server.stop().await;
}

#[tokio::test]
async fn the_command_line_is_written_down_and_the_log_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let config = config_file(dir.path(), None);
    let run = |arguments: &[&str]| {
        let output = heron_control(arguments, &config).output().unwrap();
        let said = if output.status.success() {
            output.stdout
        } else {
            output.stderr
        };
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    assert_eq!(
        run(&["audit", "verify"]),
        (true, "the audit log is empty\n".to_owned())
    );
    assert!(run(&["user", "add", "ada"]).0);
    assert!(run(&["camera", "add", "Barn"]).0);
    let (whole, said) = run(&["audit", "verify"]);
    assert!(
        whole
            && said.starts_with(
                "all 2 entries of the audit log are as they were written; the last hash is "
            ),
        "{said}"
    );
}
