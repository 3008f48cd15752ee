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
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{self, Receiver};

    use super::super::{OpenEncoder, RungStats, VideoPipeline};
    use super::*;
    use crate::{EncoderChoice, H264Encoder, VideoConfig};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// What becomes of an encoder that has worked for a while.
    enum Then {
        Fails,
        /// Pictures are taken, and nothing comes.
        IsSilent,
        /// So many pictures come to nothing, as damaged buffers do; then it works.
        Loses(usize),
    }

    /// An encoder that stands for hardware, and works for so many pictures.
    struct Flaky {
        inner: H264Encoder,
        left: usize,
        then: Then,
        swallowed: usize,
    }

    impl VideoEncoder for Flaky {
        fn name(&self) -> &str {
            "hardware"
        }

        fn fits(&self, frame: &Frame) -> bool {
            self.inner.fits(frame)
        }

        fn submit(&mut self, frame: &Arc<Frame>, key: bool) -> Result<(), EncodeError> {
            if self.left > 0 {
                self.left -= 1;
                return self.inner.submit(frame, key);
            }
            match &mut self.then {
                Then::Fails => Err(wedged(frame)),
                Then::IsSilent => {
                    self.swallowed += 1;
                    Ok(())
                }
                Then::Loses(0) => self.inner.submit(frame, key),
                Then::Loses(more) => {
                    *more -= 1;
                    Ok(())
                }
            }
        }

        fn receive(&mut self, timeout: Duration) -> Result<Option<Encoded>, EncodeError> {
            let encoded = self.inner.receive(timeout)?;
            if encoded.is_none() {
                std::thread::sleep(timeout);
            }
            Ok(encoded)
        }

        fn due(&self) -> usize {
            self.swallowed + self.inner.due()
        }

        fn set_bitrate(&mut self, bits_per_second: u32) -> Result<(), EncodeError> {
            self.inner.set_bitrate(bits_per_second)
        }

        fn set_frame_rate(&mut self, fps: f32) -> Result<(), EncodeError> {
            self.inner.follow_frame_rate(fps)
        }
    }

    fn failure(kind: FailureKind, frame: &Frame) -> EncodeError {
        let size = (frame.width(), frame.height());
        EncodeError::new(kind, "hardware", size, &"input/output error")
    }

    fn wedged(frame: &Frame) -> EncodeError {
        failure(FailureKind::Wedged, frame)
    }

    /// A pipeline whose hardware works for so many pictures at each opening, or fails to open.
    struct Bench {
        pipeline: VideoPipeline,
        units: Receiver<AccessUnit>,
        openings: Arc<AtomicUsize>,
    }

    impl Bench {
        fn start(
            choice: EncoderChoice,
            hardware: impl Fn(usize, &Frame) -> Result<(usize, Then), EncodeError>
            + Send
            + Sync
            + 'static,
        ) -> Self {
            let openings = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&openings);
            let open: OpenEncoder = Box::new(move |choice, frame, settings| {
                let inner = H264Encoder::new(frame, settings)?;
                if choice == EncoderChoice::Software {
                    return Ok(Box::new(inner));
                }
                let (left, then) = hardware(counted.fetch_add(1, Ordering::Relaxed), frame)?;
                Ok(Box::new(Flaky {
                    inner,
                    left,
                    then,
                    swallowed: 0,
                }))
            });
            let config = VideoConfig {
                width: 160,
                height: 96,
                encoder: choice,
                ..VideoConfig::default()
            };
            let best = config.best(Rung::Main);
            let (sender, units) = mpsc::channel();
            let sink = Arc::new(move |unit| _ = sender.send(unit));
            let pipeline = VideoPipeline::start_with(config, open, sink).unwrap();
            pipeline.set_target(Rung::Main, Some(best));
            Self {
                pipeline,
                units,
                openings,
            }
        }

        fn until(&self, wanted: impl Fn(&RungStats) -> bool) -> RungStats {
            let deadline = Instant::now() + PATIENCE;
            loop {
                let stats = self.pipeline.stats().rung(Rung::Main).clone();
                if wanted(&stats) {
                    return stats;
                }
                assert!(Instant::now() < deadline, "never as wanted: {stats:?}");
                self.units.recv_timeout(PATIENCE).unwrap();
            }
        }
    }

    fn encodes(name: &str) -> impl Fn(&RungStats) -> bool {
        move |stats| stats.encoder.as_deref() == Some(name)
    }

    #[test]
    fn software_takes_over_until_the_hardware_works_again() {
        let bench = Bench::start(EncoderChoice::Auto, |opening, frame| match opening {
            0 => Ok((5, Then::Fails)),
            1 => Err(wedged(frame)),
            _ => Ok((usize::MAX, Then::Fails)),
        });
        let stats = bench.until(encodes("OpenH264"));
        assert_eq!((stats.encoder_failures, stats.encoders_running), (1, 1));
        let line = stats.last_error.unwrap();
        assert_eq!(line, "hardware at 160x96: input/output error");

        bench.until(encodes("hardware"));
        let stats = bench.until(|stats| stats.key_frames == 3);
        // The first, the one of the software, and the one of the hardware when it was back.
        assert_eq!((stats.encoder_failures, stats.encoders_running), (2, 1));
        assert_eq!(bench.openings.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn an_encoder_that_falls_silent_is_replaced() {
        let bench = Bench::start(EncoderChoice::Auto, |_, _| Ok((3, Then::IsSilent)));
        let stats = bench.until(|stats| stats.encoded > 6);
        assert!(stats.encoder_failures >= 1 && stats.key_frames >= 2);
        let line = stats.last_error.unwrap();
        assert_eq!(line, "hardware at 160x96: has given nothing for 1 s");
    }

    #[test]
    fn pictures_that_come_to_nothing_do_not_hold_up_those_after_them() {
        let bench = Bench::start(EncoderChoice::Hardware, |_, _| Ok((3, Then::Loses(4))));
        let stats = bench.until(|stats| stats.encoded > 6);
        assert_eq!((stats.encoder_failures, stats.last_error), (0, None));
    }

    #[test]
    fn hardware_that_opens_and_gives_nothing_does_not_disturb_the_software() {
        let bench = Bench::start(EncoderChoice::Auto, |_, _| Ok((0, Then::IsSilent)));
        let stats = bench.until(|stats| stats.encoder_failures >= 3);
        assert_eq!(stats.encoder.as_deref(), Some("OpenH264"));
        assert_eq!((stats.key_frames, stats.encoders_running), (1, 1));
    }

    #[test]
    fn hardware_alone_is_opened_until_it_works() {
        let bench = Bench::start(EncoderChoice::Hardware, |opening, frame| {
            if opening < 2 {
                Err(wedged(frame))
            } else {
                Ok((usize::MAX, Then::Fails))
            }
        });
        let first = bench.units.recv_timeout(PATIENCE).unwrap();
        assert!(first.key);
        let stats = bench.until(encodes("hardware"));
        assert_eq!(stats.encoder_failures, 2);
    }

    #[test]
    fn a_machine_without_hardware_has_no_trouble() {
        let bench = Bench::start(EncoderChoice::Auto, |_, frame| {
            Err(failure(FailureKind::Absent, frame))
        });
        let stats = bench.until(|stats| stats.encoded > 10);
        assert_eq!((stats.encoder_failures, stats.last_error), (0, None));
        assert_eq!(bench.openings.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn hardware_that_refuses_the_size_is_named_and_left_alone() {
        let bench = Bench::start(EncoderChoice::Auto, |_, frame| {
            Err(failure(FailureKind::Refused, frame))
        });
        let stats = bench.until(|stats| stats.encoded > 20);
        assert_eq!((stats.encoder_failures, stats.key_frames), (1, 1));
        assert!(stats.last_error.is_some());
        assert_eq!(bench.openings.load(Ordering::Relaxed), 1);
    }
}
