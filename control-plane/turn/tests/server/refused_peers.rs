//! Every refused range, tried with a credential that is good: on this server, and on Debian's coturn with the
//! configuration that is written for it.

use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use heron_turn::peer_filter::refused_blocks;
use heron_turn::stun::attribute;
use heron_turn::{
    ForeignServer, Quotas, Refusal, Secret, Secrets, TurnConfig, TurnServer, coturn_config,
};

use super::client::{Client, REALM};
use super::setup::{SECRET, config, credential, credential_of};

const LIFE: Duration = Duration::from_secs(600);

/// The first and the last address of every refused block, and some known from attacks.
fn refused_peers() -> Vec<SocketAddr> {
    let known = [
        "127.0.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::1",
        "2001:0:7f00:1::1",
    ];
    let known = known.map(|text| text.parse::<IpAddr>().unwrap());
    refused_blocks()
        .flat_map(|(block, _)| [block.first(), block.last()])
        .chain(known)
        .map(|address| SocketAddr::new(address, 80))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_server_refuses_every_one_whichever_way_it_is_asked_for() {
    // Relayed addresses that are no neighbours of anything here; the sockets are on every address of the machine.
    let server = TurnServer::start(TurnConfig {
        relay_v4: Some("9.9.9.9".parse().unwrap()),
        relay_v6: Some("2620:fe::9".parse().unwrap()),
        ..config(&[])
    })
    .await
    .unwrap();
    let [udp, tcp] = server.local_addrs() else {
        panic!("two listeners");
    };
    let who = || credential(SECRET, "s", LIFE);
    for mut client in [Client::udp(*udp, who()), Client::tcp(*tcp, who())] {
        let both = [(attribute::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0][..])];
        let relayed = client.allocate(&both).unwrap();
        assert_eq!(relayed.len(), 2, "{relayed:?}");
        for peer in refused_peers() {
            assert_eq!(client.permit(peer), Err(403), "{peer}");
            assert_eq!(client.bind(0x4000, peer), Err(403), "{peer}");
            client.indicate(peer, b"GET / HTTP/1.0");
            client.channel(0x4000, b"GET / HTTP/1.0");
        }
        // What was asked before has been done once this is answered: a stream and a socket keep their order.
        assert_eq!(client.permit("8.8.8.8:9".parse().unwrap()), Ok(()));
    }
    let stats = server.stats();
    let peers = refused_peers().len() as u64;
    assert_eq!((stats.packets_relayed, stats.bytes_relayed), (0, 0));
    assert_eq!(stats.refused.of(Refusal::Peer), 2 * 2 * peers);
    assert_eq!(stats.refused.of(Refusal::Permission), 2 * peers);
    assert_eq!(stats.refused.of(Refusal::Channel), 2 * peers);
    server.stop().await;
}

/// coturn, ended with the test.
struct Coturn {
    child: Child,
    address: SocketAddr,
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian's coturn with the configuration that is written for it.
fn coturn(folder: &std::path::Path, allow_peers: &[&str]) -> Coturn {
    let free = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let file = coturn_config(&ForeignServer {
        realm: REALM.into(),
        secrets: Secrets {
            current: Secret::new("the next one"),
            previous: Some(Secret::new(SECRET)),
        },
        listen: vec![free.ip()],
        port: free.port(),
        tls: None,
        relay: vec![free.ip(), "::1".parse().unwrap()],
        relay_ports: 51_000..=51_499,
        allow_peers: allow_peers
            .iter()
            .map(|block| block.parse().unwrap())
            .collect(),
        quotas: Quotas::default(),
        redis: None,
        prometheus: false,
    })
    .unwrap();
    let path = folder.join("turnserver.conf");
    let own = format!("{file}pidfile={0}/pid\nuserdb={0}/db\n", folder.display());
    std::fs::write(&path, own).unwrap();
    let child = Command::new("turnserver")
        .arg("-c")
        .arg(&path)
        .args(["--log-file", "stdout", "--simple-log"])
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(folder.join("log")).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .expect("turnserver (apt-get install coturn)");
    let coturn = Coturn {
        child,
        address: free,
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(free).is_err() {
        let log = || std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(
            Instant::now() < deadline,
            "coturn does not start: {}",
            log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    coturn
}

#[test]
fn coturn_refuses_every_one_with_the_configuration_that_is_written_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let coturn = coturn(folder.path(), &[]);
    let mut v4 = Client::udp(coturn.address, credential(SECRET, "s", LIFE));
    v4.allocate(&[]).unwrap();
    let mut v6 = Client::udp(coturn.address, credential(SECRET, "s", LIFE));
    let family = [(attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0][..])];
    v6.allocate(&family).unwrap();
    for peer in refused_peers() {
        let client = if peer.is_ipv4() { &mut v4 } else { &mut v6 };
        assert_eq!(client.permit(peer), Err(403), "{peer}");
        assert_eq!(client.bind(0x4000, peer), Err(403), "{peer}");
    }
    // Nor does data get through without.
    for (client, own) in [(&mut v4, "127.0.0.1:0"), (&mut v6, "[::1]:0")] {
        let witness = UdpSocket::bind(own).unwrap();
        client.indicate(witness.local_addr().unwrap(), b"hello");
        // Answered after it.
        assert!(client.permit(witness.local_addr().unwrap()).is_err());
        witness.set_nonblocking(true).unwrap();
        assert!(witness.recv(&mut [0; 16]).is_err());
    }
}

#[test]
fn coturn_takes_both_secrets_and_what_is_allowed_by_name_and_no_other_credential() {
    let folder = tempfile::tempdir().unwrap();
    let coturn = coturn(folder.path(), &["127.0.0.0/8"]);
    for secret in ["the next one", SECRET] {
        let mut client = Client::udp(coturn.address, credential(secret, "s", LIFE));
        client.allocate(&[]).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client.bind(0x4000, peer.local_addr().unwrap()).unwrap();
        client.channel(0x4000, b"hello");
        let mut data = [0; 16];
        assert_eq!(peer.recv(&mut data).unwrap(), 5);
    }
    let expired = credential_of(SECRET, "s", 2 * LIFE, LIFE);
    let forged = credential("guessed", "s", LIFE);
    for who in [expired, forged] {
        // coturn calls the expired one a wrong credential of an allocation that is not there.
        assert!(Client::udp(coturn.address, who).allocate(&[]).is_err());
    }
}
