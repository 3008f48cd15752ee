//! Running the scripts of `tests/e2e`, which drive Chromium.
//!
//! A script gets its input as one JSON argument. On its standard output, a line that starts with
//! `@ask` is a request to xtask, answered by one line of JSON on its standard input; a line that
//! starts with `@result` is what it found; all others are for the person watching.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use heron_net_lab::Namespace;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::node::Node;
use crate::process::tied;
use crate::{build, table, workspace};

/// What a script found.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// Heads the columns of `figures`.
    #[serde(default)]
    pub heading: Vec<String>,
    /// The figures as a person reads them.
    #[serde(default)]
    pub figures: Vec<Vec<String>>,
    /// All of it in one line.
    pub line: String,
    /// What should have happened and did not.
    #[serde(default)]
    pub failures: Vec<String>,
    /// The figures as a program reads them.
    #[serde(default)]
    pub data: Value,
}

impl Outcome {
    /// Prints the figures and, last, the line; an error if anything did not happen.
    pub fn conclude(&self) -> Result<()> {
        if !self.figures.is_empty() {
            let heading: Vec<&str> = self.heading.iter().map(String::as_str).collect();
            table::print(&heading, &self.figures);
        }
        for failure in &self.failures {
            println!("  MISSED: {failure}");
        }
        println!("{}", self.line);
        if !self.failures.is_empty() {
            bail!("{}", self.failures.join("; "));
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Request {
    what: String,
    #[serde(default)]
    argument: String,
}

/// Answers a script's requests.
pub type Answer<'a> = dyn FnMut(&str, &str) -> Result<String> + 'a;

/// Writes a program into `folder` that starts Chromium on a host of the network lab.
pub fn on(host: &Namespace, folder: &Path) -> Result<PathBuf> {
    let file = folder.join(format!("chromium-on-{}", host.name()));
    let prefix = host.prefix().join(" ");
    let program = build::chromium();
    let text = format!("#!/bin/sh\nexec {prefix} {} \"$@\"\n", program.display());
    fs::write(&file, text)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    Ok(file)
}

/// Runs one script to its end, or to the time limit.
pub fn run(
    node: &Node,
    script: &str,
    input: &Value,
    limit: Duration,
    answer: &mut Answer<'_>,
) -> Result<Outcome> {
    let program = node.command("node")?;
    let mut command = tied(Path::new("timeout"));
    command
        .args(["--kill-after=10", &limit.as_secs().to_string()])
        .arg(program.get_program());
    for (name, value) in program.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let mut child = command
        .args([
            "--import",
            "tsx",
            &format!("{script}.ts"),
            &input.to_string(),
        ])
        .current_dir(workspace::e2e())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("the browser script did not start")?;
    let output = child.stdout.take().context("no output to read")?;
    let mut replies = child.stdin.take().context("no input to write")?;
    let mut outcome = None;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some(request) = line.strip_prefix("@ask ") {
            let request: Request = serde_json::from_str(request)?;
            let reply = match answer(&request.what, &request.argument) {
                Ok(value) => json!({ "value": value }),
                Err(error) => json!({ "error": format!("{error:#}") }),
            };
            writeln!(replies, "{reply}")?;
        } else if let Some(result) = line.strip_prefix("@result ") {
            outcome = Some(serde_json::from_str(result)?);
        } else {
            println!("  {line}");
        }
    }
    let status = child.wait()?;
    match outcome {
        Some(outcome) if status.success() => Ok(outcome),
        _ if status.code() == Some(124) => {
            bail!("`{script}` was not done after {} s", limit.as_secs())
        }
        _ => bail!("`{script}` failed ({status}): its output above says why"),
    }
}
