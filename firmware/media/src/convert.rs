//! Turns what cameras deliver into I420 frames (BT.601, limited range).

use yuv::{
    BufferStoreMut, YuvConversionMode, YuvPackedImage, YuvPlanarImageMut, YuvRange,
    YuvStandardMatrix, rgb_to_yuv420, yuyv422_to_yuv420,
};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::Frame;

/// The layout of a raw picture in a camera's buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Bytes from one line to the next (of luma, where it is apart).
    pub(crate) stride: usize,
    /// Lines in the buffer, of which the frame takes as many as it has.
    pub(crate) lines: usize,
}

/// Why a picture was not usable; it is left out and counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) String);

/// YUYV (4:2:2): drops every second line of colour, by averaging.
pub(crate) fn yuyv(frame: &mut Frame, bytes: &[u8], layout: Layout) -> Result<(), Damaged> {
    let (width, height) = (frame.width(), frame.height());
    let needed = layout.stride * height as usize;
    let yuy = checked(bytes, needed)?;
    let source = YuvPackedImage {
        yuy,
        yuy_stride: layout.stride as u32,
        width,
        height,
    };
    yuyv422_to_yuv420(&mut planar(frame), &source).map_err(|error| Damaged(error.to_string()))
}

/// NV12: takes the interleaved colours apart.
pub(crate) fn nv12(frame: &mut Frame, bytes: &[u8], layout: Layout) -> Result<(), Damaged> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let colours = layout.stride * layout.lines;
    let bytes = checked(bytes, colours + layout.stride * (height / 2))?;
    let planes = frame.planes_mut();
    copy_lines(planes.y, width, bytes, layout.stride);
    let lines = bytes[colours..].chunks_exact(layout.stride);
    let halves = planes
        .u
        .chunks_exact_mut(width / 2)
        .zip(planes.v.chunks_exact_mut(width / 2));
    for (line, (u, v)) in lines.zip(halves) {
        for ((pair, u), v) in line.chunks_exact(2).zip(u).zip(v) {
            (*u, *v) = (pair[0], pair[1]);
        }
    }
    Ok(())
}

/// YU12: the same three planes, with the camera's padding left out.
pub(crate) fn yu12(frame: &mut Frame, bytes: &[u8], layout: Layout) -> Result<(), Damaged> {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let (luma, stride) = (layout.stride * layout.lines, layout.stride / 2);
    let chroma = stride * (layout.lines / 2);
    let bytes = checked(bytes, luma + chroma + stride * (height / 2))?;
    let planes = frame.planes_mut();
    copy_lines(planes.y, width, bytes, layout.stride);
    copy_lines(planes.u, width / 2, &bytes[luma..], stride);
    copy_lines(planes.v, width / 2, &bytes[luma + chroma..], stride);
    Ok(())
}

/// MJPEG: one decoder run. JPEG is full range and knows several subsamplings; by way of RGB all of
/// them end up right.
pub(crate) fn mjpeg(frame: &mut Frame, bytes: &[u8], rgb: &mut Vec<u8>) -> Result<(), Damaged> {
    let with_tables;
    let bytes = if has_huffman_tables(bytes) {
        bytes
    } else {
        with_tables = marked_as_avi(bytes);
        &with_tables
    };
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let damaged = |error: zune_jpeg::errors::DecodeErrors| {
        Damaged(format!("not a whole JPEG picture: {error}"))
    };
    decoder.decode_headers().map_err(damaged)?;
    let info = decoder
        .info()
        .ok_or_else(|| Damaged("a JPEG picture without a header".to_owned()))?;
    let (width, height) = (frame.width(), frame.height());
    if u32::from(info.width) < width || u32::from(info.height) < height {
        let (got_width, got_height) = (info.width, info.height);
        return Err(Damaged(format!(
            "a JPEG picture of {got_width}x{got_height} instead of {width}x{height}"
        )));
    }
    rgb.resize(usize::from(info.width) * usize::from(info.height) * 3, 0);
    decoder.decode_into(rgb).map_err(damaged)?;
    let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
    let stride = u32::from(info.width) * 3;
    let used = &rgb[..stride as usize * height as usize];
    rgb_to_yuv420(
        &mut planar(frame),
        used,
        stride,
        range,
        matrix,
        YuvConversionMode::Balanced,
    )
    .map_err(|error| Damaged(error.to_string()))
}

