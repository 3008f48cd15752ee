//! The browser tests: each starts the real binaries, and a script watches them with Chromium.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use heron_net_lab::{End, Namespace, Veth};
use serde_json::json;

use crate::newcomer::Newcomer;
use crate::node::Node;
use crate::stack::{AV1_CHILD, SMALL_PATTERN, Stack};
use crate::{browser, build, netns, packages, workspace};

const PROFILE: &str = "dev";
const LIMIT: Duration = Duration::from_secs(180);

/// Each is a script of `tests/e2e` by this name.
const SCENARIOS: &[&str] = &[
    "sign-in",
    "screens",
    "five-viewers",
    "broker-restart",
    "new-path",
    "untrusted",
    "snapshot",
    "local-view",
    "talk",
    TCP_ONLY,
    PASS_THROUGH,
    ENROLMENT,
    REVOCATION,
];

/// Its camera belongs to nobody at first.
const ENROLMENT: &str = "enrolment";
/// All of its media goes through TURN.
const REVOCATION: &str = "revocation";
/// Its camera's picture comes encoded.
const PASS_THROUGH: &str = "pass-through";
/// Its browser is on another host, and no UDP comes from there.
const TCP_ONLY: &str = "tcp-only";
/// The wire between the two: this end, and the browser's.
const HERE: &str = "10.78.0.1";
const THERE: &str = "10.78.0.2";

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
        packages::ensure_peers()?;
        packages::ensure_nat_lab()?;
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
    if name == ENROLMENT {
        return enrolment(node, &folder);
    }
    if name == REVOCATION {
        return revocation(node, &folder);
    }
    let picture = match name {
        PASS_THROUGH => AV1_CHILD,
        _ => SMALL_PATTERN,
    };
    let binaries = build::built(PROFILE);
    let (mut stack, mut input) = Stack::equipped(&binaries, &folder, netns::ADDRESS, picture)?;
    let mut away = None;
    if name == TCP_ONLY {
        let host = away.insert(Namespace::new("viewer")?);
        firewall(&Namespace::current("home"), host)?;
        input["chromium"] = json!(browser::on(host, &folder)?);
    }
    browser::run(node, name, &input, LIMIT, &mut |what, _| stack.answer(what))?.conclude()
}

fn enrolment(node: &Node, folder: &Path) -> Result<()> {
    let binaries = build::built(PROFILE);
    let mut newcomer = Newcomer::start(&binaries, folder, netns::ADDRESS, SMALL_PATTERN)?;
    let input = newcomer.input(folder);
    let answer = &mut |what: &str, argument: &str| newcomer.answer(what, argument);
    browser::run(node, ENROLMENT, &input, LIMIT, answer)?.conclude()
}

fn revocation(node: &Node, folder: &Path) -> Result<()> {
    let mut stack = Stack::relayed(
        &build::built(PROFILE),
        folder,
        netns::ADDRESS,
        SMALL_PATTERN,
    )?;
    let input = stack.input(folder);
    let answer = &mut |what: &str, _: &str| stack.answer(what);
    browser::run(node, REVOCATION, &input, LIMIT, answer)?.conclude()
}

/// A wire to a host from which no UDP comes through. It goes when that host does.
fn firewall(home: &Namespace, away: &Namespace) -> Result<()> {
    let end = |namespace, address: &str| (namespace, format!("{address}/30"));
    let [(home, here), (away, there)] = [end(home, HERE), end(away, THERE)];
    Veth::between(
        End {
            namespace: home,
            address: &here,
        },
        End {
            namespace: away,
            address: &there,
        },
    )?;
    away.route("default", HERE)?;
    home.block("udp", away)?;
    Ok(())
}
