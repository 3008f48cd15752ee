//! Encoders that fail, fall silent and lose pictures: what a viewer gets meanwhile, and when hardware is used again.

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
        hardware: impl Fn(usize, &Frame) -> Result<(usize, Then), EncodeError> + Send + Sync + 'static,
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
