//! `cargo xtask bench latency`: from the drawing of a picture to its being decoded and shown in Chromium.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;

use super::server::{self, Servers};
use super::subject::{self, Content};
use crate::node::Node;
use crate::{browser, build, netns};

/// Measures, prints the table, and fails when the first server is later than the better of the others.
pub fn run(runs: u32, seconds: u32, names: &[String]) -> Result<()> {
    if !netns::inside() {
        subject::prepare(true)?;
    }
    netns::enter()?;
    let node = Node::ensure()?;
    let folder = server::folder()?;
    let mut servers = Servers::new(folder.join("latency"), Content::Bars);
    let input = json!({
        "chromium": build::chromium(),
        "output": folder,
        "servers": names,
        "runs": runs,
        "seconds": seconds,
        "fps": crate::stack::HD_PATTERN.fps,
    });
    // Each server of each run takes its start and Chromium's beside what is measured.
    let limit = Duration::from_secs(
        60 + u64::from(runs) * names.len() as u64 * (60 + 2 * u64::from(seconds)),
    );
    let answer = &mut |what: &str, name: &str| match what {
        "serve" => Ok(servers.serve(name)?.to_string()),
        _ => bail!("this bench knows no `{what}`"),
    };
    let outcome = browser::run(&node, "latency", &input, limit, answer)?;
    server::write(&folder.join("latency.json"), &outcome.data)?;
    outcome.conclude()
}
