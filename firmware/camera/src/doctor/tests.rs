//! The tests of the network against Debian's coturn: on this machine, and behind each kind of NAT. What they find is
//! what coturn's own tools find.

#[path = "../../../agent/tests/support/mod.rs"]
mod support;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use heron_agent::Clock;
use heron_net_lab::{End, Namespace, Nat, Veth};
use heron_protocol::messages::IceServer;
use support::{Authority, DEVICE, PATIENCE};
use tempfile::TempDir;

use super::finding::{Check, State, Subject};
use super::relays::Relays;
use super::{Broker, Patient, Scope};

/// The camera's host, and the addresses that a STUN server needs to tell kinds of NAT apart (RFC 5780).
const SERVER: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 80, 0, 2), Ipv4Addr::new(10, 80, 0, 3)];
const LOOPBACK: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];

/// Debian's coturn on the host that this thread is on.
struct Coturn {
    process: Child,
    port: u16,
    tls: u16,
    _folder: TempDir,
}

impl Coturn {
    fn start(authority: &Authority, addresses: [Ipv4Addr; 2]) -> Self {
        let [tls] = free_ports(addresses[0]);
        Self::with_tls_on(tls, authority, addresses)
    }

    fn with_tls_on(tls: u16, authority: &Authority, addresses: [Ipv4Addr; 2]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let issued = authority.server_at(addresses);
        fs::write(folder.path().join("cert.pem"), issued.certificate).unwrap();
        fs::write(folder.path().join("key.pem"), issued.key).unwrap();
        let [port, alternate, alternate_tls] = free_ports(addresses[0]);
        let [first, second] = addresses.map(|address| address.to_string());
        let process = Command::new("turnserver")
            .args([
                "-n",
                "--no-cli",
                "--no-dtls",
                "--lt-cred-mech",
                "--allow-loopback-peers",
            ])
            .args(["--listening-ip", &first, "--listening-ip", &second])
            .args(["--relay-ip", &first])
            .args(["--listening-port", &port.to_string()])
            .args(["--alt-listening-port", &alternate.to_string()])
            .args(["--tls-listening-port", &tls.to_string()])
            .args(["--alt-tls-listening-port", &alternate_tls.to_string()])
            .args(["--cert", "cert.pem", "--pkey", "key.pem"])
            .args(["--realm", "heron", "--user", "camera:secret"])
            .args(["--pidfile", "", "--log-file", "stdout"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("turnserver (apt-get install coturn): {error}"));
        let deadline = Instant::now() + PATIENCE;
        for port in [port, tls] {
            while TcpStream::connect((addresses[0], port)).is_err() {
                assert!(Instant::now() < deadline, "coturn does not listen");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Self {
            process,
            port,
            tls,
            _folder: folder,
        }
    }

    /// As the control plane names it.
    fn servers(&self, host: Ipv4Addr, password: &str) -> Vec<IceServer> {
        let Self { port, tls, .. } = self;
        let server = |urls: Vec<String>, username: &str, credential: &str| IceServer {
            urls,
            username: username.to_owned(),
            credential: credential.to_owned(),
        };
        let turn = vec![
            format!("turn:{host}:{port}?transport=udp"),
            format!("turn:{host}:{port}?transport=tcp"),
            format!("turns:{host}:{tls}?transport=tcp"),
        ];
        vec![
            server(vec![format!("stun:{host}:{port}")], "", ""),
            server(turn, "camera", password),
        ]
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_ports<const N: usize>(address: Ipv4Addr) -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind((address, 0)).unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn patient(authority: &Authority) -> Patient {
    Patient {
        bundle: authority.bundle(DEVICE, 1),
        clock: Clock::new(),
        server: None,
        broker: Broker::InUse,
        bitrate_bps: 1_000_000,
    }
}

/// What is found with these servers, from the host that this thread is on.
fn found(patient: &Patient, servers: Vec<IceServer>, scope: Scope) -> Vec<Check> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let relays = Relays::new(&Ok(servers));
        let found = tokio::time::timeout(2 * PATIENCE, Box::pin(relays.test(patient, scope)));
        found.await.expect("a test ends")
    })
}

fn check(checks: &[Check], name: Subject) -> (State, &str) {
    let check = checks.iter().find(|check| check.name == name);
    let check = check.unwrap_or_else(|| panic!("no {name:?}"));
    (check.state, check.sentence.as_str())
}

/// What a tool of coturn's prints. One of them waits for ever where an answer is lost.
fn tool(on: &Namespace, program: &str, arguments: &[&str]) -> String {
    let Output { stdout, stderr, .. } = on
        .command("timeout")
        .args(["20", "stdbuf", "-oL", program])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr)
}

#[test]
fn an_open_network_is_found_good_and_coturns_tools_agree() {
    let authority = Authority::new();
    let server = Coturn::start(&authority, LOOPBACK);
    let servers = server.servers(LOOPBACK[0], "secret");
    let checks = found(&patient(&authority), servers, Scope::Full);
    for check in &checks {
        assert_eq!(check.state, State::Ok, "{check:?}");
    }
    let has = |name, text: &str| {
        let (_, sentence) = check(&checks, name);
        assert!(sentence.contains(text), "{sentence}");
    };
    has(Subject::Stun, "at its own address 127.0.0.1");
    has(Subject::NatMapping, "No NAT");
    has(Subject::NatFiltering, "endpoint-independent");
    for name in [Subject::TurnUdp, Subject::TurnTcp, Subject::TurnTls] {
        has(name, "what is sent there is back in");
    }
    has(Subject::Uplink, "At least ");
    has(Subject::Mtu, "Packets of 1500 bytes");

    let port = server.port.to_string();
    let here = Namespace::current("here");
    let told = tool(&here, "turnutils_stunclient", &["-p", &port, "127.0.0.1"]);
    assert!(told.contains("UDP reflexive addr: 127.0.0.1:"), "{told}");
    let arguments = ["-m", "-f", "-p", &port, "-L", "127.0.0.1", "127.0.0.1"];
    let told = tool(&here, "turnutils_natdiscovery", &arguments);
    assert!(
        told.contains("No NAT! (Endpoint Independent Mapping)"),
        "{told}"
    );
    assert!(told.contains("Endpoint Independent Filtering"), "{told}");
}

/// A camera's host, a router and a server with two addresses.
struct Lab {
    camera: Namespace,
    _router: Namespace,
    server: Namespace,
}

impl Lab {
    fn new(nat: &Nat) -> Self {
        let [camera, router, server] =
            ["camera", "router", "server"].map(|name| Namespace::new(name).unwrap());
        let wire = |(first, left), (second, right)| {
            let end = |namespace, address| End { namespace, address };
            Veth::between(end(first, left), end(second, right)).unwrap();
        };
        wire((&camera, "192.168.7.2/24"), (&router, "192.168.7.1/24"));
        wire((&router, "10.80.0.1/24"), (&server, "10.80.0.2/24"));
        let added = server
            .command("ip")
            .args(["address", "add", "10.80.0.3/24", "dev", "router"])
            .status();
        assert!(added.unwrap().success());
        camera.route("default", "192.168.7.1").unwrap();
        router.forward().unwrap();
        let mut nft = router
            .command("nft")
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("nft (apt-get install nftables): {error}"));
        let rules = nat.rules("server", Ipv4Addr::new(10, 80, 0, 1));
        let mut input = nft.stdin.take().unwrap();
        input.write_all(rules.as_bytes()).unwrap();
        drop(input);
        assert!(nft.wait().unwrap().success(), "{rules}");
        Self {
            camera,
            _router: router,
            server,
        }
    }
}

