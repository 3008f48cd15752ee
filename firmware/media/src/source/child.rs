//! A child process and everything it starts, ended together.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How long a child may take to end when asked politely.
const GRACE: Duration = Duration::from_millis(500);

/// A child that leads a process group of its own.
#[derive(Debug)]
pub(crate) struct ChildGroup {
    child: Child,
    ended: bool,
}

impl ChildGroup {
    /// Starts a program with its output and its complaints piped to us, both not blocking.
    pub(crate) fn start(
        program: &str,
        arguments: &[String],
    ) -> io::Result<(Self, ChildStdout, ChildStderr)> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.process_group(0).spawn()?;
        let pipes = child.stdout.take().zip(child.stderr.take());
        let group = Self {
            child,
            ended: false,
        };
        let (stdout, stderr) = pipes.ok_or(io::ErrorKind::BrokenPipe)?;
        rustix::io::ioctl_fionbio(&stdout, true)?;
        rustix::io::ioctl_fionbio(&stderr, true)?;
        Ok((group, stdout, stderr))
    }

    /// Waits a moment for the child to end by itself, then ends it and what it started.
    pub(crate) fn end(&mut self) -> Option<ExitStatus> {
        self.exits_within(GRACE);
        self.kill()
    }

    fn kill(&mut self) -> Option<ExitStatus> {
        if !self.ended {
            // Until `wait` the child's number stays taken, so the signals cannot meet a stranger.
            if let Some(group) = self.pid() {
                let _ = kill_process_group(group, Signal::TERM);
                self.exits_within(GRACE);
                let _ = kill_process_group(group, Signal::KILL);
            }
            self.ended = true;
        }
        self.child.wait().ok()
    }

    /// Waits for the end of the child without collecting its status.
    fn exits_within(&self, limit: Duration) -> bool {
        let Some(pid) = self.pid() else { return true };
        let deadline = Instant::now() + limit;
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while let Ok(None) = waitid(WaitId::Pid(pid), options) {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        true
    }

    fn pid(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for ChildGroup {
    fn drop(&mut self) {
        self.kill();
    }
}
