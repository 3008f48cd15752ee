//! The retained messages (MQTT 5, 3.3.1.3), in memory and bounded.
//!
//! A message is found by the literal beginning of a filter, so a camera that reads its own tree costs as much with
//! ten thousand cameras as with one. No camera can fill the store for the others: below one camera's tree there is
//! room for a fixed number of messages.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::config::Limits;
use crate::filter;

/// Topics of one camera share these first levels: `cam`, the version, the shard and the device id.
const OWNER_LEVELS: usize = 4;

/// Why a message cannot be retained. It is still delivered to those who listen now.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Full {
    /// The store as a whole.
    #[error("the broker retains no more than {0} messages")]
    Messages(usize),
    /// The store as a whole, in bytes.
    #[error("the broker retains no more than {0} bytes")]
    Bytes(usize),
    /// One camera's share.
    #[error("a camera has no more than {0} retained messages")]
    Owner(usize),
}

struct Kept<M> {
    message: M,
    bytes: usize,
    expires: Option<Instant>,
}

impl<M> Kept<M> {
    fn expired(&self, now: Instant) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// At most one message for each topic.
pub(crate) struct Retained<M> {
    kept: BTreeMap<String, Kept<M>>,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
    max_per_owner: usize,
}

impl<M> Retained<M> {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            kept: BTreeMap::new(),
            bytes: 0,
            max_messages: limits.retained,
            max_bytes: limits.retained_bytes,
            max_per_owner: limits.retained_per_device,
        }
    }

    /// Whether a message of that size may be kept for `topic`.
    pub(crate) fn room(&self, topic: &str, bytes: usize) -> Result<(), Full> {
        let replaced = self.kept.get(topic);
        if self.bytes - replaced.map_or(0, |kept| kept.bytes) + bytes > self.max_bytes {
            return Err(Full::Bytes(self.max_bytes));
        }
        if replaced.is_some() {
            return Ok(());
        }
        if self.kept.len() >= self.max_messages {
            return Err(Full::Messages(self.max_messages));
        }
        if let Some(owner) = owner(topic)
            && self.below(owner).take(self.max_per_owner).count() >= self.max_per_owner
        {
            return Err(Full::Owner(self.max_per_owner));
        }
        Ok(())
    }

    /// Keeps `message` as the last one of `topic`, for `lifetime` if it has one.
    pub(crate) fn set(
        &mut self,
        topic: &str,
        message: M,
        bytes: usize,
        lifetime: Option<Duration>,
        now: Instant,
    ) -> Result<(), Full> {
        self.room(topic, bytes)?;
        self.clear(topic);
        self.bytes += bytes;
        let expires = lifetime.and_then(|lifetime| now.checked_add(lifetime));
        self.kept.insert(
            topic.to_owned(),
            Kept {
                message,
                bytes,
                expires,
            },
        );
        Ok(())
    }

    /// Forgets the message of `topic`.
    pub(crate) fn clear(&mut self, topic: &str) {
        if let Some(gone) = self.kept.remove(topic) {
            self.bytes -= gone.bytes;
        }
    }

    /// The messages that `filter` asks for and how long each has left to live.
    pub(crate) fn matching<'a>(
        &'a self,
        filter: &'a str,
        now: Instant,
    ) -> impl Iterator<Item = (&'a str, &'a M, Option<Duration>)> {
        self.below(filter::literal_prefix(filter))
            .filter(move |(topic, kept)| !kept.expired(now) && filter::matches(filter, topic))
            .map(move |(topic, kept)| {
                (
                    topic,
                    &kept.message,
                    kept.expires.map(|expires| expires - now),
                )
            })
    }

    /// Forgets what has expired.
    pub(crate) fn purge(&mut self, now: Instant) {
        let bytes = &mut self.bytes;
        self.kept.retain(|_, kept| {
            let keep = !kept.expired(now);
            if !keep {
                *bytes -= kept.bytes;
            }
            keep
        });
    }

    /// How many messages there are, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.kept.len(), self.bytes)
    }

    fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Kept<M>)> {
        self.kept
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
            .map(|(topic, kept)| (topic.as_str(), kept))
            .take_while(move |(topic, _)| topic.starts_with(prefix))
    }
}

