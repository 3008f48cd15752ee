//! Building the dashboard and the two binaries.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::node::Node;
use crate::{step, workspace};

/// The programs a stack is made of.
pub struct Binaries {
    /// `heron-control`.
    pub control: PathBuf,
    /// `heron-camera`.
    pub camera: PathBuf,
}

/// Cargo itself, the one that runs this.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace::root());
    forget_own_package(&mut command);
    command
}

/// Keeps what `cargo run` told this program about its own package from the cargo started next: some build scripts
/// watch these variables, and would build their crates again on each change between shell and xtask.
pub fn forget_own_package(command: &mut Command) {
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    }) {
        command.env_remove(name);
    }
}

/// Builds the dashboard, which the control plane serves.
pub fn dashboard(node: &Node) -> Result<()> {
    let folder = workspace::dashboard();
    node.install(&folder)?;
    step::run(
        node.command("npm")?
            .args(["run", "--silent", "build"])
            .current_dir(folder),
    )
}

/// Set where the dashboard and the `dev` profile's binaries are built already, by the whole workspace's test build:
/// with other features of the dependencies, so that Cargo would build half of them once more.
pub const ALREADY: &str = "HERON_XTASK_BUILT";

fn already(profile: &str) -> bool {
    profile == "dev" && std::env::var_os(ALREADY).is_some()
}

/// Builds both binaries and returns where they are.
pub fn binaries(profile: &str) -> Result<Binaries> {
    if already(profile) {
        return Ok(built(profile));
    }
    let packages = ["--package", "heron-control", "--package", "heron-camera"];
    step::run(cargo().args(["build", "--profile", profile]).args(packages))?;
    Ok(built(profile))
}

/// Where [`binaries`] put them.
pub fn built(profile: &str) -> Binaries {
    // Cargo's own name for the folder of its `dev` profile.
    let folder = workspace::target().join(if profile == "dev" { "debug" } else { profile });
    Binaries {
        control: folder.join("heron-control"),
        camera: folder.join("heron-camera"),
    }
}

/// Builds everything a check with a browser needs.
pub fn all(profile: &str) -> Result<()> {
    if already(profile) {
        return Ok(());
    }
    let node = Node::ensure()?;
    dashboard(&node)?;
    node.install(&workspace::e2e())?;
    binaries(profile)?;
    Ok(())
}

/// The Chromium to drive.
pub fn chromium() -> PathBuf {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let program = names.into_iter().find_map(step::which);
    program.unwrap_or_else(|| "chromium".into())
}
