//! `cargo xtask soak`: viewers come and go for a long time, and nothing of the camera grows.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use heron_bench::statistics::{slope, thirds};
use serde::Deserialize;
use serde_json::{Value, json};

use super::subject::{self, Subject};
use super::usage;
use crate::{netns, table, workspace};

/// Never more than this many at once: the machine also encodes, and receives.
const MOST: &str = "6";
/// Samples a run has about, whatever its length.
const SAMPLES: f64 = 90.0;
/// The first part of a run is left out: what is allocated once is allocated then.
const WARM_UP: f64 = 0.1;
/// Fewer samples say nothing about growth.
const FEWEST: usize = 9;
/// Rows of the table.
const ROWS: usize = 15;

/// What the light viewers say each interval.
#[derive(Deserialize)]
struct Report {
    seconds: f64,
    viewers: usize,
    joined: usize,
    frames: u64,
    age_ms: Summary,
    first_frame_ms: Summary,
}

#[derive(Deserialize)]
struct Summary {
    median: f64,
    p95: f64,
    count: usize,
}

/// A report with what the camera used at that moment.
struct Sample {
    report: Report,
    rss: f64,
    threads: f64,
    descriptors: f64,
    processor_s: f64,
}

/// What must not grow, and by how much it may differ between the first and the last third.
struct Watched {
    name: &'static str,
    unit: &'static str,
    figure: fn(&Sample) -> f64,
    /// Of the first third's median.
    share: f64,
    /// More than that, in its unit.
    more: f64,
}

const WATCHED: [Watched; 5] = [
    Watched {
        name: "latency_p50",
        unit: "ms",
        figure: |sample| sample.report.age_ms.median,
        share: 0.2,
        more: 5.0,
    },
    Watched {
        name: "latency_p95",
        unit: "ms",
        figure: |sample| sample.report.age_ms.p95,
        share: 0.5,
        more: 20.0,
    },
    Watched {
        name: "memory_rss",
        unit: "mib",
        figure: |sample| sample.rss,
        share: 0.05,
        more: 3.0,
    },
    Watched {
        name: "threads",
        unit: "count",
        figure: |sample| sample.threads,
        share: 0.0,
        more: 2.0,
    },
    Watched {
        name: "descriptors",
        unit: "count",
        figure: |sample| sample.descriptors,
        // Viewers who are here by chance hold a few.
        share: 0.0,
        more: 6.0,
    },
];

/// Runs for so many minutes, prints the table, and fails when something grew or a viewer had no picture.
pub fn run(minutes: f64, seed: u64) -> Result<()> {
    if !netns::inside() {
        subject::prepare(false)?;
    }
    netns::enter()?;
    let folder = workspace::target().join("bench");
    let mut camera = Subject::heron(&folder.join("soak"))?;
    let seconds = minutes * 60.0;
    let interval = (seconds / SAMPLES).max(1.0);
    let options: Vec<String> = [
        ("--most", MOST.to_owned()),
        ("--seed", seed.to_string()),
        ("--seconds", seconds.to_string()),
        ("--interval", interval.to_string()),
    ]
    .into_iter()
    .flat_map(|(name, value)| [name.to_owned(), value])
    .collect();
    println!(
        "  {minutes} minutes, seed {seed}, up to {MOST} viewers, a sample each {interval:.0} s"
    );
    let mut crowd = camera.viewers("wander", &options)?;
    let mut samples = Vec::new();
    let mut total = Value::Null;
    while let Some(line) = crowd.line()? {
        let said: Value = serde_json::from_str(&line)?;
        camera.ensure_running()?;
        if said.get("joined").is_none() {
            total = said;
            continue;
        }
        samples.push(Sample {
            report: serde_json::from_value(said)?,
            rss: usage::memory(camera.id)?.rss,
            threads: usage::threads(camera.id)? as f64,
            descriptors: usage::descriptors(camera.id)? as f64,
            processor_s: usage::processor_s(camera.id)?,
        });
    }
    // Everybody has left: the encoder ends, and only what is always there remains.
    std::thread::sleep(Duration::from_secs(10));
    let idle = (usage::threads(camera.id)?, usage::descriptors(camera.id)?);
    print(&samples);
    println!(
        "  Nobody watching afterwards: {} threads, {} file descriptors",
        idle.0, idle.1
    );
    conclude(minutes, seed, &samples, &total, &folder.join("soak.json"))
}

