//! `cargo xtask bench fanout`: what a viewer costs the server, beside Janus and GStreamer's webrtcbin.
//!
//! All servers send the same H.264 stream to the same light viewers, and none encodes. They take
//! turns within each run, so that whatever else the machine does hits all of them.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use heron_bench::statistics::Summary;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::subject::{self, HERON, Shown, Subject};
use super::usage;
use crate::{netns, table, workspace};

const PEERS: [&str; 2] = ["janus", "webrtcbin"];
/// How many watch at once.
const VIEWERS: [usize; 3] = [1, 10, 50];
/// Heron's processor time a viewer may be this much of the better peer's, with the most viewers.
const WANTED: f64 = 0.5;
/// From everybody's having a picture to the count: bandwidth estimates begin low.
const SETTLE_S: &str = "6";
/// Who sends fewer of the 30 pictures a second saves what the others spend.
const FEWEST_FPS: f64 = 29.0;
/// From the last viewer's leaving to the next one's coming.
const PAUSE: Duration = Duration::from_secs(1);

/// What the light viewers say at the end.
#[derive(Deserialize)]
struct Report {
    packets: u64,
    frames: u64,
    lost: u64,
    age_ms: Age,
}

#[derive(Deserialize)]
struct Age {
    p95: f64,
}

/// One server with one number of viewers, once.
struct Measured {
    server: &'static str,
    viewers: usize,
    /// Processor time a second of all viewers, in % of a core.
    percent: f64,
    /// Processor time for each packet that arrived, in µs.
    packet_us: f64,
    /// Pictures a second and viewer.
    fps: f64,
    /// Packets a second and viewer.
    packets: f64,
    lost: u64,
    rss: f64,
    pss: f64,
    age_p95_ms: f64,
}

/// Measures, prints the table, and fails when Heron costs more than half of the better peer.
pub fn run(runs: u32, seconds: u32, only: &[String]) -> Result<()> {
    if !netns::inside() {
        subject::prepare(false)?;
    }
    netns::enter()?;
    let folder = workspace::target().join("bench");
    let servers: Vec<&'static str> = std::iter::once(HERON)
        .chain(PEERS)
        .filter(|name| only.is_empty() || only.iter().any(|one| one == name))
        .collect();
    let mut all = Vec::new();
    for run in 0..runs {
        for place in 0..servers.len() {
            // Each time another one begins.
            let name = servers[(place + run as usize) % servers.len()];
            measure(name, &folder.join("fanout"), seconds, &mut all)
                .with_context(|| format!("{name} in run {}", run + 1))?;
        }
    }
    conclude(&servers, &all, &folder.join("fanout.json"))
}

fn measure(name: &'static str, folder: &Path, seconds: u32, all: &mut Vec<Measured>) -> Result<()> {
    let mut server = Subject::start(name, folder, Shown::Clip)?;
    for viewers in VIEWERS {
        let options = [
            "--viewers",
            &viewers.to_string(),
            "--seconds",
            &seconds.to_string(),
            "--settle",
            SETTLE_S,
        ];
        let mut crowd = server.viewers("watch", &options.map(str::to_owned))?;
        wait(&mut crowd, "steady")?;
        let (before, begin) = (usage::processor_s(server.id)?, Instant::now());
        wait(&mut crowd, "done")?;
        let used = usage::processor_s(server.id)? - before;
        let time = begin.elapsed().as_secs_f64();
        let memory = usage::memory(server.id)?;
        let report: Report = serde_json::from_str(&crowd.expect()?)?;
        crowd.line()?;
        server.ensure_running()?;
        let each = |count: u64| count as f64 / time / viewers as f64;
        let measured = Measured {
            server: name,
            viewers,
            percent: 100.0 * used / time,
            packet_us: 1e6 * used / report.packets.max(1) as f64,
            fps: each(report.frames),
            packets: each(report.packets),
            lost: report.lost,
            rss: memory.rss,
            pss: memory.pss,
            age_p95_ms: report.age_ms.p95,
        };
        println!(
            "  {name} with {viewers}: {:.1} % of a core, {:.2} µs a packet, {:.1} pictures/s, {} lost",
            measured.percent, measured.packet_us, measured.fps, measured.lost
        );
        if measured.fps < FEWEST_FPS {
            bail!(
                "{name} gave each of {viewers} viewers {:.1} pictures/s where the clip has 30: no comparison",
                measured.fps
            );
        }
        all.push(measured);
        thread::sleep(PAUSE);
    }
    Ok(())
}