#[test]
fn every_kind_of_nat_is_told_by_its_name_and_coturns_tools_agree() {
    let endpoint = ("endpoint-independent", "Endpoint Independent");
    let address = ("address-dependent", "Address Dependent");
    let port = ("address-and-port-dependent", "Address and Port Dependent");
    for (nat, mapping, filtering) in [
        (Nat::FULL_CONE, endpoint, endpoint),
        (Nat::ADDRESS_RESTRICTED, endpoint, address),
        (Nat::PORT_RESTRICTED, endpoint, port),
        (Nat::SYMMETRIC, port, port),
    ] {
        let lab = Lab::new(&nat);
        let authority = Authority::new();
        let start = || Coturn::start(&authority, SERVER);
        let server = lab.server.run(start).unwrap();
        let servers = server.servers(SERVER[0], "secret");
        let test = || found(&patient(&authority), servers, Scope::Short);
        let checks = lab.camera.run(test).unwrap();

        let (_, sentence) = check(&checks, Subject::Stun);
        assert!(sentence.contains(" at 10.80.0.1;"), "{sentence}");
        let (_, sentence) = check(&checks, Subject::NatMapping);
        assert!(sentence.contains(&format!(" {}", mapping.0)), "{sentence}");
        let (_, sentence) = check(&checks, Subject::NatFiltering);
        assert!(
            sentence.contains(&format!(" {}:", filtering.0)),
            "{sentence}"
        );
        for name in [Subject::TurnUdp, Subject::TurnTcp] {
            assert_eq!(check(&checks, name).0, State::Ok, "{checks:?}");
        }

        let port = server.port.to_string();
        let server = SERVER[0].to_string();
        let discover = |what| {
            let arguments = [what, "-p", &port, &server];
            tool(&lab.camera, "turnutils_natdiscovery", &arguments)
        };
        let told = discover("-m");
        assert!(
            told.contains(&format!("{} Mapping", mapping.1)),
            "{nat:?}: {told}"
        );
        let told = discover("-f");
        assert!(
            told.contains(&format!("{} Filtering", filtering.1)),
            "{nat:?}: {told}"
        );
        if filtering == endpoint {
            let told = tool(&lab.camera, "turnutils_stunclient", &["-p", &port, &server]);
            assert!(told.contains("UDP reflexive addr: 10.80.0.1:"), "{told}");
        }
    }
}

