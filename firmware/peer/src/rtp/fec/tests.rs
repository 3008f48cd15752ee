//! FlexFEC-03 on the wire, and what a receiver gets back with it.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const SSRC: u32 = 0x0a0b_0c0d;
const SPAN: Duration = Duration::from_millis(100);

fn fec(packets: u8) -> Fec {
    let mut fec = Fec::new(7, 49, 0);
    fec.protect(Some(Parity {
        packets,
        span: SPAN,
    }));
    fec
}

/// An RTP packet with one extension, the transport-wide number `transport`.
fn packet(sequence: u16, marker: bool, transport: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x90, (u8::from(marker) << 7) | 102];
    packet.extend(sequence.to_be_bytes());
    packet.extend([1, 2, 3, sequence as u8]);
    packet.extend(SSRC.to_be_bytes());
    packet.extend([0xbe, 0xde, 0, 1, 0x31]);
    packet.extend(transport.to_be_bytes());
    packet.push(0);
    packet.extend(payload);
    packet
}

/// What a receiver reads: the draft's section 4.2.2, and no more than that.
struct Row {
    first: u16,
    protects: Vec<u16>,
    head: [u8; 8],
    body: Vec<u8>,
}

fn read(parity: &[u8]) -> Row {
    assert_eq!(parity[0] & 0xc0, 0, "neither R nor F");
    assert_eq!(parity[8..12], [1, 0, 0, 0], "one stream");
    assert_eq!(parity[12..16], SSRC.to_be_bytes());
    let first = u16::from_be_bytes([parity[16], parity[17]]);
    let mask = u16::from_be_bytes([parity[18], parity[19]]);
    assert_eq!(mask >> 15, 1, "the mask is of two bytes");
    let protects = (0..15)
        .filter(|bit| mask & (1 << (14 - bit)) != 0)
        .map(|bit| first.wrapping_add(bit))
        .collect();
    Row {
        first,
        protects,
        head: parity[..8].try_into().unwrap(),
        body: parity[20..].to_vec(),
    }
}

/// Makes the packet that is missing of those that came, whose transport-wide number is taken for zero.
fn recover(parity: &[u8], received: &[Vec<u8>]) -> Option<Vec<u8>> {
    let Row {
        protects,
        mut head,
        mut body,
        ..
    } = read(parity);
    let number = |packet: &[u8]| u16::from_be_bytes([packet[2], packet[3]]);
    let mut missing = protects.clone();
    for packet in received.iter().filter(|p| protects.contains(&number(p))) {
        let mut packet = packet.clone();
        packet[17..19].fill(0);
        missing.retain(|sequence| *sequence != number(&packet));
        let length = (packet.len() as u16 - 12).to_be_bytes();
        let theirs = [packet[0], packet[1], length[0], length[1]];
        for (byte, other) in head.iter_mut().zip(theirs.iter().chain(&packet[4..8])) {
            *byte ^= other;
        }
        for (byte, other) in body.iter_mut().zip(&packet[12..]) {
            *byte ^= other;
        }
    }
    let [lost] = missing[..] else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let mut packet = vec![0x80 | head[0] & 0x3f, head[1]];
    packet.extend(lost.to_be_bytes());
    packet.extend(&head[4..8]);
    packet.extend(SSRC.to_be_bytes());
    packet.extend(&body[..length]);
    Some(packet)
}

/// Sends packets; returns the parity payloads, each with the number of packets sent before it.
fn send(fec: &mut Fec, packets: &[Vec<u8>], now: Instant) -> Vec<(usize, Vec<u8>)> {
    let mut sent = Vec::new();
    for (i, packet) in packets.iter().enumerate() {
        fec.add(packet, Some(17..19), now);
        let ends = packets[i..].iter().position(|packet| packet[1] & 0x80 != 0);
        if fec.is_due(ends.unwrap_or(packets.len() - i)) {
            let (head, body) = fec.parity(SSRC);
            sent.push((i + 1, [&head[..], body].concat()));
            fec.close();
        }
    }
    sent
}

/// By hand after section 4.2.2: two packets of 8 + 3 and 8 + 5 bytes behind the RTP header.
#[test]
fn a_group_of_two_is_laid_out_as_the_draft_has_it() {
    let mut fec = fec(2);
    let now = Instant::now();
    fec.add(
        &packet(0xffff, false, 0x1111, &[1, 2, 3]),
        Some(17..19),
        now,
    );
    fec.add(
        &packet(0, true, 0x2222, &[5, 5, 5, 5, 5]),
        Some(17..19),
        now,
    );
    let (header, body) = fec.parity(SSRC);
    assert_eq!(
        header,
        [
            0,
            0x80,
            0,
            11 ^ 13,
            0,
            0,
            0,
            0xff, // recovery: bits, type, length, timestamp
            1,
            0,
            0,
            0, // streams
            0x0a,
            0x0b,
            0x0c,
            0x0d,
            0xff,
            0xff,
            0b1110_0000,
            0, // stream, first, mask
        ]
    );
    assert_eq!(body, [0, 0, 0, 0, 0, 0, 0, 0, 4, 7, 6, 5, 5]);
}

