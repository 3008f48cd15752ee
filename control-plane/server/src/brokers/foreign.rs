//! A broker that runs beside us: the files it reads, and putting cameras out of it.
//!
//! ```text
//! identity ── who is out ──► devices.crl ── reload command ──► broker: nobody of them comes in any more
//!                       └──► take over the client id ────────► broker: who is in goes out
//! ```

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use heron_broker::Mosquitto;
use heron_protocol::DeviceId;
use heron_protocol::messages::{Offline, Presence};
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::takeover::{last_word, take_over};
use crate::clock::unix_ms;
use crate::identity::{Authority, Gate, RevokedSerial};
use crate::signalling::BrokerAddress;

/// How often it is looked whether the list of revoked certificates is still right.
const LOOK: Duration = Duration::from_secs(1);
/// How long the reload command may take.
const RELOAD: Duration = Duration::from_secs(5);
/// The broker's group may read what we write, if the directory passes its group on (setgid).
const FILE_MODE: u32 = 0o640;

/// What a foreign broker reads, by name in its directory.
pub const REVOKED_FILE: &str = "devices.crl";

/// What [`ForeignBroker`] is made of.
pub struct Surroundings {
    /// Where the broker's files are written.
    pub directory: PathBuf,
    /// The files of ours that it needs: name there, and where from.
    pub copies: Vec<(&'static str, PathBuf)>,
    /// What makes it read them again; a line for `sh -c`.
    pub reload: Option<String>,
    /// Its listener for the control plane.
    pub control: BrokerAddress,
    /// Who is out.
    pub gate: Arc<Gate>,
    /// Signs the list.
    pub devices: Arc<Authority>,
}

/// A broker that is not ours.
pub struct ForeignBroker {
    around: Surroundings,
    written: Mutex<Written>,
}

/// The list as it was written last.
#[derive(Default)]
struct Written {
    revoked: Option<Vec<RevokedSerial>>,
    at: Option<SystemTime>,
}

impl ForeignBroker {
    /// Writes the files, and has the broker read them if it is there.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub async fn new(around: Surroundings) -> anyhow::Result<Self> {
        let directory = &around.directory;
        std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
        for (name, from) in &around.copies {
            let text = std::fs::read(from).with_context(|| from.display().to_string())?;
            write(&directory.join(name), &text)?;
        }
        for (name, text) in Mosquitto::access_files() {
            write(&directory.join(name), text.as_bytes())?;
        }
        let broker = Self {
            around,
            written: Mutex::default(),
        };
        broker.refresh().await?;
        Ok(broker)
    }

    /// Looks for ever whether the list is still right: certificates are superseded, cameras released.
    pub async fn follow(&self) {
        let mut tick = tokio::time::interval(LOOK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut trouble = String::new();
        loop {
            tick.tick().await;
            match self.refresh().await {
                Ok(()) => trouble.clear(),
                Err(error) => {
                    // The same reason again says nothing new.
                    let error = format!("{error:#}");
                    if error != trouble {
                        tracing::error!(error, "the broker does not learn who is revoked");
                        trouble = error;
                    }
                }
            }
        }
    }

    /// Writes the list of revoked certificates anew if it has changed, and has the broker read it.
    async fn refresh(&self) -> anyhow::Result<()> {
        // One at a time, so that an older list never replaces a newer one.
        let mut written = self.written.lock().await;
        let mut now = SystemTime::now();
        let revoked = self.around.gate.revoked(now);
        if written.revoked.as_ref() == Some(&revoked) {
            return Ok(());
        }
        // Of two lists that a broker has read, it believes the one with the later time, in seconds.
        if let Some(last) = written.at {
            now = now.max(last + Duration::from_secs(1));
        }
        let list = self.around.devices.revocation_list(&revoked, now)?;
        write(&self.around.directory.join(REVOKED_FILE), list.as_bytes())?;
        let first = written.at.replace(now).is_none();
        if let Err(error) = self.reload().await {
            // At the start the broker may not be there yet, and reads its files when it comes.
            if !first {
                return Err(error);
            }
            tracing::warn!(
                error = format!("{error:#}"),
                "the broker was not told to read its files"
            );
        }
        written.revoked = Some(revoked);
        Ok(())
    }

    async fn reload(&self) -> anyhow::Result<()> {
        let Some(reload) = &self.around.reload else {
            return Ok(());
        };
        let run = Command::new("sh")
            .args(["-c", reload])
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(RELOAD, run)
            .await
            .with_context(|| format!("broker.reload took more than {} s", RELOAD.as_secs()))?
            .context("broker.reload")?;
        anyhow::ensure!(
            output.status.success(),
            "broker.reload: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(())
    }

    /// Puts a camera out whose standing has changed already. `last` is its presence so far.
    pub async fn put_out(&self, device: &DeviceId, last: Option<Presence>) {
        // First the list, so that it does not come in again when it is out.
        if let Err(error) = self.refresh().await {
            tracing::error!(%device, error = format!("{error:#}"), "the broker does not learn who is revoked");
        }
        let now_ms = unix_ms(SystemTime::now()).unsigned_abs();
        let last = last.map(|last| last_word(last, Offline::Certificate, now_ms));
        if let Err(error) = take_over(&self.around.control, device, last.as_ref()).await {
            tracing::error!(%device, %error, "a camera could not be put out of the broker");
        }
    }
}

/// Replaces a file as a whole.
fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let named = || path.display().to_string();
    let new = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(FILE_MODE)
        .open(&new)
        .with_context(named)?;
    file.write_all(content).with_context(named)?;
    file.sync_all().with_context(named)?;
    std::fs::rename(&new, path).with_context(named)
}
