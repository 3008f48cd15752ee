//! A fixed number of viewers for a fixed time.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use crate::crowd::Crowd;
use crate::statistics::Summary;
use crate::viewer::Counts;
use crate::whep::Endpoint;

/// Between one viewer's coming and the next one's.
const STAGGER: Duration = Duration::from_millis(20);
/// How long everybody may take until they have a picture.
const START: Duration = Duration::from_secs(60);

/// Who watches what for how long.
#[derive(Debug)]
pub struct Options {
    /// What they watch.
    pub endpoint: Endpoint,
    /// The address they receive at.
    pub address: IpAddr,
    /// How many there are.
    pub viewers: usize,
    /// From everybody's having a picture to the begin of the count.
    pub settle: Duration,
    /// How long is counted.
    pub time: Duration,
}

/// What came in the time that is counted, of all viewers together.
#[derive(Debug, Serialize)]
pub struct Report {
    /// How many watched.
    pub viewers: usize,
    /// How long, in seconds.
    pub seconds: f64,
    /// What came.
    #[serde(flatten)]
    pub counts: Counts,
    /// From an offer to ICE and DTLS being done, in ms.
    pub connect_ms: Summary,
    /// From an offer to the end of the first key frame, in ms.
    pub first_frame_ms: Summary,
    /// From capture to the last packet's arrival, in ms, where the server says when it captured.
    pub age_ms: Summary,
}

/// Watches. Calls `steady` when the count begins and `done` when it ends.
pub fn run(options: &Options, steady: impl FnOnce(), done: impl FnOnce()) -> Result<Report> {
    let mut crowd = Crowd::new(options.endpoint.clone(), options.address);
    let begin = Instant::now();
    for _ in 0..options.viewers {
        crowd.join()?;
        crowd.serve(Instant::now() + STAGGER, &mut |_, _| false)?;
    }
    while crowd
        .viewers()
        .any(|(_, viewer)| viewer.first_frame().is_none())
    {
        if begin.elapsed() > START {
            let dark = crowd
                .viewers()
                .filter(|(_, viewer)| viewer.first_frame().is_none());
            bail!(
                "{} of {} viewers have no picture after {} s",
                dark.count(),
                options.viewers,
                START.as_secs()
            );
        }
        crowd.serve(Instant::now() + STAGGER, &mut |_, _| false)?;
    }
    crowd.serve(Instant::now() + options.settle, &mut |_, _| false)?;
    let before = crowd.counts();
    let mut ages = Vec::new();
    steady();
    let begin = Instant::now();
    crowd.serve(begin + options.time, &mut |_, seen| {
        if let (true, Some(age)) = (seen.ends, seen.age) {
            ages.push(age.as_secs_f64() * 1e3);
        }
        false
    })?;
    let seconds = begin.elapsed().as_secs_f64();
    done();
    let counts = crowd.counts().since(&before);
    let ms = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1e3;
    let connects: Vec<f64> = crowd
        .viewers()
        .map(|(_, viewer)| ms(viewer.connected()))
        .collect();
    let firsts: Vec<f64> = crowd
        .viewers()
        .map(|(_, viewer)| ms(viewer.first_frame()))
        .collect();
    crowd.leave_all();
    Ok(Report {
        viewers: options.viewers,
        seconds,
        counts,
        connect_ms: Summary::of(&connects),
        first_frame_ms: Summary::of(&firsts),
        age_ms: Summary::of(&ages),
    })
}
