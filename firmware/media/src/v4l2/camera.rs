//! A V4L2 camera as a source.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use v4l::v4l_sys as raw;

use super::discover;
use super::mode::{Mode, Wanted, best_mode};
use super::sys::{
    Event, Filled, Memory, Node, Payload, PixelLayout, Queue, Readiness, Request, Side,
};
use crate::convert::{self, Damaged, Layout};
use crate::encoder::EncoderChoice;
use crate::frame::{BufferLayout, LentBuffer};
use crate::h264::Syntax;
use crate::h264::annexb::nal_units;
use crate::h264::parameter_sets::ParameterSets;
use crate::source::{Polled, VideoSource};
use crate::syntax::Unit;
use crate::video::{AccessUnit, Rung, VideoConfig};
use crate::{FramePool, PixelFormat, SourceConfig, SourceError, Timestamp};

/// Buffers to ask for: one being filled, one queued behind it, one being converted, one to spare.
const BUFFERS: u32 = 4;
/// Buffers to ask for where encoders read them: up to three wait or are read on each rung.
const LENDING_BUFFERS: u32 = 8;
/// Buffers that the camera keeps to itself when the others are lent.
const KEPT: usize = 2;
/// A camera that delivers nothing this long is wedged; some need two seconds to start.
const SILENCE: Duration = Duration::from_secs(5);
/// A kernel timestamp older than this is by another clock than it claims.
const OLDEST: Duration = Duration::from_secs(2);

/// Opens the camera of a configuration, without a pipeline around it. Where an encoder could read
/// the camera's buffers, its pictures stay in them.
pub fn open_camera(config: &VideoConfig) -> Result<Box<dyn VideoSource>, SourceError> {
    let SourceConfig::V4l2 { device, format } = &config.source else {
        return Err(SourceError::unusable(
            "v4l2",
            "is not the configured source",
        ));
    };
    let (device, pool) = (device.as_deref(), FramePool::new());
    Ok(Box::new(Camera::open(
        device, *format, config, pool, &mut None,
    )?))
}

/// An open, streaming camera.
pub(crate) struct Camera {
    path: PathBuf,
    what: String,
    queue: Queue,
    format: PixelFormat,
    layout: PixelLayout,
    pool: FramePool,
    sets: ParameterSets,
    rgb: Vec<u8>,
    lost: u64,
    sequence: Option<u32>,
    heard: Instant,
    /// When the latest picture was read, before its conversion.
    read: Option<Timestamp>,
    damaged_told: bool,
    lending: Option<Lending>,
}

/// A camera's buffers, which encoders can read without a copy.
struct Lending {
    layout: BufferLayout,
    dmabufs: Vec<Arc<OwnedFd>>,
}

