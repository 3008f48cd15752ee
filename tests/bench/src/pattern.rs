//! Moving pictures with Heron's clock in them, raw: what every server of a bench encodes.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use heron_media::{FramePool, Timestamp, clock};

/// The width of the bars that move through the picture.
const BAR: usize = 64;
/// How far noise departs from the bars, in steps of luma.
const GRAIN: u64 = 48;

/// What is drawn, and how it is written.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// In pixels, even.
    pub width: u32,
    /// In pixels, even.
    pub height: u32,
    /// Frames per second.
    pub fps: u32,
    /// The lowest third is noise that no encoder can foresee: any bitrate is used up.
    pub noise: bool,
    /// With the headers of YUV4MPEG2, or I420 and nothing else.
    pub y4m: bool,
}

/// Writes pictures to standard output, paced, until nobody reads them.
///
/// The clock says when the picture was drawn.
pub fn run(pattern: Pattern) -> Result<()> {
    let Pattern {
        width, height, fps, ..
    } = pattern;
    let pool = FramePool::new();
    let mut output = std::io::stdout().lock();
    if pattern.y4m {
        writeln!(output, "YUV4MPEG2 W{width} H{height} F{fps}:1 Ip A1:1 C420")?;
    }
    let mut random = 1;
    let begin = Instant::now();
    for index in 0u32.. {
        let due = begin + Duration::from_secs_f64(f64::from(index) / f64::from(fps));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut frame = pool.frame(width, height, Timestamp::now());
        let planes = frame.planes_mut();
        bars(planes.y, width as usize, 4 * index as usize);
        if pattern.noise {
            let from = planes.y.len() / 3 * 2;
            grain(&mut planes.y[from..], &mut random);
        }
        planes.u.fill(110);
        planes.v.fill(140);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        clock::draw(&mut frame, now.as_millis() as u64);
        let header: &[u8] = if pattern.y4m { b"FRAME\n" } else { b"" };
        if output
            .write_all(header)
            .and_then(|()| output.write_all(frame.data()))
            .and_then(|()| output.flush())
            .is_err()
        {
            break;
        }
    }
    Ok(())
}

fn bars(luma: &mut [u8], width: usize, shift: usize) {
    for (y, row) in luma.chunks_exact_mut(width).enumerate() {
        for (x, luma) in row.iter_mut().enumerate() {
            let bar = (x + y + shift) / BAR % 8;
            *luma = (40 + 20 * bar + (x ^ y) % 16) as u8;
        }
    }
}

/// The same in every run: xorshift64, eight pixels a step.
fn grain(luma: &mut [u8], random: &mut u64) {
    for pixels in luma.chunks_mut(8) {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        for (index, luma) in pixels.iter_mut().enumerate() {
            *luma += ((*random >> (8 * index) & 0xff) * GRAIN / 256) as u8;
        }
    }
}
