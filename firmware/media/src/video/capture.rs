//! The capture thread: moves pictures from the source to the slot.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Shared;
use crate::source::{Opener, Polled, VideoSource};
use crate::{AccessUnit, SourceError};

/// How long the source may wait before this thread looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);

/// Runs until the pipeline stops.
pub(super) fn run(shared: &Shared) {
    let mut opener = Opener::new(&shared.config);
    let open = || {
        opener.open().map(|source| Capture {
            source,
            bitrate: None,
            keyed: false,
        })
    };
    shared.supervisor.run(open, |capture| capture.pump(shared));
}

/// An open source, and how far it follows our wishes.
struct Capture {
    source: Box<dyn VideoSource>,
    /// What a source that encodes by itself was last told.
    bitrate: Option<u32>,
    /// A key frame has passed since there were viewers.
    keyed: bool,
}

impl Capture {
    fn pump(&mut self, shared: &Shared) -> Result<(), SourceError> {
        let polled = self.source.next(LOOK)?;
        shared.counters.lost(self.source.take_lost());
        match polled {
            Polled::Notice(line) => shared.supervisor.tell(&line),
            Polled::Idle => {}
            // The source is kept open for a moment after the last viewer; its pictures go nowhere.
            _ if !shared.supervisor.active() => self.keyed = false,
            Polled::Frame(frame) => {
                shared.counters.captured();
                shared.slot.put(frame);
                if !shared.supervisor.active() {
                    // The last viewer left meanwhile: the next one shall not begin with an old
                    // picture.
                    shared.slot.clear();
                }
            }
            Polled::AccessUnit(unit) => {
                shared.counters.captured();
                self.steer(shared);
                self.pass(shared, unit);
            }
        }
        Ok(())
    }

    /// Hands our wishes to a source that encodes by itself.
    fn steer(&mut self, shared: &Shared) {
        let wanted = shared.bitrate.load(Ordering::Relaxed);
        if self.bitrate.replace(wanted) != Some(wanted) && !self.source.set_bitrate(wanted) {
            tracing::debug!(wanted, "the source sets its own bitrate");
        }
        // A stream that has not begun yet needs a key frame as much as a viewer who asks for one.
        let asked = shared.key_wanted.swap(false, Ordering::Relaxed);
        if asked && !self.source.request_key_frame() {
            tracing::debug!(
                "the source cannot be asked for a key frame; the next one comes at its own interval"
            );
        }
    }

    /// Passes an access unit on, beginning with a key frame.
    fn pass(&mut self, shared: &Shared, unit: AccessUnit) {
        if !self.keyed && !unit.key {
            shared.key_wanted.store(true, Ordering::Relaxed);
            return;
        }
        self.keyed = true;
        shared.counters.delivered(&unit);
        (shared.sink)(unit);
    }
}
