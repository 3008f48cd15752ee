//! How often one camera may publish: a token bucket each.
//!
//! Every message of a camera is work for the control plane and, as a change of the view, for every dashboard. One camera
//! with a fault sends thousands a second, and in front of them the others' messages would wait. What is beyond its rate
//! is refused with a reason and counted; the connection stays.

use std::collections::HashMap;
use std::time::Instant;

use heron_protocol::DeviceId;

/// When more cameras than this have a bucket, full ones are forgotten: they are as good as new.
const BUCKETS: usize = 1024;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    messages: f64,
    at: Instant,
}

/// The buckets of all cameras.
#[derive(Debug)]
pub(crate) struct Rates {
    per_second: f64,
    burst: f64,
    buckets: HashMap<DeviceId, Bucket>,
    /// Forget again when there are so many.
    crowded: usize,
}

impl Rates {
    /// So many messages a second, and so many at once after a pause.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: f64::from(per_second),
            burst: f64::from(burst),
            buckets: HashMap::new(),
            crowded: BUCKETS,
        }
    }

    /// Whether the camera may publish one more message now.
    pub(crate) fn take(&mut self, device: &DeviceId, now: Instant) -> bool {
        if let Some(bucket) = self.buckets.get_mut(device) {
            bucket.messages = filled(*bucket, self.per_second, self.burst, now);
            bucket.at = now;
            let may = bucket.messages >= 1.0;
            bucket.messages -= if may { 1.0 } else { 0.0 };
            return may;
        }
        if self.buckets.len() >= self.crowded {
            let (per_second, burst) = (self.per_second, self.burst);
            self.buckets
                .retain(|_, bucket| filled(*bucket, per_second, burst, now) < burst);
            self.crowded = BUCKETS.max(2 * self.buckets.len());
        }
        let messages = self.burst - 1.0;
        self.buckets
            .insert(device.clone(), Bucket { messages, at: now });
        messages >= 0.0
    }
}

/// What is in a bucket by now.
fn filled(bucket: Bucket, per_second: f64, burst: f64, now: Instant) -> f64 {
    let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
    (bucket.messages + passed * per_second).min(burst)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn device(number: usize) -> DeviceId {
        format!("camera-{number:04}").parse().unwrap()
    }

    #[test]
    fn a_flood_is_cut_to_the_rate_and_nobody_elses() {
        let start = Instant::now();
        let mut rates = Rates::new(30, 100);
        let passed = (0..10_000)
            .filter(|ms| rates.take(&device(1), start + Duration::from_millis(*ms)))
            .count();
        // The burst, and ten seconds at the rate.
        assert!((399..=400).contains(&passed), "{passed}");
        assert!(rates.take(&device(2), start + Duration::from_secs(10)));
    }

    #[test]
    fn quiet_cameras_cost_nothing() {
        let start = Instant::now();
        let mut rates = Rates::new(30, 100);
        for number in 0..9000 {
            let at = start + Duration::from_secs(number as u64);
            assert!(rates.take(&device(number), at));
        }
        assert!(rates.buckets.len() <= BUCKETS, "{}", rates.buckets.len());
    }
}
