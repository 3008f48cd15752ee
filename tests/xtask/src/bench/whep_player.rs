//! `cargo xtask whep-player`: GStreamer's own WHEP client plays the camera's local view.
//!
//! The client is `whepsrc` of gst-plugins-rs, which nobody here wrote; `tests/whep-player` links it
//! and decodes. (ffmpeg cannot be the player: its version 9 sends by WHIP and does not receive by WHEP.)

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::subject::{self, Subject};
use crate::{build, netns, packages, step, workspace};

/// How long it plays, in seconds.
const SECONDS: u32 = 10;
/// What is to be decoded in that time: joining takes a part of it.
const PICTURES: u64 = 100;

#[derive(Deserialize)]
struct Played {
    pictures: u64,
    width: u32,
    height: u32,
}

/// Plays, and fails when too little was decoded.
pub fn run() -> Result<()> {
    if !netns::inside() {
        subject::prepare(false)?;
        packages::ensure_whep_player()?;
        let folder = workspace::root().join("tests/whep-player");
        let mut cargo = build::cargo();
        cargo.args(["build", "--locked"]).current_dir(folder);
        step::run(cargo.env("CARGO_TARGET_DIR", target()))?;
    }
    netns::enter()?;
    let folder = workspace::target().join("bench/whep-player");
    let camera = Subject::heron(&folder)?;
    let (url, token) = camera.whep();
    let mut player = Command::new(target().join("debug/whep-player"));
    player.args([&url, token.unwrap_or_default(), &SECONDS.to_string()]);
    let said = step::output(&mut player)?;
    let line = said.lines().last().context("the player said nothing")?;
    let Played {
        pictures,
        width,
        height,
    } = serde_json::from_str(line)?;
    println!(
        "whep-player: GStreamer's whepsrc decoded {pictures} pictures of {width}x{height} in {SECONDS} s"
    );
    if pictures < PICTURES {
        bail!("{pictures} pictures were decoded, {PICTURES} are wanted");
    }
    Ok(())
}

fn target() -> PathBuf {
    workspace::target().join("whep-player")
}
