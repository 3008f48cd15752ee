//! The camera's program for aarch64, by Debian's Rust and cross compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::Value;

use crate::{build, step, workspace};

const TRIPLE: &str = "aarch64-unknown-linux-gnu";
/// What the guest runs.
const LAB: &str = "lab";
/// What people run.
const RELEASE: &str = "release";

/// The tests of heron-media that need a real driver below them.
pub const DEVICE_TESTS: &[&str] = &["v4l2", "loopback", "m2m"];

/// Builds the camera for the guest, and [`DEVICE_TESTS`], which it puts into `folder` by their names: in one go, since
/// two would want the dependencies with two sets of features.
pub fn build(folder: &Path) -> Result<()> {
    let mut cargo = cargo(LAB);
    cargo.args(["--message-format=json-render-diagnostics"]);
    cargo.args(["--package", "heron-camera", "--bin", "heron-camera"]);
    cargo.args(["--package", "heron-media"]);
    for name in DEVICE_TESTS {
        cargo.args(["--test", name]);
    }
    println!(
        "  Cross-building heron-camera and the device tests: {}",
        DEVICE_TESTS.join(", ")
    );
    let messages = step::output(&mut cargo)?;
    fs::create_dir_all(folder)?;
    // One JSON object a line; those of programs name an executable.
    for message in messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
    {
        if let (Some(program), Some(name)) = (
            message["executable"].as_str(),
            message["target"]["name"].as_str(),
        ) && DEVICE_TESTS.contains(&name)
        {
            fs::copy(program, folder.join(name))?;
        }
    }
    Ok(())
}

/// Builds the camera as it is released, which takes longer.
pub fn build_released() -> Result<()> {
    step::run(cargo(RELEASE).args(["--package", "heron-camera"]))
}

/// Debian's cargo, about to build for ARM in a folder of its own: another compiler's leftovers would be of no use
/// to it.
fn cargo(profile: &str) -> Command {
    // By their full names: rustup's, which have no aarch64 library, come first in the search path.
    let mut cargo = Command::new("/usr/bin/cargo");
    build::forget_own_package(&mut cargo);
    cargo
        .args([
            "build",
            "--locked",
            "--profile",
            profile,
            "--target",
            TRIPLE,
            "--target-dir",
        ])
        .arg(target())
        .current_dir(workspace::root())
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTDOC", "/usr/bin/rustdoc")
        // Set by the cargo that runs this, for its own toolchain.
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("LD_LIBRARY_PATH")
        .env("PKG_CONFIG_ALLOW_CROSS", "1")
        .env(
            "PKG_CONFIG_PATH_aarch64_unknown_linux_gnu",
            "/usr/lib/aarch64-linux-gnu/pkgconfig",
        )
        .env(
            "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER",
            "aarch64-linux-gnu-gcc",
        )
        .env("CC_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-gcc")
        .env("CXX_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-g++")
        .env(
            "BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu",
            "--target=aarch64-linux-gnu -I/usr/aarch64-linux-gnu/include",
        );
    cargo
}

/// Where [`build()`] put it.
pub fn built() -> PathBuf {
    program(LAB)
}

/// Where [`build_released()`] put it.
pub fn released() -> PathBuf {
    program(RELEASE)
}

fn program(profile: &str) -> PathBuf {
    target().join(TRIPLE).join(profile).join("heron-camera")
}

fn target() -> PathBuf {
    workspace::target().join("arm")
}
