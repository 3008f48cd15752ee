//! The brokers that carry the fleet, at the same address with the same certificates.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::process::{Process, tied};
use crate::stack::{Account, Control};
use crate::step;

/// heron-control with the broker that is embedded in it.
pub const HERON: &str = "heron";
/// Debian's Mosquitto, as `heron-control broker config --for mosquitto` has it.
pub const MOSQUITTO: &str = "mosquitto";

/// Where a view finds Mosquitto without a certificate.
const VIEW: &str = "127.0.0.1:1883";
const START: Duration = Duration::from_secs(30);

/// One of them.
pub enum Broker<'a> {
    Heron(&'a mut Control),
    Mosquitto {
        folder: PathBuf,
        process: Option<Process>,
    },
}

impl<'a> Broker<'a> {
    /// The broker of that name; its certificates are those of `control`, whose folder is `folder`.
    pub fn new(name: &str, control: &'a mut Control, folder: &Path) -> Result<Self> {
        if name == HERON {
            return Ok(Self::Heron(control));
        }
        let config = control.hand_over_to_mosquitto()?;
        fs::write(folder.join("mosquitto.conf"), with_view(&config))?;
        Ok(Self::Mosquitto {
            folder: folder.to_owned(),
            process: None,
        })
    }

    /// Starts it, and waits until it takes connections.
    pub fn start(&mut self) -> Result<()> {
        match self {
            Self::Heron(control) => control.restart(),
            Self::Mosquitto { folder, process } => {
                // Debian installs it beside the system's services.
                let program = step::which("mosquitto").unwrap_or("/usr/sbin/mosquitto".into());
                let mut command = tied(&program);
                command.args(["-c", "mosquitto.conf"]);
                let log = folder.join("mosquitto.log");
                let mut started = Process::spawn("mosquitto", command, &log, folder)?;
                step::wait_for("Mosquitto taking connections", START, || {
                    started.ensure_running()?;
                    match TcpStream::connect(VIEW) {
                        Ok(_) => Ok(Some(())),
                        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(None),
                        Err(error) => Err(error.into()),
                    }
                })?;
                *process = Some(started);
                Ok(())
            }
        }
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(&mut self) -> Result<()> {
        match self {
            Self::Heron(control) => control.stop(),
            Self::Mosquitto { process, .. } => {
                process.take().map_or(Ok(()), |mut process| process.stop())
            }
        }
    }

    /// Fails when it has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        match self {
            Self::Heron(control) => control.ensure_running(),
            Self::Mosquitto { process, .. } => {
                process.as_mut().map_or(Ok(()), Process::ensure_running)
            }
        }
    }

    /// Its process.
    pub fn id(&self) -> Result<u32> {
        match self {
            Self::Heron(control) => control.id(),
            Self::Mosquitto { process, .. } => process.as_ref().map(Process::id),
        }
        .context("the broker does not run")
    }

    /// The order to `heron-swarm` that lets cameras leave and come back before the eyes of this broker's view.
    pub fn blink(&self, account: &Account) -> String {
        match self {
            Self::Heron(control) => {
                let door = super::swarm::door(account, &control.local_url());
                format!("blink {}", door.join(" "))
            }
            Self::Mosquitto { .. } => format!("blink-at {VIEW}"),
        }
    }
}

/// The same with a door for the view, which looks at the broker itself.
fn with_view(config: &str) -> String {
    format!(
        "{config}\nuser root\nlog_type error\nlistener {} 127.0.0.1\nallow_anonymous true\n",
        VIEW.trim_start_matches("127.0.0.1:")
    )
}
