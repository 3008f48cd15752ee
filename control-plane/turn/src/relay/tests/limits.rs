//! Quotas, rates and hard ends, and what clients of ill will try.

use super::*;
use crate::stun::HEADER;

#[test]
fn refreshing_with_zero_ends_it_and_nothing_outlives_its_hard_end() {
    let mut bench = bench_with(
        Quotas {
            hold: Duration::from_secs(100),
            ..Quotas::default()
        },
        &[],
    );
    bench.allocate(client(1), "s");
    let zero = [(attribute::LIFETIME, [0; 4].as_slice())];
    assert_eq!(
        bench
            .ask(client(1), &credential("s"), method::REFRESH, &zero, &[])
            .lifetime,
        Some(0)
    );
    assert_eq!(bench.relay.stats().allocations, 0);

    bench.allocate(client(1), "s");
    bench.after(Duration::from_secs(500));
    let answer = bench.ask(client(1), &credential("s"), method::REFRESH, &[], &[]);
    assert_eq!(
        answer.lifetime,
        Some(200),
        "what is left until its hard end"
    );
    bench.after(Duration::from_secs(200));
    assert_eq!(bench.relay.stats().allocations, 0);
}

#[test]
fn quotas_hold() {
    let quotas = Quotas {
        allocations: 3,
        per_username: 2,
        peers: 2,
        ..Quotas::default()
    };
    let mut bench = bench_with(quotas, &[]);
    assert_eq!(bench.allocate(client(1), "s").code, 0);
    assert_eq!(bench.allocate(client(2), "s").code, 0);
    assert_eq!(bench.allocate(client(3), "s").code, 486);
    assert_eq!(bench.allocate(client(3), "other").code, 0);
    assert_eq!(bench.allocate(client(4), "third").code, 508);
    assert_eq!(bench.permit(client(1), "s", &[peer(1), peer(2)]), 0);
    assert_eq!(bench.permit(client(1), "s", &[peer(3)]), 508);
    assert_eq!(bench.refused(Refusal::UserQuota), 1);
    assert_eq!(bench.refused(Refusal::Capacity), 2);
}

#[test]
fn with_no_hold_a_relay_ends_with_its_credential() {
    let quotas = Quotas {
        hold: Duration::ZERO,
        ..Quotas::default()
    };
    let mut bench = bench_with(quotas, &[]);
    bench.after(Duration::from_secs(590));
    assert_eq!(bench.allocate(client(1), "s").lifetime, Some(10));
    bench.permit(client(1), "s", &[peer(1)]);
    assert_eq!(bench.send(client(1), peer(1)), Some(peer(1)));
    // Not even a tick is needed.
    bench.now.steady += Duration::from_secs(10);
    bench.now.unix += 10;
    assert_eq!(bench.send(client(1), peer(1)), None);
    assert_eq!(bench.receive(client(1), peer(1)), None);
}

#[test]
fn answers_to_strangers_are_small_and_few() {
    let mut bench = bench();
    // What is on the wire: with the headers of IPv4 and UDP.
    const HEADERS: usize = 28;
    let binding = Writer::new(Class::Request, method::BINDING, &[1; 12]).unsigned();
    let allocate = Writer::new(Class::Request, method::ALLOCATE, &[1; 12]).unsigned();
    let unknown = Writer::new(Class::Request, method::BINDING, &[1; 12])
        .add(0x7f00, &[])
        .unsigned();
    for question in [&binding, &allocate, &unknown] {
        assert!(question.len() >= HEADER);
        let (mut sent, mut answered) = (0, 0);
        // A victim whose address is in ten questions a millisecond, for ten seconds.
        let mut victim = client(9);
        victim.address.set_ip([203, 0, 113, question[1]].into());
        for millisecond in 0..10_000 {
            for _ in 0..10 {
                sent += question.len() + HEADERS;
                if let Action::Reply(answer) =
                    bench.relay.client_message(&victim, question, bench.now)
                {
                    let ratio = (answer.len() + HEADERS) as f64 / (question.len() + HEADERS) as f64;
                    assert!(ratio < 2.5, "{ratio}");
                    answered += answer.len() + HEADERS;
                }
            }
            if millisecond % 1000 == 999 {
                bench.after(Duration::from_secs(1));
            }
        }
        assert!(answered > 0 && answered < sent / 50, "{answered} of {sent}");
    }
    assert!(bench.refused(Refusal::Flood) > 290_000);
    let mut other = client(8);
    other.address.set_ip([192, 0, 2, 77].into());
    let answer = bench.relay.client_message(&other, &binding, bench.now);
    assert!(matches!(answer, Action::Reply(_)), "others are served");
}

