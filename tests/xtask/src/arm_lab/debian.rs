//! Debian's packages, unpacked into a folder and never installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::step;

/// Downloads packages (`NAME` or `NAME:ARCHITECTURE`) and unpacks them into a folder.
pub fn unpack(packages: &[&str], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    step::run(
        Command::new("apt-get")
            .arg("download")
            .args(packages)
            .current_dir(folder),
    )?;
    for entry in fs::read_dir(folder)? {
        let archive = entry?.path();
        if archive.extension().is_none_or(|name| name != "deb") {
            continue;
        }
        step::run(
            Command::new("dpkg-deb")
                .arg("--extract")
                .arg(&archive)
                .arg(folder),
        )?;
        fs::remove_file(archive)?;
    }
    Ok(())
}

/// The package, of those that another one depends on, whose name begins like this.
pub fn dependency(of: &str, prefix: &str) -> Result<String> {
    let depends = step::output(
        Command::new("apt-cache")
            .args(["depends", of])
            // Its words are read below, and it would translate them.
            .env("LC_ALL", "C"),
    )?;
    named(&depends, prefix)
        .with_context(|| format!("Debian's {of} depends on no {prefix}*: run `apt-get update`"))
}

fn named(depends: &str, prefix: &str) -> Option<String> {
    let name = depends
        .lines()
        // The first line is the package itself.
        .skip(1)
        .filter_map(|line| line.split_whitespace().last())
        .find(|name| name.starts_with(prefix))?;
    Some(name.split(':').next().unwrap_or(name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_found_whether_it_is_direct_or_virtual() {
        let depends = "linux-headers-6.1.0-1-arm64:arm64\n  Depends: <linux-headers-6.1.0-1-common:arm64>\n    \
                       linux-headers-6.1.0-1-common\n  Depends: linux-kbuild-6.1:arm64\n    linux-kbuild-6.1\n";
        assert_eq!(
            named(depends, "linux-headers-").as_deref(),
            Some("linux-headers-6.1.0-1-common")
        );
        assert_eq!(
            named(depends, "linux-kbuild-").as_deref(),
            Some("linux-kbuild-6.1")
        );
        assert_eq!(named(depends, "gcc-"), None);
    }
}