impl Camera {
    /// Opens a camera, or the first one there is, in its best mode, and starts the stream.
    ///
    /// `bus` remembers where the camera was plugged in the last time, to find it under another
    /// number.
    pub(crate) fn open(
        path: Option<&Path>,
        format: Option<PixelFormat>,
        config: &VideoConfig,
        pool: FramePool,
        bus: &mut Option<String>,
    ) -> Result<Self, SourceError> {
        let path = match path {
            Some(path) => find(path, bus.as_deref()),
            None => discover::first_camera()
                .ok_or_else(|| SourceError::unusable("v4l2", "there is no camera"))?,
        };
        let what = format!("v4l2: {}", path.display());
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err(SourceError::unusable(what, "the path contains a NUL"));
        }
        let node = Node::open(&path).map_err(SourceError::io(&what))?;
        let capability = node
            .capability()
            .map_err(|error| match error.raw_os_error() {
                Some(libc::ENOTTY) => SourceError::unusable(&what, "is not a V4L2 device"),
                _ => SourceError::io(&what)(error),
            })?;
        let side = discover::captures(&capability).ok_or_else(|| {
            let reason = format!(
                "\"{}\" does not deliver pictures by streaming",
                capability.card
            );
            SourceError::unusable(&what, reason)
        })?;
        let wanted = Wanted {
            size: (config.width, config.height),
            fps: config.fps as f32,
            format,
        };
        let (offers, others) = discover::offers(&path, &node, side);
        let mode = best_mode(&offers, &wanted).ok_or_else(|| {
            let offers = offers.iter().map(|offer| offer.format.to_string());
            let all: Vec<_> = offers
                .chain(others.into_iter().map(|other| other.fourcc))
                .collect();
            let wanted = format.map_or_else(
                || "nv12, yu12, yuyv, mjpeg or h264 (hevc only where it is named)".to_owned(),
                |format| format.to_string(),
            );
            SourceError::unusable(&what, format!("offers {}, not {wanted}", all.join(", ")))
        })?;
        *bus = Some(capability.bus);
        Self::start(path, node, side, mode, config, pool)
    }

    /// Sets the mode and starts the stream. What the driver makes of the mode is what counts.
    fn start(
        path: PathBuf,
        node: Node,
        side: Side,
        mode: Mode,
        config: &VideoConfig,
        pool: FramePool,
    ) -> Result<Self, SourceError> {
        let what = format!("v4l2: {}", path.display());
        let layout = node
            .set_format(
                side,
                Request {
                    fourcc: mode.format.fourcc(),
                    width: mode.width,
                    height: mode.height,
                    ..Request::default()
                },
            )
            .map_err(busy(&what))?;
        let format = PixelFormat::from_fourcc(layout.fourcc).ok_or_else(|| {
            SourceError::unusable(
                &what,
                format!(
                    "gives {} instead of {}",
                    layout.fourcc.escape_ascii(),
                    mode.format
                ),
            )
        })?;
        if layout.width < 16 || layout.height < 16 || layout.width.max(layout.height) > 3840 {
            let reason = format!(
                "gives pictures of {}x{}; allowed: 16 to 3840",
                layout.width, layout.height
            );
            return Err(SourceError::unusable(what, reason));
        }
        if layout.planes != 1 {
            let reason = format!("gives {format} in {} buffers a picture", layout.planes);
            return Err(SourceError::unusable(what, reason));
        }
        // Some drivers leave the stride out where it is what it must be.
        let line = layout.width * if format == PixelFormat::Yuyv { 2 } else { 1 };
        let layout = PixelLayout {
            stride: layout.stride.max(line),
            ..layout
        };
        let interval = (1000, (mode.fps * 1000.0).round() as u32);
        let interval = node.set_interval(side, interval).unwrap_or_else(|error| {
            tracing::debug!("{what}: the frame rate cannot be set: {error}");
            None
        });
        if format.is_encoded() {
            // Not every encoder has these controls; a stream without them can still be watched.
            let _ = node.set_control(raw::V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 1);
            let _ = node.set_control(
                raw::V4L2_CID_MPEG_VIDEO_BITRATE,
                config.bitrate.cast_signed(),
            );
        }
        let lends = lends(config.encoder, format);
        let buffers = if lends { LENDING_BUFFERS } else { BUFFERS };
        let mut queue =
            Queue::new(Arc::new(node), side, Memory::Mapped, buffers).map_err(busy(&what))?;
        let lending = if lends {
            Lending::new(&queue, format, layout)
        } else {
            None
        };
        queue.node().subscribe();
        for index in 0..queue.count() {
            queue
                .put(index, Payload::Empty, None)
                .map_err(SourceError::io(&what))?;
        }
        queue.start().map_err(busy(&what))?;
        let fps = interval
            .filter(|interval| interval.0 > 0)
            .map(|(num, den)| f64::from(den) / f64::from(num));
        tracing::info!(
            %format, width = layout.width, height = layout.height, fps, lends = lending.is_some(),
            "{what} is open"
        );
        Ok(Self {
            path,
            what,
            queue,
            format,
            layout,
            pool,
            sets: ParameterSets::new(match format {
                PixelFormat::Hevc => Syntax::H265,
                _ => Syntax::H264,
            }),
            rgb: Vec::new(),
            lost: 0,
            sequence: None,
            heard: Instant::now(),
            read: None,
            damaged_told: false,
            lending,
        })
    }

    /// Waits for a filled buffer; none within the timeout.
    fn filled(&mut self, timeout: Duration) -> io::Result<Option<Filled>> {
        while let Some(index) = self.queue.returned() {
            self.queue.put(index, Payload::Empty, None)?;
        }
        if !timeout.is_zero() {
            let wanted = Readiness {
                capture: true,
                event: true,
                ..Readiness::default()
            };
            let ready = self.queue.node().wait(wanted, timeout)?;
            if ready.event && self.queue.node().event() == Some(Event::SourceChange) {
                return Err(io::Error::other("has changed the format of its pictures"));
            }
            if !ready.capture && !ready.error {
                return Ok(None);
            }
        }
        self.queue.take()
    }

    fn give_back(&mut self, filled: &Filled) -> io::Result<()> {
        self.queue.put(filled.index, Payload::Empty, None)
    }

    /// Takes the next picture; of raw ones the newest that is there.
    fn take(&mut self, timeout: Duration) -> io::Result<Option<Filled>> {
        let Some(mut filled) = self.filled(timeout)? else {
            return Ok(None);
        };
        self.count(filled.sequence);
        while !self.format.is_encoded() {
            let Some(newer) = self.filled(Duration::ZERO)? else {
                break;
            };
            let older = std::mem::replace(&mut filled, newer);
            self.give_back(&older)?;
            self.count(filled.sequence);
            self.lost += 1;
        }
        Ok(Some(filled))
    }

    /// Counts what the driver had no buffer for: a gap in its numbers.
    fn count(&mut self, sequence: u32) {
        let expected = self.sequence.map(|last| last.wrapping_add(1));
        let gap = expected.map_or(0, |expected| sequence.wrapping_sub(expected));
        // Drivers that do not number their pictures, or start over, have lost nothing.
        if gap < 1000 {
            self.lost += u64::from(gap);
        }
        self.sequence = Some(sequence);
    }

    /// Makes of a filled buffer what goes on: a frame, or an access unit.
    fn picture(&mut self, filled: &Filled) -> Result<Polled, Damaged> {
        if filled.damaged {
            return Err(Damaged("the driver marked it as damaged".to_owned()));
        }
        if filled.used == 0 {
            return Err(Damaged("an empty buffer".to_owned()));
        }
        let now = Timestamp::now();
        let captured = filled
            .captured
            .map_or(now, |captured| captured.plausible(now, OLDEST));
        let bytes = self.queue.bytes(filled);
        if self.format.is_encoded() {
            let bytes = bytes.to_vec();
            return self.access_unit(bytes, captured).map(Polled::AccessUnit);
        }
        if let Some(lent) = self.lend(filled)? {
            let (width, height) = (self.layout.width, self.layout.height);
            let frame = self.pool.lent_frame(width, height, captured, lent);
            return Ok(Polled::Frame(frame));
        }
        let mut frame = self
            .pool
            .frame(self.layout.width, self.layout.height, captured);
        let layout = Layout {
            stride: self.layout.stride as usize,
            lines: self.layout.height as usize,
        };
        match self.format {
            PixelFormat::Nv12 => convert::nv12(&mut frame, bytes, layout)?,
            PixelFormat::Yu12 => convert::yu12(&mut frame, bytes, layout)?,
            PixelFormat::Yuyv => convert::yuyv(&mut frame, bytes, layout)?,
            PixelFormat::Mjpeg | PixelFormat::H264 | PixelFormat::Hevc => {
                convert::mjpeg(&mut frame, bytes, &mut self.rgb)?;
            }
        }
        Ok(Polled::Frame(frame))
    }

    /// Lends the buffer of a picture to whoever encodes it, if this camera does that.
    fn lend(&self, filled: &Filled) -> Result<Option<LentBuffer>, Damaged> {
        let Some(lending) = &self.lending else {
            return Ok(None);
        };
        let needed = lending.layout.stride * lending.layout.lines / 2 * 3;
        if filled.used < needed {
            return Err(Damaged(format!("{} of {needed} bytes", filled.used)));
        }
        let dmabuf = lending.dmabufs.get(filled.index);
        let lent = dmabuf.zip(self.queue.lend(filled));
        Ok(lent.map(|(dmabuf, lent)| LentBuffer::new(lent, Arc::clone(dmabuf), lending.layout)))
    }

    fn access_unit(&mut self, bytes: Vec<u8>, captured: Timestamp) -> Result<AccessUnit, Damaged> {
        let syntax = self.sets.syntax();
        let slices = nal_units(&bytes).filter_map(|unit| match syntax.unit(unit) {
            Some(Unit::Slice { key, .. }) => Some(key),
            _ => None,
        });
        let Some(key) = slices.reduce(|any, key| any || key) else {
            return Err(Damaged(format!("not a picture of {}", self.format)));
        };
        let data = self.sets.complete(bytes, key);
        let data = data.ok_or_else(|| Damaged("a key frame without parameter sets".to_owned()))?;
        let (width, height) = self
            .sets
            .size()
            .unwrap_or((self.layout.width, self.layout.height));
        Ok(AccessUnit {
            rung: Rung::Main,
            data: data.into(),
            key,
            captured,
            width,
            height,
        })
    }
}

