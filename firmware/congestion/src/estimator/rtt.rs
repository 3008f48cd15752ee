//! The round trip time: as told, else from the age of the newest packet that feedback reports.

use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Rtt {
    told: Option<Duration>,
    seen: Option<Duration>,
}

impl Rtt {
    /// No round trip that matters is longer.
    const MAX: Duration = Duration::from_secs(2);

    pub fn told(&mut self, rtt: Duration) {
        Self::smooth(&mut self.told, rtt);
    }

    pub fn seen(&mut self, rtt: Duration) {
        Self::smooth(&mut self.seen, rtt);
    }

    fn smooth(slot: &mut Option<Duration>, rtt: Duration) {
        let rtt = rtt.min(Self::MAX);
        *slot = Some(slot.map_or(rtt, |old| (old * 7 + rtt) / 8));
    }

    pub fn get(&self) -> Duration {
        self.told.or(self.seen).unwrap_or_default()
    }
}
