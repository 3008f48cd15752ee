//! Viewers who come and go at random, by seed.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, SeedableRng};
use serde::Serialize;

use crate::crowd::Crowd;
use crate::statistics::Summary;
use crate::viewer::Counts;
use crate::whep::Endpoint;

/// Somebody comes or goes at moments this far apart on average.
const CHANGE: Duration = Duration::from_secs(3);
/// A viewer who is here this long has a picture.
const PICTURE: Duration = Duration::from_secs(10);

/// Who comes and goes.
#[derive(Debug)]
pub struct Options {
    /// What they watch.
    pub endpoint: Endpoint,
    /// The address they receive at.
    pub address: IpAddr,
    /// Never more than this many at once.
    pub most: usize,
    /// The same seed, the same coming and going.
    pub seed: u64,
    /// How long, altogether.
    pub time: Duration,
    /// How often there is a [`Sample`].
    pub interval: Duration,
}

/// What came in one interval, of all viewers together.
#[derive(Debug, Serialize)]
pub struct Sample {
    /// Since the begin, in seconds.
    pub seconds: f64,
    /// Who is here now.
    pub viewers: usize,
    /// Who has come so far.
    pub joined: usize,
    /// Pictures that came.
    pub frames: u64,
    /// From capture to the last packet's arrival, in ms.
    pub age_ms: Summary,
    /// From an offer to the end of the first key frame, in ms, of those who left.
    pub first_frame_ms: Summary,
}

/// Lets viewers come and go; gives a sample each interval, and at the end what came altogether.
///
/// An error when somebody was refused, thrown out or left without a picture.
pub fn run(options: &Options, mut each: impl FnMut(&Sample)) -> Result<Counts> {
    let mut random = StdRng::seed_from_u64(options.seed);
    let mut crowd = Crowd::new(options.endpoint.clone(), options.address);
    let mut total = Counts::default();
    let mut joined = 0;
    let mut arrived = Vec::new();
    let mut firsts = Vec::new();
    let begin = Instant::now();
    let end = begin + options.time;
    let (mut change, mut report) = (begin, begin + options.interval);
    let (mut ages, mut frames) = (Vec::new(), 0);
    while Instant::now() < end {
        crowd.serve(change.min(report).min(end), &mut |_, seen| {
            frames += u64::from(seen.ends);
            if let (true, Some(age)) = (seen.ends, seen.age) {
                ages.push(age.as_secs_f64() * 1e3);
            }
            false
        })?;
        let now = Instant::now();
        if now >= change {
            change = now + CHANGE.mul_f64(2.0 * random.random::<f64>());
            let here = crowd.viewers().count();
            // As many come as go, from nobody to the most there may be.
            if random.random_range(0..options.most) >= here {
                arrived.push((crowd.join()?, now));
                joined += 1;
            } else {
                let settled = crowd
                    .viewers()
                    .filter(|(_, one)| one.first_frame().is_some());
                let leaving = settled
                    .map(|(id, one)| (id, one.first_frame()))
                    .choose(&mut random);
                if let Some((id, first)) = leaving {
                    firsts.push(first.unwrap_or_default().as_secs_f64() * 1e3);
                    arrived.retain(|(other, _)| *other != id);
                    total.add(&crowd.leave(id).unwrap_or_default());
                }
            }
        }
        for (id, one) in crowd.viewers() {
            let came = arrived.iter().find(|(other, _)| *other == id);
            if one.first_frame().is_none() && came.is_some_and(|(_, at)| now - *at > PICTURE) {
                bail!("viewer {id} has no picture after {} s", PICTURE.as_secs());
            }
        }
        if now >= report {
            report += options.interval;
            each(&Sample {
                seconds: (now - begin).as_secs_f64(),
                viewers: crowd.viewers().count(),
                joined,
                frames: std::mem::take(&mut frames),
                age_ms: Summary::of(&std::mem::take(&mut ages)),
                first_frame_ms: Summary::of(&std::mem::take(&mut firsts)),
            });
        }
    }
    total.add(&crowd.counts());
    crowd.leave_all();
    Ok(total)
}
