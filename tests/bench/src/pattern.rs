//! A moving picture with Heron's clock in it, raw: what the peers encode in `bench latency`.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use heron_media::{FramePool, Timestamp, clock};

/// The width of the bars that move through the picture.
const BAR: usize = 64;

/// Writes I420 frames to standard output, paced, until nobody reads them.
///
/// The clock says when the picture was drawn.
pub fn run(width: u32, height: u32, fps: u32) -> Result<()> {
    let pool = FramePool::new();
    let mut output = std::io::stdout().lock();
    let begin = Instant::now();
    for index in 0u32.. {
        let due = begin + Duration::from_secs_f64(f64::from(index) / f64::from(fps));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut frame = pool.frame(width, height, Timestamp::now());
        let planes = frame.planes_mut();
        let shift = 4 * index as usize;
        for (y, row) in planes.y.chunks_exact_mut(width as usize).enumerate() {
            for (x, luma) in row.iter_mut().enumerate() {
                let bar = (x + y + shift) / BAR % 8;
                *luma = (40 + 20 * bar + (x ^ y) % 16) as u8;
            }
        }
        planes.u.fill(110);
        planes.v.fill(140);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        clock::draw(&mut frame, now.as_millis() as u64);
        if output
            .write_all(frame.data())
            .and_then(|()| output.flush())
            .is_err()
        {
            break;
        }
    }
    Ok(())
}
