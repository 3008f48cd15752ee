//! A frame as a JPEG picture (ITU-T T.81, JFIF): full range, 4:2:0.

use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor};

use crate::Frame;

/// What is hard to tell from the original at a third of its size.
const QUALITY: u8 = 85;

/// Encodes a frame; fails on one that is larger than JPEG can say.
pub(crate) fn encode(frame: &Frame) -> Result<Vec<u8>, String> {
    let side = |pixels: u32| u16::try_from(pixels).map_err(|_| format!("{pixels} pixels across"));
    let picture = Picture {
        frame,
        width: side(frame.width())?,
        height: side(frame.height())?,
    };
    let mut jpeg = Vec::with_capacity(frame.data().len() / 8);
    let mut encoder = Encoder::new(&mut jpeg, QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    let encoded = encoder.encode_image(picture);
    encoded.map_err(|error| error.to_string())?;
    Ok(jpeg)
}

/// A frame in the JPEG encoder's terms.
struct Picture<'a> {
    frame: &'a Frame,
    width: u16,
    height: u16,
}

impl ImageBuffer for Picture<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        self.width
    }

    fn height(&self) -> u16 {
        self.height
    }

    fn fill_buffers(&self, y: u16, [luma, blue, red, _]: &mut [Vec<u8>; 4]) {
        let (width, line) = (usize::from(self.width), usize::from(y));
        luma.extend(
            row(self.frame.y(), width, line)
                .iter()
                .map(|&y| LUMA[usize::from(y)]),
        );
        for (buffer, plane) in [(blue, self.frame.u()), (red, self.frame.v())] {
            // The encoder wants as many colours as lumas, and takes their mean again.
            for &colour in row(plane, width / 2, line / 2) {
                buffer.extend([COLOUR[usize::from(colour)]; 2]);
            }
        }
    }
}

fn row(plane: &[u8], width: usize, line: usize) -> &[u8] {
    &plane[width * line..width * (line + 1)]
}

/// Limited range to full range.
const LUMA: [u8; 256] = table(16, 0, 219);
const COLOUR: [u8; 256] = table(128, 128, 224);

const fn table(from: i32, to: i32, range: i32) -> [u8; 256] {
    let mut table = [0; 256];
    let mut value = 0;
    while value < 256 {
        let scaled = (value as i32 - from) * 255;
        let rounded = (scaled + if scaled < 0 { -range / 2 } else { range / 2 }) / range + to;
        table[value] = if rounded < 0 {
            0
        } else if rounded > 255 {
            255
        } else {
            rounded as u8
        };
        value += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FramePool, Timestamp, convert};

    #[test]
    fn a_picture_keeps_its_colours_through_jpeg() {
        let pool = FramePool::new();
        let mut frame = pool.frame(64, 48, Timestamp::now());
        let planes = frame.planes_mut();
        for (line, row) in planes.y.chunks_exact_mut(64).enumerate() {
            row.fill(60 + line as u8 * 3);
        }
        planes.u.fill(118);
        planes.v.fill(140);
        let jpeg = encode(&frame).unwrap();
        assert!(jpeg.len() < frame.data().len() / 2);

        let mut back = pool.frame(64, 48, Timestamp::now());
        convert::mjpeg(&mut back, &jpeg, &mut Vec::new()).unwrap();
        let worst = frame
            .data()
            .iter()
            .zip(back.data())
            .map(|(one, other)| one.abs_diff(*other));
        assert!(worst.max().unwrap() < 8);
    }

    #[test]
    fn black_and_white_use_the_whole_range() {
        assert_eq!((LUMA[16], LUMA[235], LUMA[0], LUMA[255]), (0, 255, 0, 255));
        assert_eq!((COLOUR[128], COLOUR[16], COLOUR[240]), (128, 0, 255));
    }
}
