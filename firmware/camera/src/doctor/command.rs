//! `heron-camera doctor`: the tests for a person at a terminal, or as JSON for a program.
#![allow(clippy::print_stdout, reason = "a command's output")]

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use heron_agent::{Bundle, Clock};
use serde_json::json;

use super::{Broker, Patient, Scope};
use crate::config::Config;
use crate::possession::Possession;
use crate::wiring;

/// Tests, and prints what was found. Fails when the camera cannot be reached or seen.
pub fn run(path: &Path, as_json: bool) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    let clock = Clock::new();
    let bundle = Bundle::load_by(&config.bundle, &clock)
        .context("this camera is not enrolled; `heron-camera check` says how it would")?;
    // Held, so that no service starts between the look and the test; without the right to it, as if one ran.
    let possession = Possession::take(&config.bundle);
    let patient = Patient {
        broker: match &possession {
            Ok(Some(_)) => Broker::Connect,
            Ok(None) | Err(_) => Broker::InUse,
        },
        server: config.enrolment.server.clone(),
        bitrate_bps: wiring::bitrate_bps(&config.video, &config.audio),
        bundle,
        clock,
    };
    let runtime = tokio::runtime::Runtime::new().context("the async runtime does not start")?;
    let report = runtime.block_on(patient.test(Scope::Full));
    // A lookup that hangs must not keep the process.
    runtime.shutdown_background();
    let works = report.works();
    if as_json {
        let told = json!({"at_ms": report.at_ms, "works": works, "checks": report.checks});
        println!("{told:#}");
    } else {
        print!("{report}");
        println!(
            "{}",
            if works {
                "This camera can be reached and seen."
            } else {
                "This camera cannot be reached, or not be seen from other networks."
            }
        );
    }
    Ok(if works {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
