//! A stateful encoder at work: the ioctls around the decisions of [`super::state`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use v4l::v4l_sys as raw;

use super::setup::{
    Setup, Sides, pictures_wanted, set_bitrate, set_controls, set_formats, set_rate,
};
use super::state::{CodecCounters, Coded, Machine, Verdict};
use super::{RawPicture, Trouble};
use crate::Frame;
use crate::encoder::Encoded;
use crate::h264::annexb::nal_units;
use crate::h264::nal;
use crate::h264::parameter_sets::ParameterSets;
use crate::v4l2::sys::{Event, Filled, Memory, Node, Payload, Queue, Readiness};

/// Buffers for coded data.
const CODED: u32 = 4;
/// How long a picture may wait for a buffer.
const ROOM: Duration = Duration::from_millis(20);

/// An encoder that streams.
pub(crate) struct Session {
    node: Arc<Node>,
    sides: Sides,
    coded: [u8; 4],
    pictures: Queue,
    units: Queue,
    picture: RawPicture,
    importing: bool,
    /// The pictures whose buffers the encoder reads.
    held: Vec<Option<Arc<Frame>>>,
    machine: Machine,
    sets: ParameterSets,
    /// Parameter sets that came before their picture.
    kept: Vec<u8>,
    key_wanted: bool,
    began: bool,
}

impl Session {
    /// Sets an encoder up and starts it.
    pub(crate) fn open(setup: &Setup<'_>) -> Result<Self, Trouble> {
        let node = Arc::new(Node::open(setup.path).map_err(Trouble::call("cannot be opened"))?);
        let capability = node
            .capability()
            .map_err(Trouble::call("does not say what it is"))?;
        let sides = Sides::of(capability.flags)
            .ok_or_else(|| Trouble::refused("is no codec that streams"))?;
        let picture = set_formats(&node, sides, setup)?;
        set_controls(&node, setup);
        set_rate(&node, sides, setup.fps);
        node.subscribe();

        let (memory, count) = match setup.import {
            Some(layout) => (Memory::DmaBuf, layout.buffers as u32),
            None => (Memory::Mapped, pictures_wanted(&node)),
        };
        let no_buffers = || Trouble::call("gives no buffers");
        let pictures =
            Queue::new(Arc::clone(&node), sides.input, memory, count).map_err(no_buffers())?;
        let units = Queue::new(Arc::clone(&node), sides.output, Memory::Mapped, CODED)
            .map_err(no_buffers())?;
        if memory == Memory::Mapped && pictures.room(0) < picture.size() {
            return Err(Trouble::refused(format!(
                "gives buffers of {} bytes for pictures of {}",
                pictures.room(0),
                picture.size()
            )));
        }
        let mut session = Self {
            held: (0..pictures.count()).map(|_| None).collect(),
            node,
            sides,
            coded: setup.coded,
            pictures,
            units,
            picture,
            importing: setup.import.is_some(),
            machine: Machine::default(),
            sets: ParameterSets::default(),
            kept: Vec::new(),
            key_wanted: false,
            began: false,
        };
        session.start()?;
        Ok(session)
    }

    /// Hands over a picture. One that finds no buffer within a moment is left out and counted.
    pub(crate) fn submit(&mut self, frame: &Arc<Frame>, key: bool) -> Result<(), Trouble> {
        self.key_wanted |= key;
        self.key_wanted |= self.machine.take_broken();
        if self.machine.drained() {
            self.restart()?;
        }
        let Some(index) = self.free(frame)? else {
            self.machine.left_out();
            return self.machine.check(Instant::now());
        };
        if std::mem::take(&mut self.key_wanted) && self.began {
            self.force_key()?;
        }
        let captured = Some(frame.captured());
        let not_taken = || Trouble::call("does not take a picture");
        if self.importing {
            let lent = frame
                .lent()
                .ok_or_else(|| Trouble::refused("was set up for the camera's own buffers"))?;
            let payload = Payload::Imported {
                fd: lent.dmabuf(),
                used: self.picture.size(),
                length: lent.layout().length,
            };
            self.pictures
                .put(index, payload, captured)
                .map_err(not_taken())?;
            self.held[index] = Some(Arc::clone(frame));
        } else {
            let picture = self.picture;
            let used = self
                .pictures
                .bytes_mut(index)
                .and_then(|buffer| picture.write(frame, buffer))
                .ok_or_else(|| Trouble::wedged("has no room for a picture"))?;
            self.pictures
                .put(index, Payload::Written(used), captured)
                .map_err(not_taken())?;
        }
        self.began = true;
        self.machine.submitted(frame.captured(), Instant::now());
        Ok(())
    }

