//! Draws the pattern: dusk over hills, a moon that moves, and two clocks.
//!
//! The landscape is drawn once. A picture is a copy of it, a disc, and the two clocks: a tenth of a
//! millisecond at 1280x720.

use crate::source::glyphs::{self, time_of_day};
use crate::{Frame, FramePool, Timestamp, clock};

/// A colour as BT.601 limited range.
type Yuv = [u8; 3];

const INK: u8 = 235;
/// The moon's way across the sky and back takes this long.
const ORBIT_MS: u64 = 6_000;

/// Paints pictures of one size.
#[derive(Debug)]
pub(crate) struct Painter {
    background: Frame,
    panel: Panel,
    moon: Yuv,
}

/// Where the readable clock stands.
#[derive(Debug, Clone, Copy)]
struct Panel {
    x: usize,
    y: usize,
    width: usize,
    height: usize,
    cell: usize,
}

impl Painter {
    /// A painter for even `width` and `height`.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        let mut background = FramePool::new().frame(width, height, Timestamp::default());
        let panel = Panel::of(width as usize, height as usize);
        landscape(&mut background);
        panel.prepare(&mut background);
        Self {
            background,
            panel,
            moon: yuv(0xff, 0xe6, 0xb0),
        }
    }

    /// Paints the picture of a moment.
    pub(crate) fn paint(&self, frame: &mut Frame, unix_ms: u64) {
        frame.data_mut().copy_from_slice(self.background.data());
        self.paint_moon(frame, unix_ms);
        self.panel.write(frame, unix_ms);
        clock::draw(frame, unix_ms);
    }

    fn paint_moon(&self, frame: &mut Frame, unix_ms: u64) {
        let (width, height) = (frame.width() as f32, frame.height() as f32);
        let angle = (unix_ms % ORBIT_MS) as f32 / ORBIT_MS as f32 * std::f32::consts::TAU;
        let radius = height / 12.0;
        let x = width * (0.5 + 0.38 * angle.cos());
        let y = height * (0.30 + 0.10 * (2.0 * angle).sin());
        disc(frame, [x, y], radius, self.moon);
    }
}

impl Panel {
    fn of(width: usize, height: usize) -> Self {
        let columns = glyphs::CLOCK * (glyphs::WIDTH + 1) - 1;
        let cell = (width * 6 / 10 / columns).min(height / 5 / glyphs::HEIGHT);
        let (text_width, text_height) = (columns * cell, glyphs::HEIGHT * cell);
        let margin = cell * 2;
        let even = |value: usize| value & !1;
        Self {
            x: even(width.saturating_sub(text_width) / 2),
            y: even((height * 62 / 100).min(height.saturating_sub(text_height + margin))),
            width: even(text_width),
            height: even(text_height),
            cell,
        }
    }

    /// Darkens the place of the text, and takes its colour away.
    fn prepare(self, frame: &mut Frame) {
        let margin = self.cell * 2;
        let (left, right) = (
            self.x.saturating_sub(margin) & !1,
            self.x + self.width + margin,
        );
        let (top, bottom) = (
            self.y.saturating_sub(margin) & !1,
            self.y + self.height + margin,
        );
        fill(frame, [left, right], [top, bottom], [28, 132, 124]);
    }

    /// Writes the time of day.
    fn write(self, frame: &mut Frame, unix_ms: u64) {
        let stride = frame.width() as usize;
        let luma = frame.planes_mut().y;
        for (index, glyph) in time_of_day(unix_ms).iter().enumerate() {
            let left = self.x + index * (glyphs::WIDTH + 1) * self.cell;
            for (line, bits) in glyph.iter().enumerate() {
                let top = self.y + line * self.cell;
                for column in (0..glyphs::WIDTH)
                    .filter(|column| bits >> (glyphs::WIDTH - 1 - column) & 1 == 1)
                {
                    let x = left + column * self.cell;
                    for row in luma.chunks_exact_mut(stride).skip(top).take(self.cell) {
                        row[x..x + self.cell].fill(INK);
                    }
                }
            }
        }
    }
}

