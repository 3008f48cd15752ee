//! `cargo xtask bench footprint`: how large the camera's program is, on disk and in memory.
//!
//! Memory is that of the camera encoding 720p30 and sound by itself. For aarch64 there is the size alone: memory under
//! an emulator would be the emulator's.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::subject::{self, PROFILE, Subject};
use super::usage;
use crate::arm_lab::cross;
use crate::{build, netns, packages, table, workspace};

/// With so many watching.
const VIEWERS: [usize; 3] = [0, 1, 10];
/// The program on disk, in MB (10⁶ bytes), and resident with one viewer, in MiB.
const WANTED_MB: f64 = 15.0;
const WANTED_MIB: f64 = 64.0;
/// How long somebody has watched when memory is read, in seconds.
const WATCHED: &str = "8";

/// Measures, prints the table, and fails when a limit is passed.
pub fn run(arm: bool) -> Result<()> {
    if !netns::inside() {
        subject::prepare(false)?;
        if arm {
            packages::ensure_arm_lab()?;
            cross::build_released()?;
        }
    }
    netns::enter()?;
    let folder = workspace::target().join("bench");
    let mut figures = Map::new();
    let mut rows = Vec::new();
    let mut note = |name: &str, value: f64, unit: &str, limit: Option<f64>| {
        figures.insert(name.to_owned(), value.into());
        let wanted = limit.map_or_else(|| "-".to_owned(), |limit| format!("{limit:.0}"));
        let words = name.replace('_', " ");
        rows.push(vec![words, format!("{value:.1}"), unit.to_owned(), wanted]);
    };
    let size = megabytes(&build::built(PROFILE).camera)?;
    note("program_mb", size, "MB", Some(WANTED_MB));
    let mut largest = size;
    if arm {
        let size = megabytes(&cross::released())?;
        note("program_aarch64_mb", size, "MB", Some(WANTED_MB));
        largest = largest.max(size);
    }
    let camera = Subject::heron(&folder.join("footprint"))?;
    note("start_ms", camera.start.as_secs_f64() * 1e3, "ms", None);
    let mut with_one = 0.0;
    for viewers in VIEWERS {
        let memory = if viewers == 0 {
            thread::sleep(Duration::from_secs(2));
            usage::memory(camera.id)?
        } else {
            let options = ["--viewers", &viewers.to_string(), "--seconds", WATCHED];
            let mut crowd = camera.viewers("watch", &options.map(str::to_owned))?;
            while crowd.expect()? != "done" {}
            let memory = usage::memory(camera.id)?;
            while crowd.line()?.is_some() {}
            memory
        };
        if viewers == 1 {
            with_one = memory.rss;
        }
        let limit = (viewers == 1).then_some(WANTED_MIB);
        note(
            &format!("rss_mib_with_{viewers}_viewers"),
            memory.rss,
            "MiB",
            limit,
        );
        note(
            &format!("pss_mib_with_{viewers}_viewers"),
            memory.pss,
            "MiB",
            None,
        );
    }
    table::print(&["what", "figure", "unit", "limit"], &rows);
    let file = folder.join("footprint.json");
    let data = json!({ "figures": Value::from(figures), "spread": {} });
    fs::write(&file, serde_json::to_vec_pretty(&data)?)?;
    println!("  All figures are in {}", file.display());
    println!(
        "footprint: {largest:.1} MB on disk (limit {WANTED_MB:.0}), {with_one:.1} MiB with one viewer (limit {WANTED_MIB:.0})"
    );
    if largest > WANTED_MB || with_one > WANTED_MIB {
        bail!("the camera is larger than its limits");
    }
    Ok(())
}

/// The size of a stripped program: both profiles strip.
fn megabytes(program: &Path) -> Result<f64> {
    Ok(fs::metadata(program)?.len() as f64 / 1e6)
}
