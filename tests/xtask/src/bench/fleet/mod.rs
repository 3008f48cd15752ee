//! `cargo xtask bench fleet`: a fleet of cameras with mTLS and access rules on, beside Debian's Mosquitto.
//!
//! The cameras are those of `tests/swarm`, on the firmware's own MQTT code. For each size of the fleet and each broker:
//! the memory of the broker's process with everybody online, how soon a view knows that a camera left or came back,
//! and how long a restart of the broker keeps the last camera away, from the stop's being asked for. Heron's view is
//! the dashboard's (camera, broker, router, broker, WebSocket, browser), Mosquitto's a subscriber at the broker itself.
//!
//! Broker and cameras share this machine's processors: a fleet does its half of every handshake here, too.

mod broker;
mod swarm;

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use heron_bench::statistics::Summary;
use serde_json::{Map, Value, json};

use super::server::{folder, write};
use super::subject::PROFILE;
use super::usage;
use crate::node::Node;
use crate::stack::{Account, Control};
use crate::{build, netns, packages, step, table};
use broker::{Broker, HERON, MOSQUITTO};
use swarm::{Changes, Swarm};

/// A fleet of this size has [`WANTED_MB`].
const SMALL: usize = 1_000;
/// The control plane's resident memory with [`SMALL`] cameras, in MB (10⁶ bytes).
const WANTED_MB: f64 = 300.0;
/// Everybody is back so soon after a restart was asked for, in seconds.
const WANTED_BACK_S: f64 = 60.0;
/// How long everybody's coming is waited for: longer than wanted, so that the figure is known.
const PATIENCE: Duration = Duration::from_secs(180);
/// From everybody's being online to the first measurement.
const SETTLE: Duration = Duration::from_secs(5);
/// Cameras that leave and come back for the latency of presence.
const BLINKS: usize = 100;

/// One broker with one size of fleet, in one run.
struct Measured {
    broker: &'static str,
    cameras: usize,
    rss_mb: f64,
    changes: Changes,
    back_s: f64,
    /// Processor time from the broker's start to everybody's being back, in seconds.
    broker_cpu_s: f64,
    swarm_cpu_s: f64,
}

/// Measures, prints the table, and fails when a figure is missed.
pub fn run(sizes: &[usize], runs: u32, only: &[String]) -> Result<()> {
    if !netns::inside() {
        prepare()?;
    }
    netns::enter()?;
    let folder = folder()?.join("fleet");
    let brokers: Vec<&'static str> = [HERON, MOSQUITTO]
        .into_iter()
        .filter(|name| only.is_empty() || only.iter().any(|one| one == name))
        .collect();
    let most = sizes.iter().copied().max().unwrap_or_default();
    if most == 0 || brokers.is_empty() || runs == 0 {
        bail!(
            "nothing to measure: --cameras and --runs count from 1, --only takes {HERON} and {MOSQUITTO}"
        );
    }

    let mut control = Control::start(
        &build::built(PROFILE).control,
        &folder,
        netns::ADDRESS,
        false,
    )?;
    let account = control.add_user("fleet")?;
    let identities = folder.join("identities");
    let enrolled = swarm::enrol(&account, &control.local_url(), most, &identities)?;
    println!("  {most} identities enrolled in {enrolled:.1} s");
    control.stop()?;

    let mut all = Vec::new();
    for &cameras in sizes {
        for name in &brokers {
            let mut broker = Broker::new(name, &mut control, &folder)?;
            measure(
                name,
                &mut broker,
                (cameras, runs),
                &account,
                &identities,
                &mut all,
            )
            .with_context(|| format!("{name} with {cameras} cameras"))?;
        }
    }
    conclude(sizes, &brokers, &all, &folder.with_extension("json"))
}

fn prepare() -> Result<()> {
    packages::ensure_build()?;
    packages::ensure_peers()?;
    build::dashboard(&Node::ensure()?)?;
    for package in ["heron-control", "heron-swarm"] {
        step::run(build::cargo().args(["build", "--profile", PROFILE, "--package", package]))?;
    }
    Ok(())
}

