//! Enrolment with tools that are not ours: openssl makes the key and the request and reads the answer, curl carries
//! them, and mosquitto_pub connects with the certificate.

use std::path::Path;
use std::time::Duration;

use crate::support::devices::names;
use crate::support::{ADMIN, ControlPlane};
use serde_json::json;
use tokio::process::Command;

/// Runs a line of shell in `dir`; what it prints.
async fn sh(dir: &Path, line: &str) -> String {
    let output = Command::new("sh")
        .args(["-euc", line])
        .current_dir(dir)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn openssl_and_curl_enrol_a_device_that_mosquitto_pub_connects_as() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let secret = control.claim(&admin, &json!({ "name": "Foreign" })).await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let root = control.dir.path().join("data/root.pem");
    std::fs::copy(root, dir.join("root.pem")).unwrap();
    let est = format!("{}/.well-known/est", control.server.url());

    // RFC 7030 section 4.1: the CAs. With them, the certificate below is verified.
    let cas = format!(
        "curl -sS --fail --cacert root.pem {est}/cacerts | openssl base64 -d \
         | openssl pkcs7 -inform DER -print_certs -out cas.pem; grep -c BEGIN cas.pem"
    );
    assert_eq!(sh(dir, &cas).await.trim(), "2");
    let wanted = format!(
        "curl -sS --fail --cacert root.pem {est}/csrattrs | openssl base64 -d | openssl asn1parse -inform DER"
    );
    let wanted = sh(dir, &wanted).await;
    for name in ["id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256"] {
        assert!(wanted.contains(name), "{name} in {wanted}");
    }

    // Section 4.2.1: a first certificate.
    let enrol = format!(
        "openssl ecparam -name prime256v1 -genkey -noout -out device.key
         openssl req -new -key device.key -subj /CN=foreign-camera-01/serialNumber=SN1 -outform DER -out request.der
         openssl base64 -in request.der -out request.b64
         curl -sS --fail --cacert root.pem --user claim:{secret} -H 'Content-Type: application/pkcs10' \
             --data-binary @request.b64 {est}/simpleenroll \
         | openssl base64 -d | openssl pkcs7 -inform DER -print_certs -out device.pem
         openssl verify -CAfile cas.pem -purpose sslclient device.pem"
    );
    assert_eq!(sh(dir, &enrol).await.trim(), "device.pem: OK");
    let pem = std::fs::read_to_string(dir.join("device.pem")).unwrap();
    let pem = &pem[pem.find("-----BEGIN").unwrap()..];
    let (device, serial) = names(pem);
    assert_eq!(device, "foreign-camera-01");
    let identity = format!("/api/v1/cameras/{device}/identity");
    let shown = admin.get(&identity).await.json();
    assert_eq!(shown["state"], "pending");
    assert_eq!(shown["certificates"][0]["serial"], serial.as_str());

    // The certificate opens the broker.
    let broker = control.server.broker_addresses().devices;
    let id: heron_protocol::DeviceId = device.parse().unwrap();
    let topic = heron_protocol::Topic::Presence(id.clone()).to_string();
    let publish = format!(
        r#"mosquitto_pub -V 5 -h {} -p {} --cafile root.pem --cert device.pem --key device.key -i {device} \
           -q 1 -r -t {topic} \
           -m '{{"online":true,"boot_id":"b","firmware":"foreign 1.0","seq":2,"at_ms":1}}'"#,
        broker.ip(),
        broker.port()
    );
    sh(dir, &publish).await;
    let online = async {
        loop {
            let camera = admin.get(&format!("/api/v1/cameras/{device}")).await.json();
            if camera["online"] == true {
                return camera;
            }
        }
    };
    let camera = tokio::time::timeout(Duration::from_secs(10), online)
        .await
        .unwrap();
    assert_eq!(
        (&camera["firmware"], &camera["name"]),
        (&json!("foreign 1.0"), &json!("Foreign"))
    );
    let shown = admin.get(&identity).await.json();
    assert_eq!(shown["state"], "active");
    assert!(shown["certificates"][0]["first_used_ms"].is_i64());

    // Section 4.2.2: the next one, by mutual TLS.
    let renew = format!(
        "openssl ecparam -name prime256v1 -genkey -noout -out next.key
         openssl req -new -key next.key -subj /CN={device} -outform DER | openssl base64 -out next.b64
         curl -sS --fail --cacert root.pem --cert device.pem --key device.key \
             -H 'Content-Type: application/pkcs10' --data-binary @next.b64 {est}/simplereenroll \
         | openssl base64 -d | openssl pkcs7 -inform DER -print_certs -out next.pem
         curl -sS --fail --cacert root.pem --cert next.pem --key next.key {}/api/v1/device",
        control.server.url()
    );
    let told: serde_json::Value = serde_json::from_str(&sh(dir, &renew).await).unwrap();
    assert_eq!(
        (&told["device"], &told["name"]),
        (&json!(device), &json!("Foreign"))
    );
    assert!(
        told["broker"]
            .as_str()
            .unwrap()
            .ends_with(&broker.port().to_string())
    );
    let shown = admin.get(&identity).await.json();
    let states: Vec<&str> = shown["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["active", "superseded"]);
    control.server.stop().await;
}

#[tokio::test]
async fn requests_that_openssl_makes_wrong_are_told_what_is_allowed() {
    let control = ControlPlane::start().await;
    let admin = control.signed_in(ADMIN).await;
    let secret = control.claim(&admin, &json!({})).await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let root = control.dir.path().join("data/root.pem");
    std::fs::copy(root, dir.join("root.pem")).unwrap();
    let est = format!("{}/.well-known/est", control.server.url());
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1";
    for (options, status, words) in [
        (
            "-newkey rsa:1024 -subj /CN=foreign-camera-01".to_owned(),
            "400",
            "P-256",
        ),
        (
            "-newkey rsa:3072 -subj /CN=foreign-camera-01".to_owned(),
            "400",
            "P-256",
        ),
        (
            "-newkey ec -pkeyopt ec_paramgen_curve:secp384r1 -subj /CN=foreign-camera-01"
                .to_owned(),
            "400",
            "P-256",
        ),
        (
            format!("{ec} -subj /CN=foreign-camera-01/O=Heron"),
            "400",
            "2.5.4.10 is not allowed",
        ),
        (format!("{ec} -subj /CN=Foreign"), "400", "[a-z0-9-]{8,40}"),
        (
            format!("{ec} -subj /CN=heron-control"),
            "400",
            "the control plane's own name",
        ),
        (
            format!("{ec} -subj / -addext subjectAltName=DNS:heron.example"),
            "400",
            "the extension 2.5.29.17",
        ),
        (
            format!("{ec} -subj / -addext basicConstraints=CA:TRUE"),
            "400",
            "the extension 2.5.29.19",
        ),
        (
            format!("{ec} -subj / -addext extendedKeyUsage=serverAuth"),
            "400",
            "the extension 2.5.29.37",
        ),
        (format!("{ec} -subj / -sha384"), "400", "ecdsa-with-SHA256"),
        // What is right enrols, after all of these: a refusal costs no use of the claim.
        (format!("{ec} -subj /"), "200", ""),
    ] {
        let line = format!(
            "openssl req -new -nodes -keyout any.key {options} -outform DER 2>openssl.log | openssl base64 -out any.b64
             curl -sS --cacert root.pem --user claim:{secret} --data-binary @any.b64 -w '%{{http_code}}' \
                 -H 'Content-Type: application/pkcs10' {est}/simpleenroll"
        );
        let answer = sh(dir, &line).await;
        assert!(answer.ends_with(status), "{options}: {answer}");
        assert!(answer.contains(words), "{options}: {answer}");
        assert!(status == "200" || answer.lines().count() == 2, "{answer}");
    }
    control.server.stop().await;
}