/// The part that never changes: a sky from indigo to peach, and three ranges of hills.
fn landscape(frame: &mut Frame) {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let (zenith, horizon) = ([0x2a, 0x2d, 0x5e], [0xf0, 0xa8, 0x7c]);
    for y in (0..height).step_by(2) {
        let down = (y as f32 / (height as f32 * 0.62)).min(1.0);
        let mix = |channel: usize| {
            let (from, to) = (zenith[channel] as f32, horizon[channel] as f32);
            (from + (to - from) * down * down) as u8
        };
        fill(frame, [0, width], [y, y + 2], yuv(mix(0), mix(1), mix(2)));
    }
    let ranges: [(f32, f32, f32, Yuv); 3] = [
        (0.56, 0.055, 1.3, yuv(0x8a, 0x6f, 0x8e)),
        (0.66, 0.045, 2.1, yuv(0x4d, 0x5a, 0x7d)),
        (0.80, 0.030, 3.4, yuv(0x1f, 0x3a, 0x4d)),
    ];
    for (level, swing, waves, colour) in ranges {
        for x in (0..width).step_by(2) {
            let along = x as f32 / width as f32 * std::f32::consts::TAU * waves;
            let ridge = level - swing * (along.sin() + 0.4 * (along * 2.7 + level * 9.0).sin());
            let top = (ridge.clamp(0.0, 1.0) * height as f32) as usize & !1;
            fill(frame, [x, x + 2], [top, height], colour);
        }
    }
}

/// Fills an area with even left and top edges.
fn fill(frame: &mut Frame, [left, right]: [usize; 2], [top, bottom]: [usize; 2], colour: Yuv) {
    let (width, height) = (frame.width() as usize, frame.height() as usize);
    let (right, bottom) = (right.min(width), bottom.min(height));
    if left >= right || top >= bottom {
        return;
    }
    let planes = frame.planes_mut();
    for row in planes.y.chunks_exact_mut(width).take(bottom).skip(top) {
        row[left..right].fill(colour[0]);
    }
    for (plane, value) in [(planes.u, colour[1]), (planes.v, colour[2])] {
        for row in plane
            .chunks_exact_mut(width / 2)
            .take(bottom.div_ceil(2))
            .skip(top / 2)
        {
            row[left / 2..right.div_ceil(2)].fill(value);
        }
    }
}

/// Fills a disc, clipped to the picture.
fn disc(frame: &mut Frame, [x, y]: [f32; 2], radius: f32, colour: Yuv) {
    let width = frame.width() as usize;
    let planes = frame.planes_mut();
    disc_plane(planes.y, width, [x, y], radius, colour[0]);
    for (plane, value) in [(planes.u, colour[1]), (planes.v, colour[2])] {
        disc_plane(plane, width / 2, [x / 2.0, y / 2.0], radius / 2.0, value);
    }
}

fn disc_plane(plane: &mut [u8], stride: usize, [x, y]: [f32; 2], radius: f32, value: u8) {
    let (top, bottom) = (
        (y - radius).max(0.0) as usize,
        (y + radius).max(0.0) as usize,
    );
    for (line, row) in plane
        .chunks_exact_mut(stride)
        .enumerate()
        .take(bottom + 1)
        .skip(top)
    {
        let half = (radius * radius - (line as f32 - y).powi(2))
            .max(0.0)
            .sqrt();
        let (left, right) = ((x - half).max(0.0) as usize, (x + half).max(0.0) as usize);
        let right = right.min(stride);
        row[left.min(right)..right].fill(value);
    }
}

/// ITU-R BT.601, limited range.
fn yuv(r: u8, g: u8, b: u8) -> Yuv {
    let [r, g, b] = [r, g, b].map(f32::from);
    [
        16.0 + 0.257 * r + 0.504 * g + 0.098 * b,
        128.0 - 0.148 * r - 0.291 * g + 0.439 * b,
        128.0 + 0.439 * r - 0.368 * g - 0.071 * b,
    ]
    .map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn painted(width: u32, height: u32, unix_ms: u64) -> Frame {
        let mut frame = FramePool::new().frame(width, height, Timestamp::now());
        Painter::new(width, height).paint(&mut frame, unix_ms);
        frame
    }

    #[test]
    fn the_clock_can_be_read_and_the_picture_moves() {
        let now = 1_795_000_123_456;
        let (first, later) = (painted(640, 360, now), painted(640, 360, now + 40));
        assert_eq!(
            clock::read(first.y(), 640, 640, 360),
            Some(now & 0xff_ffff_ffff)
        );
        let below_clock = 640 * 20;
        assert_ne!(first.y()[below_clock..], later.y()[below_clock..]);
    }

    #[test]
    fn every_size_can_be_painted() {
        for (width, height) in [
            (16, 16),
            (16, 480),
            (480, 16),
            (96, 64),
            (320, 180),
            (1920, 1080),
            (720, 1280),
        ] {
            for moment in 0..12 {
                painted(width, height, 1_795_000_000_000 + moment * 500);
            }
        }
    }
}