fn measure(
    name: &'static str,
    broker: &mut Broker<'_>,
    (cameras, runs): (usize, u32),
    account: &Account,
    identities: &Path,
    all: &mut Vec<Measured>,
) -> Result<()> {
    broker.start()?;
    let mut swarm = Swarm::start(identities, cameras)?;
    swarm.all_online(PATIENCE)?;
    for run in 1..=runs {
        thread::sleep(SETTLE);
        broker.ensure_running()?;
        let rss_mb = usage::memory(broker.id()?)?.rss * 1.048_576;
        let changes = swarm.blink(BLINKS.min(cameras), &broker.blink(account))?;
        if changes.missing > 0 {
            println!("  {} changes of presence never arrived", changes.missing);
        }
        thread::sleep(SETTLE);
        swarm.forget();
        let asked = swarm::unix_ms();
        let before = usage::processor_s(swarm.id())?;
        broker.stop()?;
        swarm.away(PATIENCE)?;
        broker.start()?;
        let back_s = swarm.all_online(PATIENCE)?.saturating_sub(asked) as f64 / 1e3;
        let measured = Measured {
            broker: name,
            cameras,
            rss_mb,
            changes,
            back_s,
            broker_cpu_s: usage::processor_s(broker.id()?)?,
            swarm_cpu_s: usage::processor_s(swarm.id())? - before,
        };
        println!(
            "  {name}, {cameras} cameras, run {run}: {rss_mb:.0} MB; presence {:.1} ms (p99 {:.1}); back in {back_s:.1} s, for which the broker computed {:.1} s and the cameras {:.1} s",
            changes.p50_ms, changes.p99_ms, measured.broker_cpu_s, measured.swarm_cpu_s
        );
        all.push(measured);
    }
    broker.stop()
}

fn conclude(
    sizes: &[usize],
    brokers: &[&'static str],
    all: &[Measured],
    file: &Path,
) -> Result<()> {
    let mut rows = Vec::new();
    let (mut figures, mut spread) = (Map::new(), Map::new());
    let (mut missed, mut largest) = (Vec::new(), 0);
    let mut words = Vec::new();
    for name in brokers {
        for &cameras in sizes {
            let of = |figure: fn(&Measured) -> f64| {
                let these = all
                    .iter()
                    .filter(|one| one.broker == *name && one.cameras == cameras);
                Summary::of(&these.map(figure).collect::<Vec<_>>())
            };
            let (rss, back) = (of(|one| one.rss_mb), of(|one| one.back_s));
            let (p50, p99) = (of(|one| one.changes.p50_ms), of(|one| one.changes.p99_ms));
            let missing = of(|one| one.changes.missing as f64);
            let kept = [
                ("rss_mb", rss),
                ("back_s", back),
                ("presence_p50_ms", p50),
                ("presence_p99_ms", p99),
                ("presence_missing", missing),
                ("restart_broker_cpu_s", of(|one| one.broker_cpu_s)),
                ("restart_swarm_cpu_s", of(|one| one.swarm_cpu_s)),
            ];
            for (figure, summary) in kept {
                let key = format!("{name}_{cameras}_{figure}");
                spread.insert(key.clone(), json!([summary.least, summary.most]));
                figures.insert(key, summary.median.into());
            }
            rows.push(vec![
                (*name).to_owned(),
                cameras.to_string(),
                format!("{:.0}", rss.median),
                format!("{:.0}-{:.0}", rss.least, rss.most),
                format!("{:.1}", back.median),
                format!("{:.1}-{:.1}", back.least, back.most),
                format!("{:.1}", p50.median),
                format!("{:.1}", p99.median),
                format!("{:.1}-{:.1}", p99.least, p99.most),
                format!("{:.1}", of(|one| one.broker_cpu_s).median),
            ]);
            if *name != HERON {
                continue;
            }
            if back.most <= WANTED_BACK_S {
                largest = largest.max(cameras);
            } else {
                missed.push(format!(
                    "{cameras} cameras took {:.0} s to be back",
                    back.most
                ));
            }
            if cameras <= SMALL && rss.most > WANTED_MB {
                missed.push(format!("{:.0} MB with {cameras} cameras", rss.most));
            }
            if missing.most > 0.0 {
                missed.push(format!(
                    "{:.0} changes of presence were not seen",
                    missing.most
                ));
            }
            words.push(format!(
                "{cameras} in {:.1} s with {:.0} MB",
                back.median, rss.median
            ));
        }
    }
    table::print(
        &[
            "broker",
            "cameras",
            "RSS MB",
            "spread",
            "back s",
            "spread",
            "presence p50 ms",
            "p99",
            "spread",
            "CPU s",
        ],
        &rows,
    );
    let processors = thread::available_parallelism().map_or(0, usize::from);
    println!(
        "  Broker and cameras share {processors} processors; every connection is mTLS with ECDSA P-256."
    );
    println!(
        "  Back: from the broker's being asked to stop to the last camera's subscription. CPU: of the broker, for that."
    );
    println!(
        "  Presence: from the camera's own clock to the dashboard's MQTT client; for Mosquitto to a subscriber."
    );
    figures.insert("largest_fleet_back_in_time".to_owned(), largest.into());
    write(
        file,
        &json!({ "figures": Value::from(figures), "spread": Value::from(spread) }),
    )?;
    println!(
        "fleet: back after a restart: {} (wanted {WANTED_BACK_S:.0} s, {WANTED_MB:.0} MB at {SMALL})",
        if words.is_empty() {
            "Heron was not measured".to_owned()
        } else {
            words.join(", ")
        }
    );
    if !missed.is_empty() {
        bail!("{}", missed.join("; "));
    }
    Ok(())
}