/// The part of a topic that belongs to one camera, with its last slash.
fn owner(topic: &str) -> Option<&str> {
    let (end, _) = topic.match_indices('/').nth(OWNER_LEVELS - 1)?;
    Some(&topic[..=end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn store(
        retained: usize,
        retained_bytes: usize,
        retained_per_device: usize,
    ) -> Retained<&'static str> {
        Retained::new(&Limits {
            retained,
            retained_bytes,
            retained_per_device,
            ..Limits::default()
        })
    }

    #[test]
    fn the_last_message_of_a_topic_replaces_the_one_before() {
        let now = Instant::now();
        let mut store = store(10, 100, 10);
        store
            .set("cam/1/aa/dev/up/presence", "one", 3, None, now)
            .unwrap();
        store
            .set("cam/1/aa/dev/up/presence", "two", 5, None, now)
            .unwrap();
        assert_eq!(store.size(), (1, 5));
        let found: Vec<_> = store.matching("cam/1/+/+/up/presence", now).collect();
        assert_eq!(found, [("cam/1/aa/dev/up/presence", &"two", None)]);
        store.clear("cam/1/aa/dev/up/presence");
        assert_eq!(store.size(), (0, 0));
    }

    #[test]
    fn a_message_is_gone_when_its_life_is_over() {
        let now = Instant::now();
        let mut store = store(10, 100, 10);
        store
            .set("a", "short", 1, Some(Duration::from_secs(15)), now)
            .unwrap();
        let later = now + Duration::from_secs(5);
        assert_eq!(
            store.matching("a", later).next(),
            Some(("a", &"short", Some(Duration::from_secs(10))))
        );
        let end = now + Duration::from_secs(15);
        assert_eq!(store.matching("a", end).next(), None);
        store.purge(end);
        assert_eq!(store.size(), (0, 0));
    }

    #[test]
    fn one_camera_cannot_take_the_room_of_another() {
        let now = Instant::now();
        let mut store = store(100, 1000, 2);
        store
            .set("cam/1/aa/dev/up/job/1", "x", 1, None, now)
            .unwrap();
        store
            .set("cam/1/aa/dev/up/job/2", "x", 1, None, now)
            .unwrap();
        assert_eq!(
            store.set("cam/1/aa/dev/up/job/3", "x", 1, None, now),
            Err(Full::Owner(2))
        );
        // What is there may change, and others have their own room, even where one name begins with the other.
        store
            .set("cam/1/aa/dev/up/job/2", "y", 1, None, now)
            .unwrap();
        store
            .set("cam/1/aa/dev2/up/job/1", "x", 1, None, now)
            .unwrap();
    }

    #[test]
    fn the_store_has_an_end() {
        let now = Instant::now();
        let mut few = store(1, 100, 10);
        few.set("a", "x", 1, None, now).unwrap();
        assert_eq!(few.set("b", "x", 1, None, now), Err(Full::Messages(1)));
        let mut small = store(10, 4, 10);
        small.set("a", "x", 3, None, now).unwrap();
        assert_eq!(small.set("b", "x", 2, None, now), Err(Full::Bytes(4)));
        small.set("a", "x", 4, None, now).unwrap();
    }

    proptest! {
        #[test]
        fn a_filter_finds_exactly_what_matches_it(
            topics in prop::collection::btree_set("([ab]/){0,3}[abc]", 0..12),
            filter in "([ab+]/){0,3}[abc+#]",
        ) {
            let now = Instant::now();
            let mut store = store(100, 1000, 100);
            for topic in &topics {
                store.set(topic, "x", 1, None, now).unwrap();
            }
            let found: Vec<&str> = store.matching(&filter, now).map(|(topic, ..)| topic).collect();
            let expected: Vec<&str> =
                topics.iter().map(String::as_str).filter(|topic| filter::matches(&filter, topic)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
