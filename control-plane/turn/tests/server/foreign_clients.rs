//! The server against clients written by others: coturn's `turnutils_uclient` and `turnutils_stunclient`.
//!
//! They come with Debian's package `coturn`, which `cargo xtask test` installs; without them these tests fail.

use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use heron_turn::{Credential, Listener, NatDiscovery, Refusal, TurnConfig, TurnServer};
use tokio::net::UdpSocket;
use tokio::process::Command;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::setup::{LOCAL, SECRET, config, credential, start};

const PATIENCE: Duration = Duration::from_secs(60);

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

/// `turnutils_uclient`: 50 messages by way of the server at `port` to an echoing peer, in `mode`.
async fn uclient(port: u16, who: &Credential, peer: u16, mode: &[&str]) -> Output {
    let port = port.to_string();
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
    let who = credential(SECRET, "00ff", Duration::from_secs(60));
    for mode in [&[][..], &["-s"]] {
        let before = server.stats();
        let output = uclient(server.local_addr().port(), &who, echo_peer().await, mode).await;
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
    let who = credential(SECRET, "00ff", Duration::from_secs(60));
    let output = uclient(server.local_addr().port(), &who, echo_peer().await, &[]).await;
    let text = text(&output);
    assert!(text.contains("403") && text.contains("Forbidden"), "{text}");
    let stats = server.stats();
    assert!(
        stats.refused.of(Refusal::Peer) > 0 && stats.bytes_relayed == 0,
        "{stats:?}"
    );
    server.stop().await;
}

#[tokio::test]
async fn expired_and_forged_credentials_are_refused() {
    let server = start(&["127.0.0.0/8"]).await;
    let expired = credential(SECRET, "00ff", Duration::ZERO);
    let forged = credential("guessed", "00ff", Duration::from_secs(60));
    for who in [expired, forged] {
        let output = uclient(server.local_addr().port(), &who, echo_peer().await, &[]).await;
        assert!(!output.status.success(), "{}", text(&output));
    }
    let stats = server.stats();
    assert!(
        stats.refused.of(Refusal::Credential) >= 1
            && stats.refused.of(Refusal::Expired) >= 1
            && stats.allocated == 0,
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
async fn coturns_client_gets_every_message_back_over_tcp_and_tls() {
    let tls = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivateKeyDer::try_from(tls.signing_key.serialize_der()).unwrap();
    // Named, because other crates of a whole build bring a second one.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![tls.cert.der().clone()], key)
        .unwrap();
    let local = "127.0.0.1:0".parse().unwrap();
    let server = TurnServer::start(TurnConfig {
        listeners: vec![Listener::tcp(local), Listener::tls(local, Arc::new(tls))],
        ..config(&["127.0.0.0/8"])
    })
    .await
    .unwrap();
    let who = credential(SECRET, "s", Duration::from_secs(60));
    let [tcp, tls] = server.local_addrs() else {
        panic!("two listeners");
    };
    for (address, mode) in [
        (tcp, &["-t"][..]),
        (tcp, &["-t", "-s"]),
        (tls, &["-t", "-S"]),
        (tls, &["-t", "-S", "-s"]),
    ] {
        let output = uclient(address.port(), &who, echo_peer().await, mode).await;
        let text = text(&output);
        assert!(
            text.contains("Total lost packets 0 (0.000000%)"),
            "{mode:?}: {text}"
        );
    }
    let stats = server.stats();
    assert!(stats.bytes_relayed >= 4 * 2 * 50 * 500, "{stats:?}");
    server.stop().await;
}

#[tokio::test]
async fn coturns_clients_reach_coturns_peer_and_each_other() {
    let server = start(&["127.0.0.0/8"]).await;
    let who = credential(SECRET, "s", Duration::from_secs(60));
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut peer = Command::new("turnutils_peer")
        .args(["-L", "127.0.0.1", "-p", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    // -y: clients talk to each other through their relays; -m: so many of them, or of pairs.
    for mode in [&["-m", "4"][..], &["-y", "-m", "2"]] {
        let output = uclient(server.local_addr().port(), &who, port, mode).await;
        let text = text(&output);
        assert!(
            text.contains("Total lost packets 0 (0.000000%)"),
            "{mode:?}: {text}"
        );
    }
    peer.kill().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn coturns_nat_discovery_finds_no_nat_where_there_is_none() {
    let server = TurnServer::start(TurnConfig {
        discovery: Some(NatDiscovery {
            addresses: vec![LOCAL.into(), "127.0.0.2".parse().unwrap()],
            port: 0,
        }),
        ..config(&[])
    })
    .await
    .unwrap();
    let port = server.local_addr().port().to_string();
    for (what, expected) in [
        ("-m", "NAT with Endpoint Independent Mapping"),
        ("-f", "NAT with Endpoint Independent Filtering"),
    ] {
        let arguments = [what, "-p", &port, "127.0.0.1"];
        let text = text(&run("turnutils_natdiscovery", &arguments).await);
        assert!(
            text.contains(expected) || text.contains("No NAT detected"),
            "{what}: {text}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = start(&[]).await;
    let taken = TurnConfig {
        listeners: vec![Listener::udp(server.local_addr())],
        ..config(&[])
    };
    let error = TurnServer::start(taken).await.err().unwrap().to_string();
    assert!(error.contains(&server.local_addr().to_string()), "{error}");
    server.stop().await;
}
