//! Which message numbers of one direction have been seen.

/// A window over the newest 64 numbers: tells a message from its duplicate, whatever the order they come in.
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    /// The highest number seen plus one; zero before the first.
    next: u64,
    /// Bit `i` says whether `next - 1 - i` was seen.
    seen: u64,
}

impl Sequence {
    /// Takes a number; false if it was seen before, or is so old that nobody can tell.
    pub fn accept(&mut self, number: u32) -> bool {
        let number = u64::from(number);
        if number >= self.next {
            let ahead = number + 1 - self.next;
            self.seen = if ahead < 64 {
                self.seen << ahead | 1
            } else {
                1
            };
            self.next = number + 1;
            return true;
        }
        let behind = self.next - 1 - number;
        if behind >= 64 || self.seen & (1 << behind) != 0 {
            return false;
        }
        self.seen |= 1 << behind;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_passes_once_in_any_order() {
        let mut sequence = Sequence::default();
        for number in [0, 2, 1, 5, 3, 4] {
            assert!(sequence.accept(number), "{number}");
        }
        for number in 0..=5 {
            assert!(!sequence.accept(number), "{number} again");
        }
    }

    #[test]
    fn what_is_too_old_to_tell_is_refused() {
        let mut sequence = Sequence::default();
        assert!(sequence.accept(100));
        assert!(sequence.accept(37));
        assert!(!sequence.accept(36));
        assert!(sequence.accept(u32::MAX));
        assert!(!sequence.accept(100));
    }
}
