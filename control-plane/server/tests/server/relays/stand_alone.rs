//! A relay on its own (`heron-control turn`), as its control plane uses it.

use std::path::Path;

use heron_control::Config;
use heron_control::turn::{RelayProcess, SecretFile};
use serde_json::json;

use super::{control_in, is_refused, relays, run, session, text, turn, uclient, until};

/// A relay with the secret of `dir`, and the pool that names it.
async fn relay(dir: &Path) -> (RelayProcess, String) {
    let secret = dir.join("relay.secret");
    SecretFile::open_or_make(&secret).unwrap();
    let keys = format!(
        "admin_listen = \"127.0.0.1:0\"\nsecret_file = {secret:?}\nrelay_ports = \"20360-20459\"\n"
    );
    let config = Config::parse(&text(dir, &keys), Path::new("relay.toml")).unwrap();
    let relay = RelayProcess::start(&config).await.unwrap();
    let pool = format!(
        "embedded = false\nprobe_s = 1\n[[turn.pool]]\nkind = \"relay\"\nhost = \"127.0.0.1\"\nport = {}\n\
         secret_file = {secret:?}\nadmin = \"http://{}\"\n",
        relay.turn().local_addr().port(),
        relay.admin_address().unwrap(),
    );
    (relay, pool)
}

#[tokio::test]
async fn it_relays_reports_and_ends_what_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let (relay, pool) = relay(dir.path()).await;
    let control = control_in(dir, &pool).await;
    assert!(control.server.turn().is_none());
    let open = session(&control).await;
    let turn = turn(&open.viewer_servers);
    relays(turn, &turn.urls[0]).await;
    open.viewer
        .row(|row| row["relayed_bytes"].as_u64() >= Some(2 * 20 * 500))
        .await;

    let mut child = uclient(turn, &turn.urls[0], 2000).await.spawn().unwrap();
    let used = relay.turn().usage(open.session.as_str());
    until("packets", || {
        relay.turn().usage(open.session.as_str()) > used
    })
    .await;
    let signed_out = open.viewer.http.post("/api/v1/sign-out", &json!({})).await;
    assert_eq!(signed_out.status, 204);
    let ended = until("the relay's end", || relay.turn().stats().allocations == 0);
    tokio::time::timeout(std::time::Duration::from_secs(5), ended)
        .await
        .expect("within 5 s");
    let relayed = relay.turn().stats().bytes_relayed;
    is_refused(turn, &turn.urls[0]).await;
    assert_eq!(relay.turn().stats().bytes_relayed, relayed);
    child.kill().await.unwrap();
    control.server.stop().await;
    relay.stop().await;
}

#[tokio::test]
async fn it_drains_and_takes_questions_from_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (relay, pool) = relay(dir.path()).await;
    let admin = relay.admin_address().unwrap();
    let stream = tokio::net::TcpStream::connect(admin).await.unwrap();
    let question = json!({ "at": 1, "end": [], "watch": [] }).to_string();
    let answer = crate::support::exchange(stream, admin, "POST", "/relay", &[], &question).await;
    assert_eq!(answer.status, 401);

    let control = control_in(dir, &pool).await;
    let open = session(&control).await;
    let turn = turn(&open.viewer_servers);
    let running = tokio::spawn(run(uclient(turn, &turn.urls[0], 400).await));
    until("packets", || {
        relay.turn().usage(open.session.as_str()) > 20_000
    })
    .await;
    // Who is there may finish.
    relay.drain().await;
    let (is_done, said) = running.await.unwrap();
    assert!(is_done && said.contains("Total lost packets 0"), "{said}");
    control.server.stop().await;
}

#[tokio::test]
async fn without_a_secret_it_says_what_to_copy() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::parse(&text(dir.path(), ""), Path::new("relay.toml")).unwrap();
    let error = format!("{:#}", RelayProcess::start(&config).await.err().unwrap());
    assert!(
        error.contains("copy turn.secret from its data directory to"),
        "{error}"
    );
}
