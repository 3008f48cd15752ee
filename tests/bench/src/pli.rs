//! From a PLI to the IDR on the wire.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::crowd::Crowd;
use crate::whep::Endpoint;

/// How long the first picture, and every answer to a PLI, may take.
const LIMIT: Duration = Duration::from_secs(15);

/// How a server answered one PLI.
#[derive(Debug, Serialize)]
pub struct Answered {
    /// Pictures that began to arrive after the PLI had left, the IDR with them.
    pub frames: u32,
    /// From the PLI's leaving to the IDR's first packet, in ms.
    pub ms: f64,
}

/// Sends `count` PLIs, each `gap` after the last one's answer.
pub fn run(
    endpoint: &Endpoint,
    address: IpAddr,
    count: usize,
    gap: Duration,
) -> Result<Vec<Answered>> {
    let mut crowd = Crowd::new(endpoint.clone(), address);
    let viewer = crowd.join()?;
    crowd.serve(Instant::now() + LIMIT, &mut |_, seen| seen.idr)?;
    let mut answers = Vec::new();
    for index in 0..count {
        // Not in step with the pictures: each PLI comes at another point between two.
        let jitter = Duration::from_micros(index as u64 * 7_919 % 33_000);
        crowd.serve(Instant::now() + gap + jitter, &mut |_, _| false)?;
        if let Some(viewer) = crowd.viewer_mut(viewer) {
            viewer.request_key_frame();
            viewer.drive(Instant::now())?;
        }
        let sent = Instant::now();
        let mut frames = 0;
        let mut answer = None;
        crowd.serve(sent + LIMIT, &mut |_, seen| {
            frames += u32::from(seen.begins);
            if seen.idr {
                answer = Some(seen.at - sent);
            }
            seen.idr
        })?;
        let Some(time) = answer else {
            bail!("no key frame within {} s of PLI {index}", LIMIT.as_secs());
        };
        answers.push(Answered {
            frames,
            ms: time.as_secs_f64() * 1e3,
        });
    }
    crowd.leave_all();
    Ok(answers)
}
