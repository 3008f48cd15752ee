//! What waits to be sent: bounded, and never older than it is useful.
//!
//! The table of topics tells how each message is kept here. A retained topic has one value: a newer
//! one replaces it, and it is sent again after every connection, since a broker may have forgotten
//! it. Anything else queues in order until its expiry has passed. So a broker that is away for a day
//! costs a bounded amount of memory, and its return brings no flood of stale messages.
//!
//! # What is dropped when the queue is full
//!
//! The queue holds 256 messages and 1 MiB. Beyond that the oldest message of the first of these classes
//! goes that has one, and a new message of a class before all of them is not taken at all:
//!
//! | dropped | class | why |
//! |---|---|---|
//! | first | telemetry | the next one is seconds away |
//! | second | signalling, replies to calls | whoever waits gives up after 15 or 30 s |
//! | last | events | they happened once, and are of use for a day |
//!
//! Presence, state, alarms and jobs are retained topics: they are never dropped, only replaced.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heron_protocol::Topic;
use heron_protocol::topics::Kind;

/// Messages that may wait in order. Signalling for a few viewers is tens of messages in 15 s.
const QUEUE: usize = 256;
/// Their bodies together.
const QUEUE_BYTES: usize = 1024 * 1024;

/// What a message is worth when there are too many; the lowest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Telemetry,
    Conversation,
    Event,
}

impl Worth {
    fn of(topic: &Topic) -> Self {
        match topic.row().kind {
            Kind::Telemetry => Self::Telemetry,
            Kind::Event => Self::Event,
            _ => Self::Conversation,
        }
    }
}

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
    /// The bodies in `queue` together.
    bytes: usize,
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
    worth: Worth,
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
        let worth = Worth::of(&topic);
        while self.queue.len() >= QUEUE || self.bytes + body.len() > QUEUE_BYTES {
            let least = self.queue.iter().map(|queued| queued.worth).min();
            self.dropped += 1;
            if least.is_none_or(|least| worth < least) {
                return;
            }
            let oldest = self
                .queue
                .iter()
                .position(|queued| Some(queued.worth) == least);
            if let Some(queued) = oldest.and_then(|oldest| self.queue.remove(oldest)) {
                self.bytes -= queued.body.len();
            }
        }
        let until = topic
            .row()
            .expiry_s
            .map(|seconds| now + Duration::from_secs(seconds.into()));
        self.bytes += body.len();
        self.queue.push_back(Queued {
            worth,
            topic,
            body,
            until,
        });
    }

    /// The next message to send. What is in order goes first: somebody waits for it.
    pub fn take(&mut self, now: Instant) -> Option<Outgoing> {
        while let Some(queued) = self.queue.pop_front() {
            let Queued {
                topic, body, until, ..
            } = queued;
            self.bytes -= body.len();
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

    fn event(number: usize) -> Topic {
        Topic::Event(device(), format!("e{number}").parse().unwrap())
    }

    #[test]
    fn telemetry_goes_before_signalling_and_events_go_last() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        let telemetry = || Topic::Telemetry(device());
        for number in 0..QUEUE / 2 {
            outbox.put(now, event(number), "event".into());
            outbox.put(now, telemetry(), "telemetry".into());
        }
        for _ in 0..QUEUE / 2 {
            outbox.put(now, rtc(1), "rtc".into());
        }
        // Telemetry has made room for signalling; now signalling makes room for events.
        outbox.put(now, event(500), "late event".into());
        // And telemetry is worth less than all that waits.
        outbox.put(now, telemetry(), "telemetry".into());
        assert_eq!(outbox.dropped(), QUEUE as u64 / 2 + 2);
        let bodies = bodies(&mut outbox, now);
        let count = |wanted: &str| bodies.iter().filter(|body| *body == wanted).count();
        assert_eq!(
            (
                count("event"),
                count("telemetry"),
                count("rtc"),
                count("late event")
            ),
            (QUEUE / 2, 0, QUEUE / 2 - 1, 1)
        );
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_too() {
        let now = Instant::now();
        let mut outbox = Outbox::default();
        let body = Bytes::from(vec![b'x'; 60_000]);
        for _ in 0..40 {
            outbox.put(now, rtc(1), body.clone());
        }
        let kept = bodies(&mut outbox, now).len();
        assert_eq!(kept, QUEUE_BYTES / body.len());
        assert_eq!(outbox.bytes, 0);
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
