//! The encoder thread: takes the latest picture from the slot and encodes it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Shared;
use crate::rate::Rate;
use crate::{AccessUnit, EncodeError, EncoderSettings, Frame, H264Encoder};

/// How long to wait for a picture before looking whether one is still wanted.
const LOOK: Duration = Duration::from_millis(500);

/// Runs until the pipeline stops.
pub(super) fn run(shared: &Shared) {
    let mut running = None;
    let mut arrivals = Rate::default();
    while !shared.supervisor.stopping() {
        if !shared.supervisor.active() {
            running = None;
            arrivals = Rate::default();
            shared.supervisor.wait_active();
            continue;
        }
        let Some(frame) = shared.slot.take(LOOK) else {
            continue;
        };
        arrivals.add(Instant::now(), 0);
        match encode(shared, &mut running, &frame, &mut arrivals) {
            // The last viewer may have left while the picture was being encoded.
            Ok(unit) if shared.supervisor.active() => {
                shared.counters.delivered(&unit);
                (shared.sink)(unit);
            }
            Ok(_) => {}
            Err(error) => {
                shared.supervisor.tell(&error.to_string());
                running = None;
            }
        }
    }
}

/// An encoder at work, counted as long as it lives.
struct Running<'a> {
    encoder: H264Encoder,
    shared: &'a Shared,
}

impl<'a> Running<'a> {
    fn start(shared: &'a Shared, frame: &Frame, fps: f32) -> Result<Self, EncodeError> {
        let bitrate = shared.bitrate.load(Ordering::Relaxed);
        let settings = EncoderSettings {
            bitrate,
            fps,
            key_interval: shared.config.key_interval_frames(fps),
        };
        let encoder = H264Encoder::new(frame, settings)?;
        shared.counters.encoders(1);
        Ok(Self { encoder, shared })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.shared.counters.encoders(-1);
    }
}

fn encode<'a>(
    shared: &'a Shared,
    running: &mut Option<Running<'a>>,
    frame: &Frame,
    arrivals: &mut Rate,
) -> Result<AccessUnit, EncodeError> {
    let began = Instant::now();
    let current = match running.take() {
        Some(current) if current.encoder.fits(frame) => current,
        // Dropped first, so that there are never two.
        outgrown => {
            drop(outgrown);
            Running::start(shared, frame, shared.config.fps as f32)?
        }
    };
    let encoder = &mut running.insert(current).encoder;
    encoder.set_bitrate(shared.bitrate.load(Ordering::Relaxed))?;
    // A camera in the dark, or a machine that cannot keep up, brings fewer pictures than were asked
    // for.
    let measured = arrivals.per_second(began);
    if measured > 0.0 && arrivals.settled(began) {
        encoder.follow_frame_rate(measured)?;
    }
    let key = shared.key_wanted.swap(false, Ordering::Relaxed);
    let encoded = encoder.encode(frame, key)?;
    shared.counters.encode_time(began.elapsed());
    Ok(AccessUnit {
        data: encoded.data.into(),
        key: encoded.key,
        captured: frame.captured(),
        width: frame.width(),
        height: frame.height(),
    })
}
