//! What an encoder is told before it starts: formats, visible part, rate and controls.

use std::path::Path;

use v4l::v4l_sys as raw;

use super::{RawPicture, Trouble};
use crate::PixelFormat;
use crate::encoder::BITRATES;
use crate::frame::BufferLayout;
use crate::v4l2::sys::{Node, Request, Side};

/// Buffers for pictures: one being encoded, one behind it, one being written.
const PICTURES: u32 = 3;
/// The least room for an access unit: a key frame at a high bitrate. bcm2835-codec would give 512 KiB.
const CODED_SIZE: u32 = 1_536 * 1024;

/// What to open.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup<'a> {
    pub(crate) path: &'a Path,
    /// What the encoder is to give.
    pub(crate) coded: [u8; 4],
    pub(crate) size: (u32, u32),
    /// How the pictures lie in another driver's buffers, to be taken without a copy.
    pub(crate) import: Option<BufferLayout>,
    pub(crate) bitrate: u32,
    pub(crate) fps: f32,
    /// Frames from one key frame to the next, zero for as far as the driver goes.
    pub(crate) key_interval: u32,
    /// H.264 level in tenths.
    pub(crate) level: u8,
}

/// The two sides of a codec's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sides {
    pub(crate) input: Side,
    pub(crate) output: Side,
}

impl Sides {
    /// By the node's capability flags; none if it is no codec.
    pub(crate) fn of(flags: u32) -> Option<Self> {
        if flags & raw::V4L2_CAP_STREAMING == 0 {
            return None;
        }
        if flags & raw::V4L2_CAP_VIDEO_M2M_MPLANE != 0 {
            return Some(Self {
                input: Side::OutputMplane,
                output: Side::CaptureMplane,
            });
        }
        let single = flags & raw::V4L2_CAP_VIDEO_M2M != 0;
        single.then_some(Self {
            input: Side::Output,
            output: Side::Capture,
        })
    }
}

/// Sets both formats, and says how the encoder wants its pictures.
pub(super) fn set_formats(
    node: &Node,
    sides: Sides,
    setup: &Setup<'_>,
) -> Result<RawPicture, Trouble> {
    let (width, height) = setup.size;
    let not_set = || Trouble::call("does not take the format");
    let coded = Request {
        fourcc: setup.coded,
        width,
        height,
        stride: 0,
        size: CODED_SIZE,
    };
    // The coded format first: it decides what raw ones there are.
    let given = node.set_format(sides.output, coded).map_err(not_set())?;
    if given.fourcc != setup.coded {
        return Err(Trouble::refused(format!(
            "gives {} instead of {}",
            given.fourcc.escape_ascii(),
            setup.coded.escape_ascii()
        )));
    }
    let format = match setup.import {
        Some(layout) => layout.format,
        None => raw_format(node, sides)?,
    };
    let request = Request {
        fourcc: format.fourcc(),
        width,
        height,
        stride: setup.import.map_or(0, |layout| layout.stride as u32),
        size: setup.import.map_or(0, |layout| layout.length as u32),
    };
    let layout = node.set_format(sides.input, request).map_err(not_set())?;
    let picture = RawPicture::of(layout, format, setup.size)?;
    if let Some(theirs) = setup.import {
        theirs.check(&picture).map_err(Trouble::refused)?;
    }
    let aligned = (layout.width, layout.height) != setup.size;
    match node.set_crop(sides.input, setup.size) {
        Err(error) if aligned => {
            return Err(Trouble::refused(format!(
                "encodes {}x{} instead, and no part of it: {error}",
                layout.width, layout.height
            )));
        }
        _ => {}
    }
    // The size of the pictures may have changed what the coded side needs.
    let now = node.format(sides.output).map_err(not_set())?;
    if now.size == 0 {
        return Err(Trouble::refused("wants buffers of no size for coded data"));
    }
    Ok(picture)
}

/// The raw format to copy pictures into: ours as it is, if the encoder takes it.
fn raw_format(node: &Node, sides: Sides) -> Result<PixelFormat, Trouble> {
    let formats = node.formats(sides.input);
    [PixelFormat::Yu12, PixelFormat::Nv12]
        .into_iter()
        .find(|ours| formats.iter().any(|format| format.fourcc == ours.fourcc()))
        .ok_or_else(|| Trouble::refused("takes neither yu12 nor nv12"))
}

