//! The capture thread: moves pictures from the source to the rungs that want them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use super::decimate::Decimator;
use super::rung::Rung;
use crate::source::{Opener, Polled, VideoSource};
use crate::{AccessUnit, Frame, SourceConfig, SourceError, Timestamp};

/// How long the source may wait before this thread looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(100);
/// A source that gives only damaged pictures this long may have changed its format: it is opened
/// again.
const DAMAGE: Duration = Duration::from_secs(5);
/// How long a camera needs to find its exposure; no still picture is taken before.
const SETTLING: Duration = Duration::from_millis(500);

/// Runs until the pipeline stops.
pub(super) fn run(shared: &Shared) {
    let mut opener = Opener::new(&shared.config);
    let open = || opener.open().map(|source| Capture::new(source, shared));
    shared.supervisor.run(open, |capture| capture.pump(shared));
}

/// An open source, and how far it follows our wishes.
pub(super) struct Capture<'a> {
    source: Box<dyn VideoSource>,
    shared: &'a Shared,
    decimators: [Decimator; 2],
    /// What a source that encodes by itself was last told.
    bitrate: Option<u32>,
    /// A key frame has passed since there were viewers.
    keyed: bool,
    /// Since when all pictures were damaged.
    damaged: Option<Instant>,
}

impl<'a> Capture<'a> {
    pub(super) fn new(source: Box<dyn VideoSource>, shared: &'a Shared) -> Self {
        let settled = match shared.config.source {
            SourceConfig::V4l2 { .. } => SETTLING,
            _ => Duration::ZERO,
        };
        shared.stills.opened(Timestamp::now().plus(settled));
        *shared.device.lock() = source.device().map(Path::to_owned);
        Self {
            source,
            shared,
            decimators: <[Decimator; 2]>::default(),
            bitrate: None,
            keyed: false,
            damaged: None,
        }
    }

    pub(super) fn pump(&mut self, shared: &Shared) -> Result<(), SourceError> {
        let polled = self.source.next(LOOK)?;
        let now = Timestamp::now();
        let lost = self.source.take_lost();
        shared.counters.lost.fetch_add(lost, Ordering::Relaxed);
        match polled {
            Polled::Notice(line) => {
                shared.supervisor.tell(&line);
                self.nothing(lost, Instant::now())?;
            }
            Polled::Idle => self.nothing(lost, Instant::now())?,
            // The source is kept open for a moment after the last viewer; its pictures go nowhere.
            _ if !shared.supervisor.active() => self.keyed = false,
            Polled::Frame(frame) => {
                self.captured(frame.captured(), now, false);
                self.offer(frame);
            }
            Polled::AccessUnit(unit) => {
                self.captured(unit.captured, now, true);
                self.steer();
                shared.stills.offer_unit(&unit);
                self.pass(unit);
            }
        }
        Ok(())
    }

    /// No picture came; if only damaged ones come, the source is lost.
    fn nothing(&mut self, lost: u64, now: Instant) -> Result<(), SourceError> {
        if lost == 0 {
            return Ok(());
        }
        let since = *self.damaged.get_or_insert(now);
        if now.duration_since(since) < DAMAGE {
            return Ok(());
        }
        let what = self.shared.config.source.name();
        let reason = format!("has given only damaged pictures for {} s", DAMAGE.as_secs());
        Err(SourceError::lost(what, reason))
    }

    /// Counts a picture, and how long it took to get here.
    fn captured(&mut self, captured: Timestamp, now: Timestamp, passes_through: bool) {
        self.damaged = None;
        let counters = &self.shared.counters;
        counters.captured.fetch_add(1, Ordering::Relaxed);
        counters
            .passes_through
            .store(passes_through, Ordering::Relaxed);
        let read = self.source.read_at();
        if let Some(read) = read.filter(|_| !passes_through) {
            counters.convert.record(now.since(read));
        }
        counters.capture.record(read.unwrap_or(now).since(captured));
    }

    /// Gives a picture to the rungs that want it, and to who waits for a still one.
    fn offer(&mut self, frame: Frame) {
        let shared = self.shared;
        let frame = Arc::new(frame);
        for rung in Rung::ALL {
            let Some(target) = shared.demand.target(rung) else {
                continue;
            };
            let lane = shared.lane(rung);
            if !self.decimators[rung.index()].takes(frame.captured(), target.fps) {
                lane.counters.decimated();
                continue;
            }
            lane.put(&frame);
            if shared.demand.target(rung).is_none() {
                // The last viewer left meanwhile: the next one shall not begin with an old picture.
                lane.slot.clear();
            }
        }
        shared.stills.offer_frame(&frame);
    }

    /// Hands our wishes to a source that encodes by itself.
    fn steer(&mut self) {
        let shared = self.shared;
        if let Some(target) = shared.demand.best()
            && self.bitrate.replace(target.bitrate) != Some(target.bitrate)
            && !self.source.set_bitrate(target.bitrate)
        {
            tracing::debug!(target.bitrate, "the source sets its own bitrate");
        }
        // A stream that has not begun yet needs a key frame as much as a viewer who asks for one.
        let asked = Rung::ALL.map(|rung| shared.lane(rung).take_key());
        if asked.contains(&true) && !self.source.request_key_frame() {
            tracing::debug!(
                "the source cannot be asked for a key frame; the next one comes at its own interval"
            );
        }
    }

