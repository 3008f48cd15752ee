//! What the pacer lets through, and when.

use std::time::{Duration, Instant};

use heron_congestion::{Class, Pacer, PacerConfig, Probe, ProbeId, When};
use proptest::prelude::*;

const PACKET: usize = 1200;

/// Sends what it may until `until`; returns time since `start`, class and cluster of each packet.
fn drain(
    pacer: &mut Pacer,
    start: Instant,
    until: Duration,
) -> Vec<(Duration, Class, Option<ProbeId>)> {
    let mut now = start;
    let mut sent = Vec::new();
    while now <= start + until {
        match pacer.next(now) {
            When::Now { class, probe } => {
                pacer.sent(class, PACKET, now);
                sent.push((now - start, class, probe));
            }
            When::At(at) => {
                assert!(at > now, "waiting for the present would spin");
                now = at;
            }
            When::Idle => break,
        }
    }
    sent
}

fn pacer(target_bps: u32, now: Instant) -> Pacer {
    let config = PacerConfig {
        target_bps,
        ..PacerConfig::default()
    };
    Pacer::new(config, now)
}

#[test]
fn a_key_frame_is_spread_at_two_and_a_half_times_the_target() {
    let start = Instant::now();
    let mut pacer = pacer(2_000_000, start);
    for _ in 0..60 {
        pacer.queued(Class::Video, PACKET, start);
    }
    let sent = drain(&mut pacer, start, Duration::from_secs(1));
    assert_eq!(sent.len(), 60);
    let last = sent[59].0.as_secs_f64();
    // 72 kB at 5 Mbit/s, the first burst for nothing.
    assert!((0.100..0.120).contains(&last), "{last}");
    // No 5 ms carry more than two bursts.
    for (i, (at, ..)) in sent.iter().enumerate() {
        let burst = sent[i..]
            .iter()
            .take_while(|(later, ..)| *later < *at + Duration::from_millis(5));
        assert!(burst.count() <= 6);
    }
    assert_eq!(pacer.next(start + Duration::from_secs(1)), When::Idle);
}

/// 2.5 Mbit/s at 30 pictures a second.
const ORDINARY_PICTURE: usize = 10_000;

#[test]
fn an_ordinary_picture_leaves_whole_where_the_path_has_room() {
    let start = Instant::now();
    let last = |spare| {
        let mut pacer = pacer(3_000_000, start);
        pacer.set_target(3_000_000, spare, start);
        for _ in 0..ORDINARY_PICTURE.div_ceil(PACKET) {
            pacer.queued(Class::Video, PACKET, start);
        }
        let sent = drain(&mut pacer, start, Duration::from_millis(30));
        sent.last().map(|(at, ..)| *at)
    };
    assert_eq!(last(true), Some(Duration::ZERO));
    assert!(last(false) > Some(Duration::from_millis(5)));
}

#[test]
fn nothing_waits_longer_than_the_bound() {
    let start = Instant::now();
    let mut pacer = pacer(100_000, start);
    for _ in 0..100 {
        pacer.queued(Class::Video, PACKET, start);
    }
    let sent = drain(&mut pacer, start, Duration::from_secs(1));
    assert_eq!(sent.len(), 100);
    let last = sent[99].0;
    assert!(last <= Duration::from_millis(260), "{last:?}");
    assert!(last >= Duration::from_millis(200), "{last:?}");
}

#[test]
fn sound_goes_at_once_and_repairs_before_video() {
    let start = Instant::now();
    let mut pacer = pacer(100_000, start);
    for class in [Class::Video, Class::Video, Class::Retransmission] {
        pacer.queued(class, PACKET, start);
    }
    let now = When::Now {
        class: Class::Retransmission,
        probe: None,
    };
    assert_eq!(pacer.next(start), now);
    pacer.sent(Class::Retransmission, PACKET, start);
    assert!(matches!(pacer.next(start), When::At(_)));
    pacer.queued(Class::Audio, 100, start);
    let now = When::Now {
        class: Class::Audio,
        probe: None,
    };
    assert_eq!(pacer.next(start), now);
    pacer.sent(Class::Audio, 100, start);
    assert!(matches!(pacer.next(start), When::At(_)));
}

