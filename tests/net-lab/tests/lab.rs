//! Real hosts, real sockets, real links. Counts are exact; of times only what must have passed is
//! asserted, never how quick something was.

#![allow(clippy::unwrap_used)]

mod nat;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use heron_net_lab::{Direction, End, Forwarder, Impairment, Link, Namespace, Queue, Veth};

const NEAR: &str = "10.78.0.1";
const FAR: &str = "10.78.0.2";
const PORT: u16 = 5000;
const MS: Duration = Duration::from_millis(1);
/// What a UDP datagram carries beside its payload: IPv4 and UDP headers.
const HEADERS: usize = 28;
/// No packet of a test is under way for longer.
const SILENCE: Duration = Duration::from_millis(700);

struct Lab {
    // Declared first: the link goes before its hosts.
    link: Forwarder,
    near: Namespace,
    far: Namespace,
}

impl Lab {
    fn new(seed: u64) -> Self {
        let (near, far) = (
            Namespace::new("near").unwrap(),
            Namespace::new("far").unwrap(),
        );
        let (first, second) = ends(&near, &far);
        let link = Forwarder::between(first, second, seed).unwrap();
        Self { link, near, far }
    }

    fn sockets(&self) -> (UdpSocket, UdpSocket) {
        udp(&self.near, &self.far)
    }
}

fn ends<'a>(near: &'a Namespace, far: &'a Namespace) -> (End<'a>, End<'a>) {
    let first = End {
        namespace: near,
        address: "10.78.0.1/30",
    };
    let second = End {
        namespace: far,
        address: "10.78.0.2/30",
    };
    (first, second)
}

/// A socket on each host, connected to the other.
fn udp(near: &Namespace, far: &Namespace) -> (UdpSocket, UdpSocket) {
    let bind = |host: &Namespace, own: &str| {
        let socket = host.run(|| UdpSocket::bind((own, PORT))).unwrap().unwrap();
        socket.set_read_timeout(Some(SILENCE)).unwrap();
        socket
    };
    let (a, b) = (bind(near, NEAR), bind(far, FAR));
    a.connect((FAR, PORT)).unwrap();
    b.connect((NEAR, PORT)).unwrap();
    (a, b)
}

/// Sends numbered datagrams of `size` bytes as IP packets, `gap` apart.
fn send(socket: &UdpSocket, count: u32, size: usize, gap: Duration) {
    let mut payload = vec![0; size - HEADERS];
    for number in 0..count {
        payload[..4].copy_from_slice(&number.to_be_bytes());
        socket.send(&payload).unwrap();
        std::thread::sleep(gap);
    }
}

/// The numbers of what arrives, with the times, until nothing does.
fn receive(socket: &UdpSocket) -> Vec<(u32, Instant)> {
    let mut payload = [0; 2048];
    let mut arrived = Vec::new();
    while socket.recv(&mut payload).is_ok() {
        let number = u32::from_be_bytes([payload[0], payload[1], payload[2], payload[3]]);
        arrived.push((number, Instant::now()));
    }
    arrived
}

fn numbers(arrived: &[(u32, Instant)]) -> Vec<u32> {
    arrived.iter().map(|(number, _)| *number).collect()
}

#[test]
fn an_answer_takes_the_delay_of_both_directions() {
    let lab = Lab::new(1);
    let slow = |ms: u32| Impairment {
        delay: ms * MS,
        ..Impairment::NONE
    };
    lab.link.set(Direction::Forth, slow(40));
    lab.link.set(Direction::Back, slow(30));
    let (near, far) = lab.sockets();
    let begin = Instant::now();
    near.send(b"ping").unwrap();
    let mut payload = [0; 16];
    let length = far.recv(&mut payload).unwrap();
    assert_eq!(&payload[..length], b"ping");
    assert!(begin.elapsed() >= 40 * MS);
    far.send(b"pong").unwrap();
    near.recv(&mut payload).unwrap();
    assert!(begin.elapsed() >= 70 * MS);
}

