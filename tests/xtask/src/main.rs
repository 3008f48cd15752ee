//! `cargo xtask`: every chore of the project as one command.
//!
//! A chore has two halves. The first runs on the machine as it is: it names and installs what is
//! missing and builds. The second, for everything that measures, runs in a network namespace of
//! its own ([`netns`]), so that ports are free, nothing leaves the machine, and WebRTC, which
//! skips 127.0.0.1, finds an ordinary address. In there [`stack`] starts the real binaries and
//! [`browser`] drives a real Chromium with the scripts of `tests/e2e`.
//!
//! Each command prints its figures as a table and one line that sums them up, and exits non-zero
//! when what it must show did not happen.

#![allow(clippy::print_stdout, clippy::print_stderr)]

mod api;
mod arm_lab;
mod bench;
mod browser;
mod build;
mod demo;
mod e2e;
mod equipment;
mod http;
mod nat_lab;
mod netns;
mod newcomer;
mod node;
mod packages;
mod process;
mod stack;
mod step;
mod table;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of the Heron project.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Start a control plane and a camera on this machine and show where to watch it.
    Demo {
        /// Watch it with a headless Chromium instead, print what was measured, and exit.
        #[arg(long)]
        check: bool,
    },
    /// Run everything that must pass before a change is merged.
    Test {
        /// Run only these steps, in their usual order.
        #[arg(long, value_delimiter = ',', value_name = "STEP")]
        only: Vec<String>,
    },
    /// Hold the HTTP API to its OpenAPI document, with requests that schemathesis makes up.
    Api,
    /// Run the browser tests.
    E2e {
        /// Run only these scenarios.
        #[arg(value_name = "SCENARIO")]
        only: Vec<String>,
    },
    /// Measure.
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
    /// Let viewers come and go for a long time, and see that nothing of the camera grows.
    Soak {
        /// For how long.
        #[arg(long, default_value_t = 30.0)]
        minutes: f64,
        /// The same seed, the same coming and going.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Watch cameras behind every kind of NAT from behind every other.
    NatLab(nat_lab::Arguments),
    /// Play the camera's local view with GStreamer's own WHEP client.
    WhepPlayer,
    /// Run the camera on an emulated ARM machine with real V4L2 and ALSA, and watch it.
    ArmLab {
        /// Which encoder the camera is to use while it is watched.
        #[arg(long, value_delimiter = ',', default_value = "software,hardware")]
        encoder: Vec<arm_lab::Encoder>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Demo { check: true } => demo::check(),
        Chore::Demo { check: false } => demo::run(),
        Chore::Test { only } => test::run(&only),
        Chore::Api => api::run(),
        Chore::E2e { only } => e2e::run(&only),
        Chore::Bench { what } => bench::run(&what),
        Chore::Soak { minutes, seed } => bench::soak::run(minutes, seed),
        Chore::NatLab(arguments) => nat_lab::run(&arguments),
        Chore::WhepPlayer => bench::whep_player::run(),
        Chore::ArmLab { encoder } => arm_lab::run(&encoder),
    };
    if let Err(error) = done {
        eprintln!("xtask: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
