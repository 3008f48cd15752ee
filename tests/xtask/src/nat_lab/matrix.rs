//! Every camera watched by every viewer, and what theory says of it.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use heron_net_lab::Access;
use serde::{Deserialize, Serialize};

use super::world::{Role, World, folder};
use crate::node::Node;
use crate::{browser, table, workspace};

/// From the click to the first frame of each pair. The script has them too: it tries a slow pair thrice.
const DIRECT_MS: f64 = 1000.0;
const RELAYED_MS: f64 = 1500.0;

/// What a script saw of a pair.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Seen {
    camera: String,
    viewer: String,
    /// From the click to the first frame, in milliseconds; none: no picture in time.
    ms: Option<f64>,
    /// The viewer's and the camera's end of the path, as the viewer's browser names the candidates.
    local: String,
    remote: String,
    /// What the path is made of at the viewer's end: udp, tcp, or to its relay udp, tcp or tls.
    protocol: String,
    /// The phases of the start, as the page has them.
    phases: serde_json::Value,
    /// What the page said where there was no picture.
    said: String,
    /// Every start, where the first was slow: the middle one counts.
    starts: Vec<f64>,
    /// The candidates and what became of them, where there was no picture.
    tried: Vec<String>,
}

impl Seen {
    fn relayed(&self) -> bool {
        self.local == "relay" || self.remote == "relay"
    }

    /// A cell of the table.
    fn cell(&self, direct: bool) -> String {
        let Some(ms) = self.ms else {
            return "NONE".to_owned();
        };
        let path = match (self.relayed(), direct) {
            (true, true) => "RELAYED",
            (true, false) => "relay",
            (false, _) => "direct",
        };
        format!("{path} {} {ms:.0}", self.protocol)
    }
}

/// Tries the pairs, prints the table, and fails when a pair was missed; when times were, only if they are `held`: a
/// test among others does not hold them.
pub fn run(node: &Node, cameras: &[Access], viewers: &[Access], held: bool) -> Result<()> {
    let mut world = World::new(&folder(), "")?;
    for (role, kinds) in [(Role::Camera, cameras), (Role::Viewer, viewers)] {
        for kind in kinds {
            world.add(role, *kind)?;
        }
    }
    for kind in cameras {
        world.start_camera(*kind)?;
    }
    let pairs = cameras.len() * viewers.len();
    println!("  {} cameras, {} viewers", cameras.len(), viewers.len());
    let input = world.input(cameras, viewers)?;
    let limit = Duration::from_secs(120 + 25 * u64::try_from(pairs)?);
    let outcome = browser::run(node, "nat-lab", &input, limit, &mut |_, _| {
        bail!("nothing to ask")
    })?;
    world.ensure_running()?;
    let seen: Vec<Seen> = serde_json::from_value(outcome.data)?;
    conclude(&seen, pairs, held)
}

