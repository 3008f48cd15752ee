//! `heron-control`: see [`heron_control`].

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use heron_control::Cli;
use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise: our own events, and only trouble from the libraries.
const LOG: &str =
    "warn,rmqtt=error,rmqtt_net=error,heron_control=info,heron_broker=info,heron_turn=info";

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOG));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match cli.run(&mut std::io::stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line, the causes behind colons. Where it cannot be written there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "heron-control: {error:#}");
            ExitCode::FAILURE
        }
    }
}
