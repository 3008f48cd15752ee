//! What a client notices, on virtual time and without sockets.

use std::time::Duration;

use super::*;
use crate::Cidr;
use crate::credential::{Credential, End, Holder, Secret, mint};
use crate::stun::{Transaction, Writer};

const UNIX: u64 = 1_800_000_000;
const RELAYED: &str = "198.51.100.7:49160";
const RELAYED_V6: &str = "[2001:db8::7]:49160";

/// Hands out one relayed address after the other; the socket is the client it was opened for.
struct FakePorts {
    opened: u16,
    ipv6: bool,
}

impl Ports for FakePorts {
    type Socket = Client;

    fn has(&self, family: Family) -> bool {
        family == Family::V4 || self.ipv6
    }

    fn open(
        &mut self,
        client: &Client,
        family: Family,
        _even: bool,
    ) -> io::Result<(Client, SocketAddr)> {
        let relayed = match family {
            Family::V4 => RELAYED,
            Family::V6 => RELAYED_V6,
        };
        let mut relayed: SocketAddr = relayed.parse().unwrap();
        relayed.set_port(relayed.port() + self.opened);
        self.opened += 1;
        Ok((*client, relayed))
    }
}

struct Bench {
    relay: Relay<FakePorts>,
    now: Now,
    nonce: Vec<u8>,
}

/// An answer, reduced to what the tests look at.
#[derive(Debug, PartialEq)]
struct Answer {
    code: u16,
    relayed: Option<SocketAddr>,
    mapped: Option<SocketAddr>,
    lifetime: Option<u32>,
    signed: bool,
    /// The first four bytes of ADDRESS-ERROR-CODE.
    address_error: Option<[u8; 4]>,
}

fn bench() -> Bench {
    bench_with(Quotas::default(), &["10.1.0.0/16"])
}

fn bench_with(quotas: Quotas, allow: &[&str]) -> Bench {
    let secrets = Secrets {
        current: Secret::new("secret"),
        previous: None,
    };
    let auth = Authenticator::new("heron".into(), secrets, [1; 20]);
    let allow: Vec<Cidr> = allow.iter().map(|block| block.parse().unwrap()).collect();
    let own = [RELAYED, RELAYED_V6].map(|text| text.parse::<SocketAddr>().unwrap().ip());
    let filter = PeerFilter::new(allow, own.to_vec(), 49160..=49359);
    let ports = FakePorts {
        opened: 0,
        ipv6: false,
    };
    let now = Now {
        steady: Instant::now(),
        unix: UNIX,
    };
    Bench {
        relay: Relay::new(auth, filter, quotas, ports, now),
        now,
        nonce: Vec::new(),
    }
}

fn credential(session: &str) -> Credential {
    let holder = Holder {
        tenant: "t".into(),
        device: "d".into(),
        session: session.into(),
        end: End::Viewer,
    };
    mint(
        &Secret::new("secret"),
        holder,
        UNIX,
        Duration::from_secs(600),
    )
}

fn client(last: u8) -> Client {
    Client {
        address: SocketAddr::from(([203, 0, 113, last], 4000)),
        server: SocketAddr::from(([198, 51, 100, 7], 3478)),
        link: Link::Udp(0),
    }
}

fn peer(last: u8) -> SocketAddr {
    SocketAddr::from(([8, 8, 8, last], 5000))
}

mod families;
mod limits;