fn print(samples: &[Sample]) {
    let step = samples.len().div_ceil(ROWS).max(1);
    let rows = samples.iter().step_by(step).map(|sample| {
        let report = &sample.report;
        let first = match report.first_frame_ms.count {
            0 => "-".to_owned(),
            _ => format!("{:.0}", report.first_frame_ms.median),
        };
        vec![
            format!("{:.1}", report.seconds / 60.0),
            report.viewers.to_string(),
            report.joined.to_string(),
            report.frames.to_string(),
            format!("{:.1}", report.age_ms.median),
            format!("{:.1}", report.age_ms.p95),
            first,
            format!("{:.1}", sample.rss),
            format!("{:.0}", sample.threads),
            format!("{:.0}", sample.descriptors),
            format!("{:.1}", sample.processor_s),
        ]
    });
    let heading = [
        "min", "viewers", "came", "pictures", "p50 ms", "p95 ms", "first ms", "RSS MiB", "threads",
        "fds", "CPU s",
    ];
    table::print(&heading, &rows.collect::<Vec<_>>());
}

fn conclude(
    minutes: f64,
    seed: u64,
    samples: &[Sample],
    total: &Value,
    file: &std::path::Path,
) -> Result<()> {
    let warm = &samples[(samples.len() as f64 * WARM_UP) as usize..];
    // Without a viewer there is no latency to tell, and less of everything else.
    let watched: Vec<&Sample> = warm
        .iter()
        .filter(|one| one.report.age_ms.count > 0)
        .collect();
    if watched.len() < FEWEST {
        bail!(
            "only {} samples with a viewer: run for longer",
            watched.len()
        );
    }
    let (mut figures, mut rows, mut grown) = (json!({}), Vec::new(), Vec::new());
    for Watched {
        name,
        unit,
        figure,
        share,
        more,
    } in &WATCHED
    {
        let values: Vec<f64> = watched.iter().map(|sample| figure(sample)).collect();
        let times = watched.iter().map(|sample| sample.report.seconds / 3600.0);
        let points: Vec<(f64, f64)> = times.zip(values.iter().copied()).collect();
        let ((first, last), rise) = (thirds(&values), slope(&points));
        let limit = first * (1.0 + share) + more;
        figures[format!("{name}_first_third_{unit}")] = first.into();
        figures[format!("{name}_last_third_{unit}")] = last.into();
        figures[format!("{name}_slope_{unit}_per_hour")] = rise.into();
        rows.push(vec![
            name.replace('_', " "),
            format!("{first:.1}"),
            format!("{last:.1}"),
            format!("{limit:.1}"),
            format!("{rise:.1}"),
        ]);
        if last > limit {
            grown.push(format!("{name} from {first:.1} to {last:.1} {unit}"));
        }
    }
    table::print(
        &["what", "first third", "last third", "limit", "per hour"],
        &rows,
    );
    let last = &samples.last().context("no samples")?.report;
    let lost = total["lost"].as_u64().unwrap_or_default();
    figures["viewers_joined"] = last.joined.into();
    figures["lost_packets"] = lost.into();
    let data = json!({ "figures": figures, "spread": {}, "seed": seed, "minutes": minutes });
    std::fs::write(file, serde_json::to_vec_pretty(&data)?)?;
    println!("  All figures are in {}", file.display());
    println!(
        "soak: {minutes} minutes, {} viewers came, {lost} packets lost; {}",
        last.joined,
        if grown.is_empty() {
            "nothing grew".to_owned()
        } else {
            format!("GREW: {}", grown.join(", "))
        }
    );
    if !grown.is_empty() {
        bail!("{}", grown.join(", "));
    }
    Ok(())
}
