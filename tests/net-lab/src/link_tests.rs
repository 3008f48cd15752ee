//! Links on a clock that the tests turn.

use proptest::prelude::*;

use super::*;
use crate::Queue;

const MS: Duration = Duration::from_millis(1);

/// Lets all packets out; each with the time of its arrival since `begin`.
fn drain(link: &mut Link, begin: Instant) -> Vec<(Duration, Vec<u8>)> {
    let mut out = Vec::new();
    while let Some(at) = link.next_at() {
        while let Some(packet) = link.pop(at) {
            out.push((at - begin, packet));
        }
    }
    out
}

/// A packet of `size` bytes that carries its number.
fn numbered(number: u32, size: usize) -> Vec<u8> {
    let mut packet = vec![0; size.max(4)];
    packet[..4].copy_from_slice(&number.to_be_bytes());
    packet
}

fn number(packet: &[u8]) -> u32 {
    u32::from_be_bytes([packet[0], packet[1], packet[2], packet[3]])
}

fn link(impairment: Impairment) -> Link {
    Link::new(impairment, 1)
}

#[test]
fn a_perfect_link_passes_packets_at_once() {
    let mut link = link(Impairment::NONE);
    let now = Instant::now();
    link.push(vec![1, 2, 3, 4], now);
    assert_eq!(link.pop(now), Some(vec![1, 2, 3, 4]));
    assert_eq!(link.next_at(), None);
}

#[test]
fn a_bottleneck_sends_one_packet_after_the_other() {
    let mut link = link(Impairment {
        rate: Some(1_000_000),
        delay: 20 * MS,
        ..Impairment::NONE
    });
    let begin = Instant::now();
    for number in 0..3 {
        link.push(numbered(number, 1250), begin);
    }
    let times: Vec<_> = drain(&mut link, begin).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [30 * MS, 40 * MS, 50 * MS]);
}

#[test]
fn an_idle_bottleneck_saves_nothing_up() {
    let mut link = link(Impairment {
        rate: Some(1_000_000),
        ..Impairment::NONE
    });
    let begin = Instant::now();
    link.push(numbered(0, 1250), begin);
    link.push(numbered(1, 1250), begin + 100 * MS);
    link.push(numbered(2, 1250), begin + 100 * MS);
    let times: Vec<_> = drain(&mut link, begin).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [10 * MS, 110 * MS, 120 * MS]);
}

#[test]
fn a_full_queue_drops_what_comes_last() {
    for queue in [Queue::Bytes(3 * 1250), Queue::Time(30 * MS)] {
        let mut link = link(Impairment {
            rate: Some(1_000_000),
            queue,
            ..Impairment::NONE
        });
        let begin = Instant::now();
        for number in 0..10 {
            link.push(numbered(number, 1250), begin);
        }
        let out = drain(&mut link, begin);
        let numbers: Vec<_> = out.iter().map(|(_, packet)| number(packet)).collect();
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(link.counters().overflowed, 7);
    }
}

#[test]
fn a_step_in_the_rate_counts_from_the_next_packet() {
    let fast = Impairment {
        rate: Some(5_000_000),
        ..Impairment::NONE
    };
    let mut link = link(fast);
    let begin = Instant::now();
    for number in 0..4 {
        link.push(numbered(number, 1250), begin);
    }
    // The first is sent by 2 ms, the second is under way.
    link.set(
        Impairment {
            rate: Some(1_000_000),
            ..fast
        },
        begin + 3 * MS,
    );
    let times: Vec<_> = drain(&mut link, begin).iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [2 * MS, 4 * MS, 14 * MS, 24 * MS]);
}

#[test]
fn a_rate_of_zero_holds_packets_until_it_changes() {
    let mut link = link(Impairment {
        rate: Some(0),
        queue: Queue::Bytes(10_000),
        ..Impairment::NONE
    });
    let begin = Instant::now();
    link.push(numbered(0, 1250), begin);
    assert_eq!(link.next_at(), None);
    link.set(
        Impairment {
            rate: Some(1_000_000),
            ..Impairment::NONE
        },
        begin + 50 * MS,
    );
    assert_eq!(link.pop(begin + 50 * MS), None);
    assert_eq!(drain(&mut link, begin)[0].0, 60 * MS);
}

#[test]
fn loss_and_duplication_are_as_frequent_as_asked_for() {
    let mut link = link(Impairment {
        loss: 0.05,
        duplicate: 0.01,
        reorder: 0.02,
        ..Impairment::NONE
    });
    let begin = Instant::now();
    for number in 0..100_000 {
        link.push(numbered(number, 100), begin + number * MS);
    }
    drain(&mut link, begin);
    let counters = link.counters();
    assert!((4_800..5_200).contains(&counters.lost), "{counters:?}");
    assert!((850..1_050).contains(&counters.duplicated), "{counters:?}");
    assert!((1_750..2_050).contains(&counters.reordered), "{counters:?}");
}

