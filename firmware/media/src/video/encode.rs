//! The encode thread of a rung: takes the latest picture from the slot and has it encoded.
//!
//! It drives whatever encoder [`Failover`] names, and tears it down when it fails or gives nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Shared;
use super::failover::{Failover, Kind, Next};
use super::lane::Lane;
use super::rung::{Rung, RungTarget};
use super::trial::{SILENCE, Trial, silent};
use crate::rate::Rate;
use crate::scale::Scaler;
use crate::{
    AccessUnit, EncodeError, Encoded, EncoderSettings, FailureKind, Frame, Timestamp, VideoEncoder,
};

/// How long to wait for a picture before looking whether one is still wanted.
const LOOK: Duration = Duration::from_millis(500);
/// How long to wait for an encoder before looking whether it can be given the next picture.
const SLICE: Duration = Duration::from_millis(5);
/// Pictures that an encoder works on at once: the next one is there when it has finished one.
const DEPTH: usize = 2;

/// Runs until the pipeline stops.
pub(super) fn run(shared: &Shared, rung: Rung) {
    let mut worker = Worker::new(shared, rung);
    while shared.demand.wait(rung) {
        worker.begin();
        while let Some(target) = shared.demand.target(rung) {
            worker.turn(target);
        }
        worker.rest();
    }
}

/// What a rung's thread has.
pub(super) struct Worker<'a> {
    shared: &'a Shared,
    rung: Rung,
    lane: &'a Lane,
    failover: Failover,
    running: Option<Running<'a>>,
    /// Hardware that is to take over from software.
    trial: Option<Trial>,
    scaler: Option<Scaler>,
    /// The pictures that reached the encoder.
    arrivals: Rate,
    /// The trouble that the log already has.
    told: Option<String>,
}

/// An encoder at work, counted as long as it lives.
struct Running<'a> {
    encoder: Box<dyn VideoEncoder>,
    kind: Kind,
    target: RungTarget,
    size: (u32, u32),
    pending: VecDeque<Pending>,
    lane: &'a Lane,
}

/// A picture that was submitted.
struct Pending {
    captured: Timestamp,
    since: Instant,
}

impl<'a> Worker<'a> {
    pub(super) fn new(shared: &'a Shared, rung: Rung) -> Self {
        let sub = shared.config.sub;
        Self {
            shared,
            rung,
            lane: shared.lane(rung),
            failover: Failover::new(shared.config.encoder),
            running: None,
            trial: None,
            scaler: (rung == Rung::Sub).then(|| Scaler::new(sub.width, sub.height)),
            arrivals: Rate::default(),
            told: None,
        }
    }

    /// Somebody watches again.
    fn begin(&mut self) {
        self.failover.begin();
        self.arrivals = Rate::default();
    }

    /// Nobody watches: the encoder goes.
    fn rest(&mut self) {
        self.running = None;
        self.trial = None;
        self.lane.slot.clear();
    }

    /// Moves what can be moved, within half a second.
    pub(super) fn turn(&mut self, target: RungTarget) {
        if let Err(error) = self.collect().and_then(|()| self.feed(target))
            && let Some(running) = self.running.take()
        {
            let kind = running.kind;
            drop(running);
            self.failed(kind, &error);
        }
    }