    /// Takes the next access unit, waiting at most `timeout`.
    pub(crate) fn receive(&mut self, timeout: Duration) -> Result<Option<Encoded>, Trouble> {
        let deadline = Instant::now() + timeout;
        loop {
            self.reclaim()?;
            while let Some(filled) = self.next_unit()? {
                let unit = self.unit(&filled);
                if !filled.last {
                    self.units
                        .put(filled.index, Payload::Empty, None)
                        .map_err(Trouble::call("does not take a buffer back"))?;
                }
                if let Some(unit) = unit? {
                    return Ok(Some(unit));
                }
            }
            let now = Instant::now();
            self.machine.check(now)?;
            let left = deadline.saturating_duration_since(now);
            // Some drivers say the end of a drain by an event only.
            if left.is_zero() || self.machine.drained() {
                return Ok(None);
            }
            let wanted = Readiness {
                capture: true,
                event: true,
                ..Readiness::default()
            };
            let ready = self
                .node
                .wait(wanted, left)
                .map_err(Trouble::call("cannot be waited for"))?;
            if ready.error && !ready.capture {
                // The next call to the driver would say no more than that.
                return Err(Trouble::wedged("has failed: the driver reports an error"));
            }
            self.events()?;
        }
    }

    /// Lets the encoder finish the pictures it has. The next one that is submitted starts it anew.
    pub(crate) fn drain(&mut self) -> Result<(), Trouble> {
        if self.machine.draining() || self.machine.drained() {
            return Ok(());
        }
        let by_count = match self.node.stop_encoder() {
            Ok(()) => false,
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL)) => true,
            Err(error) => return Err(Trouble::call("cannot be drained")(error)),
        };
        self.machine.drain(by_count);
        Ok(())
    }

    /// Whether all pictures of a drain have come out.
    pub(crate) fn drained(&self) -> bool {
        self.machine.drained()
    }

    /// Stops and starts both queues: what the encoder had is gone, and it begins with a key frame.
    pub(crate) fn restart(&mut self) -> Result<(), Trouble> {
        let failed = || Trouble::call("does not stop");
        self.pictures.stop().map_err(failed())?;
        self.units.stop().map_err(failed())?;
        self.held.fill(None);
        self.kept.clear();
        self.machine.restarted();
        self.began = false;
        self.start()
    }

    /// Changes the bitrate from the next picture on; what the driver makes of it comes back.
    pub(crate) fn set_bitrate(&mut self, bits_per_second: u32) -> Result<u32, Trouble> {
        set_bitrate(&self.node, bits_per_second)
    }

    /// Tells the driver another frame rate; not all take one while they stream.
    pub(crate) fn set_frame_rate(&mut self, fps: f32) {
        set_rate(&self.node, self.sides, fps);
    }

    /// Pictures that were taken and not answered.
    pub(crate) fn due(&self) -> usize {
        self.machine.due()
    }

    pub(crate) fn counters(&self) -> CodecCounters {
        self.machine.counters()
    }

    /// The bitrate in force, by the driver.
    pub(crate) fn bitrate(&self) -> Option<u32> {
        let value = self.node.control(raw::V4L2_CID_MPEG_VIDEO_BITRATE).ok()?;
        u32::try_from(value).ok()
    }

    fn start(&mut self) -> Result<(), Trouble> {
        for index in 0..self.units.count() {
            self.units
                .put(index, Payload::Empty, None)
                .map_err(Trouble::call("does not take its own buffers"))?;
        }
        let failed = || Trouble::call("does not start");
        self.pictures.start().map_err(failed())?;
        self.units.start().map_err(failed())
    }

    /// A buffer for a picture.
    fn free(&mut self, frame: &Frame) -> Result<Option<usize>, Trouble> {
        self.reclaim()?;
        let pick = |queue: &Queue| {
            // The same memory in the same place again is the least work for the driver.
            let usual = frame.lent().map(|lent| lent.index() % queue.count());
            usual
                .into_iter()
                .chain(0..queue.count())
                .find(|&index| !queue.is_queued(index))
        };
        if let Some(index) = pick(&self.pictures) {
            return Ok(Some(index));
        }
        let wanted = Readiness {
            output: true,
            ..Readiness::default()
        };
        self.node
            .wait(wanted, ROOM)
            .map_err(Trouble::call("cannot be waited for"))?;
        self.reclaim()?;
        Ok(pick(&self.pictures))
    }

    /// Takes back the buffers of pictures that the encoder has read.
    fn reclaim(&mut self) -> Result<(), Trouble> {
        while self.pictures.queued() > 0 {
            let taken = self
                .pictures
                .take()
                .map_err(Trouble::call("does not give a picture's buffer back"))?;
            let Some(filled) = taken else { break };
            if let Some(held) = self.held.get_mut(filled.index) {
                *held = None;
            }
        }
        Ok(())
    }

    fn next_unit(&mut self) -> Result<Option<Filled>, Trouble> {
        if self.units.queued() == 0 {
            return Ok(None);
        }
        match self.units.take() {
            // The last buffer of a drain has been taken.
            Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                self.machine.ended();
                Ok(None)
            }
            result => result.map_err(Trouble::call("does not give coded data")),
        }
    }

    /// Makes an access unit of a coded buffer.
    fn unit(&mut self, filled: &Filled) -> Result<Option<Encoded>, Trouble> {
        let bytes = self.units.bytes(filled);
        let h264 = self.coded == *b"H264";
        let coded = Coded {
            bytes: bytes.len(),
            damaged: filled.damaged,
            last: filled.last,
            picture: !h264 || nal_units(bytes).any(is_slice),
            stamp: filled.captured,
        };
        let verdict = self.machine.coded(coded, Instant::now())?;
        let data = [self.kept.as_slice(), bytes].concat();
        match verdict {
            Verdict::Skip => Ok(None),
            Verdict::Keep => {
                // More than this are no parameter sets.
                self.kept = if data.len() < 4096 { data } else { Vec::new() };
                Ok(None)
            }
            Verdict::Deliver(captured) => {
                self.kept.clear();
                if !h264 {
                    return Ok(Some(Encoded {
                        data,
                        key: filled.key,
                        captured,
                    }));
                }
                // By the stream, not by the driver's flag, which some forget.
                let key = nal_units(&data).any(|unit| nal::kind(unit) == nal::IDR_SLICE);
                match self.sets.complete(data, key) {
                    Some(data) => Ok(Some(Encoded {
                        data,
                        key,
                        captured,
                    })),
                    None => self.machine.not_usable().map(|()| None),
                }
            }
        }
    }

    fn events(&mut self) -> Result<(), Trouble> {
        while let Some(event) = self.node.event() {
            match event {
                // Its last buffer may still be on its way.
                Event::EndOfStream if self.machine.draining() && self.machine.due() == 0 => {
                    self.machine.ended();
                }
                Event::SourceChange => {
                    return Err(Trouble::wedged("changed the format of its stream"));
                }
                Event::EndOfStream | Event::Other => {}
            }
        }
        Ok(())
    }

    fn force_key(&mut self) -> Result<(), Trouble> {
        match self
            .node
            .set_control(raw::V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 1)
        {
            Ok(()) => Ok(()),
            // Starting anew is the other way to a key frame.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => self.restart(),
            Err(error) => Err(Trouble::call("does not make a key frame")(error)),
        }
    }
}

/// A part of a picture: NAL unit types 1 to 5.
fn is_slice(unit: &[u8]) -> bool {
    (nal::SLICE..=nal::IDR_SLICE).contains(&nal::kind(unit))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_file_that_is_no_codec_says_so() {
        let setup = Setup {
            path: Path::new("/dev/null"),
            coded: *b"H264",
            size: (640, 360),
            import: None,
            bitrate: 1_000_000,
            fps: 30.0,
            key_interval: 0,
            level: 40,
        };
        let Err(trouble) = Session::open(&setup) else {
            panic!("opened");
        };
        assert!(trouble.reason.starts_with("does not say what it is"));
        assert_eq!(Sides::of(raw::V4L2_CAP_VIDEO_M2M), None);
    }
}
