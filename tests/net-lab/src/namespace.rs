//! A host of the lab: a network namespace.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::LabError;

/// A network namespace. The processes on it are their starter's to stop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    /// Keeps the namespace in being; none for the one that this process is in.
    holder: Option<Child>,
}

/// One end of a link.
#[derive(Debug, Clone, Copy)]
pub struct End<'a> {
    /// The host.
    pub namespace: &'a Namespace,
    /// Its address on the link and the length of the prefix, such as `10.78.0.1/30`.
    pub address: &'a str,
}

impl Namespace {
    /// A new host with nothing but loopback. The name, of at most 15 bytes, is also that of the
    /// device that leads to it on the hosts it is linked to.
    ///
    /// # Errors
    /// When this process has not the rights, or util-linux or iproute2 are missing.
    pub fn new(name: &str) -> Result<Self, LabError> {
        let failed = |source| LabError::Namespace {
            name: name.to_owned(),
            source,
        };
        // `cat` waits for the end of a pipe whose other end only this process has. It says first
        // that it is there.
        let mut holder = Command::new("unshare")
            .args(["--net", "--", "sh", "-c", "echo && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let mut there = [0];
        let said = match holder.stdout.as_mut() {
            Some(output) => output.read_exact(&mut there),
            None => Ok(()),
        };
        let namespace = Self {
            name: name.to_owned(),
            holder: Some(holder),
        };
        said.map_err(failed)?;
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// The namespace that this process is in, under a name for the lab.
    #[must_use]
    pub fn current(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            holder: None,
        }
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The words that go before a command so that it runs on this host; none for the current one.
    #[must_use]
    pub fn prefix(&self) -> Vec<String> {
        let file = self.file().map(|file| format!("--net={file}"));
        file.map_or_else(Vec::new, |net| vec!["nsenter".into(), net, "--".into()])
    }

    /// A command that runs on this host.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut words = self.prefix();
        words.push(program.to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// Runs a closure on this host, in a thread of its own. What it opens there stays there: a socket
    /// that it returns is one of this host.
    ///
    /// # Errors
    /// When this process may not enter it, or the closure panicked.
    pub fn run<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let entered = std::thread::scope(|scope| {
            let inside = scope.spawn(|| -> io::Result<T> {
                if let Some(file) = self.file() {
                    let file = File::open(file)?;
                    let kind = Some(LinkNameSpaceType::Network);
                    move_into_link_name_space(file.as_fd(), kind)?;
                }
                Ok(action())
            });
            inside.join()
        });
        let panicked = |_| Err(io::Error::other("the closure panicked"));
        let result = entered.unwrap_or_else(panicked);
        result.map_err(|source| LabError::Namespace {
            name: self.name.clone(),
            source,
        })
    }

    /// Sends what is for `destination` (`default` or a prefix) to a neighbour.
    ///
    /// # Errors
    /// When `ip route` refuses it.
    pub fn route(&self, destination: &str, via: &str) -> Result<(), LabError> {
        self.ip(&format!("route add {destination} via {via}"))
    }

    /// Makes this host a router: it passes on packets that are for others.
    ///
    /// # Errors
    /// When a setting cannot be written.
    pub fn forward(&self) -> Result<(), LabError> {
        let write = || {
            std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
            let ipv6 = Path::new("/proc/sys/net/ipv6/conf/all/forwarding");
            // Not there where the kernel has no IPv6.
            if ipv6.exists() {
                std::fs::write(ipv6, "1")
            } else {
                Ok(())
            }
        };
        self.run(write)?.map_err(|source| LabError::Namespace {
            name: self.name.clone(),
            source,
        })
    }

    /// Makes this host a firewall: what comes in from a neighbour over an IP protocol (`udp`) is dropped without a
    /// word. Once a host.
    ///
    /// # Errors
    /// When `ip rule` refuses it: the kernel lacks policy routing.
    pub fn block(&self, protocol: &str, from: &Namespace) -> Result<(), LabError> {
        // Before the rule that delivers to this host, which is the first of all unless it is moved.
        self.ip("rule add pref 10 lookup local")?;
        self.ip("rule del pref 0")?;
        let device = from.name();
        self.ip(&format!(
            "rule add pref 5 iif {device} ipproto {protocol} blackhole"
        ))
    }

    /// Loads rules of nftables.
    ///
    /// # Errors
    /// When `nft` is missing or refuses them.
    pub fn nft(&self, rules: &str) -> Result<(), LabError> {
        feed(self.command("nft").args(["-f", "-"]), rules)
    }

    /// Forgets who talks to whom: a router's mappings are made anew by the next packets.
    ///
    /// # Errors
    /// When `conntrack` is missing or refuses it.
    pub fn forget_connections(&self) -> Result<(), LabError> {
        succeed(self.command("conntrack").arg("--flush"))
    }

    /// Starts a program that goes on, and ends with this process at the latest; `input` is all it reads.
    pub(crate) fn serve(
        &self,
        program: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<Child, LabError> {
        let mut command = self.command("setpriv");
        command
            .args(["--pdeathsig", "TERM", "--", program])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        let failed = |error: io::Error| LabError::Command {
            command: program.to_owned(),
            complaint: error.to_string(),
        };
        let mut child = command.spawn().map_err(failed)?;
        let written = child
            .stdin
            .take()
            .map(|mut pipe| pipe.write_all(input.as_bytes()));
        written.unwrap_or(Ok(())).map_err(failed)?;
        Ok(child)
    }

    /// Runs `ip` with these arguments on this host.
    pub(crate) fn ip(&self, arguments: &str) -> Result<(), LabError> {
        succeed(self.command("ip").args(arguments.split(' ')))
    }

    /// Gives a device of this host its address and sets it up.
    pub(crate) fn set_up(&self, device: &str, address: &str) -> Result<(), LabError> {
        // No link-local IPv6 address: it comes seconds later, and browsers then start over.
        self.ip(&format!("link set {device} addrgenmode none"))?;
        // Nor does an IPv6 address wait to see whether anyone else has it.
        let sure = if address.contains(':') { " nodad" } else { "" };
        self.ip(&format!("address add {address} dev {device}{sure}"))?;
        self.ip(&format!("link set {device} up"))
    }

    /// The process that keeps it in being.
    pub(crate) fn holder_id(&self) -> Option<u32> {
        self.holder.as_ref().map(Child::id)
    }

    fn file(&self) -> Option<String> {
        self.holder_id().map(|id| format!("/proc/{id}/ns/net"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            // Its input ends, and so does it.
            drop(holder.stdin.take());
            let _ = holder.wait();
        }
    }
}

/// Runs a command; what it complained about is the error.
pub(crate) fn succeed(command: &mut Command) -> Result<(), LabError> {
    feed(command, "")
}

/// The same for a command that reads something.
fn feed(command: &mut Command, input: &str) -> Result<(), LabError> {
    let run = |command: &mut Command| {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        // One that reads nothing has ended by now, perhaps, and says why below.
        let _ = child
            .stdin
            .take()
            .map(|mut pipe| pipe.write_all(input.as_bytes()));
        child.wait_with_output()
    };
    let complaint = match run(command) {
        Ok(output) if output.status.success() => return Ok(()),
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    Err(LabError::Command {
        command: words.join(" "),
        complaint,
    })
}