    /// Takes what the encoder has finished.
    fn collect(&mut self) -> Result<(), EncodeError> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        let mut wait = SLICE;
        while !running.pending.is_empty() {
            let Some(encoded) = running.encoder.receive(wait)? else {
                running.forget();
                return running.check();
            };
            wait = Duration::ZERO;
            let unit = running.finish(self.rung, encoded);
            if running.kind == Kind::Hardware {
                // It works: the next trouble is news, even if it is the same again.
                self.told = None;
            }
            // The last viewer may have left while the picture was being encoded.
            if self.shared.demand.target(self.rung).is_some() {
                self.lane.counters.delivered(&unit);
                (self.shared.sink)(unit);
            }
        }
        Ok(())
    }

    /// Gives the encoder the next picture, if it can take one.
    fn feed(&mut self, target: RungTarget) -> Result<(), EncodeError> {
        let pending = self
            .running
            .as_ref()
            .map_or(0, |running| running.pending.len());
        if pending >= DEPTH {
            return Ok(());
        }
        let wait = if pending == 0 { LOOK } else { Duration::ZERO };
        let Some(waiting) = self.lane.slot.take(wait) else {
            return Ok(());
        };
        self.lane.counters.queue.record(waiting.since.elapsed());
        let frame = self.scale(waiting.frame);
        let now = Instant::now();
        self.arrivals.add(now, 0);
        self.choose(&frame, target, now);
        self.try_out(&frame, now);
        let Some(running) = &mut self.running else {
            // Every encoder is down, and this picture is left out.
            return Ok(());
        };
        if running.target.fps != target.fps {
            self.arrivals = Rate::default();
        }
        // A camera in the dark, or a machine that cannot keep up, brings fewer pictures than were
        // asked for.
        let measured = self.arrivals.per_second(now);
        let measured = Some(measured).filter(|_| self.arrivals.settled(now));
        running.follow(target, measured)?;
        running.submit(&frame, self.lane.take_key())
    }

    fn scale(&mut self, frame: Arc<Frame>) -> Arc<Frame> {
        let Some(scaler) = &mut self.scaler else {
            return frame;
        };
        let began = Instant::now();
        let small = scaler.scale(&frame);
        self.lane.counters.scale.record(began.elapsed());
        small
    }

    /// Sees to it that the right encoder for this picture is open, if one can be.
    fn choose(&mut self, frame: &Frame, target: RungTarget, now: Instant) {
        match &self.running {
            Some(running) if !running.encoder.fits(frame) => {
                self.running = None;
                self.failover.begin();
            }
            // Software goes on until the hardware has shown that it works.
            Some(running) if self.trial.is_none() && self.failover.better(running.kind, now) => {
                self.trial = self
                    .open(Kind::Hardware, frame, target)
                    .map(|encoder| Trial::new(encoder, target));
            }
            _ => {}
        }
        while self.running.is_none()
            && let Next::Open(kind) = self.failover.next(now)
        {
            self.trial = None;
            if let Some(encoder) = self.open(kind, frame, target) {
                self.start(encoder, kind, frame, target, now);
            }
        }
    }

    /// Lets the hardware on trial take over if it has passed, with a key frame.
    fn try_out(&mut self, frame: &Arc<Frame>, now: Instant) {
        let Some(mut trial) = self.trial.take() else {
            return;
        };
        // It may have been opened for the camera's own buffers, and they are others by now.
        if !trial.encoder.fits(frame) {
            return;
        }
        match trial.passed(frame) {
            Ok(true) => {
                self.lane.want_key();
                self.start(trial.encoder, Kind::Hardware, frame, trial.target, now);
            }
            Ok(false) => self.trial = Some(trial),
            Err(error) => self.failed(Kind::Hardware, &error),
        }
    }

    /// Opens an encoder for such pictures.
    fn open(
        &mut self,
        kind: Kind,
        frame: &Frame,
        target: RungTarget,
    ) -> Option<Box<dyn VideoEncoder>> {
        let fps = target.fps as f32;
        let settings = EncoderSettings {
            bitrate: target.bitrate,
            fps,
            key_interval: self.shared.config.key_interval_frames(fps),
        };
        (self.shared.open_encoder)(kind.only(), frame, settings)
            .map_err(|error| self.failed(kind, &error))
            .ok()
    }

    /// Puts an encoder in the place of the one that runs.
    fn start(
        &mut self,
        encoder: Box<dyn VideoEncoder>,
        kind: Kind,
        frame: &Frame,
        target: RungTarget,
        now: Instant,
    ) {
        self.failover.opened(kind, now);
        let (rung, size) = (self.rung, (frame.width(), frame.height()));
        tracing::info!(
            "{rung}: {} encodes at {}x{}",
            encoder.description(),
            size.0,
            size.1
        );
        // The old one is dropped and counted off before the new one counts.
        self.running = None;
        self.lane.counters.encoder_started(encoder.name());
        self.running = Some(Running {
            encoder,
            kind,
            target,
            size,
            pending: VecDeque::with_capacity(DEPTH),
            lane: self.lane,
        });
    }

    /// An encoder failed, or could not be opened.
    fn failed(&mut self, kind: Kind, error: &EncodeError) {
        self.failover.failed(kind, error.kind(), Instant::now());
        if error.kind() == FailureKind::Absent && self.failover.has_other() {
            return;
        }
        let line = error.to_string();
        self.lane.counters.encoder_failed(&line);
        if self.told.as_ref() == Some(&line) {
            tracing::debug!("{}: {line}", self.rung);
        } else {
            tracing::warn!("{}: {line}", self.rung);
            self.told = Some(line);
        }
    }
}

impl Running<'_> {
    /// Lets the encoder follow what is wanted and what comes.
    fn follow(&mut self, target: RungTarget, measured: Option<f32>) -> Result<(), EncodeError> {
        let before = std::mem::replace(&mut self.target, target);
        if before.bitrate != target.bitrate {
            self.encoder.set_bitrate(target.bitrate)?;
        }
        let wanted = target.fps as f32;
        if before.fps != target.fps {
            self.encoder.set_frame_rate(wanted)?;
        } else if let Some(measured) = measured.filter(|fps| *fps > 0.0) {
            self.encoder.set_frame_rate(measured.min(wanted))?;
        }
        Ok(())
    }

    fn submit(&mut self, frame: &Arc<Frame>, key: bool) -> Result<(), EncodeError> {
        let since = Instant::now();
        self.encoder.submit(frame, key)?;
        let captured = frame.captured();
        self.pending.push_back(Pending { captured, since });
        Ok(())
    }

    /// Waits no longer for pictures that came to nothing.
    fn forget(&mut self) {
        let gone = self.pending.len().saturating_sub(self.encoder.due());
        self.pending.drain(..gone);
    }

    /// Fails when a picture has been waited for too long.
    fn check(&self) -> Result<(), EncodeError> {
        let waited = self.pending.front().map(|first| first.since.elapsed());
        if waited.is_none_or(|waited| waited < SILENCE) {
            return Ok(());
        }
        Err(silent(&*self.encoder, self.size))
    }

    /// Makes the access unit of a picture that was submitted. Those before it were left out.
    fn finish(&mut self, rung: Rung, encoded: Encoded) -> AccessUnit {
        let captured = encoded.captured;
        while let Some(first) = self
            .pending
            .pop_front_if(|first| first.captured <= captured)
        {
            if first.captured == captured {
                self.lane.counters.encode.record(first.since.elapsed());
            }
        }
        AccessUnit {
            rung,
            data: encoded.data.into(),
            key: encoded.key,
            captured,
            width: self.size.0,
            height: self.size.1,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.lane.counters.encoder_ended();
    }
}

#[cfg(test)]
mod tests;