#[test]
fn a_network_that_lets_only_tls_out_is_told_and_works() {
    let lab = Lab::new(&Nat {
        out: heron_net_lab::Out::Tcp(vec![443]),
        ..Nat::PORT_RESTRICTED
    });
    let authority = Authority::new();
    let start = || Coturn::with_tls_on(443, &authority, SERVER);
    let server = lab.server.run(start).unwrap();
    let servers = server.servers(SERVER[0], "secret");
    let test = || found(&patient(&authority), servers, Scope::Short);
    let checks = lab.camera.run(test).unwrap();
    let (state, sentence) = check(&checks, Subject::Stun);
    assert_eq!(state, State::Failed);
    assert!(sentence.ends_with("over UDP: no answer."), "{sentence}");
    for name in [Subject::TurnUdp, Subject::TurnTcp] {
        assert_eq!(check(&checks, name).0, State::Failed);
    }
    assert_eq!(check(&checks, Subject::TurnTls).0, State::Ok, "{checks:?}");
    assert_eq!(check(&checks, Subject::NatMapping).0, State::Skipped);
    assert_eq!(check(&checks, Subject::Mtu).0, State::Skipped);
}

#[test]
fn credentials_that_are_refused_and_certificates_that_are_foreign_are_told() {
    let authority = Authority::new();
    let server = Coturn::start(&authority, LOOPBACK);
    let wrong = server.servers(LOOPBACK[0], "wrong");
    let checks = found(&patient(&authority), wrong, Scope::Full);
    let (state, sentence) = check(&checks, Subject::TurnUdp);
    assert_eq!(state, State::Failed);
    assert!(sentence.contains("it refused: 401"), "{sentence}");
    assert_eq!(check(&checks, Subject::Stun).0, State::Ok);
    assert_eq!(check(&checks, Subject::Uplink).0, State::Skipped);

    let right = server.servers(LOOPBACK[0], "secret");
    let checks = found(&patient(&Authority::new()), right, Scope::Short);
    let (state, sentence) = check(&checks, Subject::TurnTls);
    assert_eq!(state, State::Failed);
    assert!(
        sentence.contains("no TLS: invalid peer certificate"),
        "{sentence}"
    );
    assert_eq!(check(&checks, Subject::TurnTcp).0, State::Ok);
}

/// Answers every datagram with what `answer` makes of it.
fn answering(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 2048];
        while let Ok((size, from)) = socket.recv_from(&mut bytes) {
            let _ = socket.send_to(&answer(&bytes[..size]), from);
        }
    });
    address
}

/// Says this to everybody who connects.
fn saying(words: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(words);
        }
    });
    address
}

#[test]
fn whatever_answers_is_told_in_a_sentence() {
    let authority = Authority::new();
    let patient = patient(&authority);
    let url = |url: String| {
        vec![IceServer {
            urls: vec![url],
            username: "u".to_owned(),
            credential: "c".to_owned(),
        }]
    };
    let echo = answering(<[u8]>::to_vec);
    let garbage = answering(|_| b"\x01\x01\xff\xffgarbage".to_vec());
    let foreign = answering(|asked| {
        let mut answer = asked.to_vec();
        answer[0] = 1;
        answer[10] ^= 1;
        answer
    });
    // A success without an address.
    let empty = answering(|asked| {
        let mut answer = asked[..20].to_vec();
        answer[..4].copy_from_slice(&[1, asked[1], 0, 0]);
        answer
    });
    let nobody = free_ports::<1>(LOOPBACK[0])[0];
    for (server, stun, turn) in [
        (echo, "does not speak STUN", "does not speak STUN"),
        (garbage, "does not speak STUN", "does not speak STUN"),
        (foreign, "does not speak STUN", "does not speak STUN"),
        (empty, "no address in it", "makes no sense"),
        ((LOOPBACK[0], nobody).into(), "refused", "refused"),
    ] {
        let servers = url(format!("turn:{server}?transport=udp"));
        let checks = found(&patient, servers, Scope::Short);
        for (name, why) in [(Subject::Stun, stun), (Subject::TurnUdp, turn)] {
            let (state, sentence) = check(&checks, name);
            assert!(
                state == State::Failed && sentence.contains(why),
                "{sentence}"
            );
        }
    }
    let (page, half) = (saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"), saying(b"\x01"));
    for (url_of, name, why) in [
        (
            format!("turn:{page}?transport=tcp"),
            Subject::TurnTcp,
            "does not speak STUN",
        ),
        (format!("turn:{half}?transport=tcp"), Subject::TurnTcp, ""),
        (format!("turns:{page}"), Subject::TurnTls, "no TLS: "),
        (
            format!("turn:127.0.0.1:{nobody}?transport=tcp"),
            Subject::TurnTcp,
            "no connection: ",
        ),
    ] {
        let checks = found(&patient, url(url_of), Scope::Short);
        let (state, sentence) = check(&checks, name);
        assert!(
            state == State::Failed && sentence.contains(why),
            "{sentence}"
        );
        assert_eq!(check(&checks, Subject::Stun).0, State::Skipped);
    }
    let nothing = found(&patient, Vec::new(), Scope::Full);
    let ipv6 = |check: &&Check| check.name != Subject::Ipv6;
    assert!(
        nothing
            .iter()
            .filter(ipv6)
            .all(|check| check.state == State::Skipped)
    );
}