/// Sets what a live stream wants. Drivers have some of these controls, each other ones; only the
/// stream itself shows what came of them.
pub(super) fn set_controls(node: &Node, setup: &Setup<'_>) {
    let interval = i32::try_from(setup.key_interval).unwrap_or(i32::MAX);
    let interval = if interval == 0 { i32::MAX } else { interval };
    let constrained_baseline =
        raw::v4l2_mpeg_video_h264_profile_V4L2_MPEG_VIDEO_H264_PROFILE_CONSTRAINED_BASELINE;
    let wanted = [
        (raw::V4L2_CID_MPEG_VIDEO_BITRATE_MODE, 1),
        (raw::V4L2_CID_MPEG_VIDEO_B_FRAMES, 0),
        (raw::V4L2_CID_MPEG_VIDEO_GOP_SIZE, interval),
        (raw::V4L2_CID_MPEG_VIDEO_H264_I_PERIOD, interval),
        (
            raw::V4L2_CID_MPEG_VIDEO_H264_PROFILE,
            constrained_baseline as i32,
        ),
        (
            raw::V4L2_CID_MPEG_VIDEO_H264_LEVEL,
            level_choice(setup.level),
        ),
        // Joined with the picture, and with each key frame.
        (raw::V4L2_CID_MPEG_VIDEO_HEADER_MODE, 1),
        (raw::V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER, 1),
        (raw::V4L2_CID_MPEG_VIDEO_PREPEND_SPSPPS_TO_IDR, 1),
    ];
    for (id, value) in wanted {
        let Some(range) = node.control_range(id) else {
            continue;
        };
        let value = value.clamp(range.min, range.max.max(range.min));
        if let Err(error) = node.set_control(id, value) {
            tracing::debug!(
                "{}: control {id:#x} is not {value}: {error}",
                setup.path.display()
            );
        }
    }
    if let Err(trouble) = set_bitrate(node, setup.bitrate) {
        tracing::debug!("{}: {}", setup.path.display(), trouble.reason);
    }
}

/// Sets the bitrate as near as the driver's range and steps allow. One that has no such control
/// encodes by another measure.
pub(super) fn set_bitrate(node: &Node, bits_per_second: u32) -> Result<u32, Trouble> {
    let id = raw::V4L2_CID_MPEG_VIDEO_BITRATE;
    let wanted = bits_per_second.clamp(*BITRATES.start(), *BITRATES.end());
    let Some(range) = node.control_range(id) else {
        return Ok(wanted);
    };
    let value = in_steps(wanted, range.min, range.max, range.step);
    node.set_control(id, value)
        .map_err(Trouble::call("does not take the bitrate"))?;
    Ok(value.cast_unsigned())
}

/// The nearest value not above the wanted one that a control takes.
fn in_steps(wanted: u32, min: i32, max: i32, step: i32) -> i32 {
    let wanted = i32::try_from(wanted).unwrap_or(i32::MAX);
    let bounded = wanted.clamp(min, max.max(min));
    bounded - (bounded - min) % step.max(1)
}

pub(super) fn set_rate(node: &Node, sides: Sides, fps: f32) {
    let interval = (1000, (fps.clamp(1.0, 240.0) * 1000.0).round() as u32);
    if let Err(error) = node.set_interval(sides.input, interval) {
        tracing::debug!(fps, "the encoder does not take a frame rate: {error}");
    }
}

pub(super) fn pictures_wanted(node: &Node) -> u32 {
    let least = node.control(raw::V4L2_CID_MIN_BUFFERS_FOR_OUTPUT);
    let least = least.ok().and_then(|count| u32::try_from(count).ok());
    PICTURES.max(least.unwrap_or(0).saturating_add(1)).min(16)
}

/// A level in tenths as the number in the kernel's list of choices, and back.
const LEVEL_CHOICES: [(u8, i32); 9] = [
    (30, 8),
    (31, 9),
    (32, 10),
    (40, 11),
    (41, 12),
    (42, 13),
    (50, 14),
    (51, 15),
    (52, 16),
];

fn level_choice(tenths: u8) -> i32 {
    // Below 4.0 the Pi's firmware does not start, and no decoder minds.
    let tenths = tenths.max(40);
    let choice = LEVEL_CHOICES.iter().find(|choice| choice.0 >= tenths);
    choice.map_or(16, |choice| choice.1)
}

/// The highest level, in tenths, that an encoder's control offers.
pub(crate) fn highest_level(node: &Node) -> Option<u8> {
    let range = node.control_range(raw::V4L2_CID_MPEG_VIDEO_H264_LEVEL)?;
    let reached = LEVEL_CHOICES
        .iter()
        .rev()
        .find(|choice| choice.1 <= range.max);
    Some(reached.map_or(0, |choice| choice.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_get_values_that_they_take() {
        assert_eq!(in_steps(512_345, 25_000, 25_000_000, 25_000), 500_000);
        assert_eq!(in_steps(1, 25_000, 25_000_000, 25_000), 25_000);
        assert_eq!(in_steps(u32::MAX, 0, 10_000_000, 1), 10_000_000);
        assert_eq!(in_steps(5, 10, 0, 0), 10, "a broken driver's range");
        assert_eq!(level_choice(31), 11);
        assert_eq!(level_choice(42), 13);
        assert_eq!(level_choice(60), 16);
    }
}