#[test]
fn the_packets_that_are_lost_and_doubled_are_those_the_seed_says() {
    const SEED: u64 = 11;
    const COUNT: u32 = 1000;
    let bad = Impairment {
        loss: 0.1,
        duplicate: 0.05,
        ..Impairment::NONE
    };
    let mut expected = BTreeMap::new();
    let mut model = Link::new(bad, SEED);
    let now = Instant::now();
    for number in 0..COUNT {
        model.push(number.to_be_bytes().to_vec(), now);
        while let Some(packet) = model.pop(now) {
            let number = u32::from_be_bytes(packet.try_into().unwrap());
            *expected.entry(number).or_insert(0) += 1;
        }
    }

    let lab = Lab::new(SEED);
    lab.link.set(Direction::Forth, bad);
    let (near, far) = lab.sockets();
    let arrived = std::thread::scope(|scope| {
        let arrived = scope.spawn(|| receive(&far));
        send(&near, COUNT, 100, Duration::from_micros(100));
        arrived.join().unwrap()
    });
    let mut got = BTreeMap::new();
    for number in numbers(&arrived) {
        *got.entry(number).or_insert(0) += 1;
    }
    assert_eq!(got, expected);
    let counters = lab.link.counters(Direction::Forth);
    assert_eq!(counters.offered, u64::from(COUNT));
    assert_eq!(counters.delivered, arrived.len() as u64);
    assert!((50..150).contains(&counters.lost), "{counters:?}");
}

#[test]
fn a_flow_gets_no_more_than_the_rate_and_a_full_queue_drops() {
    let lab = Lab::new(1);
    lab.link.set(
        Direction::Forth,
        Impairment {
            rate: Some(1_000_000),
            queue: Queue::Bytes(20 * 1250),
            ..Impairment::NONE
        },
    );
    let (near, far) = lab.sockets();
    let arrived = std::thread::scope(|scope| {
        let arrived = scope.spawn(|| receive(&far));
        // Twice the rate: 1250 bytes every 5 ms.
        send(&near, 80, 1250, 5 * MS);
        arrived.join().unwrap()
    });
    let counters = lab.link.counters(Direction::Forth);
    assert_eq!(counters.offered, 80);
    assert_eq!(counters.offered_bytes, 80 * 1250);
    assert_eq!(counters.delivered, arrived.len() as u64);
    assert_eq!(counters.delivered + counters.overflowed, 80);
    assert_eq!(lab.link.queued_bytes(Direction::Forth), 0);
    let numbers = numbers(&arrived);
    assert!(numbers.is_sorted(), "{numbers:?}");
    // Each packet takes 10 ms at the bottleneck. A reader that was kept waiting itself sees them
    // closer together at the end, so the time of the whole flow counts, less a fifth for it.
    let span = arrived[arrived.len() - 1].1 - arrived[0].1;
    let least = 10 * MS * (u32::try_from(arrived.len()).unwrap() - 1);
    assert!(
        span >= least.mul_f64(0.8),
        "{} packets in {span:?}",
        arrived.len()
    );
}

#[test]
fn a_link_changes_while_it_runs() {
    let lab = Lab::new(1);
    let (near, far) = lab.sockets();
    let cut = Impairment {
        loss: 1.0,
        ..Impairment::NONE
    };
    let counted = |impairment| {
        lab.link.set(Direction::Forth, impairment);
        send(&near, 10, 100, Duration::ZERO);
        receive(&far).len()
    };
    assert_eq!(counted(Impairment::NONE), 10);
    assert_eq!(counted(cut), 0);
    assert_eq!(counted(Impairment::NONE), 10);
}

#[test]
fn packets_that_are_held_back_arrive_out_of_order() {
    let lab = Lab::new(3);
    lab.link.set(
        Direction::Forth,
        Impairment {
            reorder: 0.2,
            reorder_by: 50 * MS,
            ..Impairment::NONE
        },
    );
    let (near, far) = lab.sockets();
    let arrived = std::thread::scope(|scope| {
        let arrived = scope.spawn(|| receive(&far));
        send(&near, 50, 100, MS);
        arrived.join().unwrap()
    });
    let mut numbers = numbers(&arrived);
    assert!(!numbers.is_sorted(), "{numbers:?}");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

#[test]
fn tcp_gets_through_a_bad_link_unharmed() {
    const LENGTH: usize = 300_000;
    let lab = Lab::new(5);
    let bad = Impairment {
        rate: Some(20_000_000),
        delay: 2 * MS,
        jitter: 2 * MS,
        loss: 0.01,
        reorder: 0.01,
        duplicate: 0.01,
        ..Impairment::NONE
    };
    lab.link.set(Direction::Forth, bad);
    lab.link.set(Direction::Back, bad);
    let listener = lab.far.run(|| TcpListener::bind((FAR, PORT)));
    let listener = listener.unwrap().unwrap();
    let sent: Vec<u8> = (0..LENGTH).map(|index| (index * 7 % 251) as u8).collect();
    let got = std::thread::scope(|scope| {
        let got = scope.spawn(|| {
            let mut got = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut got).unwrap();
            got
        });
        let stream = lab.near.run(|| TcpStream::connect((FAR, PORT)));
        stream.unwrap().unwrap().write_all(&sent).unwrap();
        got.join().unwrap()
    });
    assert!(got == sent, "{} of {LENGTH} bytes", got.len());
    assert!(lab.link.counters(Direction::Forth).lost > 0);
}

