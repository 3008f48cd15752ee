//! Who is signed in, where: a file for its owner only.
//!
//! `$HERON_SESSION`, or `heron/session.toml` in `$XDG_CONFIG_HOME` or `~/.config`. It holds the sign-in
//! cookie, which is as good as the password until it runs out.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::address::Address;
use crate::http::Client;

/// A session as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// The control plane.
    pub server: Address,
    /// The sign-in cookie, `name=value`.
    pub cookie: String,
    /// Who signs its certificate, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

impl Session {
    /// The session of the last `heron login`.
    pub fn load() -> anyhow::Result<Self> {
        let file = file()?;
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("nobody is signed in: `heron login` first")
            }
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        };
        // The parser's own words would show the line, and with it the cookie.
        toml::from_str(&text)
            .map_err(|_| anyhow::anyhow!("{}: not a session: `heron login` again", file.display()))
    }

    /// Keeps it.
    pub fn save(&self) -> anyhow::Result<()> {
        let file = file()?;
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        write_private(&file, &toml::to_string(self)?)
    }

    /// Forgets it.
    pub fn forget() -> anyhow::Result<()> {
        let file = file()?;
        fs::remove_file(&file).with_context(|| file.display().to_string())
    }

    /// Talks to the control plane as this session's person.
    pub fn client(self) -> anyhow::Result<Client> {
        Client::new(self.server, self.ca.as_deref(), Some(self.cookie))
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    let fresh = PathBuf::from(fresh);
    let at = || file.display().to_string();
    // One that is left over may have other rights.
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(at),
        _ => {}
    }
    let mut open = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .with_context(at)?;
    open.write_all(text.as_bytes()).with_context(at)?;
    fs::rename(&fresh, file).with_context(at)
}

fn file() -> anyhow::Result<PathBuf> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(file) = std::env::var_os("HERON_SESSION") {
        return Ok(file.into());
    }
    let config =
        folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")));
    let config = config.context("neither HERON_SESSION nor HOME says where to keep the session")?;
    Ok(config.join("heron/session.toml"))
}
