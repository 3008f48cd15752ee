//! Debian's arm64 kernel: the image, the modules the lab needs, and what more are built against.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::debian;
use crate::step;

/// Loaded by the guest's first process.
pub const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_net",
    "9p",
    "9pnet_virtio",
    "vivid",
    "v4l2-mem2mem",
    "snd-aloop",
];

/// An unpacked kernel.
pub struct Kernel {
    /// Its version as `uname -r` says it.
    pub release: String,
    /// What QEMU boots.
    pub image: PathBuf,
    /// What its modules are built against.
    pub headers: PathBuf,
    modules: PathBuf,
}

/// Downloads and unpacks the kernel that Debian's metapackage names, unless one is there already.
pub fn ensure(cache: &Path) -> Result<Kernel> {
    let folder = cache.join("kernel");
    if let Ok(kernel) = unpacked(&folder) {
        return Ok(kernel);
    }
    // The image and the headers must be of one release, and the archive keeps only the latest.
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let image = debian::dependency("linux-image-arm64:arm64", "linux-image-")?;
    let release = image.trim_start_matches("linux-image-");
    let headers = format!("linux-headers-{release}:arm64");
    debian::unpack(
        &[
            &format!("{image}:arm64"),
            &headers,
            &debian::dependency(&headers, "linux-headers-")?,
            // Programs, for this machine.
            &debian::dependency(&headers, "linux-kbuild-")?,
        ],
        &folder,
    )?;
    unpacked(&folder)
}

impl Kernel {
    /// Copies the modules the lab needs, and what they depend on, into a root file system.
    pub fn install_modules(&self, root: &Path) -> Result<()> {
        let into = root.join("lib/modules").join(&self.release);
        let index = fs::read_to_string(self.modules.join("modules.dep"))?;
        for file in needed(&index, MODULES)? {
            let copy = into.join(&file);
            fs::create_dir_all(copy.parent().unwrap_or(&into))?;
            fs::copy(self.modules.join(&file), copy)?;
        }
        for list in [
            "modules.builtin",
            "modules.builtin.modinfo",
            "modules.order",
        ] {
            fs::copy(self.modules.join(list), into.join(list))?;
        }
        step::run(
            Command::new("depmod")
                .arg("--basedir")
                .arg(root)
                .arg(&self.release),
        )
    }
}

fn unpacked(folder: &Path) -> Result<Kernel> {
    let boot = fs::read_dir(folder.join("boot"))?;
    let release = boot
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find_map(|name| Some(name.strip_prefix("vmlinuz-")?.to_owned()))
        .context("the kernel package holds no kernel")?;
    let modules = folder.join("lib/modules").join(&release);
    if !modules.join("modules.dep").exists() {
        step::run(
            Command::new("depmod")
                .arg("--basedir")
                .arg(folder)
                .arg(&release),
        )?;
    }
    let image = folder.join("boot").join(format!("vmlinuz-{release}"));
    let headers = folder
        .join("usr/src")
        .join(format!("linux-headers-{release}"));
    find_common_headers(&headers)?;
    Ok(Kernel {
        release,
        image,
        headers,
        modules,
    })
}

/// The headers' Makefile names those that all architectures share by where the package would install them.
fn find_common_headers(headers: &Path) -> Result<()> {
    let makefile = headers.join("Makefile");
    let text = fs::read_to_string(&makefile).context("the kernel has no headers")?;
    let common = text
        .trim_end()
        .trim_end_matches("/Makefile")
        .rsplit('/')
        .next()
        .context("the headers' Makefile includes no other")?;
    let common = headers.with_file_name(common).join("Makefile");
    fs::write(makefile, format!("include {}\n", common.display()))?;
    Ok(())
}

/// The files of some modules and of all they depend on, by depmod's index (`FILE: FILE...`).
fn needed(index: &str, modules: &[&str]) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for module in modules {
        let name = format!("/{module}.ko");
        let (file, depends) = index
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(file, _)| file.trim_end_matches(".xz").ends_with(&name))
            .with_context(|| format!("this kernel has no module {module}"))?;
        files.insert(file.to_owned());
        files.extend(depends.split_whitespace().map(str::to_owned));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "kernel/a/mc.ko:\nkernel/a/videodev.ko: kernel/a/mc.ko\n\
                         kernel/b/vivid.ko: kernel/a/videodev.ko kernel/a/mc.ko\nkernel/c/other.ko:\n";

    #[test]
    fn a_module_comes_with_all_it_depends_on_and_nothing_else() {
        let files: Vec<String> = needed(INDEX, &["vivid"]).unwrap().into_iter().collect();
        assert_eq!(
            files,
            [
                "kernel/a/mc.ko",
                "kernel/a/videodev.ko",
                "kernel/b/vivid.ko"
            ]
        );
    }

    #[test]
    fn a_module_the_kernel_does_not_have_is_named() {
        let error = needed(INDEX, &["vivid", "snd-aloop"]).unwrap_err();
        assert!(error.to_string().contains("snd-aloop"));
    }
}
