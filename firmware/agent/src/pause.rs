//! How long to wait before asking a control plane again.
//!
//! Pauses double from a first one to a longest one, each drawn evenly from its upper half: a fleet that
//! was refused together does not return together. [`Backoff`](crate::Backoff) is the broker's, and quicker.

use std::time::Duration;

/// Growing pauses. Pure: the dice are the caller's.
#[derive(Debug, Clone)]
pub struct Pauses {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Pauses {
    /// The next pause is the first.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
        }
    }

    /// The next pause. `dice` is an even draw from `0.0..1.0`; anything outside is taken as the nearer end.
    pub fn pause(&mut self, dice: f64) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.longest);
        let dice = if dice.is_nan() {
            1.0
        } else {
            dice.clamp(0.0, 1.0)
        };
        whole.mul_f64(0.5 + dice / 2.0)
    }

    /// Something worked: the pauses begin anew.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_longest_within_their_upper_half() {
        let mut pauses = Pauses::new(Duration::from_secs(2), Duration::from_secs(12));
        let mut seconds = |dice| pauses.pause(dice).as_secs();
        assert_eq!(
            [1.0, 0.0, 1.0, 1.0, 2.0, f64::NAN].map(&mut seconds),
            [2, 2, 8, 12, 12, 12]
        );
        pauses.reset();
        assert_eq!(pauses.pause(1.0), Duration::from_secs(2));
    }
}
