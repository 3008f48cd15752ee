//! `cargo xtask bench turn`: the embedded TURN server beside Debian's coturn, each with one thread that relays.
//!
//! The load is the same program for both (`control-plane/turn/examples/load.rs`): packets of 1000 bytes both ways
//! through channels, with a window of them under way, so that a server is offered what it relays and no more. Packets
//! go one by one, as sound does, and in bursts, as the camera sends its pictures; through one allocation and through
//! many. Server and load share this machine's processors.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use heron_bench::statistics::Summary;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::server::{folder, write};
use super::subject::PROFILE;
use super::usage;
use crate::process::{Process, tied};
use crate::{build, netns, packages, step, table, workspace};

const HERON: &str = "heron";
const COTURN: &str = "coturn";
const SERVER: &str = "127.0.0.1:3478";
const SECRET: &str = "measured with this";
const START: Duration = Duration::from_secs(30);
/// Allocations, and packets sent at once.
const LOADS: [(u32, u32); 4] = [(1, 1), (1, 10), (50, 1), (50, 10)];

/// What the load generator prints.
#[derive(Deserialize)]
struct Relayed {
    /// Packets in the seconds that were measured.
    relayed: u64,
    seconds: f64,
    lost: u64,
    /// Packets since the first one.
    all: u64,
}

/// One server under one load.
struct Measured {
    server: &'static str,
    load: (u32, u32),
    /// Packets relayed a second.
    rate: f64,
    /// Processor time of the server for a packet, in microseconds.
    cpu_us: f64,
    lost: u64,
}

/// Measures, prints the table, and fails when the embedded server is below coturn.
pub fn run(runs: u32, seconds: u32, only: &[String]) -> Result<()> {
    if !netns::inside() {
        packages::ensure_build()?;
        packages::ensure_peers()?;
        let examples = [
            "build",
            "--profile",
            PROFILE,
            "--package",
            "heron-turn",
            "--examples",
        ];
        step::run(build::cargo().args(examples))?;
    }
    netns::enter()?;
    let folder = folder()?;
    let servers: Vec<&'static str> = [HERON, COTURN]
        .into_iter()
        .filter(|name| only.is_empty() || only.iter().any(|one| one == name))
        .collect();
    if servers.is_empty() || runs == 0 || seconds == 0 {
        bail!(
            "nothing to measure: --runs and --seconds count from 1, --only takes {HERON} and {COTURN}"
        );
    }
    let mut all = Vec::new();
    for run in 1..=runs {
        for server in &servers {
            let mut process = start(server, &folder)?;
            for load in LOADS {
                process.ensure_running()?;
                let measured = measure(server, process.id(), load, seconds)?;
                println!(
                    "  run {run}, {server}, {} allocations, bursts of {}: {:.0} packets/s, {:.2} us of CPU each, {} lost",
                    load.0, load.1, measured.rate, measured.cpu_us, measured.lost
                );
                all.push(measured);
            }
            process.stop()?;
        }
    }
    conclude(&servers, &all, &folder.join("turn.json"))
}

fn example(name: &str) -> PathBuf {
    workspace::target()
        .join(PROFILE)
        .join("examples")
        .join(name)
}

fn start(server: &str, folder: &Path) -> Result<Process> {
    let log = folder.join(format!("turn-{server}.log"));
    let command = match server {
        HERON => {
            let mut command = tied(&example("serve"));
            command.args([SECRET, SERVER, "127.0.0.1", "127.0.0.0/8"]);
            command
        }
        _ => {
            let program = step::which("turnserver").unwrap_or("/usr/bin/turnserver".into());
            let mut command = tied(&program);
            // One thread that relays; nothing is logged or stored for a packet.
            command.args(["-n", "-m", "1", "--no-tls", "--no-dtls", "--no-cli"]);
            command.args(["-L", "127.0.0.1", "-E", "127.0.0.1", "-p", "3478"]);
            command.args([
                "-r",
                "heron",
                "--use-auth-secret",
                "--static-auth-secret",
                SECRET,
            ]);
            command.args([
                "--allow-loopback-peers",
                "--log-file",
                "stdout",
                "--simple-log",
            ]);
            let (pid, users) = (folder.join("turn.pid"), folder.join("turn.db"));
            command.arg("--pidfile").arg(pid).arg("--userdb").arg(users);
            command
        }
    };
    let mut process = Process::spawn(server, command, &log, folder)?;
    step::wait_for(&format!("{server} taking connections"), START, || {
        process.ensure_running()?;
        Ok(TcpStream::connect(SERVER).ok())
    })?;
    Ok(process)
}

