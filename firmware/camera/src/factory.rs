//! `heron-camera factory-entry`: what a control plane's factory list needs to know of this board.
#![allow(clippy::print_stdout, reason = "a command's output")]

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use heron_agent::Clock;
use heron_agent::Enrolment;

use crate::config::Config;
use crate::enrolling;

/// Makes the key that the board will enrol with, unless there is one, and prints the list's entry.
pub fn entry(path: &Path) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?;
    if config.bundle.exists() {
        bail!(
            "{} is there: this camera is enrolled",
            config.bundle.display()
        );
    }
    let settings = enrolling::settings(&config, None, false);
    let Some(serial) = settings.serial.clone() else {
        bail!("this board tells no serial number; set `serial` in [enrolment]");
    };
    let key = Enrolment::new(settings, Clock::new())
        .key()
        .map_err(anyhow::Error::msg)
        .context("the device's key")?;
    let entry = serde_json::json!({"serial": serial, "key_sha256": key.fingerprint()});
    println!("{entry}");
    Ok(ExitCode::SUCCESS)
}
