//! `heron-camera devices`: what is plugged in, and what Heron would pick.
#![allow(clippy::print_stdout, reason = "a command's output")]

use std::process::ExitCode;

use heron_media::VideoConfig;
use heron_media::probe::probe;

/// Prints cameras, encoders and microphones for a person.
pub fn list() -> anyhow::Result<ExitCode> {
    let VideoConfig {
        width, height, fps, ..
    } = VideoConfig::default();
    print!("{}", probe(width, height, fps));
    println!();
    Ok(ExitCode::SUCCESS)
}
