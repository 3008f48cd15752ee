//! The secret that the control plane shares with relays: a file with the one in force and the one before, so that a
//! rotation drops nobody.
//!
//! ```text
//! 5f0c...e1 1800000000     the current one, and when it came into force (Unix seconds)
//! 9a11...07                the previous one, still good for credentials that were made with it
//! ```
//!
//! Every process with the file reads it every two seconds. For the first ten seconds after a rotation credentials
//! are still made with the previous secret, so that none is shown to a relay that has not read the new one yet.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use heron_turn::{Secret, Secrets};
use parking_lot::RwLock;
use thiserror::Error;
use tokio::task::AbortHandle;

use crate::identity::Keep;

const LOOK: Duration = Duration::from_secs(2);
/// How long after a rotation the previous secret still makes credentials, in seconds.
const LEAD: u64 = 10;
/// What was made with the secret before the previous one may still be alive for this long after its rotation.
const LONGEST_HOLD: Duration = Duration::from_secs(12 * 3600);
/// The shortest secret, in characters.
const SHORTEST: usize = 16;

/// What the file holds.
#[derive(Clone, PartialEq, Eq)]
struct Kept {
    current: String,
    since: u64,
    previous: Option<String>,
}

impl Kept {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let mut words = lines.next().unwrap_or_default().split_whitespace();
        let current = words.next().unwrap_or_default().to_owned();
        let since = words.next().map_or(Ok(0), str::parse);
        let since = since.map_err(|_| "the second word of its first line must be Unix seconds")?;
        let previous = lines.next().map(|line| line.trim().to_owned());
        let short = |secret: &String| secret.len() < SHORTEST;
        if short(&current) || previous.as_ref().is_some_and(short) {
            return Err("a secret must have at least 16 characters");
        }
        if words.next().is_some() || lines.next().is_some() {
            return Err("two lines are allowed: the current secret and the previous one");
        }
        Ok(Self {
            current,
            since,
            previous,
        })
    }

    fn text(&self) -> String {
        let previous = self.previous.as_deref().unwrap_or_default();
        format!("{} {}\n{previous}\n", self.current, self.since)
    }

    fn secrets(&self) -> Secrets {
        Secrets {
            current: Secret::new(self.current.as_bytes()),
            previous: self
                .previous
                .as_ref()
                .map(|secret| Secret::new(secret.as_bytes())),
        }
    }
}

/// The last rotation was too short a time ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the last rotation was {} minutes ago, and sessions may still live by the secret before it: wait {} more, or give --force",
    age.as_secs() / 60,
    LONGEST_HOLD.saturating_sub(*age).as_secs() / 60 + 1
)]
pub struct RotationTooSoon {
    /// How long ago.
    pub age: Duration,
}

/// A secret file. Share it in an `Arc`.
pub struct SecretFile {
    path: PathBuf,
    kept: RwLock<Kept>,
}

