//! What waits to be sent to one viewer.
//!
//! The frame path puts every unit into every viewer's queue and never waits. A viewer whose network does not keep
//! up overflows its own queue: the video in it is thrown away, and nothing is taken until the next key frame,
//! because a decoder can use nothing before it. Latency stays bounded for days that way.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::media::{AudioFrame, VideoFrame};

/// One thing to send.
#[derive(Debug, Clone)]
pub enum Unit {
    /// A packetised access unit.
    Video(Arc<VideoFrame>),
    /// One Opus packet.
    Audio(Arc<AudioFrame>),
}

/// What became of a video frame that was offered to the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It will be sent.
    Queued,
    /// It is useless to this viewer until a key frame comes; one was asked for before.
    Skipped,
    /// The viewer is too slow: the queue was emptied and a key frame is needed.
    Overflowed,
}

/// Limits and contents of one viewer's queue; pure.
#[derive(Debug)]
pub struct FrameQueue {
    units: VecDeque<Unit>,
    /// The longest stretch of video, by capture time, that may wait.
    max_delay_ns: u64,
    /// Only a key frame may come next.
    needs_key: bool,
    /// The viewer may receive video at all.
    video: bool,
    /// The viewer may receive sound.
    audio: bool,
    dropped: u64,
}

/// More frames than this never wait, whatever their timestamps say.
const MAX_VIDEO_FRAMES: usize = 64;

/// Half a second of 20 ms packets.
const MAX_AUDIO_FRAMES: usize = 25;

impl FrameQueue {
    /// An empty queue that starts at a key frame.
    pub fn new(max_delay_ns: u64, video: bool, audio: bool) -> Self {
        Self {
            units: VecDeque::new(),
            max_delay_ns,
            needs_key: true,
            video,
            audio,
            dropped: 0,
        }
    }

    /// Offers a video frame.
    pub fn offer_video(&mut self, frame: &Arc<VideoFrame>) -> Offered {
        if !self.video {
            return Offered::Skipped;
        }
        if self.needs_key && !frame.key {
            self.dropped += 1;
            return Offered::Skipped;
        }
        if !self.needs_key && self.is_late(frame) {
            let before = self.units.len();
            self.units.retain(|unit| matches!(unit, Unit::Audio(_)));
            self.dropped += (before - self.units.len()) as u64;
            if !frame.key {
                self.dropped += 1;
                self.needs_key = true;
                return Offered::Overflowed;
            }
        }
        self.needs_key = false;
        self.units.push_back(Unit::Video(Arc::clone(frame)));
        Offered::Queued
    }

    /// Offers a sound packet; the oldest gives way when too many wait.
    pub fn offer_audio(&mut self, frame: &Arc<AudioFrame>) {
        if !self.audio {
            return;
        }
        let waiting = self
            .units
            .iter()
            .filter(|unit| matches!(unit, Unit::Audio(_)))
            .count();
        if waiting >= MAX_AUDIO_FRAMES
            && let Some(oldest) = self
                .units
                .iter()
                .position(|unit| matches!(unit, Unit::Audio(_)))
        {
            self.units.remove(oldest);
        }
        self.units.push_back(Unit::Audio(Arc::clone(frame)));
    }

    /// The next unit to send.
    pub fn pop(&mut self) -> Option<Unit> {
        self.units.pop_front()
    }

    /// Video frames that were not sent because the viewer was slow or waited for a key frame.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn is_late(&self, newest: &VideoFrame) -> bool {
        let mut waiting = self.units.iter().filter_map(|unit| match unit {
            Unit::Video(frame) => Some(frame),
            Unit::Audio(_) => None,
        });
        let Some(oldest) = waiting.next() else {
            return false;
        };
        newest.captured_ns.saturating_sub(oldest.captured_ns) > self.max_delay_ns
            || waiting.count() + 1 >= MAX_VIDEO_FRAMES
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const MS: u64 = 1_000_000;

    fn video(ms: u64, key: bool) -> Arc<VideoFrame> {
        Arc::new(VideoFrame {
            payloads: vec![Bytes::from_static(&[0x41])],
            key,
            captured_ns: ms * MS,
        })
    }

    fn audio(ms: u64) -> Arc<AudioFrame> {
        Arc::new(AudioFrame {
            payload: Bytes::from_static(&[1]),
            captured_ns: ms * MS,
        })
    }

    fn queue() -> FrameQueue {
        FrameQueue::new(500 * MS, true, true)
    }

    #[test]
    fn a_viewer_starts_at_a_key_frame() {
        let mut queue = queue();
        assert_eq!(queue.offer_video(&video(0, false)), Offered::Skipped);
        assert_eq!(queue.offer_video(&video(33, true)), Offered::Queued);
        assert_eq!(queue.offer_video(&video(66, false)), Offered::Queued);
        assert!(matches!(queue.pop(), Some(Unit::Video(frame)) if frame.key));
        assert_eq!(queue.dropped(), 1);
    }

    #[test]
    fn a_slow_viewer_drops_until_the_next_key_frame_and_keeps_its_sound() {
        let mut queue = queue();
        let mut outcomes = Vec::new();
        queue.offer_audio(&audio(0));
        for ms in (0..2000).step_by(100) {
            outcomes.push(queue.offer_video(&video(ms, ms == 0 || ms == 1500)));
        }
        assert_eq!(
            outcomes
                .iter()
                .filter(|o| **o == Offered::Overflowed)
                .count(),
            1
        );
        assert_eq!(outcomes[6], Offered::Overflowed);
        assert_eq!(outcomes[14], Offered::Skipped);
        assert_eq!(outcomes[15], Offered::Queued);
        assert!(matches!(queue.pop(), Some(Unit::Audio(_))));
        assert!(matches!(queue.pop(), Some(Unit::Video(frame)) if frame.captured_ns == 1500 * MS));
        // Six waited, the seventh overflowed, eight more were skipped.
        assert_eq!(queue.dropped(), 15);
    }

    #[test]
    fn a_key_frame_replaces_what_is_late() {
        let mut queue = queue();
        queue.offer_video(&video(0, true));
        assert_eq!(queue.offer_video(&video(900, true)), Offered::Queued);
        assert!(matches!(queue.pop(), Some(Unit::Video(frame)) if frame.captured_ns == 900 * MS));
    }

    #[test]
    fn frames_with_a_broken_clock_are_bounded_by_number() {
        let mut queue = queue();
        queue.offer_video(&video(7, true));
        let overflowed =
            (0..100).position(|_| queue.offer_video(&video(7, false)) == Offered::Overflowed);
        assert_eq!(overflowed, Some(MAX_VIDEO_FRAMES - 1));
    }

    #[test]
    fn sound_is_bounded_and_the_newest_stays() {
        let mut queue = queue();
        (0..100).for_each(|i| queue.offer_audio(&audio(i * 20)));
        let kept: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(kept.len(), MAX_AUDIO_FRAMES);
        assert!(
            matches!(kept.last(), Some(Unit::Audio(frame)) if frame.captured_ns == 99 * 20 * MS)
        );
    }

    #[test]
    fn a_viewer_without_the_right_gets_nothing() {
        let mut queue = FrameQueue::new(500 * MS, false, false);
        assert_eq!(queue.offer_video(&video(0, true)), Offered::Skipped);
        queue.offer_audio(&audio(0));
        assert!(queue.pop().is_none());
    }
}
