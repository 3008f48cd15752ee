//! Clients of ill will, and honest ones beside them.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use heron_turn::{Quotas, Refusal, Stats, TurnConfig, TurnServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::client::Client;
use super::setup::{SECRET, config, credential, start};

const LIFE: Duration = Duration::from_secs(600);
const PATIENCE: Duration = Duration::from_secs(60);

/// A client with a channel to a peer socket; what is sent either way arrives.
fn pair(mut client: Client) -> (Client, UdpSocket, SocketAddr) {
    let relayed = client.allocate(&[]).unwrap()[0];
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    client.bind(0x4000, peer.local_addr().unwrap()).unwrap();
    (client, peer, relayed)
}

fn round_trip(client: &mut Client, peer: &UdpSocket, relayed: SocketAddr) {
    let mut data = [0; 64];
    client.channel(0x4000, b"there");
    assert_eq!(peer.recv_from(&mut data).unwrap(), (5, relayed));
    peer.send_to(b"back", relayed).unwrap();
    assert_eq!(client.receive().unwrap(), b"\x40\x00\x00\x04back");
}

/// Waits until the server's figures are so.
fn eventually(server: &TurnServer, so: impl Fn(&Stats) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so(&server.stats()) {
        assert!(Instant::now() < deadline, "{:?}", server.stats());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_ended_is_cut_off_at_once_over_udp_and_tcp() {
    let server = start(&["127.0.0.0/8"]).await;
    let [udp, tcp] = server.local_addrs() else {
        panic!("two listeners");
    };
    let who = |session| credential(SECRET, session, LIFE);
    let mut ended = [
        pair(Client::udp(*udp, who("over"))),
        pair(Client::tcp(*tcp, who("over"))),
    ];
    let (mut other, other_peer, other_relayed) = pair(Client::udp(*udp, who("on")));
    for (client, peer, relayed) in &mut ended {
        round_trip(client, peer, *relayed);
    }
    assert_eq!(server.usage("over"), 2 * 9);
    assert_eq!(server.session_usage("over").device.bytes, 2 * 9);
    assert_eq!(server.end_session("over"), 2 * 9);
    for (client, peer, _) in &mut ended {
        client.channel(0x4000, b"there");
        // Answered after what was sent before.
        assert_eq!(client.permit("127.0.0.1:9".parse().unwrap()), Err(401));
        peer.set_nonblocking(true).unwrap();
        assert!(peer.recv(&mut [0; 16]).is_err());
        assert_eq!(client.allocate(&[]), Err(401));
    }
    round_trip(&mut other, &other_peer, other_relayed);
    assert_eq!(server.stats().allocations, 1);
    server.drain();
    let late = Client::udp(*udp, who("late")).allocate(&[]);
    assert_eq!(late, Err(508));
    assert_eq!(server.end_session("on"), 9);
    assert_eq!(server.drained(PATIENCE).await, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_too_slowly_loses_packets_and_holds_nobody_up() {
    let quotas = Quotas {
        stream_rate: u64::MAX,
        udp_rate: u64::MAX,
        username_rate: u64::MAX,
        ..Quotas::default()
    };
    let server = TurnServer::start(TurnConfig {
        quotas,
        ..config(&["127.0.0.0/8"])
    })
    .await
    .unwrap();
    let [udp, tcp] = server.local_addrs() else {
        panic!("two listeners");
    };
    let (mut slow, slow_peer, slow_relayed) =
        pair(Client::tcp(*tcp, credential(SECRET, "s", LIFE)));
    let (mut quick, quick_peer, quick_relayed) =
        pair(Client::udp(*udp, credential(SECRET, "q", LIFE)));
    let deadline = Instant::now() + PATIENCE;
    while server.stats().refused.of(Refusal::SlowReader) < 100 {
        assert!(Instant::now() < deadline, "{:?}", server.stats());
        for _ in 0..100 {
            let _ = slow_peer.send_to(&[7; 1000], slow_relayed);
        }
        round_trip(&mut quick, &quick_peer, quick_relayed);
    }
    // It reads again, and is in step.
    slow_peer.send_to(b"last", slow_relayed).unwrap();
    for _ in 0..100 {
        let frame = slow.receive().unwrap();
        assert_eq!(frame[..4], [0x40, 0, 0x03, 0xe8]);
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_have_a_bound_and_what_is_no_turn_is_cut_off() {
    let quotas = Quotas {
        connections_per_address: 20,
        ..Quotas::default()
    };
    let server = TurnServer::start(TurnConfig {
        quotas,
        ..config(&["127.0.0.0/8"])
    })
    .await
    .unwrap();
    let tcp = server.local_addrs()[1];
    let mut half_open = Vec::new();
    for _ in 0..30 {
        half_open.push(std::net::TcpStream::connect(tcp).unwrap());
    }
    eventually(&server, |stats| {
        stats.refused.of(Refusal::Connections) >= 10
    });
    assert_eq!(server.stats().connections, 20);
    drop(half_open);
    eventually(&server, |stats| stats.connections == 0);
    let mut stranger = TcpStream::connect(tcp).await.unwrap();
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert_eq!(stranger.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(server.stats().refused.of(Refusal::Malformed), 1);
    let (mut client, peer, relayed) = pair(Client::tcp(tcp, credential(SECRET, "s", LIFE)));
    round_trip(&mut client, &peer, relayed);
    drop(client);
    // Its allocation ends with its connection.
    eventually(&server, |stats| stats.allocations == 0);
    server.stop().await;
}

/// Virtual time: it passes when everybody waits.
#[tokio::test(start_paused = true)]
async fn a_connection_from_which_nothing_comes_is_closed() {
    let server = start(&[]).await;
    let mut silent = TcpStream::connect(server.local_addrs()[1]).await.unwrap();
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap_or(0), 0);
    assert_eq!(server.stats().refused.of(Refusal::Idle), 1);
    // The same for a stream that somebody else accepted.
    let (mut silent, theirs) = tokio::io::duplex(1024);
    tokio::spawn(server.serve_stream(theirs, "192.0.2.1:9".parse().unwrap()));
    assert_eq!(silent.read(&mut [0; 16]).await.unwrap(), 0);
    assert_eq!(server.stats().refused.of(Refusal::Idle), 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_nonsense_and_of_allocations_leave_room_for_others() {
    let quotas = Quotas {
        allocations: 50,
        per_username: 10,
        ..Quotas::default()
    };
    let server = TurnServer::start(TurnConfig {
        quotas,
        ..config(&["127.0.0.0/8"])
    })
    .await
    .unwrap();
    let udp = server.local_addr();
    let (mut client, peer, relayed) = pair(Client::udp(udp, credential(SECRET, "s", LIFE)));
    let mut greedy = Vec::new();
    let mut refused = 0;
    for _ in 0..30 {
        let mut one = Client::udp(udp, credential(SECRET, "greedy", LIFE));
        match one.allocate(&[]) {
            Ok(_) => greedy.push(one),
            Err(code) => {
                assert_eq!(code, 486);
                refused += 1;
            }
        }
    }
    assert_eq!((greedy.len(), refused), (10, 20));
    let flood = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..20_000_u32 {
        let nonsense = [&number.to_be_bytes()[..], &[0xa5; 60]].concat();
        let _ = flood.send_to(&nonsense, udp);
        if number % 1000 == 0 {
            round_trip(&mut client, &peer, relayed);
        }
    }
    let stats = server.stats();
    assert!(stats.refused.of(Refusal::Malformed) > 0, "{stats:?}");
    assert_eq!(stats.refused.of(Refusal::UserQuota), 20);
    assert_eq!(stats.allocations, 11);
    server.stop().await;
}