#[test]
fn parity_stays_below_its_share_of_what_is_sent() {
    for share in [4, 6, 10] {
        let mut fec = fec(share);
        let (mut media, mut parity) = (0, 0);
        let start = Instant::now();
        for number in 0..2000_u16 {
            let now = start + Duration::from_millis(u64::from(number) * 7);
            let size = 200 + usize::from(number % 9) * 100;
            let packet = packet(number, number % 4 == 3, number, &vec![9; size]);
            media += packet.len();
            parity += send(&mut fec, &[packet], now)
                .iter()
                .map(|(_, payload)| payload.len() + 20)
                .sum::<usize>();
        }
        let part = parity as f64 / media as f64;
        let most = 1.0 / f64::from(share);
        assert!(part <= most && part > 0.8 * most, "{part} of {most}");
    }
}

#[test]
fn a_group_ends_with_its_picture_where_the_share_allows() {
    let mut fec = fec(4);
    let now = Instant::now();
    let packets: Vec<_> = (0..40)
        .map(|number| packet(number, number % 5 == 4, number, &[3; 1000]))
        .collect();
    let sent = send(&mut fec, &packets, now);
    let after: Vec<_> = sent.iter().map(|(after, _)| *after).collect();
    assert_eq!(after, [5, 10, 15, 20, 25, 30, 35, 40]);
    // A key frame has many.
    let key: Vec<_> = (40..62)
        .map(|number| packet(number, number == 61, number, &[3; 1000]))
        .collect();
    let after: Vec<_> = send(&mut fec, &key, now)
        .iter()
        .map(|(after, _)| *after)
        .collect();
    assert_eq!(after, [4, 8, 12, 16, 20, 22]);
}

#[test]
fn a_group_that_takes_as_long_as_asking_again_is_given_up() {
    let mut fec = fec(10);
    let start = Instant::now();
    for number in 0..30_u16 {
        let now = start + SPAN * 2 * u32::from(number);
        let sent = send(&mut fec, &[packet(number, true, 0, &[1; 900])], now);
        let protects = sent.iter().map(|(_, payload)| read(payload).protects.len());
        assert!(protects.sum::<usize>() <= 1);
    }
}

#[test]
fn switched_off_nothing_is_made() {
    let mut fec = fec(2);
    let now = Instant::now();
    let packets: Vec<_> = (0..10).map(|n| packet(n, true, n, &[1; 500])).collect();
    assert!(!send(&mut fec, &packets, now).is_empty());
    fec.protect(None);
    assert!(send(&mut fec, &packets, now).is_empty());
    assert_eq!(fec.protection(), None);
}

#[test]
fn no_memory_is_asked_for_while_packets_leave() {
    let mut fec = fec(5);
    let before = (fec.group.body.as_ptr(), fec.group.body.capacity());
    let packets: Vec<_> = (0..200)
        .map(|n| packet(n, n % 7 == 0, n, &[1; 1400]))
        .collect();
    assert!(send(&mut fec, &packets, Instant::now()).len() > 30);
    assert_eq!((fec.group.body.as_ptr(), fec.group.body.capacity()), before);
}

proptest! {
    /// Whichever packet of a group is lost comes back byte by byte, but for its transport-wide number.
    #[test]
    fn any_one_that_is_lost_comes_back(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..1400), 1..60),
        ends in prop::collection::vec(any::<bool>(), 60),
        share in 2_u8..=10,
        first: u16,
        at in any::<prop::sample::Index>(),
    ) {
        let packets: Vec<_> = payloads
            .iter()
            .zip(&ends)
            .enumerate()
            .map(|(i, (payload, end))| {
                packet(first.wrapping_add(i as u16), *end, i as u16, payload)
            })
            .collect();
        let mut fec = fec(share);
        for (after, parity) in send(&mut fec, &packets, Instant::now()) {
            let begin = usize::from(read(&parity).first.wrapping_sub(first));
            let group = &packets[begin..after];
            prop_assert_eq!(read(&parity).protects.len(), group.len());
            let lost = at.index(group.len());
            let mut received = group.to_vec();
            let mut expected = received.remove(lost);
            expected[17..19].fill(0);
            prop_assert_eq!(recover(&parity, &received), Some(expected));
            if received.len() > 1 {
                received.pop();
                prop_assert_eq!(recover(&parity, &received), None);
            }
        }
    }

    #[test]
    fn any_bytes_may_be_added(packets: Vec<Vec<u8>>, blank in 0_usize..40) {
        let mut fec = fec(3);
        for packet in packets {
            fec.add(&packet, Some(blank..blank + 2), Instant::now());
            if fec.is_due(0) {
                fec.close();
            }
        }
    }
}
