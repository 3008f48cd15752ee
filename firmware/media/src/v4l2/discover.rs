//! Finds cameras and hardware encoders by what they can do, not by their path.

use std::path::{Path, PathBuf};

use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::v4l_sys as raw;
use v4l::video::Capture;
use v4l::{FourCC, Fraction};

use super::m2m::{self, Limits, Sides};
use super::mode::{Offer, SizeRange};
use super::sys::{Capability, Node, Side};
use crate::PixelFormat;

/// A node that delivers pictures.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraInfo {
    /// The device node.
    pub path: PathBuf,
    /// The camera's name.
    pub card: String,
    /// The kernel driver.
    pub driver: String,
    /// Where it is plugged in; stays the same when the number of the node changes.
    pub bus: String,
    /// What it offers in formats that can be used.
    pub offers: Vec<Offer>,
    /// What else it offers.
    pub others: Vec<OtherFormat>,
}

/// A format that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherFormat {
    /// Four-character code.
    pub fourcc: String,
    /// The driver's description.
    pub description: String,
}

/// A memory-to-memory node that turns raw pictures into a compressed stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncoderInfo {
    /// The device node.
    pub path: PathBuf,
    /// The encoder's name.
    pub card: String,
    /// The kernel driver.
    pub driver: String,
    /// The four-character codes it can produce.
    pub formats: Vec<String>,
    /// The four-character codes of the raw pictures it takes.
    pub inputs: Vec<String>,
    /// What it can do at most.
    pub limits: Limits,
}

impl EncoderInfo {
    /// What it is called in statistics and messages: `bcm2835-codec (/dev/video11)`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} ({})", self.driver, self.path.display())
    }

    /// Whether it makes H.264 of pictures as ours are.
    #[must_use]
    pub fn gives_h264(&self) -> bool {
        let takes = |fourcc: &str| self.inputs.iter().any(|input| input == fourcc);
        self.formats.iter().any(|format| format == "H264") && (takes("YU12") || takes("NV12"))
    }
}

/// All cameras at this moment, in the order of their nodes.
#[must_use]
pub fn cameras() -> Vec<CameraInfo> {
    nodes().iter().filter_map(|path| describe(path)).collect()
}

/// The first camera that offers a usable format.
pub(crate) fn first_camera() -> Option<PathBuf> {
    cameras()
        .into_iter()
        .find(|camera| !camera.offers.is_empty())
        .map(|camera| camera.path)
}

/// The node with a bus address, where a camera may have come back under another number.
pub(super) fn by_bus(bus: &str) -> Option<PathBuf> {
    nodes().into_iter().find(|path| {
        let capability = Node::open(path).and_then(|node| node.capability());
        capability.is_ok_and(|capability| capability.bus == bus && captures(&capability).is_some())
    })
}

/// All hardware encoders at this moment, in the order of their nodes.
#[must_use]
pub fn encoders() -> Vec<EncoderInfo> {
    nodes()
        .iter()
        .filter_map(|path| describe_encoder(path))
        .collect()
}

/// The side of a node that delivers pictures by streaming; none if it delivers none.
pub(super) fn captures(capability: &Capability) -> Option<Side> {
    let memory_to_memory = raw::V4L2_CAP_VIDEO_M2M | raw::V4L2_CAP_VIDEO_M2M_MPLANE;
    let flags = capability.flags;
    if flags & raw::V4L2_CAP_STREAMING == 0 || flags & memory_to_memory != 0 {
        return None;
    }
    if flags & raw::V4L2_CAP_VIDEO_CAPTURE != 0 {
        return Some(Side::Capture);
    }
    (flags & raw::V4L2_CAP_VIDEO_CAPTURE_MPLANE != 0).then_some(Side::CaptureMplane)
}

/// What a camera offers in formats that can be used, and what else.
pub(super) fn offers(path: &Path, node: &Node, side: Side) -> (Vec<Offer>, Vec<OtherFormat>) {
    let (mut offers, mut others) = (Vec::<Offer>::new(), Vec::new());
    let device = v4l::Device::with_path(path).ok();
    for info in node.formats(side) {
        match PixelFormat::from_fourcc(info.fourcc) {
            // A camera may list the same format under two codes.
            Some(format) if offers.iter().all(|offer| offer.format != format) => {
                let sizes = device.as_ref().map(|device| sizes(device, info.fourcc));
                offers.push(Offer {
                    format,
                    sizes: sizes.unwrap_or_default(),
                });
            }
            Some(_) => {}
            None => others.push(OtherFormat {
                fourcc: fourcc_text(info.fourcc),
                description: info.description,
            }),
        }
    }
    (offers, others)
}

