//! Who is heard at the camera: one viewer at a time; pure, the caller has the clock.
//!
//! A viewer takes the floor by a call and gives it back by another. It loses the floor when it goes, or when no
//! sound of it came for [`QUIET`]: a browser that was closed badly must not keep others silent.

use std::time::{Duration, Instant};

use bytes::Bytes;
use heron_protocol::SessionId;

/// The floor is taken away after so long without sound.
pub const QUIET: Duration = Duration::from_secs(5);

/// Sound from a viewer to the camera's loudspeaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TalkEvent {
    /// A viewer begins to talk.
    Begin(SessionId),
    /// A packet of its sound, as it came: packets may be lost, repeated or out of order.
    Packet {
        /// One Opus packet (48 kHz).
        payload: Bytes,
        /// RTP sequence number.
        sequence: u16,
        /// RTP timestamp, 48 kHz.
        timestamp: u32,
    },
    /// Nobody talks any more.
    End,
}

/// The right to be heard; `K` names viewers.
#[derive(Debug)]
pub struct Floor<K> {
    holder: Option<(K, Instant)>,
}

impl<K> Default for Floor<K> {
    fn default() -> Self {
        Self { holder: None }
    }
}

impl<K: Copy + Eq> Floor<K> {
    /// Takes the floor. False when somebody else has it.
    pub fn take(&mut self, viewer: K, now: Instant) -> bool {
        if self.holder.is_some_and(|(holder, _)| holder != viewer) {
            return false;
        }
        self.holder = Some((viewer, now));
        true
    }

    /// Whether `viewer` has it.
    pub fn is_held_by(&self, viewer: K) -> bool {
        self.holder.is_some_and(|(holder, _)| holder == viewer)
    }

    /// Sound of `viewer` came; true if it is to be heard.
    pub fn heard(&mut self, viewer: K, now: Instant) -> bool {
        match &mut self.holder {
            Some((holder, heard)) if *holder == viewer => {
                *heard = now;
                true
            }
            _ => false,
        }
    }

    /// Gives the floor back. True if `viewer` had it.
    pub fn give(&mut self, viewer: K) -> bool {
        let held = self.is_held_by(viewer);
        if held {
            self.holder = None;
        }
        held
    }

    /// When [`expire`](Self::expire) is worth calling.
    pub fn due(&self) -> Option<Instant> {
        self.holder.map(|(_, heard)| heard + QUIET)
    }

    /// Takes the floor away from a viewer that is quiet for too long; says from whom.
    pub fn expire(&mut self, now: Instant) -> Option<K> {
        let (holder, _) = self.holder.filter(|(_, heard)| now >= *heard + QUIET)?;
        self.holder = None;
        Some(holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_talks_and_the_second_waits() {
        let now = Instant::now();
        let mut floor = Floor::default();
        assert!(floor.take(1, now) && floor.take(1, now));
        assert!(!floor.take(2, now));
        assert!(floor.heard(1, now) && !floor.heard(2, now));
        assert!(!floor.give(2));
        assert!(floor.give(1));
        assert!(floor.take(2, now));
    }

    #[test]
    fn who_is_quiet_loses_the_floor() {
        let start = Instant::now();
        let mut floor = Floor::default();
        assert_eq!(floor.due(), None);
        floor.take(1, start);
        floor.heard(1, start + Duration::from_secs(3));
        assert_eq!(floor.expire(start + QUIET), None);
        assert_eq!(floor.due(), Some(start + Duration::from_secs(8)));
        assert_eq!(floor.expire(start + Duration::from_secs(8)), Some(1));
        assert!(floor.take(2, start));
    }
}
