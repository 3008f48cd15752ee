//! What a codec's buffers mean, without IO.
//!
//! ```text
//!            submitted, coded             drain              LAST flag, EPIPE, EOS event
//! Streaming ──────────────────> Streaming ───────> Draining ─────────────────────────────> Drained
//!   ^   └── an end without a drain ──> Ended: wedged                                          │
//!   └────────────────────────────────────── restart ──────────────────────────────────────────┘
//! ```
//!
//! A coded buffer is delivered, or counted and left out. While streaming or draining: nothing coded for [`DEADLINE`] although a picture waits, or
//! [`BAD_IN_A_ROW`] useless buffers one after the other, and the codec is wedged.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::Trouble;
use crate::Timestamp;

/// A codec that has a picture this long and gives nothing is wedged.
pub(super) const DEADLINE: Duration = Duration::from_secs(1);
/// A codec that gives so many useless buffers one after the other is wedged.
pub(super) const BAD_IN_A_ROW: u32 = 5;

/// What a codec did that it should not have, since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CodecCounters {
    /// Access units delivered.
    pub delivered: u64,
    /// Buffers that the driver marked as damaged.
    pub damaged: u64,
    /// Buffers that were empty, or held no whole picture.
    pub empty: u64,
    /// Pictures that gave no access unit.
    pub unanswered: u64,
    /// Pictures that were left out, since the codec had no buffer for them.
    pub left_out: u64,
}

/// A buffer with coded data, as the driver gave it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coded {
    pub(super) bytes: usize,
    pub(super) damaged: bool,
    pub(super) last: bool,
    /// There is a picture in it, not only parameter sets.
    pub(super) picture: bool,
    /// The time that the codec handed through.
    pub(super) stamp: Option<Timestamp>,
}

/// What to do with a coded buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the access unit of the picture captured then.
    Deliver(Timestamp),
    /// It belongs to the access unit after it.
    Keep,
    /// It is of no use.
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Streaming,
    Draining {
        /// The driver knows no command to drain: the end is when all pictures are answered.
        by_count: bool,
    },
    Drained,
    /// The driver ended the stream, and nobody had asked it to.
    Ended,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    captured: Timestamp,
    since: Instant,
}

/// The state of a codec that streams.
#[derive(Debug)]
pub(super) struct Machine {
    phase: Phase,
    pending: VecDeque<Pending>,
    heard: Option<Instant>,
    bad: u32,
    /// A picture is missing in the stream: only a key frame can follow.
    broken: bool,
    counters: CodecCounters,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            phase: Phase::Streaming,
            pending: VecDeque::new(),
            heard: None,
            bad: 0,
            broken: false,
            counters: CodecCounters::default(),
        }
    }
}

impl Machine {
    /// The driver took a picture.
    pub(super) fn submitted(&mut self, captured: Timestamp, now: Instant) {
        self.pending.push_back(Pending {
            captured,
            since: now,
        });
    }

    /// A picture found no buffer.
    pub(super) fn left_out(&mut self) {
        self.counters.left_out += 1;
    }

    /// The driver gave a coded buffer.
    pub(super) fn coded(&mut self, coded: Coded, now: Instant) -> Result<Verdict, Trouble> {
        if coded.last {
            self.ended();
            if coded.bytes == 0 {
                // Only the end of the drain, no picture.
                return Ok(Verdict::Skip);
            }
        }
        self.heard = Some(now);
        if coded.damaged {
            self.counters.damaged += 1;
            return self.useless(coded, "only buffers that it marks as damaged");
        }
        if coded.bytes == 0 {
            self.counters.empty += 1;
            return self.useless(coded, "only empty buffers");
        }
        if !coded.picture {
            return Ok(Verdict::Keep);
        }
        self.bad = 0;
        self.counters.delivered += 1;
        let captured = self.answered(coded.stamp);
        Ok(Verdict::Deliver(captured.unwrap_or_else(Timestamp::now)))
    }

    /// A coded buffer held something, but nothing that a viewer could use.
    pub(super) fn not_usable(&mut self) -> Result<(), Trouble> {
        self.counters.delivered = self.counters.delivered.saturating_sub(1);
        self.counters.empty += 1;
        self.count_bad("only data without a whole picture")
    }

    /// No more pictures come; what is due still does. `by_count` if the driver cannot be told.
    pub(super) fn drain(&mut self, by_count: bool) {
        if self.phase == Phase::Streaming {
            self.phase = Phase::Draining { by_count };
            self.count_down();
        }
    }