#[test]
fn a_packet_larger_than_the_link_carries_is_split_and_joined() {
    let lab = Lab::new(1);
    let (near, far) = lab.sockets();
    near.send(&[7; 4000]).unwrap();
    let mut payload = [0; 5000];
    let length = far.recv(&mut payload).unwrap();
    assert_eq!(payload[..length], [7; 4000]);
    assert_eq!(lab.link.counters(Direction::Forth).offered, 3);
}

#[test]
fn a_router_passes_packets_on_between_a_wire_and_a_link() {
    let [near, router, far] = ["near", "router", "far"].map(|name| Namespace::new(name).unwrap());
    let end = |namespace, address| End { namespace, address };
    let wire = Veth::between(end(&near, "10.78.0.1/30"), end(&router, "10.78.0.2/30"));
    let link = Forwarder::between(end(&router, "10.78.1.1/30"), end(&far, "10.78.1.2/30"), 1);
    let (_wire, link) = (wire.unwrap(), link.unwrap());
    router.forward().unwrap();
    near.route("default", "10.78.0.2").unwrap();
    far.route("default", "10.78.1.1").unwrap();
    let bind = |host: &Namespace, own| host.run(|| UdpSocket::bind((own, PORT))).unwrap();
    let (a, b) = (
        bind(&near, "10.78.0.1").unwrap(),
        bind(&far, "10.78.1.2").unwrap(),
    );
    b.set_read_timeout(Some(SILENCE)).unwrap();
    a.send_to(b"there", ("10.78.1.2", PORT)).unwrap();
    let mut payload = [0; 16];
    let (length, from) = b.recv_from(&mut payload).unwrap();
    assert_eq!(&payload[..length], b"there");
    assert_eq!(from.to_string(), "10.78.0.1:5000");
    // At least this one: a host that becomes a router reports the groups it joins (RFC 3810, section 5.2.13).
    assert!(link.counters(Direction::Forth).delivered >= 1);
}

#[test]
fn a_wire_keeps_to_the_rate_of_its_token_bucket() {
    let (near, far) = (
        Namespace::new("near").unwrap(),
        Namespace::new("far").unwrap(),
    );
    let (first, second) = ends(&near, &far);
    let wire = Veth::between(first, second).unwrap();
    wire.set_rate(1_000_000, 1000).unwrap();
    let (a, b) = udp(&near, &far);
    let begin = Instant::now();
    send(&a, 40, 1250, Duration::ZERO);
    let arrived = receive(&b);
    assert_eq!(numbers(&arrived), (0..40).collect::<Vec<_>>());
    // 3028 bytes go at once, the rest at 10 ms for 1250 bytes and an Ethernet header.
    let span = arrived[39].1 - begin;
    assert!(span >= 350 * MS, "{span:?}");
    wire.remove().unwrap();
    assert!(a.send(&[0; 4]).is_err());
}

#[test]
fn a_command_runs_on_its_host_and_nothing_is_left_of_it() {
    let lab = Lab::new(1);
    let devices = lab
        .far
        .command("cat")
        .arg("/proc/net/dev")
        .output()
        .unwrap();
    let devices = String::from_utf8(devices.stdout).unwrap();
    assert!(devices.contains("near:"), "{devices}");
    assert!(!devices.contains("far:"), "{devices}");
    let prefix = lab.far.prefix();
    let file = prefix[1].trim_start_matches("--net=").to_owned();
    assert!(Path::new(&file).exists());
    drop(lab);
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_program_that_is_killed_leaves_nothing_behind() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_net-lab"))
        .args([
            "--delay-ms",
            "1",
            "--",
            "sh",
            "-c",
            "echo $$; exec sleep 60",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let output = program.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut said).unwrap();
    let behind = format!("/proc/{}", said.trim());
    assert!(Path::new(&behind).exists());
    program.kill().unwrap();
    program.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while Path::new(&behind).exists() {
        assert!(Instant::now() < deadline, "its command still runs");
        std::thread::sleep(10 * MS);
    }
}
