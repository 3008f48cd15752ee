//! Relayed addresses of both families (RFC 8656), and answers from elsewhere (RFC 5780).

use super::*;

const V4: &[u8] = &[1, 0, 0, 0];
const V6: &[u8] = &[2, 0, 0, 0];

fn dual() -> Bench {
    let mut bench = bench();
    bench.relay.ports.ipv6 = true;
    bench
}

fn peer_v6() -> SocketAddr {
    "[2606:4700::1]:5000".parse().unwrap()
}

fn allocate(bench: &mut Bench, attributes: Attributes<'_>) -> Answer {
    let attributes = [&[UDP], attributes].concat();
    bench.ask(
        client(1),
        &credential("s"),
        method::ALLOCATE,
        &attributes,
        &[],
    )
}

#[test]
fn a_client_gets_the_family_it_asks_for() {
    let mut bench = dual();
    let answer = allocate(&mut bench, &[(attribute::REQUESTED_ADDRESS_FAMILY, V6)]);
    assert!(answer.relayed.unwrap().is_ipv6());
    assert_eq!(bench.permit(client(1), "s", &[peer_v6()]), 0);
    assert_eq!(bench.send(client(1), peer_v6()), Some(peer_v6()));
    assert_eq!(bench.permit(client(1), "s", &[peer(1)]), 443);
}

#[test]
fn one_allocation_can_have_both_families() {
    let mut bench = dual();
    let answer = allocate(&mut bench, &[(attribute::ADDITIONAL_ADDRESS_FAMILY, V6)]);
    assert_eq!(answer.code, 0);
    assert_eq!(bench.permit(client(1), "s", &[peer(1), peer_v6()]), 0);
    for peer in [peer(1), peer_v6()] {
        assert_eq!(bench.send(client(1), peer), Some(peer));
        assert!(bench.receive(client(1), peer).is_some());
    }
    // One of them is given back.
    let refresh = [
        (attribute::LIFETIME, &[0; 4][..]),
        (attribute::REQUESTED_ADDRESS_FAMILY, V6),
    ];
    let answer = bench.ask(client(1), &credential("s"), method::REFRESH, &refresh, &[]);
    assert_eq!(answer.lifetime, Some(0));
    assert_eq!(bench.send(client(1), peer(1)), Some(peer(1)));
    assert_eq!(bench.send(client(1), peer_v6()), None);
    let again = bench.ask(client(1), &credential("s"), method::REFRESH, &refresh, &[]);
    assert_eq!(again.code, 443);
}

#[test]
fn where_the_second_family_is_missing_the_first_is_given_with_a_word_about_it() {
    let mut bench = bench();
    let attributes = [UDP, (attribute::ADDITIONAL_ADDRESS_FAMILY, V6)];
    let answer = bench.ask(
        client(1),
        &credential("s"),
        method::ALLOCATE,
        &attributes,
        &[],
    );
    assert_eq!(answer.code, 0);
    assert!(answer.relayed.unwrap().is_ipv4());
    assert_eq!(answer.address_error, Some([2, 0, 4, 40]));
}

#[test]
fn what_the_rfc_forbids_about_families_is_refused() {
    let mut bench = dual();
    let both = [
        (attribute::REQUESTED_ADDRESS_FAMILY, V4),
        (attribute::ADDITIONAL_ADDRESS_FAMILY, V6),
    ];
    assert_eq!(allocate(&mut bench, &both).code, 400);
    let v4 = [(attribute::ADDITIONAL_ADDRESS_FAMILY, V4)];
    assert_eq!(allocate(&mut bench, &v4).code, 400);
    let unknown = [(attribute::REQUESTED_ADDRESS_FAMILY, &[7, 0, 0, 0][..])];
    assert_eq!(allocate(&mut bench, &unknown).code, 440);
}

/// Asks at a corner; from where and to where the answer goes.
fn discover(
    bench: &mut Bench,
    attributes: Attributes<'_>,
) -> Result<(SocketAddr, SocketAddr), Option<u16>> {
    let mut question = Writer::new(Class::Request, method::BINDING, &[4; 12]);
    for (kind, value) in attributes {
        question = question.add(*kind, value);
    }
    let question = question.unsigned();
    let action = bench.relay.client_message(&client(1), &question, bench.now);
    match action {
        Action::Elsewhere { from, to, .. } => Ok((from, to)),
        Action::Reply(answer) => {
            let answer = Message::parse(&answer).unwrap();
            match answer.class {
                Class::Success => Ok((client(1).server, client(1).address)),
                _ => Err(answer.error_code()),
            }
        }
        _ => Err(None),
    }
}

#[test]
fn answers_come_from_where_they_are_asked_to_come_from() {
    let mut bench = bench();
    let own = client(1).server.ip();
    let change = |flags: u8| [0, 0, 0, flags];
    let ask = |bench: &mut Bench, flags| {
        discover(bench, &[(attribute::CHANGE_REQUEST, &change(flags)[..])])
    };
    assert_eq!(ask(&mut bench, 2), Err(Some(420)), "nothing is configured");
    let other: std::net::IpAddr = "198.51.100.8".parse().unwrap();
    let corners = Corners::new(vec![own, other], [3478, 3479]);
    bench.relay.set_corners(corners);
    let to = client(1).address;
    assert_eq!(ask(&mut bench, 0), Ok((client(1).server, to)));
    assert_eq!(ask(&mut bench, 2), Ok(((own, 3479).into(), to)));
    assert_eq!(ask(&mut bench, 4), Ok(((other, 3478).into(), to)));
    assert_eq!(ask(&mut bench, 6), Ok(((other, 3479).into(), to)));
    let port = [(attribute::RESPONSE_PORT, &[0x12, 0x34, 0, 0][..])];
    let elsewhere = SocketAddr::new(to.ip(), 0x1234);
    assert_eq!(
        discover(&mut bench, &port),
        Ok((client(1).server, elsewhere))
    );
    let broken = [(attribute::CHANGE_REQUEST, &[1][..])];
    assert_eq!(discover(&mut bench, &broken), Err(Some(400)));
}

#[test]
fn with_one_address_only_the_port_changes_and_the_other_address_says_so() {
    let mut bench = bench();
    let own = client(1).server.ip();
    bench
        .relay
        .set_corners(Corners::new(vec![own], [3478, 3479]));
    let change = [(attribute::CHANGE_REQUEST, &[0, 0, 0, 4][..])];
    assert_eq!(discover(&mut bench, &change), Err(Some(420)));
    let question = Writer::new(Class::Request, method::BINDING, &[4; 12]).unsigned();
    let answer = bench.reply(client(1), &question);
    let answer = Message::parse(&answer).unwrap();
    let other = answer.get(attribute::OTHER_ADDRESS).unwrap();
    assert_eq!(other[2..4], 3479_u16.to_be_bytes());
}
