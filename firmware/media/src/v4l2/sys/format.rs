//! Formats, frame rates and the visible part of a picture.

use std::io;

use v4l::v4l_sys as raw;
use v4l::v4l2::vidioc;

use super::{Node, Side, zeroed};

/// `V4L2_FIELD_NONE`: whole pictures.
const PROGRESSIVE: u32 = 1;
/// `V4L2_COLORSPACE_SMPTE170M`: BT.601, as all our pictures are.
const BT601: u32 = 1;
/// Not in the `v4l` crate.
const VIDIOC_S_SELECTION: vidioc::_IOC_TYPE = super::event::request::<raw::v4l2_selection>(3, 95);

/// What to ask of `VIDIOC_S_FMT`. Zero leaves a number to the driver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) fourcc: [u8; 4],
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bytes from one line to the next.
    pub(crate) stride: u32,
    /// Bytes of a buffer.
    pub(crate) size: u32,
}

/// The format in force after `VIDIOC_S_FMT`, which need not be what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PixelLayout {
    pub(crate) fourcc: [u8; 4],
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bytes from one line to the next; some drivers say zero.
    pub(crate) stride: u32,
    /// Bytes of a buffer, of the first one where a picture needs several.
    pub(crate) size: u32,
    /// Buffers that a picture needs.
    pub(crate) planes: u8,
}

impl Node {
    /// Sets the format of one side; the driver's choice comes back.
    pub(crate) fn set_format(&self, side: Side, request: Request) -> io::Result<PixelLayout> {
        let mut format: raw::v4l2_format = zeroed();
        format.type_ = side as u32;
        let pixelformat = u32::from_le_bytes(request.fourcc);
        // A camera says which colours it has; an encoder is told.
        let colorspace = if side.is_output() { BT601 } else { 0 };
        if side.multi_planar() {
            // SAFETY: the whole union was zeroed, and zero is valid for all its members.
            let mut pix = unsafe { format.fmt.pix_mp };
            pix.width = request.width;
            pix.height = request.height;
            pix.pixelformat = pixelformat;
            pix.field = PROGRESSIVE;
            pix.colorspace = colorspace;
            pix.num_planes = 1;
            pix.plane_fmt[0].sizeimage = request.size;
            pix.plane_fmt[0].bytesperline = request.stride;
            format.fmt.pix_mp = pix;
        } else {
            // SAFETY: as above.
            let mut pix = unsafe { format.fmt.pix };
            pix.width = request.width;
            pix.height = request.height;
            pix.pixelformat = pixelformat;
            pix.field = PROGRESSIVE;
            pix.colorspace = colorspace;
            pix.sizeimage = request.size;
            pix.bytesperline = request.stride;
            format.fmt.pix = pix;
        }
        self.ioctl(vidioc::VIDIOC_S_FMT, &mut format)?;
        Ok(read(side, &format))
    }

    /// The format of one side as it is.
    pub(crate) fn format(&self, side: Side) -> io::Result<PixelLayout> {
        let mut format: raw::v4l2_format = zeroed();
        format.type_ = side as u32;
        self.ioctl(vidioc::VIDIOC_G_FMT, &mut format)?;
        Ok(read(side, &format))
    }

    /// The largest picture of a format, where the driver says so.
    pub(crate) fn largest(&self, fourcc: [u8; 4]) -> Option<(u32, u32)> {
        let mut largest: Option<(u32, u32)> = None;
        for index in 0..256 {
            let mut size: raw::v4l2_frmsizeenum = zeroed();
            size.index = index;
            size.pixel_format = u32::from_le_bytes(fourcc);
            if self
                .ioctl(vidioc::VIDIOC_ENUM_FRAMESIZES, &mut size)
                .is_err()
            {
                break;
            }
            let discrete = size.type_ == raw::v4l2_frmsizetypes_V4L2_FRMSIZE_TYPE_DISCRETE;
            // SAFETY: both members of the union consist of integers, and the type says which one
            // the driver has filled in.
            let this = unsafe {
                let union = size.__bindgen_anon_1;
                if discrete {
                    (union.discrete.width, union.discrete.height)
                } else {
                    (union.stepwise.max_width, union.stepwise.max_height)
                }
            };
            let before = largest.unwrap_or_default();
            largest = Some((before.0.max(this.0), before.1.max(this.1)));
            if !discrete {
                break;
            }
        }
        largest.filter(|size| size.0 > 0 && size.1 > 0)
    }

    /// Sets the time between two pictures as a fraction of seconds; the driver's choice comes back,
    /// none when the driver knows no rates.
    pub(crate) fn set_interval(
        &self,
        side: Side,
        (numerator, denominator): (u32, u32),
    ) -> io::Result<Option<(u32, u32)>> {
        let mut parm: raw::v4l2_streamparm = zeroed();
        parm.type_ = side as u32;
        self.ioctl(vidioc::VIDIOC_G_PARM, &mut parm)?;
        let wanted = raw::v4l2_fract {
            numerator,
            denominator,
        };
        if side.is_output() {
            // SAFETY: for an output side the driver fills in this member of the union.
            let mut output = unsafe { parm.parm.output };
            output.timeperframe = wanted;
            parm.parm.output = output;
        } else {
            // SAFETY: for a capture side the driver fills in this member of the union.
            let mut capture = unsafe { parm.parm.capture };
            if capture.capability & raw::V4L2_CAP_TIMEPERFRAME == 0 {
                return Ok(None);
            }
            capture.timeperframe = wanted;
            parm.parm.capture = capture;
        }
        self.ioctl(vidioc::VIDIOC_S_PARM, &mut parm)?;
        // SAFETY: as above. The fraction is at the same place in both members.
        let chosen = unsafe { parm.parm.capture.timeperframe };
        Ok(Some((chosen.numerator, chosen.denominator)))
    }

    /// Says which part of the pictures that go in is to be seen; the rest is alignment.
    pub(crate) fn set_crop(&self, side: Side, (width, height): (u32, u32)) -> io::Result<()> {
        // `VIDIOC_S_SELECTION` takes the single-planar kind for both, by its documentation.
        let side = if side.is_output() {
            Side::Output
        } else {
            Side::Capture
        };
        let mut selection: raw::v4l2_selection = zeroed();
        selection.type_ = side as u32;
        selection.target = raw::V4L2_SEL_TGT_CROP;
        selection.r.width = width;
        selection.r.height = height;
        self.ioctl(VIDIOC_S_SELECTION, &mut selection)
    }
}

fn read(side: Side, format: &raw::v4l2_format) -> PixelLayout {
    if side.multi_planar() {
        // SAFETY: for this type the driver fills in this member of the union.
        let pix = unsafe { format.fmt.pix_mp };
        let plane = pix.plane_fmt[0];
        return PixelLayout {
            fourcc: pix.pixelformat.to_le_bytes(),
            width: pix.width,
            height: pix.height,
            stride: plane.bytesperline,
            size: plane.sizeimage,
            planes: pix.num_planes,
        };
    }
    // SAFETY: for this type the driver fills in this member of the union.
    let pix = unsafe { format.fmt.pix };
    PixelLayout {
        fourcc: pix.pixelformat.to_le_bytes(),
        width: pix.width,
        height: pix.height,
        stride: pix.bytesperline,
        size: pix.sizeimage,
        planes: 1,
    }
}
