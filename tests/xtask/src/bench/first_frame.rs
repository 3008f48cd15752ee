//! `cargo xtask bench first-frame`: from the click to the first frame, phase by phase, in Chromium.

use std::time::Duration;

use anyhow::Result;

use crate::node::Node;
use crate::stack::{HD_PATTERN, Stack};
use crate::{browser, build, netns, packages, workspace};

/// Measures, prints the table, and fails when a budget was missed.
pub fn run(starts: u32, profile: &str) -> Result<()> {
    if !netns::inside() {
        packages::ensure_build()?;
        packages::ensure_browser()?;
        build::all(profile)?;
    }
    netns::enter()?;
    let node = Node::ensure()?;
    let folder = workspace::target().join("bench");
    let mut stack = Stack::start(
        &build::built(profile),
        &folder.join("stack"),
        netns::ADDRESS,
        HD_PATTERN,
    )?;
    let mut input = stack.input(&folder);
    input["starts"] = starts.into();
    input["kbps"] = HD_PATTERN.kbps.into();
    let limit = Duration::from_secs(60 + 10 * u64::from(starts));
    let outcome = browser::run(&node, "first-frame", &input, limit, &mut |what, _| {
        stack.answer(what)
    })?;
    let file = folder.join("first-frame.json");
    std::fs::write(&file, serde_json::to_vec_pretty(&outcome.data)?)?;
    println!(
        "  {} starts, profile {profile}; all figures in {}",
        starts,
        file.display()
    );
    outcome.conclude()
}
