//! What a camera says of its being there.
//!
//! Each connection owns two numbers: the even one for `online`, the odd one after it for `offline`,
//! whether from us or from the will. So whichever order a broker delivers them in, the higher number
//! is the newer truth, and the late will of an old connection never hides a new one.

use std::time::UNIX_EPOCH;

use heron_protocol::messages::{Offline, Presence};

use crate::clock::Clock;

/// One connection's place in the order of all connections since the boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionNumber(u64);

/// What is the same in every presence message of this process.
#[derive(Debug)]
pub struct Herald {
    pub firmware: String,
    pub boot_id: String,
    /// Where the count begins: higher than any earlier process of the same boot got.
    pub first_seq: u64,
    pub clock: Clock,
}

impl Herald {
    /// The number of the `attempt`th attempt to connect.
    pub fn number(&self, attempt: u64) -> ConnectionNumber {
        ConnectionNumber(self.first_seq.saturating_add(attempt.saturating_mul(2)))
    }

    /// We are here again, after we were away for `last_reason`.
    pub fn online(
        &self,
        ConnectionNumber(number): ConnectionNumber,
        last_reason: Option<Offline>,
    ) -> Presence {
        Presence {
            last_reason,
            ..self.presence(number, None)
        }
    }

    /// We are gone.
    pub fn offline(&self, ConnectionNumber(number): ConnectionNumber, reason: Offline) -> Presence {
        self.presence(number.saturating_add(1), Some(reason))
    }

    fn presence(&self, seq: u64, reason: Option<Offline>) -> Presence {
        Presence {
            online: reason.is_none(),
            reason,
            last_reason: None,
            boot_id: self.boot_id.clone(),
            firmware: self.firmware.clone(),
            slot: None,
            seq,
            at_ms: self.now_ms(),
        }
    }

    fn now_ms(&self) -> u64 {
        let since = self.clock.now().duration_since(UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_will_never_outranks_a_new_connection() {
        let herald = Herald {
            firmware: "1".into(),
            boot_id: "b".into(),
            first_seq: 40,
            clock: Clock::new(),
        };
        let (first, second) = (herald.number(0), herald.number(1));
        let order = [
            herald.online(first, None).seq,
            herald.offline(first, Offline::ConnectionLost).seq,
            herald.online(second, None).seq,
            herald.offline(second, Offline::Shutdown).seq,
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
    }
}
