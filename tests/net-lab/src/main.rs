//! `net-lab`: runs a command behind a bad link.
//!
//! The command runs on a host of its own, `10.78.0.2`, whose only way out is the link to the current
//! namespace, `10.78.0.1`. At its end the counters are shown. However this ends, also by Ctrl-C, the
//! command and all of the lab are gone with it.
#![allow(clippy::print_stderr)]

use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use heron_net_lab::{Direction, End, Forwarder, Impairment, Namespace, Queue};

const HERE: &str = "10.78.0.1";
const THERE: &str = "10.78.0.2";

/// Runs a command behind a bad link (10.78.0.2 here, 10.78.0.1 on the other side).
#[derive(Parser)]
#[command(name = "net-lab")]
struct Arguments {
    /// The rate towards the command, in kbit/s; without one as fast as it goes.
    #[arg(long)]
    rate_kbps: Option<u64>,
    /// The rate from the command, in kbit/s.
    #[arg(long)]
    up_kbps: Option<u64>,
    /// Changes the rate towards the command after some seconds; may be given again.
    #[arg(long, value_name = "SECONDS:KBPS")]
    step: Vec<Step>,
    /// How much may wait at the bottleneck, in milliseconds of its rate.
    #[arg(long, default_value_t = 300)]
    queue_ms: u64,
    /// What every packet takes, each way.
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// What a packet may take beyond that.
    #[arg(long, default_value_t = 0)]
    jitter_ms: u64,
    /// Lost packets, each way.
    #[arg(long, default_value_t = 0.0)]
    loss_percent: f64,
    /// Packets that others overtake, each way.
    #[arg(long, default_value_t = 0.0)]
    reorder_percent: f64,
    /// Packets that arrive twice, each way.
    #[arg(long, default_value_t = 0.0)]
    duplicate_percent: f64,
    /// Decides the fate of packets.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What to run.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[derive(Clone, Copy)]
struct Step {
    after: Duration,
    kbps: u64,
}

impl FromStr for Step {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (after, kbps) = text.split_once(':').context("SECONDS:KBPS")?;
        let after = Duration::try_from_secs_f64(after.parse()?)?;
        let kbps = kbps.parse()?;
        Ok(Self { after, kbps })
    }
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let (here, there) = (Namespace::current("here"), Namespace::new("there")?);
    let link = Forwarder::between(
        End {
            namespace: &here,
            address: &format!("{HERE}/30"),
        },
        End {
            namespace: &there,
            address: &format!("{THERE}/30"),
        },
        arguments.seed,
    )?;
    there.route("default", HERE)?;
    let down = impairment(&arguments);
    let up = Impairment {
        rate: arguments.up_kbps.map(|kbps| kbps * 1000),
        ..down
    };
    link.set(Direction::Forth, down);
    link.set(Direction::Back, up);
    let link = Arc::new(link);
    let steps = arguments.step.clone();
    let stepped = Arc::clone(&link);
    // Ends with the process.
    std::thread::spawn(move || {
        let mut past = Duration::ZERO;
        for Step { after, kbps } in steps {
            std::thread::sleep(after.saturating_sub(past));
            past = past.max(after);
            let rate = Some(kbps * 1000);
            stepped.set(Direction::Forth, Impairment { rate, ..down });
        }
    });
    // Ends with this process, however that ends.
    let mut command = there.command("setpriv");
    command
        .args(["--pdeathsig", "TERM", "--"])
        .args(&arguments.command);
    let status = command.status()?;
    eprintln!("net-lab: towards it {:?}", link.counters(Direction::Forth));
    eprintln!("net-lab: from it    {:?}", link.counters(Direction::Back));
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

fn impairment(arguments: &Arguments) -> Impairment {
    Impairment {
        rate: arguments.rate_kbps.map(|kbps| kbps * 1000),
        queue: Queue::Time(Duration::from_millis(arguments.queue_ms)),
        delay: Duration::from_millis(arguments.delay_ms),
        jitter: Duration::from_millis(arguments.jitter_ms),
        loss: arguments.loss_percent / 100.0,
        reorder: arguments.reorder_percent / 100.0,
        duplicate: arguments.duplicate_percent / 100.0,
        ..Impairment::NONE
    }
}
