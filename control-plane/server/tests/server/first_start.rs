//! What a first start makes, and what it serves.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{ControlPlane, config, exchange};
use heron_control::Server;
use tokio::net::TcpStream;

#[tokio::test]
async fn a_first_start_serves_https_with_its_own_ca() {
    let control = ControlPlane::start().await;
    let client = control.client();
    assert_eq!(client.get("/healthz").await.body, "ok\n");

    let ca = client.get("/api/v1/ca.pem").await;
    assert_eq!(
        ca.body,
        std::fs::read_to_string(control.dir.path().join("data/root.pem")).unwrap()
    );
    assert!(control.server.summary().contains(&control.server.url()));
    control.server.stop().await;
}

#[tokio::test]
async fn nobody_else_can_read_what_it_made() {
    let control = ControlPlane::start().await;
    let data = control.dir.path().join("data");
    assert_eq!(data.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let mut names = Vec::new();
    for entry in data.read_dir().unwrap().map(Result::unwrap) {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    for name in [
        "root.key",
        "devices.key",
        "control.key",
        "server.key",
        "grant.key",
        "turn.secret",
        "heron.db",
    ] {
        assert!(names.iter().any(|made| made == name), "{name} in {names:?}");
    }
    control.server.stop().await;
}

#[tokio::test]
async fn a_second_start_is_the_same_control_plane() {
    let ControlPlane { server, dir } = ControlPlane::start().await;
    server.stop().await;
    let read = |name: &str| std::fs::read(dir.path().join("data").join(name)).unwrap();
    let names = [
        "root.pem",
        "devices.pem",
        "control.pem",
        "server.pem",
        "grant.key",
        "turn.secret",
    ];
    let before = names.map(read);
    let server = Server::start(config(dir.path())).await.unwrap();
    assert!(before == names.map(read));
    let control = ControlPlane { server, dir };
    control.signed_in(crate::support::ADMIN).await;
    control.server.stop().await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(dir.path());
    config.server.listen = taken.local_addr().unwrap();
    let error = Server::start(config).await.err().unwrap();
    let error = format!("{error:#}");
    assert!(
        error.starts_with(&format!(
            "server.listen: cannot listen on {}: ",
            taken.local_addr().unwrap()
        )),
        "{error}"
    );
}

#[tokio::test]
async fn a_given_certificate_is_served_and_a_bad_one_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (dir.path().join("given.pem"), dir.path().join("given.key"));
    std::fs::write(&certificate, issued.cert.pem()).unwrap();
    std::fs::write(&key, issued.signing_key.serialize_pem()).unwrap();
    let mut config = config(dir.path());
    config.server.certificate = Some(certificate.clone());
    config.server.key = Some(key.clone());
    let server = Server::start(config.clone()).await.unwrap();
    let client = crate::support::Client {
        address: server.https_address(),
        tls: crate::support::trusting(issued.cert.pem().as_bytes()),
        cookie: None,
    };
    assert_eq!(client.get("/healthz").await.status, 200);
    server.stop().await;

    std::fs::write(&certificate, "nothing").unwrap();
    let error = Server::start(config).await.err().unwrap().to_string();
    assert!(error.contains("given.pem"), "{error}");
}

#[tokio::test]
async fn every_answer_is_guarded_and_plain_http_answers_on_this_machine() {
    let control = ControlPlane::start().await;
    let page = control.client().get("/").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));

    let tag = page.header("etag").unwrap().to_owned();
    let again = control
        .client()
        .send("GET", "/", &[("if-none-match", &tag)], "")
        .await;
    assert_eq!(again.status, 304);
    let view = control.client().get("/cameras/front-door-1").await;
    assert_eq!(
        (view.status, view.header("etag")),
        (200, Some(tag.as_str())),
        "a view of the single page"
    );
    assert_eq!(control.client().get("/missing.js").await.status, 404);

    let me = control.client().get("/api/v1/me").await;
    assert_eq!(
        (me.status, me.header("cache-control")),
        (401, Some("no-store"))
    );
    let missing = control.client().get("/api/v1/nothing").await;
    assert_eq!(
        (missing.status, missing.detail().as_str()),
        (404, "there is no such route")
    );

    let address = control
        .server
        .local_url()
        .trim_start_matches("http://")
        .parse()
        .unwrap();
    let plain = exchange(
        TcpStream::connect(address).await.unwrap(),
        address,
        "GET",
        "/healthz",
        &[],
        "",
    )
    .await;
    assert_eq!(plain.status, 200);
    control.server.stop().await;
}
