//! Node.js for the dashboard and the browser scripts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{step, workspace};

/// What the dashboard's build tool asks for: 20.19 and later 20s, and everything from 22.12 on.
const OLDEST: (u32, u32) = (20, 19);
/// The line brought in from the npm registry where the system's is older.
const BROUGHT: &str = "22";

/// A Node.js that is new enough.
pub struct Node {
    /// Goes before the search path; nothing when the system's Node.js will do.
    folder: Option<PathBuf>,
}

impl Node {
    /// Finds the system's, or brings one from the npm registry into the build folder.
    pub fn ensure() -> Result<Self> {
        if let Some(version) = version("node").filter(|version| new_enough(*version)) {
            println!("  Node.js {}.{} of the system", version.0, version.1);
            return Ok(Self { folder: None });
        }
        let folder = workspace::tools().join("node");
        let programs = folder.join("node_modules/.bin");
        if !version(&programs.join("node").to_string_lossy()).is_some_and(new_enough) {
            let machine = if cfg!(target_arch = "aarch64") {
                "arm64"
            } else {
                "x64"
            };
            std::fs::create_dir_all(&folder)?;
            // Its own npm as well: a distribution's may be tied to the distribution's Node.js.
            step::run(
                Command::new("npm")
                    .args(["install", "--no-audit", "--no-fund", "--prefix"])
                    .arg(&folder)
                    .arg(format!("node-linux-{machine}@{BROUGHT}"))
                    .arg("npm@10"),
            )
            .context("the system's Node.js is too old and none came from the npm registry")?;
        }
        println!(
            "  Node.js {BROUGHT} of the npm registry, in {}",
            folder.display()
        );
        Ok(Self {
            folder: Some(programs),
        })
    }

    /// A command of Node.js' family: `node`, `npm`.
    pub fn command(&self, program: &str) -> Result<Command> {
        let Some(folder) = &self.folder else {
            return Ok(Command::new(program));
        };
        let mut command = Command::new(folder.join(program));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(folder.clone()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(folders)?);
        Ok(command)
    }

    /// Installs a project's packages as its lock file lists them, unless that was done before.
    pub fn install(&self, project: &Path) -> Result<()> {
        let lock = std::fs::read(project.join("package-lock.json"))
            .with_context(|| format!("{} has no package-lock.json", project.display()))?;
        let mark = project.join("node_modules/.heron-installed");
        if std::fs::read(&mark).is_ok_and(|done| done == lock) {
            return Ok(());
        }
        let mut command = self.command("npm")?;
        step::run(
            command
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(project),
        )?;
        std::fs::write(mark, lock)?;
        Ok(())
    }
}

fn new_enough(version: (u32, u32)) -> bool {
    match version.0 {
        20 => version >= OLDEST,
        21 => false,
        22 => version >= (22, 12),
        major => major > 22,
    }
}

/// The major and minor version a Node.js says it has.
fn version(program: &str) -> Option<(u32, u32)> {
    let text = step::output(Command::new(program).arg("--version")).ok()?;
    let mut parts = text.trim().strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_node_of_debian_12_is_too_old_and_current_ones_are_not() {
        assert!(!new_enough((18, 20)));
        assert!(!new_enough((20, 18)));
        assert!(new_enough((20, 19)));
        assert!(!new_enough((21, 7)));
        assert!(!new_enough((22, 11)));
        assert!(new_enough((22, 12)));
        assert!(new_enough((24, 0)));
    }
}