#[test]
fn bandwidth_has_a_bound_for_each_allocation_and_each_user_name() {
    let quotas = Quotas {
        udp_rate: 800_000,
        stream_rate: 80_000,
        username_rate: 1_200_000,
        ..Quotas::default()
    };
    let mut bench = bench_with(quotas, &[]);
    let mut stream = client(3);
    stream.link = Link::Stream(1);
    for from in [client(1), client(2), stream] {
        assert_eq!(bench.allocate(from, "s").code, 0);
        assert_eq!(bench.bind(from, "s", 0x4000, peer(1)), 0);
    }
    let frame = [&b"\x40\x00\x03\xe8"[..], &[0; 1000]].concat();
    // Ten seconds of 1000 packets a second from each.
    let relayed = |bench: &mut Bench, clients: &[Client]| {
        let mut counts = vec![0_u32; clients.len()];
        for _ in 0..10_000 {
            bench.now.steady += Duration::from_millis(1);
            for (count, client) in counts.iter_mut().zip(clients) {
                let action = bench.relay.client_message(client, &frame, bench.now);
                *count += u32::from(action != Action::Drop);
            }
        }
        bench.now.steady += Duration::from_secs(5);
        counts
    };
    let alone = relayed(&mut bench, &[client(1)])[0];
    assert!((1000..=1060).contains(&alone), "{alone}");
    let narrow = relayed(&mut bench, &[stream])[0];
    assert!((100..=106).contains(&narrow), "{narrow}");
    let both: u32 = relayed(&mut bench, &[client(1), client(2)])
        .into_iter()
        .sum();
    assert!((1500..=1590).contains(&both), "{both}");

    bench.relay.set_session_rate("s", Some(400_000), bench.now);
    let capped = relayed(&mut bench, &[client(1)])[0];
    assert!((500..=530).contains(&capped), "{capped}");
}

#[test]
fn a_draining_server_keeps_what_it_has_and_takes_nothing_new() {
    let mut bench = bench();
    bench.allocate(client(1), "s");
    bench.relay.drain();
    assert_eq!(bench.allocate(client(2), "s").code, 508);
    assert_eq!(bench.permit(client(1), "s", &[peer(1)]), 0);
    assert_eq!(bench.send(client(1), peer(1)), Some(peer(1)));
    assert_eq!(bench.refused(Refusal::Draining), 1);
}

#[test]
fn use_is_told_by_end_and_by_name() {
    let mut bench = bench();
    let viewer = credential("s");
    let holder = Holder {
        end: End::Device,
        tenant: "t".into(),
        device: "d".into(),
        session: "s".into(),
    };
    let device = mint(
        &Secret::new("secret"),
        holder,
        UNIX,
        Duration::from_secs(60),
    );
    bench.ask(client(1), &viewer, method::ALLOCATE, &[UDP], &[]);
    bench.ask(client(2), &device, method::ALLOCATE, &[UDP], &[]);
    bench.ask(
        client(1),
        &viewer,
        method::CREATE_PERMISSION,
        &[],
        &[peer(1)],
    );
    bench.send(client(1), peer(1));
    bench.after(Duration::from_secs(7));
    let usage = bench.relay.usage("s", bench.now);
    assert_eq!((usage.viewer.bytes, usage.device.bytes), (5, 0));
    assert_eq!(usage.device.held, Duration::from_secs(7));
    bench.relay.end_session("s", bench.now);
    bench.after(Duration::from_secs(7));
    let of_name = bench.relay.usage_of_name(&viewer.username, bench.now);
    assert_eq!((of_name.bytes, of_name.held), (5, Duration::from_secs(7)));
}

#[test]
fn each_thing_a_client_gets_wrong_is_counted_for_what_it_is() {
    let mut bench = bench();
    bench.allocate(client(1), "s");
    let who = credential("s");
    let realm = Writer::new(Class::Request, method::REFRESH, &[2; 12])
        .add(attribute::USERNAME, who.username.as_bytes())
        .add(attribute::REALM, b"elsewhere")
        .add(attribute::NONCE, &bench.nonce)
        .finish(Some(&who.key("elsewhere")));
    let answer = bench.reply(client(1), &realm);
    assert_eq!(Message::parse(&answer).unwrap().error_code(), Some(401));
    assert_eq!(bench.refused(Refusal::Credential), 1, "the wrong realm");

    // A replay from elsewhere: the nonce is another address's.
    let replay = bench.ask_with_nonce(client(5), &who, method::REFRESH, &[], &[], [3; 12]);
    assert_eq!((replay.code, bench.refused(Refusal::Nonce)), (438, 1));

    bench.permit(client(1), "other", &[peer(1)]);
    assert_eq!(
        bench.refused(Refusal::Owner),
        1,
        "another session's credential"
    );

    let channel = bench
        .relay
        .client_message(&client(1), b"\x4f\xff\x00\x01x", bench.now);
    assert_eq!(
        (channel, bench.refused(Refusal::Channel)),
        (Action::Drop, 1)
    );
    let nobody = bench
        .relay
        .client_message(&client(6), b"\x40\x00\x00\x01x", bench.now);
    assert_eq!(
        (nobody, bench.refused(Refusal::NoAllocation)),
        (Action::Drop, 1)
    );
    bench
        .relay
        .client_message(&client(1), b"\x00\x01 nonsense", bench.now);
    assert_eq!(bench.refused(Refusal::Malformed), 1);

    bench.relay.end_session("s", bench.now);
    assert_eq!(bench.allocate(client(1), "s").code, 401);
    assert_eq!(bench.refused(Refusal::Ended), 1);
}

