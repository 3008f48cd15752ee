//! Still pictures that viewers fetch over the data channel, part by part; pure, the caller has the clock.
//!
//! A picture is larger than a message may be, so it is kept for a moment, by a number, and asked for in parts. The viewer
//! asks for as many at a time as its path carries; nothing is pushed, and media is never held up by a picture.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use heron_media::Still;

/// Bytes in a part: as base64, with what is around it, they fit into a message of 16 KiB.
pub const PART: usize = 12_000;
/// How long a picture can be fetched; a slow path carries a part in a second or two.
const KEPT: Duration = Duration::from_secs(60);
/// How many can be fetched at once. Who asks at about the same time gets the same one.
const MOST: usize = 8;

/// The pictures that can be fetched.
#[derive(Debug, Default)]
pub struct Snapshots {
    kept: VecDeque<Kept>,
    next: u64,
}

#[derive(Debug)]
struct Kept {
    number: u64,
    still: Still,
    since: Instant,
}

impl Snapshots {
    /// Keeps a picture, and says by which number it is fetched.
    pub fn keep(&mut self, still: Still, now: Instant) -> u64 {
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.still == still) {
            kept.since = now;
            return kept.number;
        }
        if self.kept.len() == MOST {
            self.kept.pop_front();
        }
        self.next += 1;
        self.kept.push_back(Kept {
            number: self.next,
            still,
            since: now,
        });
        self.next
    }

    /// A part of a picture, counted from zero; none when the picture is gone or has no such part.
    pub fn part(&mut self, number: u64, part: usize, now: Instant) -> Option<&[u8]> {
        self.kept.retain(|kept| now < kept.since + KEPT);
        let kept = self.kept.iter().find(|kept| kept.number == number)?;
        kept.still.jpeg.chunks(PART).nth(part)
    }
}

/// How many parts a picture has.
pub fn parts(still: &Still) -> usize {
    still.jpeg.len().div_ceil(PART)
}

#[cfg(test)]
mod tests {
    use heron_media::Timestamp;

    use super::*;

    fn still(captured: u64, bytes: usize) -> Still {
        Still {
            jpeg: vec![7; bytes].into(),
            captured: Timestamp::from_nanos(captured),
            width: 64,
            height: 48,
        }
    }

    #[test]
    fn a_picture_is_fetched_whole_in_parts() {
        let (mut snapshots, now) = (Snapshots::default(), Instant::now());
        let picture = still(1, 2 * PART + 1);
        assert_eq!(parts(&picture), 3);
        let number = snapshots.keep(picture.clone(), now);
        let mut fetched = Vec::new();
        for part in 0..3 {
            fetched.extend(snapshots.part(number, part, now).unwrap());
        }
        assert_eq!(fetched, picture.jpeg);
        assert_eq!(snapshots.part(number, 3, now), None);
        assert_eq!(snapshots.part(number + 1, 0, now), None);
    }

    #[test]
    fn the_same_picture_is_kept_once_and_not_for_ever() {
        let (mut snapshots, now) = (Snapshots::default(), Instant::now());
        let first = snapshots.keep(still(1, 9), now);
        assert_eq!(snapshots.keep(still(1, 9), now), first);
        for later in 2..=MOST as u64 {
            assert_ne!(snapshots.keep(still(later, 9), now), first);
        }
        assert!(snapshots.part(first, 0, now).is_some());
        snapshots.keep(still(99, 9), now);
        assert!(snapshots.part(first, 0, now).is_none());
        assert!(snapshots.part(first + 1, 0, now).is_some());
        assert!(snapshots.part(first + 1, 0, now + KEPT).is_none());
    }
}
