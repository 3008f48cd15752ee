//! Which encoder to open when: hardware if it can, software while it cannot.
//!
//! ```text
//!              opened                     wedged, or would not start
//!  hardware ──────────► hardware encodes ───────────────────────────► down for 250 ms .. 60 s
//!     ▲                                                                   │ Auto: software encodes
//!     └──────────────────── the wait is over: tried again ◄───────────────┘ Hardware: no pictures
//! ```
//!
//! Where software encodes meanwhile, it goes on until the hardware has encoded a picture beside it (`trial`).
//!
//! Hardware that is not there, or does not take pictures of this size, is not asked again before the
//! size changes or the rung starts anew; where nothing else may encode, it is asked every two seconds.

use std::time::{Duration, Instant};

use crate::retry::Retry;
use crate::{EncoderChoice, FailureKind};

/// The longest wait for hardware in whose place software encodes: nobody is without pictures.
const PATIENT: Duration = Duration::from_secs(60);
/// The longest wait when there is nothing else.
const EAGER: Duration = Duration::from_secs(2);
/// An encoder that worked this long has earned a quick retry.
const PROVEN: Duration = Duration::from_secs(60);

/// The two kinds of encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Hardware,
    Software,
}

impl Kind {
    /// The choice that gives this kind and no other.
    pub(super) const fn only(self) -> EncoderChoice {
        match self {
            Self::Hardware => EncoderChoice::Hardware,
            Self::Software => EncoderChoice::Software,
        }
    }
}

/// What to do without an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Open(Kind),
    Wait(Instant),
}

/// The state of both kinds for one rung. Pure: the caller passes the time.
#[derive(Debug)]
pub(super) struct Failover {
    choice: EncoderChoice,
    hardware: Candidate,
    software: Candidate,
}

#[derive(Debug)]
struct Candidate {
    retry: Retry,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Ready,
    DownUntil(Instant),
    /// Absent, or not for such pictures.
    Unfit,
}

impl Failover {
    pub(super) fn new(choice: EncoderChoice) -> Self {
        let patience = if choice == EncoderChoice::Auto {
            PATIENT
        } else {
            EAGER
        };
        Self {
            choice,
            hardware: Candidate::new(patience),
            software: Candidate::new(EAGER),
        }
    }

    /// What to do at `now`, when no encoder runs.
    pub(super) fn next(&self, now: Instant) -> Next {
        let kinds = self.allowed();
        let ready = kinds.iter().find(|kind| self.of(**kind).ready(now));
        if let Some(kind) = ready {
            return Next::Open(*kind);
        }
        let waits = kinds.iter().filter_map(|kind| self.of(*kind).until());
        // Software is never unfit, so there is something to wait for.
        Next::Wait(waits.min().unwrap_or(now + EAGER))
    }

    /// Whether hardware should be tried in the place of the software that runs.
    pub(super) fn better(&self, running: Kind, now: Instant) -> bool {
        running == Kind::Software
            && self.choice == EncoderChoice::Auto
            && self.hardware.until().is_some_and(|until| until <= now)
    }

    /// Whether something else may encode when hardware cannot.
    pub(super) fn has_other(&self) -> bool {
        self.choice == EncoderChoice::Auto
    }

    /// An encoder of this kind is at work.
    pub(super) fn opened(&mut self, kind: Kind, now: Instant) {
        let candidate = self.of_mut(kind);
        candidate.standing = Standing::Ready;
        candidate.retry.opened(now);
    }

    /// An encoder of this kind failed, or could not be opened.
    pub(super) fn failed(&mut self, kind: Kind, failure: FailureKind, now: Instant) {
        let alone = self.choice != EncoderChoice::Auto || kind == Kind::Software;
        let candidate = self.of_mut(kind);
        candidate.standing = if failure == FailureKind::Wedged || alone {
            Standing::DownUntil(now + candidate.retry.failed(now))
        } else {
            Standing::Unfit
        };
    }

    /// Pictures come in another size, or after a pause: what did not fit may fit now.
    pub(super) fn begin(&mut self) {
        for candidate in [&mut self.hardware, &mut self.software] {
            if candidate.standing == Standing::Unfit {
                candidate.standing = Standing::Ready;
            }
        }
    }