fn measure(server: &'static str, id: u32, load: (u32, u32), seconds: u32) -> Result<Measured> {
    let before = usage::processor_s(id)?;
    let (allocations, burst) = (load.0.to_string(), load.1.to_string());
    let seconds = seconds.to_string();
    let mut command = Command::new(example("load"));
    command.args([SECRET, SERVER, "127.0.0.1", &allocations, &burst, &seconds]);
    let printed = step::output(&mut command).with_context(|| format!("load on {server}"))?;
    let cpu_s = usage::processor_s(id)? - before;
    let relayed: Relayed = serde_json::from_str(printed.trim())?;
    let rate = relayed.relayed as f64 / relayed.seconds;
    Ok(Measured {
        server,
        load,
        rate,
        // The warm-up is on both sides.
        cpu_us: cpu_s * 1e6 / relayed.all.max(1) as f64,
        lost: relayed.lost,
    })
}

fn conclude(servers: &[&'static str], all: &[Measured], file: &Path) -> Result<()> {
    let (mut rows, mut missed) = (Vec::new(), Vec::new());
    let (mut figures, mut spread) = (Map::new(), Map::new());
    for load in LOADS {
        let of = |server: &str, figure: fn(&Measured) -> f64| {
            let these = all
                .iter()
                .filter(|one| one.server == server && one.load == load);
            Summary::of(&these.map(figure).collect::<Vec<_>>())
        };
        let (allocations, burst) = load;
        for server in servers {
            let (rate, cpu) = (of(server, |one| one.rate), of(server, |one| one.cpu_us));
            let ratio = rate.median / of(COTURN, |one| one.rate).median;
            for (figure, summary) in [("packets_per_s", rate), ("cpu_us", cpu)] {
                let key = format!("{server}_{allocations}_{burst}_{figure}");
                spread.insert(key.clone(), json!([summary.least, summary.most]));
                figures.insert(key, summary.median.into());
            }
            rows.push(vec![
                (*server).to_owned(),
                allocations.to_string(),
                burst.to_string(),
                format!("{:.0}", rate.median),
                format!("{:.0}-{:.0}", rate.least, rate.most),
                format!("{:.2}", cpu.median),
                format!("{:.2}-{:.2}", cpu.least, cpu.most),
                format!("{:.0}", of(server, |one| one.lost as f64).median),
                match ratio.is_finite() {
                    true => format!("{ratio:.2}"),
                    false => "-".to_owned(),
                },
            ]);
            if *server == HERON && ratio < 1.0 {
                missed.push(format!(
                    "{allocations} allocations, bursts of {burst}: {ratio:.2} of coturn's packets"
                ));
            }
        }
    }
    table::print(
        &[
            "server",
            "allocations",
            "burst",
            "packets/s",
            "spread",
            "CPU us/packet",
            "spread",
            "lost",
            "of coturn",
        ],
        &rows,
    );
    println!(
        "  1000 bytes a packet, channels, both ways; one thread relays; server and load share the processors."
    );
    write(
        file,
        &json!({ "figures": Value::from(figures), "spread": Value::from(spread) }),
    )?;
    if missed.is_empty() {
        return Ok(());
    }
    bail!("below coturn: {}", missed.join("; "))
}
