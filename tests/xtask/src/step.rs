//! Running commands with their progress in view, and waiting for things to happen.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs a command with its output in view; an exit other than 0 is an error naming it.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    println!("  $ {line}");
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("`{line}` did not start: is the program installed?"))?;
    if !status.success() {
        bail!("`{line}` failed ({status}): its output above says why");
    }
    Ok(())
}

/// As [`run`], for a command whose last words belong into the error: in a long log, what was printed
/// then is far from where the error is read.
pub fn run_quoted(command: &mut Command) -> Result<()> {
    const QUOTED: usize = 25;
    let line = line(command);
    println!("  $ {line}");
    let (reader, writer) = std::io::pipe()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("`{line}` did not start: is the program installed?"))?;
    // The command holds the writing end too, and the pipe would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut last = VecDeque::with_capacity(QUOTED);
    for printed in BufReader::new(reader).split(b'\n') {
        let printed = String::from_utf8_lossy(&printed?).into_owned();
        println!("{printed}");
        if last.len() == QUOTED {
            last.pop_front();
        }
        last.push_back(printed);
    }
    let status = child.wait()?;
    if !status.success() {
        let last: Vec<_> = last.into();
        bail!(
            "`{line}` failed ({status}), and said at last:\n{}",
            last.join("\n")
        );
    }
    Ok(())
}

/// Runs a command and returns what it printed; its complaints are part of the error.
pub fn output(command: &mut Command) -> Result<String> {
    let line = line(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("`{line}` did not start: is the program installed?"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("`{line}` failed ({}): {}", output.status, complaint.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The program that `name` stands for in the search path.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Whether a program is in the search path.
pub fn found(name: &str) -> bool {
    which(name).is_some()
}

/// Asks `probe` until it has an answer.
///
/// The probe returns `Ok(None)` for "not yet"; an error ends the wait at once.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(answer) = probe()? {
            return Ok(answer);
        }
        if begin.elapsed() > limit {
            bail!("{what} did not happen within {} s", limit.as_secs());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// The last lines of a log, for an error message.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// A command as a person would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}