    fn allowed(&self) -> &'static [Kind] {
        match self.choice {
            EncoderChoice::Auto => &[Kind::Hardware, Kind::Software],
            EncoderChoice::Hardware => &[Kind::Hardware],
            EncoderChoice::Software => &[Kind::Software],
        }
    }

    fn of(&self, kind: Kind) -> &Candidate {
        match kind {
            Kind::Hardware => &self.hardware,
            Kind::Software => &self.software,
        }
    }

    fn of_mut(&mut self, kind: Kind) -> &mut Candidate {
        match kind {
            Kind::Hardware => &mut self.hardware,
            Kind::Software => &mut self.software,
        }
    }
}

impl Candidate {
    const fn new(longest: Duration) -> Self {
        Self {
            retry: Retry::new(longest, PROVEN),
            standing: Standing::Ready,
        }
    }

    fn ready(&self, now: Instant) -> bool {
        match self.standing {
            Standing::Ready => true,
            Standing::DownUntil(until) => until <= now,
            Standing::Unfit => false,
        }
    }

    fn until(&self) -> Option<Instant> {
        match self.standing {
            Standing::DownUntil(until) => Some(until),
            Standing::Ready | Standing::Unfit => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn software_takes_over_and_hardware_is_tried_again() {
        let (mut failover, start) = (Failover::new(EncoderChoice::Auto), Instant::now());
        assert_eq!(failover.next(start), Next::Open(Kind::Hardware));
        failover.opened(Kind::Hardware, start);
        failover.failed(Kind::Hardware, FailureKind::Wedged, start);
        assert_eq!(failover.next(start), Next::Open(Kind::Software));
        failover.opened(Kind::Software, start);
        assert!(!failover.better(Kind::Software, start + 249 * MS));
        assert!(failover.better(Kind::Software, start + 250 * MS));
        failover.opened(Kind::Hardware, start + 250 * MS);
        assert!(!failover.better(Kind::Hardware, start + 500 * MS));
    }

    #[test]
    fn hardware_that_keeps_failing_is_tried_ever_less() {
        let (mut failover, mut now) = (Failover::new(EncoderChoice::Auto), Instant::now());
        let mut attempts = 0;
        let end = now + Duration::from_secs(600);
        while now < end {
            if failover.next(now) == Next::Open(Kind::Hardware) {
                failover.failed(Kind::Hardware, FailureKind::Wedged, now);
                attempts += 1;
            }
            now += 50 * MS;
        }
        assert!((15..22).contains(&attempts), "{attempts}");
    }

    #[test]
    fn hardware_that_is_not_there_is_asked_once_a_start() {
        for failure in [FailureKind::Absent, FailureKind::Refused] {
            let (mut failover, start) = (Failover::new(EncoderChoice::Auto), Instant::now());
            failover.failed(Kind::Hardware, failure, start);
            let later = start + Duration::from_secs(3600);
            assert_eq!(failover.next(later), Next::Open(Kind::Software));
            assert!(!failover.better(Kind::Software, later));
            failover.begin();
            assert_eq!(failover.next(later), Next::Open(Kind::Hardware));
        }
    }

    #[test]
    fn hardware_alone_is_waited_for() {
        let (mut failover, start) = (Failover::new(EncoderChoice::Hardware), Instant::now());
        for wait in [250, 500, 1000, 2000, 2000] {
            failover.failed(Kind::Hardware, FailureKind::Absent, start);
            assert_eq!(failover.next(start), Next::Wait(start + wait * MS));
            assert_eq!(failover.next(start + wait * MS), Next::Open(Kind::Hardware));
        }
    }

    #[test]
    fn software_alone_never_asks_for_hardware() {
        let (mut failover, start) = (Failover::new(EncoderChoice::Software), Instant::now());
        assert_eq!(failover.next(start), Next::Open(Kind::Software));
        failover.failed(Kind::Software, FailureKind::Refused, start);
        assert_eq!(failover.next(start), Next::Wait(start + 250 * MS));
    }
}