    /// The driver says that the stream has ended: by a flag, by an event, or by `EPIPE`.
    pub(super) fn ended(&mut self) {
        self.phase = match self.phase {
            Phase::Draining { .. } | Phase::Drained => Phase::Drained,
            Phase::Streaming | Phase::Ended => Phase::Ended,
        };
    }

    fn count_down(&mut self) {
        if self.phase == (Phase::Draining { by_count: true }) && self.pending.is_empty() {
            self.phase = Phase::Drained;
        }
    }

    pub(super) fn drained(&self) -> bool {
        self.phase == Phase::Drained
    }

    pub(super) fn draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    /// Pictures that the codec has and has not answered.
    pub(super) fn due(&self) -> usize {
        self.pending.len()
    }

    /// Fails when the codec has been silent for too long, or has ended by itself.
    pub(super) fn check(&self, now: Instant) -> Result<(), Trouble> {
        if self.phase == Phase::Ended {
            return Err(Trouble::wedged("has ended its stream by itself"));
        }
        let oldest = self.pending.front().map(|pending| pending.since);
        let since = oldest.max(self.heard).filter(|_| oldest.is_some());
        let silent = since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        if self.drained() || silent < DEADLINE {
            return Ok(());
        }
        Err(Trouble::wedged(format!(
            "has given nothing for {:.1} s",
            silent.as_secs_f32()
        )))
    }

    /// Whether the stream is broken and the next picture must be a key frame; true once.
    pub(super) fn take_broken(&mut self) -> bool {
        std::mem::take(&mut self.broken)
    }

    /// The codec was restarted: nothing that it had will come.
    pub(super) fn restarted(&mut self) {
        self.counters.unanswered += self.pending.len() as u64;
        let counters = self.counters;
        *self = Self {
            counters,
            ..Self::default()
        };
    }

    pub(super) fn counters(&self) -> CodecCounters {
        self.counters
    }

    fn useless(&mut self, coded: Coded, what: &str) -> Result<Verdict, Trouble> {
        self.answered(coded.stamp);
        self.count_bad(what)?;
        Ok(Verdict::Skip)
    }

    fn count_bad(&mut self, what: &str) -> Result<(), Trouble> {
        self.broken = true;
        self.bad += 1;
        if self.bad < BAD_IN_A_ROW {
            return Ok(());
        }
        Err(Trouble::wedged(format!("gives {what}")))
    }