impl SecretFile {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            kept: RwLock::new(read(path)?),
            path: path.to_owned(),
        })
    }

    /// Reads it; makes it with a fresh secret if it is not there.
    ///
    /// # Errors
    ///
    /// One line that names the file.
    pub fn open_or_make(path: &Path) -> anyhow::Result<Self> {
        let (keep, name) = place(path)?;
        keep.read_or_make(&name, || Ok(format!("{}\n", fresh())))?;
        Self::open(path)
    }

    /// A secret that is in no file.
    ///
    /// # Errors
    ///
    /// It has less than 16 characters.
    pub fn given(secret: &str) -> anyhow::Result<Self> {
        Ok(Self {
            kept: RwLock::new(Kept::parse(secret).map_err(anyhow::Error::msg)?),
            path: PathBuf::new(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secrets in force.
    pub fn secrets(&self) -> Secrets {
        self.kept.read().secrets()
    }

    /// The one to make credentials with; `now` in Unix seconds.
    pub fn minting(&self, now: u64) -> Secret {
        let kept = self.kept.read();
        let secret = match &kept.previous {
            Some(previous) if now < kept.since.saturating_add(LEAD) => previous,
            _ => &kept.current,
        };
        Secret::new(secret.as_bytes())
    }

    /// When the current one came into force, in Unix seconds; 0 if that is not known.
    pub fn since(&self) -> u64 {
        self.kept.read().since
    }

    /// Puts a fresh secret into force and keeps the current one as the previous one.
    ///
    /// # Errors
    ///
    /// [`RotationTooSoon`] unless `force`; the file cannot be written.
    pub fn rotate(&self, now: SystemTime, force: bool) -> anyhow::Result<()> {
        let (keep, name) = place(&self.path)?;
        let _lock = keep.lock()?;
        let before = read(&self.path)?;
        let since = now
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let age = Duration::from_secs(since.saturating_sub(before.since));
        if before.previous.is_some() && age < LONGEST_HOLD && !force {
            return Err(RotationTooSoon { age }.into());
        }
        let kept = Kept {
            current: fresh(),
            since,
            previous: Some(before.current),
        };
        keep.write(&name, &kept.text())?;
        *self.kept.write() = kept;
        Ok(())
    }

    /// Reads it again every few seconds and tells of each change, until the handle is aborted. A file that cannot be
    /// read changes nothing; the log says so once.
    pub fn follow(self: &Arc<Self>, changed: impl Fn(Secrets) + Send + 'static) -> AbortHandle {
        let file = Arc::clone(self);
        let following = tokio::spawn(async move {
            let mut is_readable = true;
            let mut told = file.kept.read().clone();
            loop {
                tokio::time::sleep(LOOK).await;
                match read(&file.path) {
                    Ok(kept) => {
                        is_readable = true;
                        if kept != told {
                            tracing::info!(file = %file.path.display(), "the secret of the relays has changed");
                            *file.kept.write() = kept.clone();
                            changed(kept.secrets());
                            told = kept;
                        }
                    }
                    Err(error) if is_readable => {
                        is_readable = false;
                        tracing::error!(
                            error = format!("{error:#}"),
                            "the secret of the relays stays as it is"
                        );
                    }
                    Err(_) => {}
                }
            }
        });
        following.abort_handle()
    }
}

fn read(path: &Path) -> anyhow::Result<Kept> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    Kept::parse(&text).map_err(|reason| anyhow::anyhow!("{}: {reason}", path.display()))
}

fn place(path: &Path) -> anyhow::Result<(Keep, String)> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{}: not the name of a file", path.display()))?;
    Ok((Keep::open(folder)?, name.to_owned()))
}

fn fresh() -> String {
    rand::random::<[u8; 32]>()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_rotation_keeps_the_secret_before_and_mints_with_it_for_a_moment() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("turn.secret");
        let file = SecretFile::open_or_make(&path).unwrap();
        let first = file.minting(5000);
        assert_eq!(
            SecretFile::open_or_make(&path).unwrap().minting(5000),
            first
        );
        file.rotate(at(5000), false).unwrap();
        let secrets = SecretFile::open(&path).unwrap().secrets();
        assert_eq!(secrets.previous, Some(first.clone()));
        assert_ne!(secrets.current, first);
        assert_eq!(file.minting(5000 + LEAD - 1), first);
        assert_eq!(file.minting(5000 + LEAD), secrets.current);
    }

    #[test]
    fn a_second_rotation_waits_for_the_sessions_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let file = SecretFile::open_or_make(&dir.path().join("x")).unwrap();
        file.rotate(at(100_000), false).unwrap();
        let error = file.rotate(at(100_000 + 600), false).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the last rotation was 10 minutes ago"),
            "{error}"
        );
        file.rotate(at(100_000 + 600), true).unwrap();
        file.rotate(at(200_000), false).unwrap();
    }

    #[test]
    fn a_file_of_one_line_is_read_and_nonsense_is_refused() {
        let plain = Kept::parse("0123456789abcdef\n").map_err(str::to_owned);
        assert!(plain.is_ok_and(|kept| kept.previous.is_none() && kept.since == 0));
        for bad in [
            "",
            "short",
            "0123456789abcdef soon",
            "0123456789abcdef 1 2",
            "0123456789abcdef\nshort",
            "0123456789abcdef\n0123456789abcdef\n0123456789abcdef",
        ] {
            assert!(Kept::parse(bad).is_err(), "{bad:?}");
        }
    }
}
