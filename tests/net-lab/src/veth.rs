//! A wire between two hosts.

use crate::namespace::succeed;
use crate::{End, LabError};

/// A pair of `veth` devices; on each host the device has the name of the other host. It goes with
/// either of its namespaces; between devices of the current one it must be [removed](Veth::remove).
#[derive(Debug)]
pub struct Veth<'a> {
    ends: [End<'a>; 2],
}

impl<'a> Veth<'a> {
    /// Lays a wire.
    ///
    /// # Errors
    /// When `ip` refuses it.
    pub fn between(first: End<'a>, second: End<'a>) -> Result<Self, LabError> {
        let place = |end: &End<'_>| {
            let id = end.namespace.holder_id();
            // This process's own, whatever its number is.
            id.map_or_else(|| std::process::id().to_string(), |id| id.to_string())
        };
        let [a, b] = [first.namespace.name(), second.namespace.name()];
        let line = format!(
            "link add {b} netns {} type veth peer name {a} netns {}",
            place(&first),
            place(&second)
        );
        succeed(std::process::Command::new("ip").args(line.split(' ')))?;
        first.namespace.set_up(b, first.address)?;
        second.namespace.set_up(a, second.address)?;
        Ok(Self {
            ends: [first, second],
        })
    }

    /// Keeps what either host sends to a rate in bits a second, by the kernel's token bucket filter
    /// (`tc tbf`): bursts of 10 ms, at least two packets, and `queue_ms` of packets waiting. Replaces
    /// the rate it had.
    ///
    /// # Errors
    /// When `tc` refuses it.
    pub fn set_rate(&self, rate: u64, queue_ms: u32) -> Result<(), LabError> {
        let burst = (rate / 8 / 100).max(2 * 1514);
        for (from, to) in [(0, 1), (1, 0)] {
            let device = self.ends[to].namespace.name();
            let line = format!(
                "qdisc replace dev {device} root tbf rate {rate}bit burst {burst} latency {queue_ms}ms"
            );
            succeed(
                self.ends[from]
                    .namespace
                    .command("tc")
                    .args(line.split(' ')),
            )?;
        }
        Ok(())
    }

    /// Takes the wire away.
    ///
    /// # Errors
    /// When `ip` refuses it.
    pub fn remove(self) -> Result<(), LabError> {
        let device = self.ends[1].namespace.name();
        self.ends[0].namespace.ip(&format!("link delete {device}"))
    }
}
