//! `heron-swarm`: a simulated fleet. Figures go to standard output as JSON, one object a line.
//!
//! `enrol` makes identities through a running control plane, `run` lets them live. While it runs it says when the last
//! camera came (`all-online`) and when the first was lost (`away`), each with the time, and takes orders a line on
//! standard input: `blink N` lets N cameras leave and come back and tells how soon the view knew; `figures` tells what
//! was counted. It ends when its input does.

#![allow(clippy::print_stdout)]

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use heron_swarm::{Control, Dashboard, Mix, Options, Person, Swarm, blink, subscriber};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tracing_subscriber::EnvFilter;

/// Cameras that leave and come back each second when asked to.
const BLINKS_PER_SECOND: f64 = 20.0;

#[derive(Parser)]
#[command(name = "heron-swarm", about = "A simulated fleet of cameras")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Add cameras to a control plane and keep their identities in a folder.
    Enrol {
        #[command(flatten)]
        control: Door,
        /// How many.
        #[arg(long, default_value_t = 10)]
        cameras: usize,
        /// Where to.
        #[arg(long, value_name = "FOLDER")]
        identities: PathBuf,
    },
    /// Let cameras live.
    Run {
        /// Where their identities are.
        #[arg(long, value_name = "FOLDER")]
        identities: PathBuf,
        /// How many.
        #[arg(long, default_value_t = 10)]
        cameras: usize,
        /// How many of them behave oddly: `flood=5,silence=3,clock-skew=1,wrong-shard=1,duplicate=1`.
        #[arg(long, default_value = "", hide_default_value = true)]
        behaviour: Mix,
        /// Between two messages of telemetry of a camera, in seconds.
        #[arg(long, default_value_t = 10.0)]
        telemetry_s: f64,
        /// What a flooding camera sends in a second.
        #[arg(long, default_value_t = 1000)]
        flood_per_s: u32,
        /// Cameras started in a second.
        #[arg(long, default_value_t = 1000)]
        start_per_s: u32,
    },
}

/// A control plane and somebody who may add cameras to it.
#[derive(Args, Clone)]
struct Door {
    /// `https://HOST:PORT`, or `http://HOST:PORT` on this machine.
    #[arg(long, value_name = "URL")]
    control: String,
    /// The control plane's CA, for https.
    #[arg(long, value_name = "FILE", requires = "control")]
    ca: Option<PathBuf>,
    /// An account's name.
    #[arg(long)]
    name: String,
    /// Its password.
    #[arg(long)]
    password: String,
}

impl Door {
    async fn sign_in(&self) -> Result<Control> {
        let ca = self.ca.as_ref().map(std::fs::read).transpose()?;
        let mut control = Control::new(&self.control, ca.as_deref())?;
        let person = Person {
            name: self.name.clone(),
            password: self.password.clone(),
        };
        control.sign_in(&person).await?;
        Ok(control)
    }
}

/// What is asked of a running swarm, a line each.
#[derive(Parser)]
#[command(no_binary_name = true)]
enum Order {
    /// Some cameras leave and come back, and a dashboard is asked when it knew.
    Blink {
        #[arg(long)]
        cameras: usize,
        #[command(flatten)]
        dashboard: Door,
    },
    /// The same with a subscriber at a broker without TLS on this machine.
    BlinkAt {
        #[arg(long)]
        cameras: usize,
        #[arg(value_name = "HOST:PORT")]
        broker: String,
    },
    /// What was counted so far.
    Figures,
}

#[tokio::main]
async fn main() -> Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match Arguments::parse().chore {
        Chore::Enrol {
            control,
            cameras,
            identities,
        } => {
            let begin = Instant::now();
            let control = control.sign_in().await?;
            let added = heron_swarm::add_cameras(&control, cameras).await?;
            heron_swarm::save(&identities, &added)?;
            say(&json!({ "enrolled": added.len(), "seconds": begin.elapsed().as_secs_f64() }))
        }
        Chore::Run {
            identities,
            cameras,
            behaviour,
            telemetry_s,
            flood_per_s,
            start_per_s,
        } => {
            allow_descriptors(cameras)?;
            let identities = heron_swarm::load(&identities, cameras)?;
            let options = Options {
                mix: behaviour,
                telemetry: Duration::try_from_secs_f64(telemetry_s)
                    .context("--telemetry-s must be a number of seconds above 0")?
                    .max(Duration::from_millis(1)),
                flood_per_second: flood_per_s,
                start_per_second: start_per_s,
            };
            run(Swarm::start(identities, &options).await).await
        }
    }
}

/// Each camera is a socket; the limit is raised as far as the system lets us.
fn allow_descriptors(cameras: usize) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    // Duplicates have two, and the rest of the process a few.
    let wanted = u64::try_from(cameras)? + 200;
    match limit.maximum {
        Some(most) if most < wanted => {
            bail!(
                "this system allows {most} open files (`ulimit -Hn`), {cameras} cameras need {wanted}"
            )
        }
        _ => Ok(()),
    }
}

/// Tells of the swarm and takes orders until the input ends.
async fn run(swarm: Swarm) -> Result<()> {
    let mut online = swarm.figures().online();
    let good = swarm.good().count();
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let mut all_there = false;
    loop {
        tokio::select! {
            changed = online.changed() => {
                changed?;
                let now = *online.borrow_and_update();
                if (now >= good) != all_there {
                    all_there = now >= good;
                    let event = if all_there { "all-online" } else { "away" };
                    say(&json!({ "event": event, "online": now, "unix_ms": unix_ms() }))?;
                }
            }
            line = input.next_line() => {
                let Some(line) = line? else {
                    break;
                };
                match Order::try_parse_from(line.split_whitespace())? {
                    Order::Figures => say(&*swarm.figures().counted().borrow())?,
                    Order::Blink { cameras, dashboard } => {
                        let control = dashboard.sign_in().await?;
                        let mut dashboard = Dashboard::connect(&control).await?;
                        say(&blink(&swarm, &mut dashboard.view, cameras, BLINKS_PER_SECOND).await)?;
                    }
                    Order::BlinkAt { cameras, broker } => {
                        let (host, port) = broker.rsplit_once(':').context("the broker has no port")?;
                        let mut view = subscriber(host, port.parse().context("the broker's port")?);
                        say(&blink(&swarm, &mut view, cameras, BLINKS_PER_SECOND).await)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn say(value: &impl Serialize) -> Result<()> {
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, value)?;
    writeln!(output)?;
    Ok(output.flush()?)
}

fn unix_ms() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis()
}
