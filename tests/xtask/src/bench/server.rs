//! The servers of a bench in a browser: Heron and its peers, one at a time, with the same pictures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::subject::{Content, Shown, Subject};
use crate::stack::{HD_PATTERN, Picture};
use crate::workspace;

/// After a server's name: with a picture that leaves the machine room for five viewers.
const SMALL: &str = "-small";
const MIDDLE_PATTERN: Picture = Picture {
    width: 640,
    height: 360,
    kbps: 1500,
    ..HD_PATTERN
};

/// Starts servers by name, each after ending the one before.
pub struct Servers {
    folder: PathBuf,
    content: Content,
    running: Option<Subject>,
}

impl Servers {
    /// With their data and logs below `folder`.
    pub fn new(folder: PathBuf, content: Content) -> Self {
        Self {
            folder,
            content,
            running: None,
        }
    }

    /// Ends the server that runs, starts this one, and says how to join it.
    pub fn serve(&mut self, name: &str) -> Result<Value> {
        self.running = None;
        let (name, picture) = name
            .strip_suffix(SMALL)
            .map_or((name, HD_PATTERN), |name| (name, MIDDLE_PATTERN));
        let shown = Shown::Pictures(picture, self.content);
        let server = self
            .running
            .insert(Subject::start(name, &self.folder, shown)?);
        let (whep, token) = server.whep();
        let mut joined = json!({ "whep": whep });
        if let Some(token) = token {
            joined["token"] = token.into();
        }
        Ok(joined)
    }
}

/// Keeps the figures of a bench as a file.
pub fn write(file: &Path, data: &Value) -> Result<()> {
    fs::write(file, serde_json::to_vec_pretty(data)?)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    println!("  All figures are in {}", file.display());
    Ok(())
}

/// The folder of the benches.
pub fn folder() -> Result<PathBuf> {
    let folder = workspace::target().join("bench");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