fn describe(path: &Path) -> Option<CameraInfo> {
    let node = Node::open(path).ok()?;
    let capability = node.capability().ok()?;
    let (offers, others) = offers(path, &node, captures(&capability)?);
    // Nodes for metadata and the like are no cameras, and have no formats.
    if offers.is_empty() && others.is_empty() {
        return None;
    }
    let Capability {
        card, driver, bus, ..
    } = capability;
    Some(CameraInfo {
        path: path.to_owned(),
        card,
        driver,
        bus,
        offers,
        others,
    })
}

fn describe_encoder(path: &Path) -> Option<EncoderInfo> {
    let node = Node::open(path).ok()?;
    let capability = node.capability().ok()?;
    let sides = Sides::of(capability.flags)?;
    let codes = |side: Side, compressed: bool| -> Vec<[u8; 4]> {
        let formats = node.formats(side).into_iter();
        let wanted = formats.filter(|format| format.compressed == compressed);
        wanted.map(|format| format.fourcc).collect()
    };
    let (inputs, formats) = (codes(sides.input, false), codes(sides.output, true));
    // The largest coded picture, or the largest raw one where only that is said.
    let largest = formats
        .iter()
        .chain(&inputs)
        .find_map(|&fourcc| node.largest(fourcc));
    let limits = Limits::new(&capability.driver, largest, m2m::highest_level(&node));
    let encodes = !inputs.is_empty() && !formats.is_empty();
    encodes.then(|| EncoderInfo {
        path: path.to_owned(),
        card: capability.card,
        driver: capability.driver,
        formats: formats.into_iter().map(fourcc_text).collect(),
        inputs: inputs.into_iter().map(fourcc_text).collect(),
        limits,
    })
}

/// The nodes `/dev/videoN` in the order of their numbers.
pub(super) fn nodes() -> Vec<PathBuf> {
    let number = |path: &PathBuf| {
        path.file_name()?
            .to_str()?
            .strip_prefix("video")?
            .parse::<u32>()
            .ok()
    };
    let entries = std::fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    let mut nodes: Vec<_> = entries
        .filter_map(|path| Some((number(&path)?, path)))
        .collect();
    nodes.sort();
    nodes.into_iter().map(|(_, path)| path).collect()
}

fn sizes(device: &v4l::Device, fourcc: [u8; 4]) -> Vec<SizeRange> {
    let fourcc = FourCC::new(&fourcc);
    let sizes = device
        .enum_framesizes(fourcc)
        .unwrap_or_default()
        .into_iter()
        .map(|size| match size.size {
            FrameSizeEnum::Discrete(size) => {
                let one = (size.width, size.height);
                SizeRange {
                    min: one,
                    max: one,
                    step: (1, 1),
                    rates: rates(device, fourcc, one),
                }
            }
            FrameSizeEnum::Stepwise(range) => SizeRange {
                min: (range.min_width, range.min_height),
                max: (range.max_width, range.max_height),
                step: (range.step_width, range.step_height),
                rates: rates(device, fourcc, (range.max_width, range.max_height)),
            },
        });
    sizes.collect()
}

/// The frame rates at a size, highest first; of a range of rates its whole steps.
fn rates(device: &v4l::Device, fourcc: FourCC, (width, height): (u32, u32)) -> Vec<f32> {
    let mut rates = Vec::new();
    for interval in device
        .enum_frameintervals(fourcc, width, height)
        .unwrap_or_default()
    {
        match interval.interval {
            FrameIntervalEnum::Discrete(interval) => rates.extend(rate(interval)),
            FrameIntervalEnum::Stepwise(range) => {
                // The shortest interval is the highest rate.
                let (Some(highest), Some(lowest)) = (rate(range.min), rate(range.max)) else {
                    continue;
                };
                let usual = [
                    120.0, 90.0, 60.0, 50.0, 30.0, 25.0, 20.0, 15.0, 10.0, 5.0, 1.0,
                ];
                rates.push(highest);
                rates.extend(
                    usual
                        .into_iter()
                        .filter(|rate| (lowest..highest).contains(rate)),
                );
            }
        }
    }
    rates.sort_by(|first, second| second.total_cmp(first));
    rates.dedup();
    rates
}

fn rate(interval: Fraction) -> Option<f32> {
    (interval.numerator > 0).then(|| interval.denominator as f32 / interval.numerator as f32)
}

fn fourcc_text(fourcc: [u8; 4]) -> String {
    // The highest bit marks big-endian formats.
    let fourcc = fourcc.map(|byte| byte & 0x7f);
    String::from_utf8_lossy(&fourcc).trim().to_owned()
}