    /// Passes an access unit on, beginning with a key frame.
    ///
    /// It is the main rung's, whichever is wanted: a viewer who should be on the other one would
    /// rather see this than nothing, and [`crate::VideoStats::passes_through`] tells who decides.
    fn pass(&mut self, unit: AccessUnit) {
        let lane = self.shared.lane(Rung::Main);
        if self.shared.demand.best().is_none() {
            self.keyed = false;
            return;
        }
        if !self.keyed && !unit.key {
            lane.want_key();
            return;
        }
        self.keyed = true;
        lane.counters.delivered(&unit);
        (self.shared.sink)(unit);
    }
}

impl Drop for Capture<'_> {
    fn drop(&mut self) {
        self.shared.stills.closed();
        *self.shared.device.lock() = None;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::video::RungTarget;
    use crate::{FramePool, VideoConfig};

    /// A source that gives what it is told, and then nothing.
    #[derive(Default)]
    struct Script {
        polled: VecDeque<Polled>,
        lost: u64,
    }

    impl VideoSource for Script {
        fn next(&mut self, _timeout: Duration) -> Result<Polled, SourceError> {
            Ok(self.polled.pop_front().unwrap_or(Polled::Idle))
        }

        fn take_lost(&mut self) -> u64 {
            self.lost
        }
    }

    fn shared() -> Shared {
        let open = |_, _: &Frame, _| unreachable!("nothing is encoded here");
        Shared::new(VideoConfig::default(), Box::new(open), Arc::new(|_| {}))
    }

    fn frame(millisecond: u64) -> Polled {
        let captured = Timestamp::from_nanos(millisecond * 1_000_000);
        Polled::Frame(FramePool::new().frame(32, 32, captured))
    }

    /// The capture times that reach a rung, in milliseconds.
    fn pump(capture: &mut Capture<'_>, shared: &Shared, pictures: usize, rung: Rung) -> Vec<u64> {
        let mut taken = Vec::new();
        for _ in 0..pictures {
            capture.pump(shared).unwrap();
            let waiting = shared.lane(rung).slot.take(Duration::ZERO);
            taken.extend(waiting.map(|waiting| waiting.frame.captured().as_nanos() / 1_000_000));
        }
        taken
    }

    #[test]
    fn each_rung_gets_evenly_spaced_pictures_of_the_same_capture() {
        let shared = shared();
        let target = |fps| Some(RungTarget { bitrate: 1, fps });
        shared.set_target(Rung::Main, target(25));
        shared.set_target(Rung::Sub, target(5));
        let polled = (0..100).map(|number| frame(1000 + number * 40)).collect();
        let mut capture = Capture::new(Box::new(Script { polled, lost: 0 }), &shared);
        let sub = pump(&mut capture, &shared, 100, Rung::Sub);
        // The first few show what the source's interval is.
        let expected: Vec<u64> = (0..19).map(|number| 1280 + number * 200).collect();
        assert_eq!(sub[3..], expected);
        let stats = shared.lane(Rung::Sub).counters.stats(None, 0);
        assert_eq!(stats.decimated, 78);
        // Nobody took the main rung's pictures: the newest is there, and all others are counted.
        let main = shared.lane(Rung::Main);
        assert_eq!(main.slot.replaced(), 99);
        assert!(main.slot.take(Duration::ZERO).is_some());
    }

    #[test]
    fn a_rung_that_nobody_watches_gets_nothing() {
        let shared = shared();
        shared.set_target(
            Rung::Sub,
            Some(RungTarget {
                bitrate: 1,
                fps: 15,
            }),
        );
        let polled = (0..10).map(|number| frame(1000 + number * 40)).collect();
        let mut capture = Capture::new(Box::new(Script { polled, lost: 0 }), &shared);
        assert!(pump(&mut capture, &shared, 10, Rung::Main).is_empty());
        shared.set_target(Rung::Sub, None);
        assert!(shared.lane(Rung::Sub).slot.take(Duration::ZERO).is_none());
    }

    #[test]
    fn a_source_that_gives_only_damage_is_opened_again() {
        let shared = shared();
        shared.set_target(
            Rung::Main,
            Some(RungTarget {
                bitrate: 1,
                fps: 30,
            }),
        );
        let script = Script {
            lost: 1,
            polled: VecDeque::from([frame(1000)]),
        };
        let mut capture = Capture::new(Box::new(script), &shared);
        let now = Instant::now();
        capture.nothing(1, now).unwrap();
        capture.nothing(1, now + DAMAGE / 2).unwrap();
        // A good picture in between, and the patience is new.
        capture.pump(&shared).unwrap();
        capture.nothing(1, now + DAMAGE).unwrap();
        capture.nothing(0, now + DAMAGE * 3).unwrap();
        let error = capture.nothing(1, now + DAMAGE * 3).unwrap_err();
        assert!(
            error.to_string().contains("only damaged pictures"),
            "{error}"
        );
    }
}
