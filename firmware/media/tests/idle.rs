//! What a camera costs that nobody watches. A test binary of its own, since it looks at the threads
//! of the whole process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod harness;

use std::time::Duration;

use harness::{Watched, config};
use heron_media::{Rung, SourceConfig, SourceState};

/// How often each thread of a pipeline has run so far: the context switches of either kind.
fn turns() -> Vec<(String, u64)> {
    let mut turns = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path();
        let read = |name| std::fs::read_to_string(path.join(name)).unwrap_or_default();
        let name = read("comm").trim().to_owned();
        if name.starts_with("video-") {
            let status = read("status");
            let switches = status.lines().filter(|line| line.contains("ctxt_switches"));
            let count = |line: &str| {
                line.split_whitespace()
                    .last()
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
            };
            turns.push((name, switches.map(count).sum()));
        }
    }
    turns.sort();
    turns
}

#[test]
fn the_threads_of_a_pipeline_that_nobody_watches_are_parked() {
    let watched = Watched::start(config(SourceConfig::Pattern));
    watched.watch(Rung::Sub);
    for rung in Rung::ALL {
        watched.next_of(rung);
    }
    for rung in Rung::ALL {
        watched.leave(rung);
    }
    watched.until(|stats| stats.source == SourceState::Idle && stats.encoders_running() == 0);
    // Whoever is about to park does it within this; then nothing may run at all.
    std::thread::sleep(Duration::from_millis(600));
    let before = turns();
    assert_eq!(before.len(), 3, "{before:?}");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(turns(), before);
}
