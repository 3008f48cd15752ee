//! What an answer of the control plane means for an enrolment: ask again, with what, and after how long.

use std::time::Duration;

use super::plan::Way;
use crate::est::EstError;
use crate::pause::Pauses;

/// What to do about a request that got no certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// One line for a person.
    pub reason: String,
    /// When to ask again.
    pub pause: Pause,
    /// Whether the pairing code is over and the next request carries a new one.
    pub new_code: bool,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// The control plane was away: 2 s to 5 min.
    Quick,
    /// As long as it asked us to.
    Told(Duration),
    /// Somebody has to change something first: 30 s to 15 min.
    Slow,
    /// Most likely nothing will change but the claim file, which is looked at all the time: 10 min to 6 h.
    Hardly,
}

/// The pauses of one enrolment.
#[derive(Debug)]
pub struct Patience {
    quick: Pauses,
    slow: Pauses,
    hardly: Pauses,
}

impl Default for Patience {
    fn default() -> Self {
        let pauses =
            |first, longest| Pauses::new(Duration::from_secs(first), Duration::from_secs(longest));
        Self {
            quick: pauses(2, 300),
            slow: pauses(30, 900),
            hardly: pauses(600, 6 * 3600),
        }
    }
}

impl Patience {
    /// How long a pause is now. `dice` is an even draw from `0.0..1.0`.
    pub fn length(&mut self, pause: Pause, dice: f64) -> Duration {
        match pause {
            Pause::Quick => self.quick.pause(dice),
            Pause::Slow => self.slow.pause(dice),
            Pause::Hardly => self.hardly.pause(dice),
            Pause::Told(told) => told.max(self.quick.pause(dice)),
        }
    }

    /// Something else is tried now.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

/// How long to wait after `error`, whatever was asked.
pub fn usual(error: &EstError) -> Pause {
    match error {
        EstError::Away { retry_after, .. } => retry_after.map_or(Pause::Quick, Pause::Told),
        _ => Pause::Slow,
    }
}

/// What to do after `error`.
pub fn verdict(way: &Way, error: &EstError) -> Verdict {
    let (reason, pause, new_code) = match (way, error) {
        (_, EstError::Away { .. }) => (error.to_string(), usual(error), false),
        (_, EstError::Untrusted(_)) => (
            format!("{error}; is the authority in `ca` this control plane's?"),
            Pause::Slow,
            false,
        ),
        (
            Way::Claim(_),
            EstError::Refused {
                status: 401 | 403 | 404 | 410,
                reason,
            },
        ) => (
            format!("the claim was refused: {reason}; put a new claim file in its place"),
            Pause::Hardly,
            false,
        ),
        (
            Way::Pair,
            EstError::Refused {
                status: 403,
                reason,
            },
        ) => (
            format!("pairing was refused: {reason}; there is another code in a while"),
            Pause::Slow,
            true,
        ),
        // Out of time, or taken by another key: a code costs nothing.
        (
            Way::Pair,
            EstError::Refused {
                status: 404 | 409 | 410,
                reason,
            },
        ) => (
            format!("the pairing code is over: {reason}"),
            Pause::Quick,
            true,
        ),
        (
            Way::Factory(serial),
            EstError::Refused {
                status: 401 | 403 | 404,
                reason,
            },
        ) => (
            format!(
                "the control plane's factory list does not have serial number {serial} with this key: {reason}"
            ),
            Pause::Slow,
            false,
        ),
        _ => (error.to_string(), usual(error), false),
    };
    Verdict {
        reason,
        pause,
        new_code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> EstError {
        EstError::Refused {
            status,
            reason: "because".to_owned(),
        }
    }

    #[test]
    fn each_refusal_leads_somewhere() {
        let claim = Way::Claim("secret".to_owned());
        let factory = Way::Factory("1234".to_owned());
        let away = |retry_after| EstError::Away {
            reason: "nobody there".to_owned(),
            retry_after,
        };
        let minute = Duration::from_secs(60);
        for (way, error, expected, pause, new_code) in [
            (
                &claim,
                refused(410),
                "the claim was refused: because",
                Pause::Hardly,
                false,
            ),
            (&claim, away(None), "cannot be reached", Pause::Quick, false),
            (
                &claim,
                away(Some(minute)),
                "cannot be reached",
                Pause::Told(minute),
                false,
            ),
            (
                &claim,
                EstError::Untrusted("x".into()),
                "`ca`",
                Pause::Slow,
                false,
            ),
            (
                &claim,
                refused(400),
                "refused (400): because",
                Pause::Slow,
                false,
            ),
            (
                &Way::Pair,
                refused(403),
                "pairing was refused",
                Pause::Slow,
                true,
            ),
            (
                &Way::Pair,
                refused(410),
                "the pairing code is over",
                Pause::Quick,
                true,
            ),
            (
                &Way::Pair,
                refused(409),
                "the pairing code is over",
                Pause::Quick,
                true,
            ),
            (
                &factory,
                refused(403),
                "factory list does not have serial number 1234",
                Pause::Slow,
                false,
            ),
        ] {
            let verdict = verdict(way, &error);
            assert!(verdict.reason.contains(expected), "{}", verdict.reason);
            assert_eq!(
                (verdict.pause, verdict.new_code),
                (pause, new_code),
                "{error}"
            );
            assert!(!verdict.reason.contains("secret") && verdict.reason.lines().count() == 1);
        }
    }

    #[test]
    fn a_pause_grows_until_something_else_is_tried() {
        let mut patience = Patience::default();
        let mut seconds = |pause| patience.length(pause, 1.0).as_secs();
        assert_eq!(
            [Pause::Slow, Pause::Slow, Pause::Quick].map(&mut seconds),
            [30, 60, 2]
        );
        assert_eq!(seconds(Pause::Told(Duration::from_secs(40))), 40);
        patience.reset();
        assert_eq!(patience.length(Pause::Slow, 1.0).as_secs(), 30);
    }
}
