//! What waits to be sent: bounded, and never older than it is useful.
//!
//! The table of topics tells how each message is kept here. A retained topic has one value: a newer
//! one replaces it, and it is sent again after every connection, since a broker may have forgotten
//! it. Anything else queues in order and is dropped when its expiry has passed, or when the queue is
//! full and it is the oldest. So a broker that is away for a day costs a bounded amount of memory,
//! and its return brings no flood of stale messages.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heron_protocol::Topic;

/// Messages that may wait in order. Signalling for a few viewers is tens of messages in 15 s.
const QUEUE: usize = 256;

/// A message on its way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it goes; its row tells QoS and retention.
    pub topic: Topic,
    /// The encoded body.
    pub body: Bytes,
    /// How long it is still of use.
    pub expiry: Option<Duration>,
}

/// The messages that wait. Pure: the clock is the caller's.
#[derive(Debug, Default)]
pub struct Outbox {
    kept: Vec<Kept>,
    queue: VecDeque<Queued>,
    dropped: u64,
}

#[derive(Debug)]
struct Kept {
    topic: Topic,
    body: Bytes,
    sent: bool,
}

#[derive(Debug)]
struct Queued {
    topic: Topic,
    body: Bytes,
    until: Option<Instant>,
}

impl Outbox {
    /// Accepts a message, whether or not there is a connection.
    pub fn put(&mut self, now: Instant, topic: Topic, body: Bytes) {
        if topic.row().retained {
            match self.kept.iter_mut().find(|kept| kept.topic == topic) {
                Some(kept) if kept.body == body => {}
                Some(kept) => {
                    kept.body = body;
                    kept.sent = false;
                }
                None => self.kept.push(Kept {
                    topic,
                    body,
                    sent: false,
                }),
            }
            return;
        }
        if self.queue.len() >= QUEUE {
            self.queue.pop_front();
            self.dropped += 1;
        }
        let until = topic
            .row()
            .expiry_s
            .map(|seconds| now + Duration::from_secs(seconds.into()));
        self.queue.push_back(Queued { topic, body, until });
    }

    /// The next message to send. What is in order goes first: somebody waits for it.
    pub fn take(&mut self, now: Instant) -> Option<Outgoing> {
        while let Some(Queued { topic, body, until }) = self.queue.pop_front() {
            match until {
                Some(until) if until <= now => self.dropped += 1,
                _ => {
                    return Some(Outgoing {
                        topic,
                        body,
                        expiry: until.map(|until| until - now),
                    });
                }
            }
        }
        let kept = self.kept.iter_mut().find(|kept| !kept.sent)?;
        kept.sent = true;
        Some(Outgoing {
            topic: kept.topic.clone(),
            body: kept.body.clone(),
            expiry: None,
        })
    }

    /// A new connection: the broker may know nothing of what it was told before.
    pub fn reconnected(&mut self) {
        for kept in &mut self.kept {
            kept.sent = false;
        }
    }

    /// Messages that were never sent because they grew old or too many.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heron_protocol::{DeviceId, SessionId, messages::Section};

    fn device() -> DeviceId {
        "front-door-01".parse().unwrap()
    }

    fn rtc(number: u128) -> Topic {
        Topic::RtcUp(device(), SessionId::from_bits(number))
    }

    fn state() -> Topic {
        Topic::ReportedState(device(), Section::Video)
    }

    fn bodies(outbox: &mut Outbox, now: Instant) -> Vec<Bytes> {
        std::iter::from_fn(|| outbox.take(now))
            .map(|outgoing| outgoing.body)
            .collect()
    }

    #[test]
    fn messages_leave_in_order_with_the_rest_of_their_time() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        outbox.put(now, rtc(1), "a".into());
        outbox.put(now, rtc(2), "b".into());
        let first = outbox.take(now + Duration::from_secs(5)).unwrap();
        assert_eq!(first.topic, rtc(1));
        assert_eq!(first.expiry, Some(Duration::from_secs(10)));
        assert_eq!(bodies(&mut outbox, now), ["b"]);
    }

    #[test]
    fn a_message_that_grew_old_is_not_sent() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        outbox.put(now, rtc(1), "old".into());
        outbox.put(now, Topic::Telemetry(device()), "lasting".into());
        assert_eq!(
            bodies(&mut outbox, now + Duration::from_secs(60)),
            ["lasting"]
        );
        assert_eq!(outbox.dropped(), 1);
    }

    #[test]
    fn the_newest_stay_when_there_are_too_many() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        for number in 0..QUEUE + 3 {
            outbox.put(now, rtc(1), number.to_string().into());
        }
        let bodies = bodies(&mut outbox, now);
        assert_eq!(bodies.len(), QUEUE);
        assert_eq!(bodies[0], "3");
        assert_eq!(outbox.dropped(), 3);
    }

    #[test]
    fn a_retained_topic_has_its_last_value_once_for_each_connection() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        outbox.put(now, state(), "old".into());
        outbox.put(now, state(), "new".into());
        assert_eq!(bodies(&mut outbox, now), ["new"]);

        outbox.put(now, state(), "new".into());
        assert_eq!(
            bodies(&mut outbox, now),
            [""; 0],
            "unchanged, so not sent again"
        );

        outbox.reconnected();
        assert_eq!(bodies(&mut outbox, now), ["new"]);
    }
}
