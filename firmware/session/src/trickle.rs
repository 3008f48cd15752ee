//! Trickle ICE (RFC 8838) over a signalling path that may reorder and repeat messages.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use heron_protocol::SessionId;
use heron_protocol::messages::Candidate;

/// Tells new message numbers from repeated ones: the highest so far and the 64 below it.
#[derive(Debug, Default)]
pub struct SeqWindow {
    highest: Option<u32>,
    /// Bit n: `highest - n` was seen.
    seen: u64,
}

impl SeqWindow {
    /// True the first time a number comes. Numbers too old to remember count as repeated.
    pub fn is_new(&mut self, seq: u32) -> bool {
        let Some(highest) = self.highest else {
            self.highest = Some(seq);
            self.seen = 1;
            return true;
        };
        if seq > highest {
            self.seen = self.seen.checked_shl(seq - highest).unwrap_or(0) | 1;
            self.highest = Some(seq);
            return true;
        }
        let Some(bit) = 1_u64.checked_shl(highest - seq) else {
            return false;
        };
        let new = self.seen & bit == 0;
        self.seen |= bit;
        new
    }
}

/// Candidates that came before the offer they belong to. Nothing about their session was verified yet, so they
/// are few and short-lived.
#[derive(Debug, Default)]
pub struct EarlyCandidates {
    waiting: HashMap<SessionId, Early>,
}

/// The messages for one session, with their numbers.
#[derive(Debug)]
struct Early {
    since: Instant,
    messages: Vec<(u32, Vec<Candidate>)>,
}

const MAX_EARLY_SESSIONS: usize = 16;
const MAX_EARLY_MESSAGES: usize = 8;
const EARLY_LIFE: Duration = Duration::from_secs(15);

impl EarlyCandidates {
    /// Keeps a message for a session that may open soon. False when there is no room for it.
    pub fn keep(
        &mut self,
        session: &SessionId,
        seq: u32,
        candidates: Vec<Candidate>,
        now: Instant,
    ) -> bool {
        self.waiting
            .retain(|_, early| now.duration_since(early.since) < EARLY_LIFE);
        if !self.waiting.contains_key(session) && self.waiting.len() >= MAX_EARLY_SESSIONS {
            return false;
        }
        let early = self
            .waiting
            .entry(session.clone())
            .or_insert_with(|| Early {
                since: now,
                messages: Vec::new(),
            });
        if early.messages.len() >= MAX_EARLY_MESSAGES {
            return false;
        }
        early.messages.push((seq, candidates));
        true
    }

    /// What was kept for a session that opens now (or will not).
    pub fn take(&mut self, session: &SessionId) -> Vec<(u32, Vec<Candidate>)> {
        self.waiting
            .remove(session)
            .map(|early| early.messages)
            .unwrap_or_default()
    }
}

/// Local candidates on their way: gathered for a moment, then sent together.
#[derive(Debug)]
pub struct Batch {
    waiting: Vec<Candidate>,
    due: Option<Instant>,
    delay: Duration,
    first: bool,
}

/// The host's own addresses come all at once and decide how soon ICE can start: they wait hardly at all.
const FIRST_DELAY: Duration = Duration::from_millis(3);

/// What one message may carry.
const MAX_BATCH: usize = 32;

impl Batch {
    /// An empty batch; `delay` is how long candidates wait for others.
    pub fn new(delay: Duration) -> Self {
        Self {
            waiting: Vec::new(),
            due: None,
            delay,
            first: true,
        }
    }

    /// A candidate was gathered.
    pub fn add(&mut self, candidate: Candidate, now: Instant) {
        self.waiting.push(candidate);
        let delay = if self.first {
            FIRST_DELAY.min(self.delay)
        } else {
            self.delay
        };
        let due = *self.due.get_or_insert(now + delay);
        self.due = Some(if self.waiting.len() >= MAX_BATCH {
            now
        } else {
            due
        });
    }

    /// When to send, if anything waits.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What to send.
    pub fn take(&mut self) -> Vec<Candidate> {
        self.first = false;
        self.due = None;
        std::mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn candidate() -> Candidate {
        Candidate {
            candidate: String::new(),
            sdp_mid: None,
            sdp_m_line_index: None,
            username_fragment: None,
        }
    }

    #[test]
    fn candidates_are_sent_together_and_the_first_at_once() {
        let (mut batch, start) = (Batch::new(Duration::from_millis(30)), Instant::now());
        assert_eq!(batch.due(), None);
        batch.add(candidate(), start);
        batch.add(candidate(), start + Duration::from_millis(1));
        assert_eq!(batch.due(), Some(start + FIRST_DELAY));
        assert_eq!(batch.take().len(), 2);
        batch.add(candidate(), start);
        assert_eq!(batch.due(), Some(start + Duration::from_millis(30)));
        (0..MAX_BATCH).for_each(|_| batch.add(candidate(), start));
        assert_eq!(batch.due(), Some(start));
    }

    #[test]
    fn repeated_and_ancient_numbers_are_not_new() {
        let mut window = SeqWindow::default();
        let outcomes = [3, 3, 1, 1, 5, 3, 4, 200, 5, 137, 137, 136].map(|seq| window.is_new(seq));
        assert_eq!(
            outcomes,
            [
                true, false, true, false, true, false, true, true, false, true, false, false
            ]
        );
    }

    #[test]
    fn early_candidates_are_given_out_once_and_are_few() {
        let (mut early, now) = (EarlyCandidates::default(), Instant::now());
        let session = SessionId::from_bits(1);
        assert!(early.keep(&session, 1, vec![candidate()], now));
        assert_eq!(early.take(&session).len(), 1);
        assert!(early.take(&session).is_empty());

        for bits in 0..100 {
            early.keep(&SessionId::from_bits(bits), 1, vec![candidate()], now);
        }
        assert_eq!(early.waiting.len(), MAX_EARLY_SESSIONS);
        assert!(early.keep(&session, 1, vec![], now + EARLY_LIFE));
        assert_eq!(early.waiting.len(), 1);
    }

    proptest! {
        #[test]
        fn a_number_is_new_at_most_once(numbers in prop::collection::vec(0_u32..300, 0..200)) {
            let mut window = SeqWindow::default();
            let mut accepted = std::collections::HashSet::new();
            for number in numbers {
                if window.is_new(number) {
                    prop_assert!(accepted.insert(number));
                }
            }
        }
    }
}
