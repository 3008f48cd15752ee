//! When a certificate is renewed, and what happens until the next one has proved itself.
//!
//! ```text
//!            two thirds of its life       issued           the broker took it
//!  Resting ───────────────────────► Ask ────────► Try ─────────────────────────► Resting, with the new one
//!     ▲                              │ ▲           │
//!     └──── pause, 1 min to 6 h ─────┘ │           └─ not taken: back to the old one, pause, Try again;
//!                                      └─ turned away three times while the old one works: ask for another
//! ```
//!
//! The old certificate is kept until the new one has connected, and both are kept over a power cut. A
//! third of a life is a month: a control plane may be away for weeks at the worst time. A certificate
//! that has expired is renewed all the same, and it is the control plane that says whether it may be
//! (RFC 7030 leaves that to the server; ours takes one for a year): that is the way back for a camera
//! that was off for half a year. A refusal for good is told, and asked again every few hours, since a
//! quarantine can end.
//!
//! Pure: the calendar and the dice are the caller's.

use std::time::{Duration, SystemTime};

use crate::bundle::Validity;
use crate::pause::Pauses;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// After so many refusals of a new certificate by a broker that takes the old one, another is asked for.
const TRIALS: u32 = 3;

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing before this time.
    Wait(SystemTime),
    /// Ask for a certificate for a new key.
    Ask,
    /// Connect with the certificate that was issued.
    Try,
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// A certificate, valid so long. It is on the disk by now.
    Issued(Validity),
    /// None this time.
    Failed,
    /// None, and asking again is not likely to change that.
    Refused,
}

/// What came of connecting with the new certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// The broker took it; it is the device's certificate from now on.
    Accepted,
    /// The broker turned it away, and took the old one after it or did not.
    TurnedAway {
        /// Whether the old certificate still connects.
        old_works: bool,
    },
    /// There was no broker to tell.
    NoAnswer,
}

/// The renewal of one device's certificates.
#[derive(Debug)]
pub struct Renewal {
    /// Nothing happens before.
    at: SystemTime,
    candidate: Option<Candidate>,
    asking: Pauses,
    trying: Pauses,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    validity: Validity,
    refusals: u32,
}

impl Renewal {
    /// For a certificate that is in use, and one that an earlier process was trying. `dice` is an even draw from
    /// `0.0..1.0`: it spreads a fleet that was enrolled in one hour over a day and a half.
    #[must_use]
    pub fn new(current: Validity, candidate: Option<Validity>, dice: f64) -> Self {
        let at = match candidate {
            Some(_) => SystemTime::UNIX_EPOCH,
            None => due(current, dice),
        };
        Self {
            at,
            candidate: candidate.map(|validity| Candidate {
                validity,
                refusals: 0,
            }),
            asking: Pauses::new(MINUTE, 6 * HOUR),
            trying: Pauses::new(MINUTE, HOUR / 2),
        }
    }

    /// What to do at `now`.
    #[must_use]
    pub fn next(&self, now: SystemTime) -> Action {
        if now < self.at {
            return Action::Wait(self.at);
        }
        match self.candidate {
            Some(candidate) if now < candidate.validity.until => Action::Try,
            _ => Action::Ask,
        }
    }

    /// [`Action::Ask`] was done.
    pub fn asked(&mut self, now: SystemTime, asked: Asked, dice: f64) {
        match asked {
            Asked::Issued(validity) => {
                self.asking.reset();
                self.trying.reset();
                self.candidate = Some(Candidate {
                    validity,
                    refusals: 0,
                });
                self.at = now;
            }
            Asked::Failed => self.at = now + self.asking.pause(dice),
            Asked::Refused => self.at = now + Pauses::new(6 * HOUR, 6 * HOUR).pause(dice),
        }
    }

    /// [`Action::Try`] was done.
    pub fn tried(&mut self, now: SystemTime, tried: Tried, dice: f64) {
        let Some(candidate) = &mut self.candidate else {
            return;
        };
        match tried {
            Tried::Accepted => {
                self.at = due(candidate.validity, dice);
                self.candidate = None;
                return;
            }
            Tried::TurnedAway { old_works } => {
                candidate.refusals += 1;
                // While the old one does not work either, the new one may well be the better of the two.
                if candidate.refusals >= TRIALS && old_works {
                    self.candidate = None;
                }
            }
            Tried::NoAnswer => {}
        }
        self.at = now + self.trying.pause(dice);
    }

    /// Whether there is a certificate that has not proved itself yet.
    #[must_use]
    pub fn has_candidate(&self) -> bool {
        self.candidate.is_some()
    }
}

/// Two thirds of a life, and up to a sixtieth more.
fn due(Validity { from, until }: Validity, dice: f64) -> SystemTime {
    let life = until.duration_since(from).unwrap_or_default();
    let dice = if dice.is_nan() {
        0.0
    } else {
        dice.clamp(0.0, 1.0)
    };
    from + life * 2 / 3 + (life / 60).mul_f64(dice)
}
