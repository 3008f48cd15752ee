//! `cargo xtask bench pli`: from a viewer's PLI to the IDR on the wire.

use std::process::Command;

use anyhow::{Context, Result, bail};
use heron_bench::statistics::Summary;
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{self, Servers};
use super::subject::{self, Content};
use crate::{netns, step, table};

/// Pictures that may arrive after the PLI, the IDR with them.
const WANTED: f64 = 2.0;

/// How a server answered one PLI.
#[derive(Clone, Copy, Deserialize)]
struct Answered {
    frames: f64,
    ms: f64,
}

/// What a server did about all of them.
#[derive(Clone, Copy)]
struct Figures {
    frames: Summary,
    ms: Summary,
}

/// Measures, prints the table, and fails when the first server ever takes more than two frames.
pub fn run(count: u32, names: &[String]) -> Result<()> {
    if !netns::inside() {
        subject::prepare(false)?;
    }
    netns::enter()?;
    let folder = server::folder()?;
    let mut servers = Servers::new(folder.join("pli"), Content::Bars);
    let (mut rows, mut figures, mut spread) = (Vec::new(), json!({}), json!({}));
    let mut own = None;
    for name in names {
        let joined = servers.serve(name)?;
        let Figures { frames, ms } = ask(&joined, count).with_context(|| name.clone())?;
        for (metric, summary) in [("frames", frames), ("ms", ms)] {
            figures[format!("{name}_{metric}_p50")] = summary.median.into();
            figures[format!("{name}_{metric}_max")] = summary.most.into();
            spread[format!("{name}_{metric}")] = json!(summary);
        }
        rows.push(vec![
            name.clone(),
            format!("{:.1}", frames.median),
            format!("{:.0}", frames.most),
            format!("{:.1}", ms.median),
            format!("{:.1}", ms.most),
        ]);
        own.get_or_insert(Figures { frames, ms });
    }
    let heading = ["server", "frames p50", "frames max", "ms p50", "ms max"];
    table::print(&heading, &rows);
    let data = json!({ "figures": figures, "spread": spread });
    server::write(&folder.join("pli.json"), &data)?;
    let Figures { frames, ms } = own.context("nothing measured")?;
    println!(
        "pli: IDR after {:.1} frames, {:.0} at most (wanted {WANTED:.0}), in {:.1} ms, {:.1} at most, over {count} PLIs",
        frames.median, frames.most, ms.median, ms.most,
    );
    if frames.most > WANTED {
        bail!(
            "an IDR came {:.0} frames after its PLI, {WANTED:.0} are allowed",
            frames.most
        );
    }
    Ok(())
}

/// Has the light client send its PLIs.
fn ask(joined: &Value, count: u32) -> Result<Figures> {
    let mut command = Command::new(subject::program());
    command.args(["pli", "--count", &count.to_string()]);
    for (option, key) in [("--whep", "whep"), ("--token", "token")] {
        if let Some(value) = joined[key].as_str() {
            command.args([option, value]);
        }
    }
    let said = step::output(&mut command)?;
    let answers: Vec<Answered> = serde_json::from_str(said.trim())?;
    let frames: Vec<f64> = answers.iter().map(|answer| answer.frames).collect();
    let ms: Vec<f64> = answers.iter().map(|answer| answer.ms).collect();
    Ok(Figures {
        frames: Summary::of(&frames),
        ms: Summary::of(&ms),
    })
}