/// What the figures are, and what of them was missed.
fn conclude(seen: &[Seen], pairs: usize, held: bool) -> Result<()> {
    let mut missed = Vec::new();
    let (mut direct, mut relayed) = (Vec::new(), Vec::new());
    let mut rows = Vec::new();
    for one in seen {
        let kind = |name: &str| Access::named(name).with_context(|| format!("no kind is {name}"));
        let allowed = kind(&one.camera)?.reaches(kind(&one.viewer)?);
        let pair = format!("camera {} and viewer {}", one.camera, one.viewer);
        match one.ms {
            None => missed.push(format!("{pair}: no picture; the page says: {}", one.said)),
            Some(ms) => {
                let (kind, budget) = match one.relayed() {
                    true => (&mut relayed, RELAYED_MS),
                    false => (&mut direct, DIRECT_MS),
                };
                kind.push(ms);
                if held && ms > budget {
                    missed.push(format!(
                        "{pair}: {ms:.0} ms in the middle of three starts, {budget:.0} are allowed"
                    ));
                }
            }
        }
        if one.ms.is_some() && one.local.is_empty() {
            missed.push(format!("{pair}: a picture, and no path is known"));
        }
        if one.ms.is_some() && one.relayed() && allowed {
            missed.push(format!("{pair}: relayed, and theory allows a direct path"));
        }
        rows.push((one, allowed));
    }
    print_matrix(&rows);
    print_pairs(&rows);
    let file = workspace::target().join("bench/nat-lab.json");
    fs::create_dir_all(workspace::target().join("bench"))?;
    let (direct_ms, relayed_ms) = (median(&mut direct), median(&mut relayed));
    let thrice = seen.iter().filter(|one| !one.starts.is_empty()).count();
    let data = serde_json::json!({
        "figures": {
            "pairs": pairs,
            "connected": direct.len() + relayed.len(),
            "direct": direct.len(),
            "relayed": relayed.len(),
            "direct_p50_ms": direct_ms,
            "relayed_p50_ms": relayed_ms,
            "direct_max_ms": direct.last(),
            "relayed_max_ms": relayed.last(),
            "tried_thrice": thrice,
        },
        "pairs": seen,
    });
    fs::write(&file, serde_json::to_vec_pretty(&data)?)?;
    println!("  All figures are in {}", file.display());
    if seen.len() < pairs {
        missed.push(format!("{} of {pairs} pairs were tried", seen.len()));
    }
    for one in &missed {
        println!("  MISSED: {one}");
    }
    let ms = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0} ms"));
    println!(
        "nat-lab: {} of {pairs} pairs connect, {} directly (median {}, slowest {}, budget {DIRECT_MS:.0}), {} relayed \
         (median {}, slowest {}, budget {RELAYED_MS:.0}), {thrice} tried thrice",
        direct.len() + relayed.len(),
        direct.len(),
        ms(direct_ms),
        ms(direct.last().copied()),
        relayed.len(),
        ms(relayed_ms),
        ms(relayed.last().copied())
    );
    if !missed.is_empty() {
        bail!(
            "{} of the laboratory's expectations were missed",
            missed.len()
        );
    }
    Ok(())
}

/// Cameras downwards, viewers across: the path, what it is made of at the viewer's end, milliseconds.
fn print_matrix(rows: &[(&Seen, bool)]) {
    let mut viewers: Vec<&str> = Vec::new();
    let mut cameras: Vec<&str> = Vec::new();
    for (seen, _) in rows {
        if !viewers.contains(&&*seen.viewer) {
            viewers.push(&seen.viewer);
        }
        if !cameras.contains(&&*seen.camera) {
            cameras.push(&seen.camera);
        }
    }
    let heading: Vec<&str> = ["camera \\ viewer"]
        .into_iter()
        .chain(viewers.iter().copied())
        .collect();
    let lines: Vec<Vec<String>> = cameras
        .iter()
        .map(|camera| {
            let cells = viewers.iter().map(|viewer| {
                let pair =
                    |(seen, _): &&(&Seen, bool)| seen.camera == *camera && seen.viewer == *viewer;
                let found = rows.iter().find(pair);
                found.map_or_else(String::new, |(seen, direct)| seen.cell(*direct))
            });
            std::iter::once((*camera).to_owned()).chain(cells).collect()
        })
        .collect();
    table::print(&heading, &lines);
}

/// Each pair with its phases.
fn print_pairs(rows: &[(&Seen, bool)]) {
    let heading = [
        "camera",
        "viewer",
        "theory",
        "path (viewer to camera)",
        "by",
        "answered",
        "ice",
        "dtls",
        "first frame",
    ];
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|(seen, direct)| {
            let phase = |name: &str| {
                let ms = seen.phases.get(name).and_then(serde_json::Value::as_f64);
                ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"))
            };
            vec![
                seen.camera.clone(),
                seen.viewer.clone(),
                if *direct { "direct" } else { "relay" }.to_owned(),
                format!("{} to {}", seen.local, seen.remote),
                seen.protocol.clone(),
                phase("answered_ms"),
                phase("ice_ms"),
                phase("dtls_ms"),
                seen.ms
                    .map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}")),
            ]
        })
        .collect();
    table::print(&heading, &lines);
}

/// The middle one, the lower of two; none of nothing.
fn median(sample: &mut [f64]) -> Option<f64> {
    sample.sort_by(f64::total_cmp);
    let middle = sample.len().checked_sub(1)? / 2;
    sample.get(middle).copied()
}