    /// The picture that a coded buffer answers. The codec hands times through in microseconds; one
    /// that does not is taken to keep the order.
    fn answered(&mut self, stamp: Option<Timestamp>) -> Option<Timestamp> {
        let micros = |time: Timestamp| time.as_nanos() / 1000;
        let position = stamp.and_then(|stamp| {
            let same = |pending: &Pending| micros(pending.captured) == micros(stamp);
            self.pending.iter().position(same)
        });
        // Those before it will not be answered any more.
        let skipped = position.unwrap_or(0);
        self.counters.unanswered += skipped as u64;
        self.broken |= skipped > 0;
        self.pending.drain(..skipped);
        let answered = self.pending.pop_front();
        self.count_down();
        answered.map(|pending| pending.captured)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::encoder::FailureKind;

    fn time(millis: u64) -> Timestamp {
        // Not whole microseconds: the driver rounds.
        Timestamp::from_nanos(millis * 1_000_000 + 321)
    }

    fn unit(stamp: Option<Timestamp>) -> Coded {
        Coded {
            bytes: 100,
            damaged: false,
            last: false,
            picture: true,
            stamp: stamp.map(|stamp| Timestamp::from_nanos(stamp.as_nanos() / 1000 * 1000)),
        }
    }

    fn submitted(count: u64) -> (Machine, Instant) {
        let (mut machine, now) = (Machine::default(), Instant::now());
        for number in 0..count {
            machine.submitted(time(number * 33), now);
        }
        (machine, now)
    }

    #[test]
    fn times_come_back_to_the_nanosecond_and_a_gap_asks_for_a_key_frame() {
        let (mut machine, now) = submitted(3);
        assert_eq!(
            machine.coded(unit(Some(time(0))), now).unwrap(),
            Verdict::Deliver(time(0))
        );
        assert!(!machine.take_broken());
        assert_eq!(
            machine.coded(unit(Some(time(66))), now).unwrap(),
            Verdict::Deliver(time(66))
        );
        assert!(machine.take_broken() && !machine.take_broken());
        assert_eq!(machine.counters().unanswered, 1);
        assert_eq!(machine.due(), 0);
    }

    #[test]
    fn a_driver_without_times_is_taken_in_order() {
        let (mut machine, now) = submitted(2);
        for number in 0..2 {
            assert_eq!(
                machine.coded(unit(None), now).unwrap(),
                Verdict::Deliver(time(number * 33))
            );
        }
    }

    #[test]
    fn parameter_sets_alone_answer_no_picture() {
        let (mut machine, now) = submitted(1);
        let headers = Coded {
            picture: false,
            ..unit(None)
        };
        assert_eq!(machine.coded(headers, now).unwrap(), Verdict::Keep);
        assert_eq!(machine.due(), 1);
    }

    #[test]
    fn a_few_bad_buffers_are_survived_and_many_are_not() {
        let (mut machine, now) = submitted(20);
        let damaged = Coded {
            damaged: true,
            ..unit(None)
        };
        for _ in 1..BAD_IN_A_ROW {
            assert_eq!(machine.coded(damaged, now).unwrap(), Verdict::Skip);
        }
        assert!(machine.take_broken());
        assert!(machine.coded(unit(None), now).is_ok());
        let empty = Coded {
            bytes: 0,
            ..unit(None)
        };
        for _ in 1..BAD_IN_A_ROW {
            assert_eq!(machine.coded(empty, now).unwrap(), Verdict::Skip);
        }
        let trouble = machine.coded(empty, now).unwrap_err();
        assert_eq!(trouble.kind, FailureKind::Wedged);
        assert_eq!(trouble.reason, "gives only empty buffers");
        assert_eq!(machine.counters().damaged, 4);
        assert_eq!(machine.counters().empty, 5);
    }

    #[test]
    fn silence_is_noticed_only_while_something_is_due() {
        let (mut machine, start) = submitted(1);
        let soon = start + DEADLINE / 2;
        assert!(machine.check(soon).is_ok());
        assert!(machine.check(start + DEADLINE).is_err());
        machine.submitted(time(33), soon);
        machine.coded(unit(Some(time(0))), soon).unwrap();
        assert!(machine.check(start + DEADLINE).is_ok());
        let trouble = machine.check(soon + DEADLINE).unwrap_err();
        assert_eq!(trouble.reason, "has given nothing for 1.0 s");
        machine.coded(unit(Some(time(33))), soon).unwrap();
        assert!(machine.check(start + DEADLINE * 10).is_ok());
    }

    #[test]
    fn a_drain_ends_by_flag_or_by_the_driver_s_word() {
        let (mut machine, now) = submitted(1);
        machine.drain(false);
        let last = Coded {
            last: true,
            ..unit(Some(time(0)))
        };
        assert_eq!(machine.coded(last, now).unwrap(), Verdict::Deliver(time(0)));
        assert!(machine.drained());
        machine.restarted();
        assert!(!machine.drained() && !machine.draining());
        machine.drain(false);
        machine.ended();
        assert!(machine.drained());
        let empty = Coded { bytes: 0, ..last };
        assert_eq!(machine.coded(empty, now).unwrap(), Verdict::Skip);
    }

    #[test]
    fn a_drain_of_a_driver_without_the_command_ends_with_the_last_picture() {
        let (mut machine, now) = submitted(2);
        machine.drain(true);
        for number in 0..2 {
            assert!(machine.draining());
            machine.coded(unit(Some(time(number * 33))), now).unwrap();
        }
        assert!(machine.drained());
    }

    #[test]
    fn an_end_that_nobody_asked_for_is_trouble() {
        let (mut machine, now) = submitted(1);
        assert!(machine.check(now).is_ok());
        machine.ended();
        let trouble = machine.check(now).unwrap_err();
        assert_eq!(trouble.reason, "has ended its stream by itself");
        machine.restarted();
        assert!(machine.check(now).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_a_driver_returns_each_picture_is_answered_at_most_once(
            returned in proptest::collection::vec((0..50_usize, any::<bool>(), any::<bool>(), any::<bool>(), proptest::option::of(0..40_u64)), 0..60),
        ) {
            let (mut machine, now) = submitted(20);
            let mut delivered = Vec::new();
            for (bytes, damaged, last, picture, stamp) in returned {
                let coded = Coded { bytes, damaged, last, picture, stamp: stamp.map(|stamp| time(stamp * 33)) };
                let due = machine.due();
                match machine.coded(coded, now) {
                    Ok(Verdict::Deliver(captured)) if due > 0 => delivered.push(captured),
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            prop_assert!(delivered.is_sorted_by(|first, second| first < second));
        }
    }
}