fn wait(viewers: &mut subject::Viewers, word: &str) -> Result<()> {
    let line = viewers.expect()?;
    if line != word {
        bail!("the light viewers said `{line}` where `{word}` was due");
    }
    Ok(())
}

fn conclude(servers: &[&'static str], all: &[Measured], file: &Path) -> Result<()> {
    let of = |server: &str, viewers: usize, figure: fn(&Measured) -> f64| {
        let these = all
            .iter()
            .filter(|one| one.server == server && one.viewers == viewers);
        Summary::of(&these.map(figure).collect::<Vec<_>>())
    };
    let mut rows = Vec::new();
    let (mut figures, mut spread) = (Map::new(), Map::new());
    let most = VIEWERS[VIEWERS.len() - 1];
    for server in servers {
        for viewers in VIEWERS {
            let percent = of(server, viewers, |one| one.percent / one.viewers as f64);
            let packet = of(server, viewers, |one| one.packet_us);
            let pss = of(server, viewers, |one| one.pss);
            let mut keep = |metric: &str, summary: &Summary| {
                let name = format!("{server}_{viewers}_{metric}");
                spread.insert(name.clone(), json!([summary.least, summary.most]));
                figures.insert(name, summary.median.into());
            };
            keep("cpu_percent_per_viewer", &percent);
            keep("cpu_us_per_packet", &packet);
            keep("pss_mib", &pss);
            keep("rss_mib", &of(server, viewers, |one| one.rss));
            keep("fps", &of(server, viewers, |one| one.fps));
            keep("lost_packets", &of(server, viewers, |one| one.lost as f64));
            keep("age_p95_ms", &of(server, viewers, |one| one.age_p95_ms));
            rows.push(vec![
                (*server).to_owned(),
                viewers.to_string(),
                format!("{:.3}", percent.median),
                format!("{:.3}-{:.3}", percent.least, percent.most),
                format!("{:.2}", packet.median),
                format!("{:.0}", of(server, viewers, |one| one.packets).median),
                format!("{:.1}", of(server, viewers, |one| one.fps).median),
                format!("{:.0}", of(server, viewers, |one| one.lost as f64).median),
                format!("{:.1}", pss.median),
            ]);
        }
        let grown = of(server, most, |one| one.pss).median - of(server, 1, |one| one.pss).median;
        let viewer_kib = 1024.0 * grown / (most - 1) as f64;
        figures.insert(format!("{server}_memory_kib_per_viewer"), viewer_kib.into());
    }
    table::print(
        &[
            "server",
            "viewers",
            "CPU %/viewer",
            "spread",
            "µs/packet",
            "packets/s",
            "fps",
            "lost",
            "PSS MiB",
        ],
        &rows,
    );
    for server in servers {
        let kib = figures[&format!("{server}_memory_kib_per_viewer")].as_f64();
        println!("  {server}: {:.0} KiB a viewer", kib.unwrap_or_default());
    }
    // Runs are paired: what else the machine did in one hit all servers.
    let costs = |server: &str| -> Vec<f64> {
        let these = all
            .iter()
            .filter(|one| one.server == server && one.viewers == most);
        these.map(|one| one.percent).collect()
    };
    let own = costs(HERON);
    let mut ratios = Vec::new();
    for peer in PEERS.iter().filter(|peer| servers.contains(peer)) {
        let pairs = own.iter().zip(costs(peer));
        let ratio = Summary::of(&pairs.map(|(own, other)| own / other).collect::<Vec<_>>());
        figures.insert(format!("ratio_to_{peer}_at_{most}"), ratio.median.into());
        spread.insert(
            format!("ratio_to_{peer}_at_{most}"),
            json!([ratio.least, ratio.most]),
        );
        ratios.push((peer, ratio));
    }
    let data = json!({ "figures": Value::from(figures), "spread": Value::from(spread) });
    std::fs::write(file, serde_json::to_vec_pretty(&data)?)?;
    println!("  All figures are in {}", file.display());
    let worst = ratios
        .iter()
        .max_by(|one, other| one.1.median.total_cmp(&other.1.median));
    let Some((peer, ratio)) = worst.filter(|_| !own.is_empty()) else {
        println!(
            "fanout: {} servers measured, Heron is not compared",
            servers.len()
        );
        return Ok(());
    };
    println!(
        "fanout: at {most} viewers Heron takes {:.2} of {peer}'s processor time ({:.2} to {:.2}; wanted {WANTED})",
        ratio.median, ratio.least, ratio.most
    );
    if ratio.median > WANTED {
        bail!(
            "Heron takes {:.2} of the better peer's processor time, {WANTED} is allowed",
            ratio.median
        );
    }
    Ok(())
}
