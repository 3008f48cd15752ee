//! What sessions have used: bytes and time, by end and by user name.

use std::collections::HashMap;
use std::time::Duration;

use crate::credential::End;

/// The most user names that a session's use is told apart by; an ICE restart makes one for each end. Older ones still
/// count for their end.
const NAMES: usize = 32;

/// What was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of data relayed, both ways.
    pub bytes: u64,
    /// How long allocations have been held, added up.
    pub held: Duration,
}

/// What a session used, by its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionUsage {
    /// With the viewer's credentials.
    pub viewer: Usage,
    /// With the camera's.
    pub device: Usage,
}

impl Usage {
    pub(crate) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.held += other.held;
    }
}

impl SessionUsage {
    /// Bytes of both ends.
    pub const fn bytes(&self) -> u64 {
        self.viewer.bytes + self.device.bytes
    }

    pub(crate) const fn of(&mut self, end: End) -> &mut Usage {
        match end {
            End::Viewer => &mut self.viewer,
            End::Device => &mut self.device,
        }
    }
}

/// One session.
#[derive(Debug, Default)]
struct Session {
    /// Of allocations that have ended.
    usage: SessionUsage,
    /// The same by user name, the newest last.
    names: Vec<(String, Usage)>,
    /// Its own bandwidth, in bits per second.
    rate: Option<u64>,
    ended: bool,
    /// Unix seconds after which nothing can be asked about it and no credential of it is good.
    forget: u64,
}

/// All sessions of the last day or so.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    by_id: HashMap<String, Session>,
}

impl Sessions {
    /// An allocation has ended.
    pub(crate) fn add(&mut self, session: &str, end: End, name: &str, used: Usage, forget: u64) {
        let session = self.entry(session, forget);
        session.usage.of(end).add(used);
        match session.names.iter_mut().find(|(known, _)| known == name) {
            Some((_, usage)) => usage.add(used),
            None => {
                if session.names.len() >= NAMES {
                    session.names.remove(0);
                }
                session.names.push((name.to_owned(), used));
            }
        }
    }

    /// What its ended allocations used.
    pub(crate) fn usage(&self, session: &str) -> SessionUsage {
        self.by_id
            .get(session)
            .map_or_else(SessionUsage::default, |session| session.usage)
    }

    /// What ended allocations with that user name used.
    pub(crate) fn usage_of_name(&self, session: &str, name: &str) -> Usage {
        let session = self.by_id.get(session);
        session
            .and_then(|session| session.names.iter().find(|(known, _)| known == name))
            .map_or_else(Usage::default, |(_, usage)| *usage)
    }

    /// From now on its credentials are refused.
    pub(crate) fn end(&mut self, session: &str, forget: u64) {
        self.entry(session, forget).ended = true;
    }

    pub(crate) fn is_ended(&self, session: &str) -> bool {
        self.by_id.get(session).is_some_and(|session| session.ended)
    }

    /// The bandwidth of each user name of that session; `None` for everybody's.
    pub(crate) fn set_rate(&mut self, session: &str, rate: Option<u64>, forget: u64) {
        self.entry(session, forget).rate = rate;
    }

    pub(crate) fn rate(&self, session: &str) -> Option<u64> {
        self.by_id.get(session).and_then(|session| session.rate)
    }

    /// Forgets those of long ago. `now` is Unix seconds.
    pub(crate) fn tick(&mut self, now: u64) {
        self.by_id.retain(|_, session| session.forget > now);
    }

    fn entry(&mut self, session: &str, forget: u64) -> &mut Session {
        let entry = self.by_id.entry(session.to_owned()).or_default();
        entry.forget = entry.forget.max(forget);
        entry
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn use_is_told_apart_by_end_and_by_name_and_forgotten() {
        let used = |bytes| Usage {
            bytes,
            held: Duration::from_secs(1),
        };
        let mut sessions = Sessions::default();
        sessions.add("s", End::Viewer, "one", used(5), 100);
        sessions.add("s", End::Viewer, "two", used(7), 100);
        sessions.add("s", End::Device, "three", used(11), 90);
        let usage = sessions.usage("s");
        assert_eq!((usage.viewer.bytes, usage.device.bytes), (12, 11));
        assert_eq!(usage.viewer.held, Duration::from_secs(2));
        assert_eq!(sessions.usage_of_name("s", "two").bytes, 7);
        sessions.tick(99);
        assert_eq!(sessions.usage("s").bytes(), 23);
        sessions.tick(100);
        assert_eq!(sessions.usage("s"), SessionUsage::default());
    }

    #[test]
    fn names_have_a_bound_and_ends_do_not() {
        let mut sessions = Sessions::default();
        for number in 0..1000_u64 {
            let used = Usage {
                bytes: 1,
                ..Usage::default()
            };
            sessions.add("s", End::Device, &number.to_string(), used, 100);
        }
        assert_eq!(sessions.usage("s").device.bytes, 1000);
        assert_eq!(sessions.usage_of_name("s", "999").bytes, 1);
        assert_eq!(sessions.by_id["s"].names.len(), NAMES);
    }
}
