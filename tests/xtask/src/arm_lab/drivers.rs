//! Kernel modules that Debian's kernel comes without: `vicodec`, of Debian's kernel source, and our own `heron-h264enc`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::debian;
use super::kernel::Kernel;
use crate::{step, workspace};

/// Where vicodec lies in the kernel's source.
const VICODEC: &str = "drivers/media/test-drivers/vicodec";

/// Builds both for a kernel into a folder; vicodec only where there is none yet.
pub fn build(cache: &Path, kernel: &Kernel, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for module in [heron_h264enc(cache, kernel)?, vicodec(cache, kernel)?] {
        let name = module.file_name().context("a module has a name")?;
        fs::copy(&module, folder.join(name))?;
    }
    Ok(())
}

/// Built in a copy: what the kernel's build leaves behind does not belong into a checkout.
fn heron_h264enc(cache: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let folder = cache.join("heron-h264enc");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    for entry in fs::read_dir(workspace::root().join("tests/arm-lab/heron-h264enc"))? {
        let entry = entry?;
        fs::copy(entry.path(), folder.join(entry.file_name()))?;
    }
    make(kernel, &folder)?;
    Ok(folder.join("heron-h264enc.ko"))
}

/// Its source is the GPL's and stays out of the checkout: it is fetched when the lab is made.
fn vicodec(cache: &Path, kernel: &Kernel) -> Result<PathBuf> {
    let folder = cache.join(format!("vicodec-{}", kernel.release));
    let module = folder.join(VICODEC).join("vicodec.ko");
    if module.exists() {
        return Ok(module);
    }
    let series = series(&kernel.release);
    debian::unpack(&[&format!("linux-source-{series}")], &folder)?;
    let name = format!("linux-source-{series}");
    let source = folder.join(format!("usr/src/{name}.tar.xz"));
    step::run(
        Command::new("tar")
            .args(["--extract", "--strip-components=1", "--file"])
            .arg(&source)
            .arg(format!("{name}/{VICODEC}"))
            .current_dir(&folder),
    )?;
    fs::remove_file(source)?;
    let makefile = folder.join(VICODEC).join("Makefile");
    let text = fs::read_to_string(&makefile).context("this kernel's source has no vicodec")?;
    // Debian's configuration leaves it out.
    fs::write(makefile, text.replace("$(CONFIG_VIDEO_VICODEC)", "m"))?;
    make(kernel, &folder.join(VICODEC))?;
    Ok(module)
}

fn make(kernel: &Kernel, folder: &Path) -> Result<()> {
    step::output(
        Command::new("make")
            .arg("-C")
            .arg(&kernel.headers)
            .args([
                "ARCH=arm64",
                "CROSS_COMPILE=aarch64-linux-gnu-",
                "KCFLAGS=-g0",
            ])
            .arg(format!("M={}", folder.display()))
            .arg("modules"),
    )
    .map(|_| ())
}

/// `6.1` of `6.1.0-56-arm64`.
fn series(release: &str) -> &str {
    let end = release.match_indices('.').nth(1).map(|(at, _)| at);
    &release[..end.unwrap_or(release.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_source_is_named_by_its_series() {
        assert_eq!(series("6.1.0-56-arm64"), "6.1");
        assert_eq!(series("6.12.48+deb13-arm64"), "6.12");
    }
}
