//! The fleet: `heron-swarm` as a child, which is told and tells by lines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::bench::subject::PROFILE;
use crate::process::tied;
use crate::stack::Account;
use crate::{build, step};

/// How long leaving and coming back of some cameras may take.
const BLINK: Duration = Duration::from_secs(60);

/// What `heron-swarm` says of changes of presence.
#[derive(Clone, Copy, Deserialize)]
pub struct Changes {
    pub missing: usize,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// A running fleet; dropped, it is gone at once.
pub struct Swarm {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Receiver<String>,
}

fn program() -> std::path::PathBuf {
    build::built(PROFILE).control.with_file_name("heron-swarm")
}

/// How `heron-swarm` signs in.
pub fn door(account: &Account, url: &str) -> [String; 6] {
    [
        "--control",
        url,
        "--name",
        &account.name,
        "--password",
        &account.password,
    ]
    .map(str::to_owned)
}

/// Makes identities in a folder; how long that took, in seconds.
pub fn enrol(account: &Account, url: &str, cameras: usize, identities: &Path) -> Result<f64> {
    let mut command = Command::new(program());
    command
        .arg("enrol")
        .args(door(account, url))
        .args(["--cameras", &cameras.to_string(), "--identities"])
        .arg(identities);
    let said: Value = serde_json::from_str(&step::output(&mut command)?)?;
    said["seconds"].as_f64().context("heron-swarm told no time")
}

impl Swarm {
    /// Starts that many cameras.
    pub fn start(identities: &Path, cameras: usize) -> Result<Self> {
        let mut command = tied(&program());
        command
            .args(["run", "--cameras", &cameras.to_string(), "--identities"])
            .arg(identities)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().context("heron-swarm did not start")?;
        let output = child.stdout.take().context("no output to read")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody is left to read when the bench has ended.
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            orders: child.stdin.take(),
            child,
            lines,
        })
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until everybody is online; when that was, in Unix milliseconds.
    pub fn all_online(&mut self, limit: Duration) -> Result<u64> {
        self.event("all-online", limit)
    }

    /// Waits until somebody is not.
    pub fn away(&mut self, limit: Duration) -> Result<u64> {
        self.event("away", limit)
    }

    /// Passes over what was said until now.
    pub fn forget(&mut self) {
        while self.lines.try_recv().is_ok() {}
    }

    /// Lets some leave and come back, and tells how soon the view knew.
    pub fn blink(&mut self, cameras: usize, order: &str) -> Result<Changes> {
        let orders = self.orders.as_mut().context("no input to write to")?;
        writeln!(orders, "{order} --cameras {cameras}")?;
        self.find(BLINK, "its changes", |said| {
            said.get("missing")?;
            Some(serde_json::from_value(said.clone()))
        })?
        .context("an odd answer of heron-swarm")
    }

    fn event(&mut self, name: &str, limit: Duration) -> Result<u64> {
        self.find(limit, name, |said| {
            (said["event"] == name).then(|| said["unix_ms"].as_u64())
        })?
        .context("an event without a time")
    }

    /// The first line that `wanted` recognises.
    fn find<T>(
        &mut self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&Value) -> Option<T>,
    ) -> Result<T> {
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                if let Some(status) = self.child.try_wait()? {
                    bail!("heron-swarm ended ({status}): its complaint is above");
                }
                bail!(
                    "heron-swarm did not say `{what}` within {} s",
                    limit.as_secs()
                );
            };
            if let Some(found) = wanted(&serde_json::from_str(&line)?) {
                return Ok(found);
            }
        }
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Now, as the swarm tells the time.
pub fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}