type Attributes<'a> = &'a [(u16, &'a [u8])];
const UDP: (u16, &[u8]) = (attribute::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);

impl Bench {
    fn refused(&self, reason: Refusal) -> u64 {
        self.relay.stats().refused.of(reason)
    }

    fn after(&mut self, time: Duration) {
        self.now.steady += time;
        self.now.unix += time.as_secs();
        self.relay.tick(self.now);
    }

    fn reply(&mut self, from: Client, datagram: &[u8]) -> Vec<u8> {
        match self.relay.client_message(&from, datagram, self.now) {
            Action::Reply(bytes) => bytes,
            other => panic!("no reply but {other:?}"),
        }
    }

    /// Sends a signed request, taking the nonce from a first refusal as every client does.
    fn ask(
        &mut self,
        from: Client,
        who: &Credential,
        method: u16,
        attributes: Attributes<'_>,
        peers: &[SocketAddr],
    ) -> Answer {
        let unsigned = Writer::new(Class::Request, method::ALLOCATE, &[0; 12]).finish(None);
        let refusal = self.reply(from, &unsigned);
        self.nonce = Message::parse(&refusal)
            .unwrap()
            .get(attribute::NONCE)
            .unwrap()
            .to_vec();
        self.ask_with_nonce(from, who, method, attributes, peers, rand::random())
    }

    fn ask_with_nonce(
        &mut self,
        from: Client,
        who: &Credential,
        method: u16,
        attributes: Attributes<'_>,
        peers: &[SocketAddr],
        transaction: Transaction,
    ) -> Answer {
        let mut writer = Writer::new(Class::Request, method, &transaction)
            .add(attribute::USERNAME, who.username.as_bytes())
            .add(attribute::REALM, b"heron")
            .add(attribute::NONCE, &self.nonce);
        for (kind, value) in attributes {
            writer = writer.add(*kind, value);
        }
        for peer in peers {
            writer = writer.add_address(attribute::XOR_PEER_ADDRESS, *peer);
        }
        let key = who.key("heron");
        let bytes = self.reply(from, &writer.finish(Some(&key)));
        let answer = Message::parse(&bytes).unwrap();
        assert_eq!((answer.method, answer.transaction), (method, transaction));
        let address = |kind| answer.addresses(kind).next().map(Option::unwrap);
        Answer {
            code: answer
                .get(attribute::ERROR_CODE)
                .map_or(0, |v| u16::from(v[2]) * 100 + u16::from(v[3])),
            relayed: address(attribute::XOR_RELAYED_ADDRESS),
            mapped: address(attribute::XOR_MAPPED_ADDRESS),
            lifetime: answer
                .get(attribute::LIFETIME)
                .map(|v| u32::from_be_bytes(v.try_into().unwrap())),
            signed: answer.is_signed_with(&key),
            address_error: { answer.get(attribute::ADDRESS_ERROR_CODE) }
                .and_then(|value| value.get(..4)?.try_into().ok()),
        }
    }

    fn allocate(&mut self, from: Client, session: &str) -> Answer {
        self.ask(from, &credential(session), method::ALLOCATE, &[UDP], &[])
    }

    fn permit(&mut self, from: Client, session: &str, peers: &[SocketAddr]) -> u16 {
        self.ask(
            from,
            &credential(session),
            method::CREATE_PERMISSION,
            &[],
            peers,
        )
        .code
    }

    fn bind(&mut self, from: Client, session: &str, number: u16, peer: SocketAddr) -> u16 {
        let number = [number.to_be_bytes().as_slice(), &[0, 0]].concat();
        let attributes = [(attribute::CHANNEL_NUMBER, number.as_slice())];
        self.ask(
            from,
            &credential(session),
            method::CHANNEL_BIND,
            &attributes,
            &[peer],
        )
        .code
    }

    /// Sends by indication; the peer that the data left for.
    fn send(&mut self, from: Client, to: SocketAddr) -> Option<SocketAddr> {
        let bytes = Writer::new(Class::Indication, method::SEND, &[5; 12])
            .add_address(attribute::XOR_PEER_ADDRESS, to)
            .add(attribute::DATA, b"hello")
            .finish(None);
        match self.relay.client_message(&from, &bytes, self.now) {
            Action::Relay {
                socket,
                peer,
                data: b"hello",
            } if socket == from => Some(peer),
            Action::Drop => None,
            other => panic!("{other:?}"),
        }
    }

    fn receive(&mut self, to: Client, from: SocketAddr) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.relay
            .peer_datagram(&to, from, b"world", self.now, &mut out)
            .then_some(out)
    }
}

#[test]
fn binding_tells_the_client_where_it_is() {
    let request = Writer::new(Class::Request, method::BINDING, &[7; 12]).finish(None);
    let mut mapped = client(1);
    mapped.address = "[::ffff:203.0.113.1]:4000".parse().unwrap();
    let bytes = bench().reply(mapped, &request);
    let answer = Message::parse(&bytes).unwrap();
    assert_eq!(answer.class, Class::Success);
    assert_eq!(
        answer
            .addresses(attribute::XOR_MAPPED_ADDRESS)
            .next()
            .unwrap(),
        Some(client(1).address)
    );
}

#[test]
fn an_allocation_relays_to_permitted_peers_both_ways() {
    let mut bench = bench();
    let answer = bench.allocate(client(1), "s");
    assert_eq!(answer.code, 0);
    assert_eq!(answer.relayed, Some(RELAYED.parse().unwrap()));
    assert_eq!(
        (answer.mapped, answer.lifetime, answer.signed),
        (Some(client(1).address), Some(600), true)
    );

    assert_eq!(bench.send(client(1), peer(1)), None, "no permission yet");
    assert_eq!(bench.receive(client(1), peer(1)), None);
    assert_eq!(bench.permit(client(1), "s", &[peer(1)]), 0);
    assert_eq!(bench.send(client(1), peer(1)), Some(peer(1)));
    let indication = bench.receive(client(1), peer(1)).unwrap();
    let indication = Message::parse(&indication).unwrap();
    assert_eq!(
        (indication.class, indication.method),
        (Class::Indication, method::DATA)
    );
    assert_eq!(indication.get(attribute::DATA), Some(&b"world"[..]));
    assert_eq!(
        indication
            .addresses(attribute::XOR_PEER_ADDRESS)
            .next()
            .unwrap(),
        Some(peer(1))
    );

    bench.after(Duration::from_secs(300));
    assert_eq!(
        bench.send(client(1), peer(1)),
        None,
        "permissions end after five minutes"
    );
    let stats = bench.relay.stats();
    assert_eq!((stats.bytes_relayed, stats.allocations), (10, 1));
    assert_eq!(bench.refused(Refusal::Permission), 3);
}

#[test]
fn a_channel_carries_bare_data() {
    let mut bench = bench();
    bench.allocate(client(1), "s");
    assert_eq!(bench.bind(client(1), "s", 0x4000, peer(1)), 0);
    let action = bench
        .relay
        .client_message(&client(1), b"\x40\x00\x00\x03abc\x00", bench.now);
    assert_eq!(
        action,
        Action::Relay {
            socket: client(1),
            peer: peer(1),
            data: b"abc"
        }
    );
    assert_eq!(
        bench.receive(client(1), peer(1)).unwrap(),
        b"\x40\x00\x00\x05world"
    );
    let unbound = bench
        .relay
        .client_message(&client(1), b"\x40\x01\x00\x03abc", bench.now);
    assert_eq!(unbound, Action::Drop);
    assert_eq!(bench.bind(client(1), "s", 0x4000, peer(2)), 400);
    assert_eq!(bench.bind(client(1), "s", 0x3fff, peer(2)), 400);
}

#[test]
fn special_purpose_peers_are_forbidden_whichever_way_they_are_asked_for() {
    let mut bench = bench();
    bench.allocate(client(1), "s");
    for address in [
        "127.0.0.1:80",
        "169.254.169.254:80",
        "192.168.1.1:80",
        "[::ffff:127.0.0.1]:80",
        "[::1]:80",
    ] {
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!(bench.permit(client(1), "s", &[address]), 403, "{address}");
        assert_eq!(
            bench.bind(client(1), "s", 0x4000, address),
            403,
            "{address}"
        );
        assert_eq!(bench.send(client(1), address), None);
    }
    assert_eq!(
        bench.permit(client(1), "s", &[peer(1), "127.0.0.1:80".parse().unwrap()]),
        403
    );
    assert_eq!(
        bench.send(client(1), peer(1)),
        None,
        "all peers of a request or none"
    );
    assert_eq!(bench.refused(Refusal::Peer), 11);
    assert_eq!(
        bench.permit(client(1), "s", &["10.1.2.3:80".parse().unwrap()]),
        0,
        "in the allow list"
    );
    assert_eq!(
        bench.permit(client(1), "s", &["[2606:4700::1]:80".parse().unwrap()]),
        443,
        "wrong family"
    );
}

#[test]
fn two_clients_meet_on_the_relays_own_ports_but_not_beside_them() {
    let mut bench = bench();
    bench.allocate(client(1), "s");
    let other = bench.allocate(client(2), "s").relayed.unwrap();
    assert_eq!(bench.permit(client(1), "s", &[other]), 0);
    assert_eq!(bench.send(client(1), other), Some(other));
    let beside = SocketAddr::new(other.ip(), 22);
    assert_eq!(bench.send(client(1), beside), None);
    assert_eq!(bench.bind(client(1), "s", 0x4000, beside), 403);
}

#[test]
fn forged_and_expired_credentials_are_refused_with_401() {
    let mut bench = bench();
    let mut forged = credential("s");
    forged.password.push('x');
    let answer = bench.ask(client(1), &forged, method::ALLOCATE, &[UDP], &[]);
    assert_eq!((answer.code, answer.signed), (401, false));
    bench.after(Duration::from_secs(600));
    assert_eq!(bench.allocate(client(1), "s").code, 401);
    assert_eq!(bench.refused(Refusal::Credential), 1);
    assert_eq!(bench.refused(Refusal::Expired), 1);
    assert_eq!(bench.relay.stats().allocations, 0);
}

#[test]
fn a_stale_nonce_is_replaced_rather_than_refused() {
    let mut bench = bench();
    bench.nonce = b"0123456789abcdef0123456789abcdef01234567".to_vec();
    let answer = bench.ask_with_nonce(
        client(1),
        &credential("s"),
        method::ALLOCATE,
        &[UDP],
        &[],
        [1; 12],
    );
    assert_eq!(answer.code, 438);
}

#[test]
fn an_allocation_outlives_its_credential_but_not_its_session() {
    let mut bench = bench();
    bench.allocate(client(1), "s");
    for _ in 0..5 {
        bench.after(Duration::from_secs(500));
        let answer = bench.ask(client(1), &credential("s"), method::REFRESH, &[], &[]);
        assert_eq!((answer.code, answer.lifetime), (0, Some(600)));
    }
    bench.permit(client(1), "s", &[peer(1)]);
    bench.send(client(1), peer(1));
    assert_eq!(bench.relay.usage("s", bench.now).bytes(), 5);
    assert_eq!(bench.relay.end_session("s", bench.now).bytes(), 5);
    assert_eq!(bench.relay.stats().allocations, 0);
    assert_eq!(bench.send(client(1), peer(1)), None);
    assert_eq!(
        bench.relay.usage("s", bench.now).bytes(),
        5,
        "it can still be asked for"
    );
}

#[test]
fn a_session_that_ended_cannot_allocate_again() {
    let mut bench = bench();
    bench.relay.end_session("s", bench.now);
    assert_eq!(bench.allocate(client(1), "s").code, 401);
    assert_eq!(bench.allocate(client(1), "other").code, 0);
}

#[test]
fn an_allocation_that_is_not_refreshed_ends() {
    let mut bench = bench();
    bench.allocate(client(1), "s");
    bench.after(Duration::from_secs(600));
    assert_eq!(bench.relay.stats().allocations, 0);
    let answer = bench.ask(client(1), &credential("s"), method::REFRESH, &[], &[]);
    assert_eq!(answer.code, 437);
}

#[test]
fn a_retransmitted_request_gets_the_same_answer_and_a_second_one_a_mismatch() {
    let mut bench = bench();
    let first = bench.allocate(client(1), "s");
    let who = credential("s");
    assert_eq!(bench.allocate(client(1), "s").code, 437);
    let transaction = [9; 12];
    let one = bench.ask_with_nonce(client(2), &who, method::ALLOCATE, &[UDP], &[], transaction);
    assert_eq!(one.code, 438, "the nonce is the other client's");
    bench.ask(client(2), &who, method::REFRESH, &[], &[]);
    let one = bench.ask_with_nonce(client(2), &who, method::ALLOCATE, &[UDP], &[], transaction);
    let two = bench.ask_with_nonce(client(2), &who, method::ALLOCATE, &[UDP], &[], transaction);
    assert_eq!(one, two);
    assert_ne!(one.relayed, first.relayed);
}

#[test]
fn nobody_takes_over_anothers_allocation() {
    let mut bench = bench();
    bench.allocate(client(1), "s");
    assert_eq!(bench.permit(client(1), "other", &[peer(1)]), 441);
}

proptest::proptest! {
    #[test]
    fn any_datagram_is_answered_or_dropped(datagram: Vec<u8>) {
        let mut bench = bench();
        let _ = bench.relay.client_message(&client(1), &datagram, bench.now);
    }
}
