//! The server against clients written by others: coturn's `turnutils_uclient` and `turnutils_stunclient`.
//!
//! They come with Debian's package `coturn`, which `cargo xtask test` installs; without them these tests fail.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::{Output, Stdio};
use std::time::{Duration, SystemTime};

use heron_turn::{Credential, End, Holder, Quotas, Secret, Secrets, TurnConfig, TurnServer, mint};
use tokio::net::UdpSocket;
use tokio::process::Command;

const SECRET: &str = "shared by control plane and TURN";
const PATIENCE: Duration = Duration::from_secs(60);

async fn start(allow_peers: &[&str]) -> TurnServer {
    TurnServer::start(TurnConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        relay_address: "127.0.0.1".parse().unwrap(),
        relay_ports: 50160..=50359,
        realm: "heron".into(),
        secrets: Secrets {
            current: Secret::new("the next one"),
            previous: Some(Secret::new(SECRET)),
        },
        allow_peers: allow_peers
            .iter()
            .map(|block| block.parse().unwrap())
            .collect(),
        quotas: Quotas::default(),
    })
    .await
    .unwrap()
}

fn credential(secret: &str, ttl: Duration) -> Credential {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let holder = Holder {
        tenant: "home".into(),
        device: "front-door-01".into(),
        session: "00ff".into(),
        end: End::Device,
    };
    mint(&Secret::new(secret), holder, now, ttl)
}

/// Runs one of coturn's programs to its end.
async fn run(program: &str, arguments: &[&str]) -> Output {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    tokio::time::timeout(PATIENCE, child)
        .await
        .expect("the client hangs")
        .unwrap_or_else(|error| panic!("{program} (apt-get install coturn): {error}"))
}

/// Echoes what it receives, as coturn's `turnutils_peer` does.
async fn echo_peer() -> u16 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = socket.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut data = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut data).await {
            let _ = socket.send_to(&data[..length], from).await;
        }
    });
    port
}

/// `turnutils_uclient`: 50 messages by way of the server to an echoing peer, in `mode`.
async fn uclient(server: &TurnServer, who: &Credential, peer: u16, mode: &[&str]) -> Output {
    let port = server.local_addr().port().to_string();
    let peer = peer.to_string();
    let mut arguments = vec![
        "-u",
        &who.username,
        "-w",
        &who.password,
        "-p",
        &port,
        "-e",
        "127.0.0.1",
        "-r",
        &peer,
    ];
    // One relayed address a client (-c), 50 messages of 500 bytes, 5 ms apart.
    arguments.extend(["-c", "-n", "50", "-l", "500", "-z", "5"]);
    arguments.extend(mode);
    arguments.push("127.0.0.1");
    run("turnutils_uclient", &arguments).await
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

#[tokio::test]
async fn coturns_client_gets_every_message_back() {
    let server = start(&["127.0.0.0/8"]).await;
    let who = credential(SECRET, Duration::from_secs(60));
    for mode in [&[][..], &["-s"]] {
        let before = server.stats();
        let output = uclient(&server, &who, echo_peer().await, mode).await;
        let text = text(&output);
        assert!(output.status.success(), "{mode:?}: {text}");
        assert!(
            text.contains("Total lost packets 0 (0.000000%)"),
            "{mode:?}: {text}"
        );
        let stats = server.stats();
        assert!(stats.allocated > before.allocated, "{stats:?}");
        // There and back.
        assert!(
            stats.bytes_relayed - before.bytes_relayed >= 2 * 50 * 500,
            "{stats:?}"
        );
    }
    assert_eq!(server.usage("00ff"), server.stats().bytes_relayed);
    server.stop().await;
}

#[tokio::test]
async fn a_peer_that_is_not_allowed_is_forbidden() {
    let server = start(&[]).await;
    let who = credential(SECRET, Duration::from_secs(60));
    let output = uclient(&server, &who, echo_peer().await, &[]).await;
    let text = text(&output);
    assert!(text.contains("403") && text.contains("Forbidden"), "{text}");
    let stats = server.stats();
    assert!(
        stats.refused_peers > 0 && stats.bytes_relayed == 0,
        "{stats:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn expired_and_forged_credentials_are_refused() {
    let server = start(&["127.0.0.0/8"]).await;
    let expired = credential(SECRET, Duration::ZERO);
    let forged = credential("guessed", Duration::from_secs(60));
    for who in [expired, forged] {
        let output = uclient(&server, &who, echo_peer().await, &[]).await;
        assert!(!output.status.success(), "{}", text(&output));
    }
    let stats = server.stats();
    assert!(
        stats.refused_credentials >= 2 && stats.allocated == 0,
        "{stats:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn coturns_stun_client_learns_its_address() {
    let server = start(&[]).await;
    let port = server.local_addr().port().to_string();
    let output = run("turnutils_stunclient", &["-p", &port, "127.0.0.1"]).await;
    let text = text(&output);
    assert!(text.contains("UDP reflexive addr: 127.0.0.1:"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = start(&[]).await;
    let taken = TurnConfig {
        listen: server.local_addr(),
        relay_address: "127.0.0.1".parse().unwrap(),
        relay_ports: 50160..=50359,
        realm: "heron".into(),
        secrets: Secrets {
            current: Secret::new(SECRET),
            previous: None,
        },
        allow_peers: Vec::new(),
        quotas: Quotas::default(),
    };
    let error = TurnServer::start(taken).await.err().unwrap().to_string();
    assert!(error.contains(&server.local_addr().to_string()), "{error}");
    server.stop().await;
}