#[test]
fn a_request_malformed_in_any_one_attribute_is_refused_and_holds_nothing() {
    let mut bench = bench();
    bench.allocate(client(1), "s");
    let who = credential("s");
    let peers = [peer(1)];
    let number: &[u8] = &[0x40, 0, 0, 0];
    for (method, kind, values) in [
        (
            method::ALLOCATE,
            attribute::REQUESTED_TRANSPORT,
            &[&[][..], &[6, 0, 0, 0]][..],
        ),
        (
            method::ALLOCATE,
            attribute::LIFETIME,
            &[&[][..], &[1], &[0; 5]],
        ),
        (
            method::ALLOCATE,
            attribute::REQUESTED_ADDRESS_FAMILY,
            &[&[][..], &[9, 0, 0, 0]],
        ),
        (
            method::ALLOCATE,
            attribute::ADDITIONAL_ADDRESS_FAMILY,
            &[&[][..], &[1, 0, 0, 0]],
        ),
        (
            method::ALLOCATE,
            attribute::EVEN_PORT,
            &[&[][..], &[0x80], &[0, 0]],
        ),
        (
            method::ALLOCATE,
            attribute::RESERVATION_TOKEN,
            &[&[][..], &[0; 8]],
        ),
        (
            method::REFRESH,
            attribute::LIFETIME,
            &[&[][..], &[1], &[0; 5]],
        ),
        (
            method::REFRESH,
            attribute::REQUESTED_ADDRESS_FAMILY,
            &[&[][..], &[0], &[2, 0, 0, 0]],
        ),
        (
            method::CREATE_PERMISSION,
            attribute::XOR_PEER_ADDRESS,
            &[
                &[][..],
                &[0, 1],
                &[0; 8],
                &[0, 1, 0, 0, 1, 2, 3],
                &[0, 2, 0, 0, 1, 2, 3, 4],
            ],
        ),
        (
            method::CHANNEL_BIND,
            attribute::XOR_PEER_ADDRESS,
            &[&[][..], &[0, 1], &[0; 8], &[0, 1, 0, 0, 1, 2, 3]],
        ),
        (
            method::CHANNEL_BIND,
            attribute::CHANNEL_NUMBER,
            &[&[][..], &[0x40], &[0, 0, 0, 0], &[0x7f, 0xff, 0, 0]],
        ),
    ] {
        for value in values {
            let from = if method == method::ALLOCATE {
                client(2)
            } else {
                client(1)
            };
            let mut attributes = vec![(kind, *value)];
            if method == method::ALLOCATE {
                attributes.push(UDP);
            }
            if method == method::CHANNEL_BIND && kind != attribute::CHANNEL_NUMBER {
                attributes.push((attribute::CHANNEL_NUMBER, number));
            }
            let peers = if kind == attribute::CHANNEL_NUMBER {
                &peers[..]
            } else {
                &[]
            };
            let answer = bench.ask(from, &who, method, &attributes, peers);
            assert!(
                answer.code >= 400,
                "{method:#x} {kind:#x} {value:?}: {answer:?}"
            );
            assert!(!bench.relay.holds(&client(2), bench.now));
        }
    }
    assert_eq!(bench.receive(client(1), peer(1)), None);
}

#[test]
fn what_the_server_does_not_do_is_said_with_the_right_code() {
    let mut bench = bench();
    let who = credential("s");
    let mut allocate = |attributes: Attributes<'_>| {
        bench
            .ask(client(1), &who, method::ALLOCATE, attributes, &[])
            .code
    };
    assert_eq!(allocate(&[]), 400);
    assert_eq!(
        allocate(&[(attribute::REQUESTED_TRANSPORT, &[6, 0, 0, 0])]),
        442
    );
    assert_eq!(
        allocate(&[UDP, (attribute::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0])]),
        440
    );
    assert_eq!(
        allocate(&[UDP, (attribute::EVEN_PORT, &[0x80])]),
        508,
        "a pair of ports"
    );
    assert_eq!(allocate(&[UDP, (0x001a, &[])]), 420);
    assert_eq!(allocate(&[UDP, (attribute::LIFETIME, &[1])]), 400);
    assert_eq!(bench.ask(client(1), &who, 0x00a, &[], &[]).code, 400);
}

proptest::proptest! {
    #[test]
    fn any_signed_request_is_answered_and_any_peers_data_is_relayed_or_not(
        requests in proptest::collection::vec(
            (0_u16..12, proptest::collection::vec((proptest::num::u16::ANY, proptest::collection::vec(proptest::num::u8::ANY, 0..24)), 0..4)),
            1..8,
        ),
    ) {
        let mut bench = bench();
        bench.allocate(client(1), "s");
        let who = credential("s");
        for (method, attributes) in requests {
            let attributes: Vec<(u16, &[u8])> = { attributes.iter() }
                .map(|(kind, value)| (*kind, value.as_slice()))
                .filter(|(kind, _)| *kind != attribute::MESSAGE_INTEGRITY)
                .collect();
            let _ = bench.ask(client(1), &who, method, &attributes, &[peer(1)]);
            let _ = bench.receive(client(1), peer(1));
        }
    }
}
