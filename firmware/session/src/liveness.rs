//! Whether a viewer is still there; pure, the caller has the clock.

use std::time::{Duration, Instant};

/// How long a viewer may take and be silent.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From `Open` to an established connection.
    pub connect: Duration,
    /// Without any RTCP although media is being sent. An interface that is gone for ten seconds is forgiven.
    pub silence: Duration,
    /// Without an answer to ICE consent checks (RFC 7675), once they are missed.
    pub disconnected: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(20),
            silence: Duration::from_secs(30),
            disconnected: Duration::from_secs(30),
        }
    }
}

/// Why a viewer is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// It never connected.
    NoPath,
    /// It was connected, and is gone.
    Vanished,
}

/// The state of one viewer's connection in time.
#[derive(Debug)]
pub struct Liveness {
    patience: Patience,
    opened: Instant,
    connected: bool,
    disconnected: Option<Instant>,
    /// The last sign of life, or the last moment in which there was nothing the viewer could report on.
    heard: Instant,
}

impl Liveness {
    /// A viewer that opened at `now`.
    pub fn new(patience: Patience, now: Instant) -> Self {
        Self {
            patience,
            opened: now,
            connected: false,
            disconnected: None,
            heard: now,
        }
    }

    /// The path is up (again).
    pub fn connected(&mut self, now: Instant) {
        self.connected = true;
        self.disconnected = None;
        self.heard = self.heard.max(now);
    }

    /// Consent checks are not answered.
    pub fn disconnected(&mut self, now: Instant) {
        self.disconnected.get_or_insert(now);
    }

    /// A new path is looked for: patience begins anew.
    pub fn restarted(&mut self, now: Instant) {
        self.disconnected = self.disconnected.map(|_| now);
        self.heard = self.heard.max(now);
    }

    /// The viewer was heard at `now`, or nothing was sent that it could answer.
    pub fn heard(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
    }

    /// For how long nothing was heard.
    pub fn quiet(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// The verdict at `now`.
    pub fn lost(&self, now: Instant) -> Option<Lost> {
        let past =
            |since: Instant, patience: Duration| now.saturating_duration_since(since) >= patience;
        if !self.connected {
            return past(self.opened, self.patience.connect).then_some(Lost::NoPath);
        }
        let unreachable = self
            .disconnected
            .is_some_and(|since| past(since, self.patience.disconnected));
        (unreachable || past(self.heard, self.patience.silence)).then_some(Lost::Vanished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> (Liveness, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        let later = move |seconds| start + Duration::from_secs(seconds);
        (Liveness::new(Patience::default(), later(seconds)), later)
    }

    #[test]
    fn a_viewer_that_never_connects_has_no_path() {
        let (viewer, t) = at(0);
        assert_eq!(viewer.lost(t(19)), None);
        assert_eq!(viewer.lost(t(20)), Some(Lost::NoPath));
    }

    #[test]
    fn silence_counts_from_the_last_sign_of_life() {
        let (mut viewer, t) = at(0);
        viewer.connected(t(1));
        viewer.heard(t(30));
        viewer.heard(t(29));
        assert_eq!(viewer.lost(t(59)), None);
        assert_eq!(viewer.lost(t(60)), Some(Lost::Vanished));
    }

    #[test]
    fn a_short_break_is_forgiven() {
        let (mut viewer, t) = at(0);
        viewer.connected(t(1));
        viewer.heard(t(3));
        viewer.disconnected(t(2));
        viewer.disconnected(t(8));
        assert_eq!(viewer.lost(t(31)), None);
        assert_eq!(viewer.lost(t(32)), Some(Lost::Vanished));
        viewer.restarted(t(31));
        assert_eq!(viewer.lost(t(60)), None);
        assert_eq!(viewer.lost(t(61)), Some(Lost::Vanished));
        viewer.connected(t(60));
        assert_eq!(viewer.lost(t(62)), None);
    }
}