impl VideoSource for Camera {
    fn next(&mut self, timeout: Duration) -> Result<Polled, SourceError> {
        let filled = self
            .take(timeout)
            .map_err(|error| gone(&self.what, error))?;
        let Some(filled) = filled else {
            if self.heard.elapsed() > SILENCE {
                let reason = format!("has delivered nothing for {} s", SILENCE.as_secs());
                return Err(SourceError::lost(&self.what, reason));
            }
            return Ok(Polled::Idle);
        };
        self.heard = Instant::now();
        self.read = Some(Timestamp::now());
        if self.lending.is_some() && self.queue.queued() < KEPT {
            // The encoders still read the ones before: this one comes too late.
            self.lost += 1;
            self.give_back(&filled)
                .map_err(|error| gone(&self.what, error))?;
            return Ok(Polled::Idle);
        }
        let picture = self.picture(&filled);
        let lent = matches!(&picture, Ok(Polled::Frame(frame)) if frame.lent().is_some());
        if !lent {
            self.give_back(&filled)
                .map_err(|error| gone(&self.what, error))?;
        }
        picture.or_else(|Damaged(reason)| {
            self.lost += 1;
            let first = !std::mem::replace(&mut self.damaged_told, true);
            let line = format!("{}: left a picture out: {reason}", self.what);
            Ok(if first {
                Polled::Notice(line)
            } else {
                Polled::Idle
            })
        })
    }

    fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn read_at(&self) -> Option<Timestamp> {
        self.read
    }

    fn device(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn request_key_frame(&mut self) -> bool {
        self.queue
            .node()
            .set_control(raw::V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, 1)
            .is_ok()
    }

    fn set_bitrate(&mut self, bits_per_second: u32) -> bool {
        self.queue
            .node()
            .set_control(
                raw::V4L2_CID_MPEG_VIDEO_BITRATE,
                bits_per_second.cast_signed(),
            )
            .is_ok()
    }
}

impl Lending {
    /// Exports all buffers of a camera. A driver that cannot has its pictures copied.
    fn new(queue: &Queue, format: PixelFormat, layout: PixelLayout) -> Option<Self> {
        if queue.count() < KEPT + 2 {
            return None;
        }
        let exported: io::Result<Vec<_>> = (0..queue.count())
            .map(|index| queue.export(index).map(Arc::new))
            .collect();
        match exported {
            Ok(dmabufs) => Some(Self {
                layout: BufferLayout {
                    format,
                    stride: layout.stride as usize,
                    lines: layout.height as usize,
                    length: queue.room(0),
                    buffers: queue.count(),
                },
                dmabufs,
            }),
            Err(error) => {
                tracing::debug!("the camera does not lend its buffers: {error}");
                None
            }
        }
    }
}

/// Whether an encoder may read the camera's buffers: one in hardware, and only what it takes.
fn lends(choice: EncoderChoice, format: PixelFormat) -> bool {
    choice != EncoderChoice::Software
        && matches!(format, PixelFormat::Nv12 | PixelFormat::Yu12)
        && discover::encoders()
            .iter()
            .any(super::EncoderInfo::gives_h264)
}

/// A configured node, or the one its camera has now: after a replug the number may be another.
fn find(path: &Path, bus: Option<&str>) -> PathBuf {
    let moved = if path.exists() {
        None
    } else {
        bus.and_then(discover::by_bus)
    };
    moved.unwrap_or_else(|| path.to_owned())
}

/// Says who else may have the camera.
fn busy(what: &str) -> impl FnOnce(io::Error) -> SourceError {
    move |error| match error.raw_os_error() {
        Some(libc::EBUSY) => SourceError::unusable(what, "is in use by another program"),
        _ => SourceError::io(what)(error),
    }
}

/// Says what an error of a running stream means.
fn gone(what: &str, error: io::Error) -> SourceError {
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::EIO | libc::ENXIO) => SourceError::lost(what, "was unplugged"),
        _ => SourceError::io(what)(error),
    }
}