#[test]
fn a_probe_leaves_at_its_own_rate_with_padding_where_media_ends() {
    let start = Instant::now();
    let mut pacer = pacer(500_000, start);
    let probe = Probe {
        id: ProbeId(7),
        rate_bps: 4_000_000,
        bytes: 12_000,
        packets: 5,
    };
    pacer.queued(Class::Video, PACKET, start);
    pacer.queued(Class::Video, PACKET, start);
    pacer.probe(probe, start);
    let sent = drain(&mut pacer, start, Duration::from_secs(1));
    assert_eq!(sent.len(), 10);
    assert!(sent.iter().all(|(.., probe)| *probe == Some(ProbeId(7))));
    assert!(sent[..2].iter().all(|(_, class, _)| *class == Class::Video));
    assert!(
        sent[2..]
            .iter()
            .all(|(_, class, _)| *class == Class::Padding)
    );
    // Nine packets of 2.4 ms.
    let last = sent[9].0.as_secs_f64();
    assert!((0.0215..0.0217).contains(&last), "{last}");
}

#[test]
fn without_padding_a_probe_waits_for_media_and_ends_with_it() {
    let start = Instant::now();
    let mut pacer = pacer(500_000, start);
    let probe = Probe {
        id: ProbeId(0),
        rate_bps: 4_000_000,
        bytes: 12_000,
        packets: 5,
    };
    let padding = When::Now {
        class: Class::Padding,
        probe: Some(probe.id),
    };
    pacer.probe(probe, start);
    assert_eq!(pacer.next(start), padding);
    pacer.end_probe();
    assert_eq!(pacer.next(start), When::Idle);
    // The first picture's packets are the probe's, and padding is asked for again.
    let later = start + Duration::from_secs(3);
    pacer.queued(Class::Video, PACKET, later);
    let video = When::Now {
        class: Class::Video,
        probe: Some(probe.id),
    };
    assert_eq!(pacer.next(later), video);
    pacer.sent(Class::Video, PACKET, later);
    let soon = later + Duration::from_millis(10);
    assert_eq!(pacer.next(soon), padding);
    pacer.end_probe();
    assert_eq!(pacer.next(soon), When::Idle);
    pacer.queued(Class::Video, PACKET, soon);
    let video = When::Now {
        class: Class::Video,
        probe: None,
    };
    assert_eq!(pacer.next(soon), video);
}

#[test]
fn what_is_dropped_is_forgotten() {
    let start = Instant::now();
    let mut pacer = pacer(500_000, start);
    pacer.queued(Class::Video, PACKET, start);
    pacer.queued(Class::Retransmission, PACKET, start);
    pacer.dropped(Class::Video, PACKET);
    pacer.dropped(Class::Retransmission, usize::MAX);
    assert_eq!(pacer.queued_bytes(), 0);
    assert_eq!(pacer.next(start), When::Idle);
}

proptest! {
    /// Whatever is queued whenever leaves in order and in time.
    #[test]
    fn every_packet_leaves_within_the_bound(
        target in 50_000_u32..20_000_000,
        frames in prop::collection::vec((0_u64..100, 1_usize..80, 60_usize..1300), 1..40),
    ) {
        let start = Instant::now();
        let mut pacer = pacer(target, start);
        let mut now = start;
        let mut queue = std::collections::VecDeque::new();
        let mut longest = Duration::ZERO;
        for (pause, packets, bytes) in frames {
            let until = now + Duration::from_millis(pause);
            loop {
                match pacer.next(now) {
                    When::Now { .. } => {
                        let (queued, bytes) = queue.pop_front().expect("nothing is queued");
                        longest = longest.max(now - queued);
                        pacer.sent(Class::Video, bytes, now);
                    }
                    When::At(at) if at <= until => {
                        prop_assert!(at > now);
                        now = at;
                    }
                    When::At(_) | When::Idle => break,
                }
            }
            now = until;
            for _ in 0..packets {
                pacer.queued(Class::Video, bytes, now);
                queue.push_back((now, bytes));
            }
        }
        while let Some((queued, bytes)) = queue.pop_front() {
            while let When::At(at) = pacer.next(now) {
                prop_assert!(at > now);
                now = at;
            }
            longest = longest.max(now - queued);
            pacer.sent(Class::Video, bytes, now);
        }
        prop_assert_eq!(pacer.next(now), When::Idle);
        prop_assert!(longest <= Duration::from_millis(265), "{:?}", longest);
    }
}
