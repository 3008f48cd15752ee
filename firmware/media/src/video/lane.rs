//! One rung's way from the capture thread to its encode thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::stats::RungCounters;
use crate::{Frame, LatestSlot};

/// What both threads of a rung share.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) slot: LatestSlot<Waiting>,
    pub(super) counters: RungCounters,
    key_wanted: AtomicBool,
}

/// A picture that waits for the encoder.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) frame: Arc<Frame>,
    pub(super) since: Instant,
}

impl Lane {
    /// Puts a picture into the slot.
    pub(super) fn put(&self, frame: &Arc<Frame>) {
        self.slot.put(Waiting {
            frame: Arc::clone(frame),
            since: Instant::now(),
        });
    }

    /// The next picture is to be a key frame.
    pub(super) fn want_key(&self) {
        self.key_wanted.store(true, Ordering::Relaxed);
    }

    /// Whether the next picture is to be a key frame; the wish is taken.
    pub(super) fn take_key(&self) -> bool {
        self.key_wanted.swap(false, Ordering::Relaxed)
    }

    /// Lets the encode thread look at what else has changed, without a picture of before.
    pub(super) fn reset(&self) {
        self.slot.clear();
        self.slot.wake();
    }
}
