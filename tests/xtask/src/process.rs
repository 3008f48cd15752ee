//! A child process that lives no longer than its owner.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::step;

/// How long a child may take to stop when asked to.
const GRACE: Duration = Duration::from_secs(10);

/// A running program with its output in a log file; dropped, it is stopped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program in `folder`; its output goes to the end of `log`.
    pub fn start<A: AsRef<OsStr>>(
        name: &str,
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
        folder: &Path,
    ) -> Result<Self> {
        let mut command = tied(program);
        command.args(arguments);
        Self::spawn(name, command, log, folder)
    }

    /// The same for a command of [`tied`].
    pub fn spawn(name: &str, mut command: Command, log: &Path, folder: &Path) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        let errors = output.try_clone()?;
        let child = command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .with_context(|| format!("{name} did not start"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log: log.to_owned(),
        })
    }

    /// Its process id: `setpriv` becomes the program.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Fails with the end of the log when the program has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!(
                "{} ended ({status}):\n{}",
                self.name,
                step::tail(&self.log, 20)
            );
        }
        Ok(())
    }

    /// Asks the program to stop, and ends it if it does not.
    pub fn stop(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        signal(self.child.id(), "TERM");
        let name = format!("{} stopping when asked to", self.name);
        let child = &mut self.child;
        let stopped = step::wait_for(&name, GRACE, || Ok(child.try_wait()?));
        if stopped.is_err() {
            self.kill()?;
        }
        stopped.map(|_| ())
    }

    /// Ends the program as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("warning: {error:#}");
        }
    }
}

/// A command whose process ends with this one, however this one ends, and which Ctrl-C in the
/// terminal does not reach: its owner stops it.
pub fn tied(program: &Path) -> Command {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "TERM", "--"])
        .arg(program)
        .process_group(0);
    command
}

/// Sends a signal through the shell's built-in, which every system has.
fn signal(id: u32, name: &str) {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("kill -{name} {id}")])
        .stderr(Stdio::null());
    // A process that has just ended needs no signal.
    let _ = command.status();
}
