//! When parity would be sent, over the same paths.

use heron_congestion::{LadderConfig, Protection, Usage, protection};

use crate::link::Path;
use crate::world::World;

/// For how many packets of picture one of parity is sent, every 50 ms.
fn protected(path: Path, until: f64) -> Vec<(f64, Option<u8>)> {
    let mut world = World::new(LadderConfig::default());
    world.viewer(path, 0.0);
    let mut protection = Protection::new();
    let mut seen = Vec::new();
    while world.now < until {
        world.run(world.now + 50.0);
        let estimate = world.viewers[0].estimator.estimate();
        let path = protection::Path {
            loss: f64::from(estimate.loss),
            rtt: estimate.rtt,
            congested: estimate.usage == Usage::Over,
        };
        let packets = protection.update(path, world.instant(world.now));
        seen.push((world.now, packets));
    }
    seen
}

#[test]
fn a_lossy_path_is_protected_within_ten_seconds_and_stays_so() {
    for in_order in [true, false] {
        for (rate, delay_ms) in [(5e6, 10.0), (2e6, 40.0)] {
            let path = Path {
                delay_ms,
                jitter_ms: 40.0,
                loss: 0.05,
                in_order,
                ..Path::new(rate)
            };
            let seen = protected(path, 60e3);
            let case = format!("{rate}, in order {in_order}");
            let since = seen.iter().find(|(_, packets)| packets.is_some());
            let since = since.map_or(f64::MAX, |(at, _)| *at);
            assert!(since < 10e3, "{case}: after {since} ms");
            let later = seen.iter().filter(|(at, _)| *at > 10e3);
            assert!(
                later.clone().all(|(_, packets)| packets.is_some()),
                "{case}"
            );
            let fewest = later.filter(|(_, packets)| *packets == Some(6)).count();
            assert!(
                fewest * 2 > seen.len(),
                "{case}: {fewest} of {}",
                seen.len()
            );
        }
    }
}

#[test]
fn a_path_that_turns_slow_is_not() {
    for (delay_ms, queue_ms) in [(5.0, 300.0), (20.0, 300.0), (20.0, 100.0), (50.0, 500.0)] {
        let path = Path {
            delay_ms,
            queue_ms,
            ..Path::steps(&[(0.0, 5e6), (10e3, 1e6), (25e3, 5e6)])
        };
        let seen = protected(path, 45e3);
        let on: Vec<_> = seen
            .iter()
            .filter(|(_, packets)| packets.is_some())
            .collect();
        assert!(on.is_empty(), "delay {delay_ms}, queue {queue_ms}: {on:?}");
    }
}
