//! `cargo xtask test`: everything that must pass, step by step.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::node::Node;
use crate::{build, packages, step, table, workspace};

/// A step's name and what it does.
type Step = (&'static str, fn() -> Result<()>);

/// Whether the tests' build, which makes the two binaries too, is done.
static BUILT: AtomicBool = AtomicBool::new(false);

/// In this order: what is quick to fail comes first.
const STEPS: &[Step] = &[
    ("packages", system_packages),
    ("format", format),
    ("dashboard", dashboard),
    ("clippy", clippy),
    ("fuzz", fuzz),
    ("deny", deny),
    ("tests", tests),
    ("docs", docs),
    ("api", || own(&["api"])),
    ("e2e", || own(&["e2e"])),
    ("nat-lab", || own(&["nat-lab", "--quick"])),
    ("demo", || own(&["demo", "--check"])),
    ("arm-lab", || own(&["arm-lab"])),
];

/// Runs all steps, or those named; a failed one does not keep the others from running.
pub fn run(only: &[String]) -> Result<()> {
    let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        bail!(
            "no step is called `{unknown}`: there are {}",
            names.join(", ")
        );
    }
    let mut rows = Vec::new();
    let mut failures = Vec::new();
    let chosen = STEPS
        .iter()
        .filter(|(name, _)| only.is_empty() || only.iter().any(|one| one == name));
    for (name, action) in chosen {
        println!("\n== {name}");
        let begin = Instant::now();
        let result = action();
        let took = minutes(begin.elapsed());
        let word = if result.is_ok() { "passed" } else { "FAILED" };
        println!("== {name}: {word} in {took}");
        rows.push(vec![(*name).to_owned(), took, word.to_owned()]);
        if let Err(error) = result {
            println!("   {error:#}");
            failures.push(format!(
                "{name}: {error:#}\n  `cargo xtask test --only {name}` runs it alone"
            ));
        }
    }
    table::print(&["step", "min:s", "result"], &rows);
    for failure in &failures {
        println!("  {failure}");
    }
    println!(
        "{} passed, {} failed",
        rows.len() - failures.len(),
        failures.len()
    );
    if !failures.is_empty() {
        bail!("{} of {} steps failed", failures.len(), rows.len());
    }
    Ok(())
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

fn system_packages() -> Result<()> {
    packages::ensure_build()?;
    packages::ensure_browser()?;
    packages::ensure_peers()?;
    packages::ensure_nat_lab()?;
    packages::ensure_arm_lab()
}

fn format() -> Result<()> {
    step::run(build::cargo().args(["fmt", "--all", "--check"]))
        .context("`cargo fmt --all` puts it right")
}

fn dashboard() -> Result<()> {
    let node = Node::ensure()?;
    let folder = workspace::dashboard();
    node.install(&folder)?;
    step::run(
        node.command("npm")?
            .args(["test", "--silent"])
            .current_dir(&folder),
    )?;
    build::dashboard(&node)?;
    let scripts = workspace::e2e();
    node.install(&scripts)?;
    step::run(
        node.command("npm")?
            .args(["run", "--silent", "lint"])
            .current_dir(&scripts),
    )
}

fn clippy() -> Result<()> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    step::run(build::cargo().args(arguments))
}

/// The fuzz targets are a workspace of their own and want nightly to run; that they compile can be told without.
fn fuzz() -> Result<()> {
    let folder = workspace::root().join("tests/fuzz");
    step::run(
        build::cargo()
            .args(["check", "--locked"])
            .current_dir(&folder)
            .env("RUSTFLAGS", "--cfg fuzzing")
            .env("CARGO_TARGET_DIR", workspace::root().join("target/fuzz")),
    )
}

fn tests() -> Result<()> {
    // Doc tests are the second command's: nextest does not run them.
    if step::found("cargo-nextest") {
        let nextest = ["nextest", "run", "--workspace"];
        step::run(build::cargo().args(nextest).arg("--no-run"))?;
        BUILT.store(true, Ordering::Relaxed);
        step::run(build::cargo().args(nextest).arg("--no-fail-fast"))?;
        return step::run(build::cargo().args(["test", "--workspace", "--doc", "--quiet"]));
    }
    step::run(build::cargo().args(["test", "--workspace", "--no-run"]))?;
    BUILT.store(true, Ordering::Relaxed);
    step::run(build::cargo().args(["test", "--workspace", "--quiet", "--no-fail-fast"]))
}

fn docs() -> Result<()> {
    let arguments = [
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--quiet",
    ];
    step::run(
        build::cargo()
            .args(arguments)
            .env("RUSTDOCFLAGS", "-D warnings"),
    )
}

/// Licences, banned crates and sources; the advisories need a database from elsewhere.
fn deny() -> Result<()> {
    let program = cargo_deny()?;
    let arguments = ["--all-features", "check", "licenses", "bans", "sources"];
    step::run(
        Command::new(program)
            .args(arguments)
            .current_dir(workspace::root()),
    )
}

/// The machine's own cargo-deny, or one brought into the build folder.
fn cargo_deny() -> Result<PathBuf> {
    const VERSION: &str = "0.20.2";
    if step::found("cargo-deny") {
        return Ok("cargo-deny".into());
    }
    let folder = workspace::tools().join("cargo-deny");
    let program = folder.join("bin/cargo-deny");
    if program.exists() {
        return Ok(program);
    }
    // Unoptimised and without symbols it is quick enough, and built in a quarter of the time.
    let install = ["install", "--locked", "--debug", "cargo-deny"];
    step::run(
        build::cargo()
            .args(install)
            .args(["--version", VERSION, "--root"])
            .arg(&folder)
            .env("CARGO_PROFILE_DEV_DEBUG", "false"),
    )?;
    Ok(program)
}

/// Another command of xtask, in a process of its own: it enters a network namespace.
fn own(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(std::env::current_exe()?);
    if BUILT.load(Ordering::Relaxed) {
        command.env(build::ALREADY, "1");
    }
    step::run_quoted(command.args(arguments))
}