/// Whether a DHT segment comes before the picture data.
fn has_huffman_tables(jpeg: &[u8]) -> bool {
    let mut at = 2;
    while let Some([0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        match marker {
            0xc4 => return true,
            0xda => return false,
            _ => at += 2 + usize::from(u16::from_be_bytes([*high, *low])).max(2),
        }
    }
    false
}

/// Many cameras leave the standard Huffman tables out, as AVI files do. The decoder fills them in
/// when the picture says that it comes from one.
fn marked_as_avi(jpeg: &[u8]) -> Vec<u8> {
    let (start, rest) = jpeg.split_at(jpeg.len().min(2));
    [start, &[0xff, 0xe0, 0, 7], b"AVI1\0", rest].concat()
}

fn checked(bytes: &[u8], needed: usize) -> Result<&[u8], Damaged> {
    bytes
        .get(..needed)
        .ok_or_else(|| Damaged(format!("{} of {needed} bytes", bytes.len())))
}

fn copy_lines(plane: &mut [u8], width: usize, bytes: &[u8], stride: usize) {
    for (to, from) in plane.chunks_exact_mut(width).zip(bytes.chunks(stride)) {
        to.copy_from_slice(&from[..width]);
    }
}

fn planar(frame: &mut Frame) -> YuvPlanarImageMut<'_, u8> {
    let (width, height) = (frame.width(), frame.height());
    let planes = frame.planes_mut();
    YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(planes.y),
        y_stride: width,
        u_plane: BufferStoreMut::Borrowed(planes.u),
        u_stride: width / 2,
        v_plane: BufferStoreMut::Borrowed(planes.v),
        v_stride: width / 2,
        width,
        height,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{FramePool, Timestamp};

    const COLOUR: [u8; 3] = [120, 90, 200];

    fn frame() -> Frame {
        FramePool::new().frame(32, 16, Timestamp::now())
    }

    fn assert_colour(frame: &Frame, [y, u, v]: [u8; 3], tolerance: u8) {
        for (plane, value) in [(frame.y(), y), (frame.u(), u), (frame.v(), v)] {
            assert!(
                plane.iter().all(|byte| byte.abs_diff(value) <= tolerance),
                "{value}: {plane:?}"
            );
        }
    }

    #[test]
    fn each_raw_format_keeps_its_colour_whatever_the_padding() {
        let [y, u, v] = COLOUR;
        let padded = Layout {
            stride: 40,
            lines: 18,
        };
        let packed: Vec<u8> = [y, u, y, v].repeat(80 / 4 * 16);
        let mut from_yuyv = frame();
        yuyv(
            &mut from_yuyv,
            &packed,
            Layout {
                stride: 80,
                lines: 16,
            },
        )
        .unwrap();
        assert_colour(&from_yuyv, COLOUR, 0);

        let luma = vec![y; 40 * 18];
        let mut from_nv12 = frame();
        nv12(
            &mut from_nv12,
            &[luma.clone(), [u, v].repeat(20 * 9)].concat(),
            padded,
        )
        .unwrap();
        assert_colour(&from_nv12, COLOUR, 0);

        let mut from_yu12 = frame();
        yu12(
            &mut from_yu12,
            &[luma, vec![u; 20 * 9], vec![v; 20 * 9]].concat(),
            padded,
        )
        .unwrap();
        assert_colour(&from_yu12, COLOUR, 0);
    }

    /// An 8x8-block JPEG of one grey, 32x16, without Huffman tables: what a UVC camera sends.
    fn grey_jpeg(with_tables: bool) -> Vec<u8> {
        let mut jpeg = vec![0xff, 0xd8, 0xff, 0xdb, 0, 67, 0];
        jpeg.extend([8; 64]);
        jpeg.extend([0xff, 0xc0, 0, 11, 8, 0, 16, 0, 32, 1, 1, 0x11, 0]);
        if with_tables {
            let (dc, ac) = ([0, 1, 5, 1, 1, 1, 1, 1, 1], [0; 7]);
            jpeg.extend([0xff, 0xc4, 0, 31, 0]);
            jpeg.extend(&dc[..]);
            jpeg.extend(&ac[..]);
            jpeg.extend(0..12);
            // One code, of four bits, for the end of a block; the standard's other codes are not
            // needed.
            jpeg.extend([
                0xff, 0xc4, 0, 20, 0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            ]);
        }
        jpeg.extend([0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0]);
        // Eight blocks: difference of zero (00), end of block (1010, or 0000 with our own table).
        let block = if with_tables { "000000" } else { "001010" };
        let bits = block.repeat(8);
        for byte in bits.as_bytes().chunks(8) {
            jpeg.push(u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap());
        }
        jpeg.extend([0xff, 0xd9]);
        jpeg
    }

    #[test]
    fn jpeg_is_decoded_with_and_without_its_tables() {
        for with_tables in [true, false] {
            let (mut picture, mut rgb) = (frame(), Vec::new());
            mjpeg(&mut picture, &grey_jpeg(with_tables), &mut rgb).unwrap();
            // Full range 128 is 126 in limited range.
            assert_colour(&picture, [126, 128, 128], 2);
        }
    }

    #[test]
    fn a_jpeg_of_another_size_is_refused() {
        let mut larger = FramePool::new().frame(64, 64, Timestamp::now());
        let error = mjpeg(&mut larger, &grey_jpeg(false), &mut Vec::new()).unwrap_err();
        assert_eq!(error.0, "a JPEG picture of 32x16 instead of 64x64");
    }

    proptest! {
        #[test]
        fn short_or_broken_buffers_are_refused_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            let layout = Layout { stride: 32, lines: 16 };
            let packed = Layout { stride: 64, lines: 16 };
            prop_assert!(yuyv(&mut frame(), &bytes, packed).is_err());
            prop_assert_eq!(nv12(&mut frame(), &bytes, layout).is_ok(), bytes.len() >= 768);
            prop_assert_eq!(yu12(&mut frame(), &bytes, layout).is_ok(), bytes.len() >= 768);
            prop_assert!(mjpeg(&mut frame(), &bytes, &mut Vec::new()).is_err());
            let mut jpeg = grey_jpeg(false);
            let cut = bytes.len() % jpeg.len();
            jpeg.truncate(cut);
            let _ = mjpeg(&mut frame(), &jpeg, &mut Vec::new());
        }
    }
}
