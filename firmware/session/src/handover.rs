//! The way of encoded media from the encoders' threads to the driver.
//!
//! Every rung has a short lane of its own. An encoder never waits: when the driver does not keep up, which takes a
//! stalled machine, the lane is emptied and begins again with the next key frame, because a decoder can use
//! nothing before it. Sound keeps the newest packets.

use std::collections::VecDeque;

use heron_congestion::Rung;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Frames of one rung that may wait: a quarter of a second at 30 frames/s.
const MAX_FRAMES: usize = 8;

/// Sound packets that may wait: a quarter of a second.
const MAX_SOUNDS: usize = 12;

/// Media on its way: `V` is a picture, `A` a sound.
#[derive(Debug)]
pub struct Handover<V, A> {
    waiting: Mutex<Waiting<V, A>>,
    filled: Notify,
}

/// What waits, or was taken.
#[derive(Debug)]
pub struct Waiting<V, A> {
    /// By rung, in the order of [`Rung::ALL`].
    lanes: [Lane<V>; 2],
    /// Sound.
    pub sounds: VecDeque<A>,
}

/// The pictures of one rung.
#[derive(Debug)]
struct Lane<V> {
    frames: VecDeque<V>,
    needs_key: bool,
    /// Frames were lost since the last time anything was taken.
    overflowed: bool,
}

impl<V> Default for Lane<V> {
    fn default() -> Self {
        Self {
            frames: VecDeque::with_capacity(MAX_FRAMES),
            needs_key: false,
            overflowed: false,
        }
    }
}

impl<V, A> Default for Waiting<V, A> {
    fn default() -> Self {
        Self {
            lanes: Default::default(),
            sounds: VecDeque::with_capacity(MAX_SOUNDS),
        }
    }
}

impl<V, A> Default for Handover<V, A> {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            filled: Notify::new(),
        }
    }
}

impl<V, A> Handover<V, A> {
    /// Hands a picture over. `key`: a decoder can start here.
    pub fn video(&self, rung: Rung, frame: V, key: bool) {
        self.waiting.lock().lanes[rung as usize].push(frame, key);
        self.filled.notify_one();
    }

    /// Hands sound over.
    pub fn audio(&self, sound: A) {
        let mut waiting = self.waiting.lock();
        if waiting.sounds.len() >= MAX_SOUNDS {
            waiting.sounds.pop_front();
        }
        waiting.sounds.push_back(sound);
        drop(waiting);
        self.filled.notify_one();
    }

    /// Waits until something was handed over.
    pub async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Swaps what waits with `taken`, which the caller has emptied.
    pub fn take(&self, taken: &mut Waiting<V, A>) {
        let mut waiting = self.waiting.lock();
        std::mem::swap(&mut *waiting, taken);
        for (now, before) in waiting.lanes.iter_mut().zip(&taken.lanes) {
            now.needs_key = before.needs_key;
            now.overflowed = false;
        }
    }
}

impl<V, A> Waiting<V, A> {
    /// The next picture of a rung.
    pub fn pop(&mut self, rung: Rung) -> Option<V> {
        self.lanes[rung as usize].frames.pop_front()
    }

    /// Whether pictures of a rung were lost, so that a key frame is needed.
    pub fn overflowed(&self, rung: Rung) -> bool {
        self.lanes[rung as usize].overflowed
    }
}

impl<V> Lane<V> {
    fn push(&mut self, frame: V, key: bool) {
        if self.needs_key && !key {
            return;
        }
        self.needs_key = false;
        if self.frames.len() >= MAX_FRAMES {
            self.frames.clear();
            if !key {
                self.needs_key = true;
                self.overflowed = true;
                return;
            }
        }
        self.frames.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(handover: &Handover<u32, u32>, rung: Rung) -> (Vec<u32>, bool) {
        let mut waiting = Waiting::default();
        handover.take(&mut waiting);
        let frames = std::iter::from_fn(|| waiting.pop(rung)).collect();
        (frames, waiting.overflowed(rung))
    }

    #[test]
    fn a_lane_that_overflows_begins_again_with_a_key_frame_and_leaves_the_other_alone() {
        let handover = Handover::<u32, u32>::default();
        handover.video(Rung::Sub, 1, true);
        for number in 0..20 {
            handover.video(Rung::Main, number, number == 0);
        }
        handover.video(Rung::Main, 20, true);
        handover.video(Rung::Main, 21, false);
        let mut waiting = Waiting::default();
        handover.take(&mut waiting);
        assert!(waiting.overflowed(Rung::Main) && !waiting.overflowed(Rung::Sub));
        assert_eq!(waiting.pop(Rung::Sub), Some(1));
        assert_eq!(
            [waiting.pop(Rung::Main), waiting.pop(Rung::Main)],
            [Some(20), Some(21)]
        );
        assert_eq!(waiting.pop(Rung::Main), None);
    }

    #[test]
    fn a_lane_without_its_key_frame_stays_empty_when_it_was_taken() {
        let handover = Handover::<u32, u32>::default();
        for number in 0..=MAX_FRAMES as u32 {
            handover.video(Rung::Main, number, number == 0);
        }
        assert_eq!(taken(&handover, Rung::Main), (vec![], true));
        handover.video(Rung::Main, 50, false);
        assert_eq!(taken(&handover, Rung::Main), (vec![], false));
        handover.video(Rung::Main, 51, true);
        assert_eq!(taken(&handover, Rung::Main), (vec![51], false));
    }

    #[test]
    fn the_newest_sound_stays() {
        let handover = Handover::<u32, u32>::default();
        (0..100).for_each(|number| handover.audio(number));
        let mut waiting = Waiting::default();
        handover.take(&mut waiting);
        assert_eq!(waiting.sounds.len(), MAX_SOUNDS);
        assert_eq!(waiting.sounds.back(), Some(&99));
    }
}
