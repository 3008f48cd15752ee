//! The browser tests: each starts the real binaries, and a script watches them with Chromium.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::node::Node;
use crate::stack::{SMALL_PATTERN, Stack};
use crate::{browser, build, netns, packages, workspace};

const PROFILE: &str = "dev";
const LIMIT: Duration = Duration::from_secs(180);

/// Each is a script of `tests/e2e` by this name.
const SCENARIOS: &[&str] = &[
    "sign-in",
    "screens",
    "five-viewers",
    "broker-restart",
    "untrusted",
];

/// Runs all scenarios, or those named.
pub fn run(only: &[String]) -> Result<()> {
    if let Some(unknown) = only.iter().find(|name| !SCENARIOS.contains(&name.as_str())) {
        bail!(
            "no scenario is called `{unknown}`: there are {}",
            SCENARIOS.join(", ")
        );
    }
    if !netns::inside() {
        packages::ensure_build()?;
        packages::ensure_browser()?;
        build::all(PROFILE)?;
    }
    netns::enter()?;
    let node = Node::ensure()?;
    let chosen = SCENARIOS
        .iter()
        .filter(|name| only.is_empty() || only.iter().any(|one| one == *name));
    let (mut passed, mut failed) = (0, 0);
    for name in chosen {
        println!("\n  e2e {name}");
        let begin = Instant::now();
        let word = match scenario(&node, name) {
            Ok(()) => {
                passed += 1;
                "passed"
            }
            Err(error) => {
                failed += 1;
                println!("  {error:#}");
                "FAILED"
            }
        };
        println!(
            "  e2e {name}: {word} in {:.1} s",
            begin.elapsed().as_secs_f64()
        );
    }
    println!("{passed} passed, {failed} failed");
    if failed > 0 {
        bail!(
            "{failed} browser tests failed: their logs are under {}",
            workspace::target().join("e2e").display()
        );
    }
    Ok(())
}

fn scenario(node: &Node, name: &str) -> Result<()> {
    let folder = workspace::target().join("e2e").join(name);
    let mut stack = Stack::start(
        &build::built(PROFILE),
        &folder,
        netns::ADDRESS,
        SMALL_PATTERN,
    )?;
    let input = stack.input(&folder);
    browser::run(node, name, &input, LIMIT, &mut |what, _| stack.answer(what))?.conclude()
}
