//! The emulated machine: booted by QEMU, driven by commands over its serial console.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::process::tied;

/// What an emulated boot takes on a busy machine, with room to spare.
const BOOT: Duration = Duration::from_secs(240);
/// The first process says so when it takes commands (`tests/arm-lab/init`).
const READY: &str = "heron-lab: ready";
/// And after each command's output how the command ended.
const STATUS: &str = "heron-lab: status ";

/// A running guest; dropped, it is switched off.
pub struct Guest {
    machine: Child,
    console: ChildStdin,
    lines: Receiver<String>,
}

impl Guest {
    /// Boots a kernel with a root file system. The guest sees the folder `shared` as `/mnt`; the console is kept in
    /// `log`.
    pub fn boot(kernel: &Path, initrd: &Path, shared: &Path, log: &Path) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut machine = tied(Path::new("qemu-system-aarch64"))
            // Plain emulation: it works everywhere, nested virtualisation does not.
            .args([
                "-M",
                "virt",
                "-cpu",
                "max,pauth-impdef=on",
                "-accel",
                "tcg,thread=multi",
            ])
            .args([
                "-smp",
                "2",
                "-m",
                "1024",
                "-nographic",
                "-no-reboot",
                "-kernel",
            ])
            .arg(kernel)
            .arg("-initrd")
            .arg(initrd)
            .arg("-append")
            .arg(format!("console=ttyAMA0 panic=-1 quiet heron.time={now}"))
            .args([
                "-netdev",
                "user,id=net",
                "-device",
                "virtio-net-pci,netdev=net,romfile=",
            ])
            .arg("-virtfs")
            .arg(format!(
                "local,path={},mount_tag=host,security_model=none",
                shared.display()
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("qemu-system-aarch64 did not start")?;
        let console = machine
            .stdin
            .take()
            .context("QEMU has no console to write to")?;
        let output = machine
            .stdout
            .take()
            .context("QEMU has no console to read from")?;
        let lines = read_console(output, File::create(log)?);
        let guest = Self {
            machine,
            console,
            lines,
        };
        guest.until(BOOT, "the guest booting", |line| {
            (line == READY).then_some(())
        })?;
        Ok(guest)
    }

    /// Runs a shell command in the guest and returns what it printed.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<String> {
        writeln!(self.console, "{command}")?;
        let mut printed = String::new();
        let what = format!("`{command}` in the guest");
        let status = self.until(limit, &what, |line| {
            if let Some(status) = line.strip_prefix(STATUS) {
                return Some(status.to_owned());
            }
            // The kernel shares the console.
            if !is_kernel_message(line) && line != command {
                printed.push_str(line);
                printed.push('\n');
            }
            None
        })?;
        if status != "0" {
            bail!("{what} ended with status {status}: {}", printed.trim());
        }
        Ok(printed)
    }

    fn until<T>(
        &self,
        limit: Duration,
        what: &str,
        mut take: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let end = Instant::now() + limit;
        loop {
            match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(line) => {
                    if let Some(found) = take(&line) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("{what} took over {} s", limit.as_secs()),
                Err(RecvTimeoutError::Disconnected) => bail!("the guest ended during {what}"),
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Nothing in it is worth a shutdown. An error means it is off already.
        let _ = self.machine.kill();
        let _ = self.machine.wait();
    }
}

/// Passes the console's lines on, and keeps them in a file.
fn read_console(output: ChildStdout, mut log: File) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\r');
            // A full disk costs the log, not the run.
            let _ = writeln!(log, "{line}");
            if sender.send(line.to_owned()).is_err() {
                return;
            }
        }
    });
    lines
}

/// `[   12.345678] ...`
fn is_kernel_message(line: &str) -> bool {
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
        .is_some_and(|(time, _)| time.trim().parse::<f64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_messages_are_told_from_a_commands_output() {
        assert!(is_kernel_message("[   52.261736] reboot: Power down"));
        assert!(!is_kernel_message("[video] source"));
        assert!(!is_kernel_message("/dev/video0"));
    }
}