#[test]
fn a_packet_that_is_held_back_is_overtaken() {
    let mut link = link(Impairment {
        reorder: 0.1,
        reorder_by: 5 * MS,
        ..Impairment::NONE
    });
    let begin = Instant::now();
    for number in 0..200 {
        link.push(numbered(number, 100), begin + number * MS);
    }
    let out = drain(&mut link, begin);
    let late = out
        .windows(2)
        .filter(|pair| number(&pair[0].1) > number(&pair[1].1))
        .count();
    assert!(late > 0);
    assert_eq!(out.len(), 200);
    for (at, packet) in &out {
        let delay = *at - number(packet) * MS;
        assert!(delay == Duration::ZERO || delay == 5 * MS, "{delay:?}");
    }
}

/// Any link that lets packets through in the end.
fn impairments() -> impl Strategy<Value = Impairment> {
    let queue = prop_oneof![
        (0_u64..50_000).prop_map(Queue::Bytes),
        (0_u64..500).prop_map(|ms| Queue::Time(Duration::from_millis(ms))),
    ];
    (
        proptest::option::of(10_000_u64..50_000_000),
        queue,
        0_u64..200,
        0_u64..100,
        0.0..1.0,
        0.0..1.0,
        0.0..1.0,
    )
        .prop_map(
            |(rate, queue, delay, jitter, loss, reorder, duplicate)| Impairment {
                rate,
                queue,
                delay: Duration::from_millis(delay),
                jitter: Duration::from_millis(jitter),
                loss,
                reorder,
                duplicate,
                ..Impairment::NONE
            },
        )
}

/// Packets as gaps in microseconds and sizes.
fn packets() -> impl Strategy<Value = Vec<(u64, usize)>> {
    proptest::collection::vec((0_u64..20_000, 4_usize..1500), 0..200)
}

fn send(link: &mut Link, packets: &[(u64, usize)], begin: Instant) -> Vec<Duration> {
    let mut now = begin;
    let mut sent = Vec::new();
    for (index, (gap, size)) in packets.iter().enumerate() {
        now += Duration::from_micros(*gap);
        sent.push(now - begin);
        link.push(numbered(u32::try_from(index).unwrap(), *size), now);
    }
    sent
}

proptest! {
    #[test]
    fn every_packet_is_accounted_for(
        impairment in impairments(), other in impairments(), packets in packets(), seed: u64,
    ) {
        let begin = Instant::now();
        let mut link = Link::new(impairment, seed);
        let half = packets.len() / 2;
        send(&mut link, &packets[..half], begin);
        let later = begin + Duration::from_secs(1);
        link.set(other, later);
        // What waits at the slowest rate is out after an hour.
        send(&mut link, &packets[half..], later + Duration::from_secs(3600));
        let out = drain(&mut link, begin);
        let counters = link.counters();
        prop_assert_eq!(counters.offered, packets.len() as u64);
        prop_assert_eq!(counters.delivered, out.len() as u64);
        prop_assert_eq!(
            counters.offered + counters.duplicated,
            counters.delivered + counters.lost + counters.overflowed,
        );
        prop_assert_eq!(link.queued_bytes(), 0);
    }

    #[test]
    fn the_same_seed_and_packets_give_the_same_fate(
        impairment in impairments(), packets in packets(), seed: u64,
    ) {
        let begin = Instant::now();
        let run = || {
            let mut link = Link::new(impairment, seed);
            send(&mut link, &packets, begin);
            drain(&mut link, begin)
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn packets_arrive_in_order_unless_held_back(
        impairment in impairments(), packets in packets(), seed: u64,
    ) {
        let begin = Instant::now();
        let mut link = Link::new(Impairment { reorder: 0.0, ..impairment }, seed);
        send(&mut link, &packets, begin);
        let out = drain(&mut link, begin);
        prop_assert!(out.windows(2).all(|pair| number(&pair[0].1) <= number(&pair[1].1)));
    }

    #[test]
    fn no_packet_is_early_and_the_rate_is_never_exceeded(
        impairment in impairments(), packets in packets(), rate in 10_000_u64..50_000_000,
    ) {
        let begin = Instant::now();
        // Without jitter, which lets packets bunch up after the bottleneck.
        let impairment = Impairment {
            rate: Some(rate), jitter: Duration::ZERO, duplicate: 0.0, reorder: 0.0, ..impairment
        };
        let mut link = Link::new(impairment, 1);
        let sent = send(&mut link, &packets, begin);
        let out = drain(&mut link, begin);
        let mut bits = 0;
        for (at, packet) in &out {
            prop_assert!(*at >= sent[number(packet) as usize] + impairment.delay);
            // One nanosecond a packet for rounding.
            let span = (*at + Duration::from_nanos(out.len() as u64) - impairment.delay).as_nanos();
            bits += packet.len() as u128 * 8;
            prop_assert!(bits * 1_000_000_000 <= (span + 1) * u128::from(rate) + u128::from(rate));
        }
    }
}
