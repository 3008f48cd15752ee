//! How long a view takes to know that a camera left or came back.
//!
//! Presence carries the moment at which the camera said it, in whole milliseconds of its clock. Camera and view share
//! that clock here, so the difference is the latency, up to 1 ms too long.

use std::collections::HashMap;
use std::time::{Duration, UNIX_EPOCH};

use heron_bench::statistics::percentile;
use heron_protocol::DeviceId;
use serde::Serialize;

use crate::swarm::Swarm;
use crate::view::View;

/// How long a change may take before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(20);

/// What was seen of some changes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Changes {
    /// Changes that arrived.
    pub seen: usize,
    /// Changes that did not.
    pub missing: usize,
    /// The median, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile, in milliseconds.
    pub p99_ms: f64,
    /// The slowest, in milliseconds.
    pub most_ms: f64,
}

/// Lets `cameras` of the swarm leave with a goodbye and come back, `per_second` of them each second.
pub async fn blink(swarm: &Swarm, view: &mut View, cameras: usize, per_second: f64) -> Changes {
    view.ready().await;
    // What was said before is not about this.
    while view.seen.try_recv().is_ok() {}
    let chosen = swarm.some(cameras);
    // For each camera the two changes that are due: to offline, to online.
    let mut due: HashMap<DeviceId, [bool; 2]> = chosen
        .iter()
        .map(|device| (device.clone(), [true; 2]))
        .collect();
    let mut latencies = Vec::with_capacity(2 * due.len());
    let expected = 2 * due.len();
    let gap = Duration::from_secs_f64(1.0 / per_second);
    let order = async {
        let mut pace = tokio::time::interval(gap);
        for device in &chosen {
            pace.tick().await;
            swarm.blink(device);
        }
    };
    let watch = async {
        while latencies.len() < expected {
            let Some(seen) = view.next().await else {
                return;
            };
            let Some(due) = due.get_mut(&seen.device) else {
                continue;
            };
            // Somebody who never left cannot come back: telemetry repeats the presence that is known.
            let index = usize::from(seen.presence.online);
            if (index == 1 && due[0]) || !std::mem::take(&mut due[index]) {
                continue;
            }
            let said = UNIX_EPOCH + Duration::from_millis(seen.presence.at_ms);
            let latency = seen.at.duration_since(said).unwrap_or_default();
            latencies.push(latency.as_secs_f64() * 1e3);
        }
    };
    let patience = gap * u32::try_from(cameras).unwrap_or(u32::MAX) + PATIENCE;
    let both = async { tokio::join!(order, watch) };
    // What is missing then is counted below.
    let _ = tokio::time::timeout(patience, both).await;
    latencies.sort_by(f64::total_cmp);
    Changes {
        seen: latencies.len(),
        missing: expected - latencies.len(),
        p50_ms: percentile(&latencies, 50.0),
        p99_ms: percentile(&latencies, 99.0),
        most_ms: latencies.last().copied().unwrap_or_default(),
    }
}
