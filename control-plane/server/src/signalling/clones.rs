//! Finds two devices with one identity. A state machine without IO.
//!
//! A broker lets one connection of a client id live, so two devices with one certificate throw each other out in turns
//! (MQTT 5, 3.1.4-3: the session is taken over). Each boot of a machine has an id of its own, so what is seen is
//! presence that goes back to a boot id that another one had followed. A machine that reboots never does that.
//!
//! ```text
//!   boot a ─ boot b ─ boot c          reboots: nothing is wrong
//!   boot a ─ boot b ─ boot a ─ boot b ─ boot a      back to an earlier one, again and again: two devices
//! ```

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use heron_protocol::DeviceId;

/// How often it must go back within the time below. Once may be a message that the broker sent again.
const RETURNS: usize = 3;
const WITHIN: Duration = Duration::from_secs(10 * 60);
/// Boot ids that are remembered of one device.
const BOOTS: usize = 8;

/// What was seen of the devices.
#[derive(Debug, Default)]
pub struct Clones {
    seen: HashMap<DeviceId, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// The latest boot ids, the current one last.
    boots: VecDeque<String>,
    /// When it went back to an earlier one.
    returns: VecDeque<Instant>,
}

impl Clones {
    /// A device said that it is there. How often it went back to an earlier boot, once that is too often.
    pub fn online(&mut self, device: &DeviceId, boot_id: &str, now: Instant) -> Option<usize> {
        let seen = self.seen.entry(device.clone()).or_default();
        if seen.boots.back().is_some_and(|current| current == boot_id) {
            return None;
        }
        let earlier = seen.boots.iter().position(|boot| boot == boot_id);
        if let Some(earlier) = earlier {
            seen.boots.remove(earlier);
            seen.returns.push_back(now);
        }
        seen.boots.push_back(boot_id.to_owned());
        if seen.boots.len() > BOOTS {
            seen.boots.pop_front();
        }
        let recent = |at: &Instant| now.saturating_duration_since(*at) < WITHIN;
        while seen.returns.front().is_some_and(|at| !recent(at)) {
            seen.returns.pop_front();
        }
        let returns = seen.returns.len();
        if returns < RETURNS {
            return None;
        }
        seen.returns.clear();
        Some(returns)
    }

    /// A device is gone for good, or was put out: what was seen of it counts no more.
    pub fn forget(&mut self, device: &DeviceId) {
        self.seen.remove(device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> DeviceId {
        "front-door-01".parse().unwrap()
    }

    /// Feeds boot ids at these seconds; the second at which it was found out.
    fn found(story: impl IntoIterator<Item = (u64, String)>) -> Option<u64> {
        let (mut clones, start) = (Clones::default(), Instant::now());
        for (second, boot) in story {
            let now = start + Duration::from_secs(second);
            if clones.online(&device(), &boot, now).is_some() {
                return Some(second);
            }
        }
        None
    }

    #[test]
    fn two_devices_that_throw_each_other_out_are_found_within_seconds() {
        let story = (0..60).map(|second| (second, ["a", "b"][second as usize % 2].to_owned()));
        assert_eq!(found(story), Some(4));
    }

    #[test]
    fn so_are_three_and_those_that_wait_two_minutes_between() {
        let three = (0..60).map(|n| (n, ["a", "b", "c"][n as usize % 3].to_owned()));
        assert_eq!(found(three), Some(5));
        let slow = (0..20).map(|n| (n * 120, ["a", "b"][n as usize % 2].to_owned()));
        assert_eq!(found(slow), Some(480));
    }

    #[test]
    fn a_machine_that_reboots_all_day_is_one_machine() {
        let story = (0..10_000).map(|n| (n, format!("boot {n}")));
        assert_eq!(found(story), None);
    }

    #[test]
    fn a_message_that_comes_late_now_and_then_is_no_clone() {
        let story = (0..500).flat_map(|n| {
            let second = n * 700;
            [
                (second, format!("boot {n}")),
                (second + 1, format!("boot {}", n + 1)),
                (second + 2, format!("boot {n}")),
            ]
        });
        assert_eq!(found(story), None);
    }

    #[test]
    fn connecting_again_without_a_reboot_is_nothing() {
        assert_eq!(found((0..1000).map(|n| (n, "a".to_owned()))), None);
    }

    proptest::proptest! {
        #[test]
        fn devices_do_not_count_for_each_other(boots in proptest::collection::vec(0u8..3, 0..200)) {
            let (mut clones, now) = (Clones::default(), Instant::now());
            for (n, boot) in boots.iter().enumerate() {
                let device: DeviceId = format!("camera-{n:04}").parse().unwrap();
                proptest::prop_assert_eq!(clones.online(&device, &boot.to_string(), now), None);
            }
        }
    }
}
