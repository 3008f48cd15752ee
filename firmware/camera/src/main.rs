//! The Heron camera: shows what its camera sees to viewers whom its control plane has let in.
//!
//! # Place
//!
//! The one binary of the firmware, and a thin one. `heron-media` captures and encodes, `heron-session`
//! talks WebRTC, `heron-agent` talks MQTT; none of them knows another. What is here is the config
//! ([`config`]), the wiring ([`run`]), and what a service owes its machine: supervision ([`media`]),
//! systemd ([`service`]), figures ([`figures`], [`metrics`], [`report`]), the view of the camera without a
//! control plane ([`local_view`]), what viewers may ask of it on the data channel ([`control`]), and how the camera comes
//! by an identity ([`enrolling`]) and keeps it ([`identity`]). [`doctor`] tests its network, for a person or for
//! itself ([`self_test`]).
//!
//! # Flow
//!
//! ```text
//! camera, microphone --> media --access units--> session hub <==WebRTC==> viewers
//!                          ^                      |       ^
//!                          +--demand, key frames--+       | offers, candidates
//!                                                 v       |
//!                                  run (the main loop) <--+--> agent <==MQTT==> control plane
//! ```
//!
//! Frames go from media to the hub on media's own threads; the main loop never sees them.

mod check;
mod config;
mod control;
mod devices;
mod doctor;
mod enrolling;
mod exposition;
mod factory;
mod figures;
mod identity;
mod local_view;
mod machine;
mod media;
mod metrics;
mod possession;
mod qr;
mod report;
mod run;
mod self_test;
mod service;
mod snapshots;
mod talk;
mod vigil;
mod wiring;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(
    version,
    about = "Turns a Linux board with a camera into a managed WebRTC camera"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the camera until it is told to stop
    Run(ConfigArgument),
    /// Says what is wrong with a config, its bundle and its devices
    Check(ConfigArgument),
    /// Prints this board's entry for a control plane's factory list, making its key if there is none
    FactoryEntry(ConfigArgument),
    /// Tests the network: can this camera be reached and seen, and if not, what is to be done
    ///
    /// Looks at names and clock, the control plane, the broker, STUN, the kind of NAT, relays over UDP, TCP and TLS, the
    /// uplink (for two seconds, at twice the picture's bitrate), IPv6 and packet sizes. May run beside the service. Ends
    /// with 1 when the camera cannot be reached by its control plane, or not be seen from other networks.
    Doctor {
        #[command(flatten)]
        config: ConfigArgument,
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Lists cameras, microphones and encoders, and what Heron would pick
    Devices,
}

#[derive(clap::Args)]
struct ConfigArgument {
    /// The config file
    #[arg(long, value_name = "FILE", default_value = "/etc/heron/camera.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(log_filter())
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let outcome = match Cli::parse().command {
        Command::Run(ConfigArgument { config }) => run::run(&config),
        Command::Check(ConfigArgument { config }) => check::check(&config),
        Command::FactoryEntry(ConfigArgument { config }) => factory::entry(&config),
        Command::Doctor {
            config: ConfigArgument { config },
            json,
        } => doctor::command::run(&config, json),
        Command::Devices => devices::list(),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `RUST_LOG`, or our own events and the libraries' warnings.
fn log_filter() -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(
            "warn,webrtc=error,rtc=error,rtc_ice=error,rtc_dtls=error,rtc_turn=error,heron_camera=info,heron_agent=info,heron_session=info,heron_media=info",
        )
    })
}
