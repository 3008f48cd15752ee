//! The estimator's edges: reports without feedback, and whatever feedback may come.

use std::time::{Duration, Instant};

use heron_congestion::{Arrival, Estimator, EstimatorConfig, Sent};
use proptest::prelude::*;

/// `numbered`: packets carry transport-wide numbers, but nobody answers.
fn reports_lead(numbered: bool) {
    let start = Instant::now();
    let mut estimator = Estimator::new(EstimatorConfig::default(), start);
    let mut now = start;
    for seq in 0..20_u16 {
        now += Duration::from_secs(1);
        if numbered {
            estimator.sent(Sent {
                seq,
                size: 1200,
                at: now,
                probe: None,
            });
        }
        estimator.receiver_report(0.0, now);
        estimator.handle_timeout(now);
    }
    let grown = estimator.estimate().target_bps;
    assert!((3_500_000..6_000_000).contains(&grown), "{grown}");

    estimator.remb(2_000_000, now);
    assert_eq!(estimator.estimate().target_bps, 2_000_000);
    now += Duration::from_secs(1);
    estimator.receiver_report(0.05, now);
    assert_eq!(estimator.estimate().target_bps, 2_000_000);
    now += Duration::from_secs(1);
    estimator.receiver_report(0.5, now);
    assert_eq!(estimator.estimate().target_bps, 1_500_000);
}

#[test]
fn without_transport_feedback_reports_and_remb_lead() {
    reports_lead(true);
    reports_lead(false);
}

#[test]
fn feedback_for_what_was_never_sent_is_counted_and_ignored() {
    let now = Instant::now();
    let mut estimator = Estimator::new(EstimatorConfig::default(), now);
    let before = estimator.estimate();
    let arrivals: Vec<Arrival> = (0..1000)
        .map(|seq| Arrival {
            seq,
            at: Some(Duration::from_millis(u64::from(seq))),
        })
        .collect();
    estimator.feedback(&arrivals, now);
    assert_eq!(estimator.counters().unknown, 1000);
    assert_eq!(estimator.estimate(), before);
}

#[derive(Debug, Clone)]
enum Step {
    Send {
        seq: u16,
        packets: u8,
        size: usize,
    },
    SendNext {
        packets: u8,
        size: usize,
    },
    Feedback(Vec<(u16, Option<Duration>)>),
    /// Feedback for the packets sent last.
    Sound {
        delay_ms: u16,
        lost: u8,
    },
    Report(f32),
    Remb(u32),
    Rtt(Duration),
    Useful(u32),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let duration = prop_oneof![
        (0_u64..10_000_000).prop_map(Duration::from_micros),
        any::<u64>().prop_map(Duration::from_micros),
        any::<u64>().prop_map(Duration::from_secs),
    ];
    let arrivals = prop::collection::vec((any::<u16>(), prop::option::of(duration.clone())), 0..60);
    prop_oneof![
        1 => (any::<u16>(), 1_u8..20, any::<usize>())
            .prop_map(|(seq, packets, size)| Step::Send { seq, packets, size }),
        4 => (1_u8..40, 1_usize..1500).prop_map(|(packets, size)| Step::SendNext { packets, size }),
        2 => arrivals.prop_map(Step::Feedback),
        4 => (0_u16..2000, any::<u8>()).prop_map(|(delay_ms, lost)| Step::Sound { delay_ms, lost }),
        1 => any::<f32>().prop_map(Step::Report),
        1 => any::<u32>().prop_map(Step::Remb),
        1 => duration.prop_map(Step::Rtt),
        1 => any::<u32>().prop_map(Step::Useful),
        4 => (0_u16..2000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever comes, the target is a number within its limits, and nothing panics.
    #[test]
    fn any_feedback_leaves_a_sound_target(
        start_bps in any::<u32>(),
        min_bps in any::<u32>(),
        max_bps in any::<u32>(),
        steps in prop::collection::vec(step(), 1..150),
    ) {
        let config = EstimatorConfig {
            start_bps,
            min_bps,
            max_bps,
            ..EstimatorConfig::default()
        };
        let least = min_bps.max(1_000);
        let most = max_bps.max(least);
        let epoch = Instant::now();
        let mut now = epoch;
        let mut estimator = Estimator::new(config, now);
        let mut next = 65_500_u16;
        let mut sent = Vec::new();
        for step in steps {
            match step {
                Step::Send { packets, size, .. } | Step::SendNext { packets, size } => {
                    if let Step::Send { seq, .. } = step {
                        next = seq;
                    }
                    for _ in 0..packets {
                        let probe = estimator.poll_probe(now).map(|probe| probe.id);
                        estimator.sent(Sent {
                            seq: next,
                            size,
                            at: now,
                            probe,
                        });
                        sent.push((next, now));
                        next = next.wrapping_add(1);
                    }
                }
                Step::Feedback(arrivals) => {
                    let arrivals: Vec<_> = arrivals
                        .into_iter()
                        .map(|(seq, at)| Arrival { seq, at })
                        .collect();
                    estimator.feedback(&arrivals, now);
                }
                Step::Sound { delay_ms, lost } => {
                    let delay = Duration::from_millis(u64::from(delay_ms));
                    let arrivals: Vec<_> = sent
                        .drain(..)
                        .enumerate()
                        .map(|(i, (seq, at))| Arrival {
                            seq,
                            at: (i % 256 != usize::from(lost)).then_some(at - epoch + delay),
                        })
                        .collect();
                    now += delay;
                    estimator.feedback(&arrivals, now);
                }
                Step::Report(loss) => estimator.receiver_report(loss, now),
                Step::Remb(bps) => estimator.remb(bps, now),
                Step::Rtt(rtt) => estimator.rtt(rtt),
                Step::Useful(bps) => estimator.set_useful(bps),
                Step::Wait(ms) => {
                    now += Duration::from_millis(u64::from(ms));
                    estimator.handle_timeout(now);
                }
            }
            let estimate = estimator.estimate();
            prop_assert!((least..=most).contains(&estimate.target_bps), "{:?}", estimate);
            prop_assert!((0.0..=1.0).contains(&estimate.loss), "{:?}", estimate);
            prop_assert!(estimate.delay_bps >= least && estimate.loss_bps >= least);
        }
    }
}
