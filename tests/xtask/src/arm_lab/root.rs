//! The guest's root file system: a handful of Debian's arm64 packages, unpacked and never installed.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::initramfs;
use super::kernel::{Kernel, MODULES};
use crate::step;

/// A shell, module loading, sound tools to play the tone with, and what `heron-camera` links to.
const PACKAGES: &[&str] = &[
    "busybox-static",
    "kmod",
    "libc6",
    "libgcc-s1",
    "libstdc++6",
    "libasound2",
    "libasound2-data",
    "alsa-utils",
];
/// The kernel's media tools, of a release whose `v4l2-compliance` knows this kernel: one that is older than the kernel
/// finds fault with the words in which the kernel itself describes a format. They live in a root of their own.
const MEDIA_TOOLS: (&str, &str) = ("trixie", "v4l-utils");
const MEDIA_TOOLS_ROOT: &str = "opt/v4l-utils";
/// Nobody reads or hears these in there.
const SUPERFLUOUS: &[&str] = &[
    "usr/lib/aarch64-linux-gnu/gconv",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/sounds",
    "var",
];

/// Makes the file system as an initramfs, unless it was made before of the same packages for this kernel.
pub fn ensure(cache: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let mut contents = DefaultHasher::new();
    (PACKAGES, MEDIA_TOOLS, SUPERFLUOUS, MODULES, &kernel.release).hash(&mut contents);
    let archive = cache.join(format!("root-{:016x}.cpio.gz", contents.finish()));
    if archive.exists() {
        return Ok(archive);
    }
    let folder = cache.join("root");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    bootstrap(&release()?, PACKAGES, &folder)?;
    let (release, tools) = MEDIA_TOOLS;
    let inner = folder.join(MEDIA_TOOLS_ROOT);
    bootstrap(release, &[tools], &inner)?;
    // The base system's doing, and there is none.
    if !inner.join("lib").exists() {
        symlink("usr/lib", inner.join("lib"))?;
    }
    kernel.install_modules(&folder)?;
    initramfs::pack(&folder, &archive)?;
    fs::remove_dir_all(folder)?;
    Ok(archive)
}

/// Unpacks packages and what they depend on into a folder, with places for what the kernel mounts.
fn bootstrap(release: &str, packages: &[&str], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    step::run(
        Command::new("mmdebstrap")
            .args(["--quiet", "--architectures=arm64", "--variant=extract"])
            .arg(format!("--include={}", packages.join(",")))
            .arg(release)
            .arg(folder),
    )?;
    for name in SUPERFLUOUS {
        let path = folder.join(name);
        if path.exists() {
            fs::remove_dir_all(path)?;
        }
    }
    for mount in ["proc", "sys", "dev", "run", "tmp", "mnt"] {
        fs::create_dir_all(folder.join(mount))?;
    }
    Ok(())
}

/// This machine's Debian release: the cross compiler's C library is of the same.
fn release() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release")?;
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.unwrap_or("bookworm").trim_matches('"').to_owned())
}
