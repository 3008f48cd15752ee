//! The system packages each chore needs, by Debian's names.

use std::collections::HashSet;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{netns, step};

/// To build the binaries.
const BUILD: &[&str] = &[
    "gcc",
    "g++",
    "make",
    "cmake",
    "nasm",
    "pkg-config",
    "libclang-dev",
    "libasound2-dev",
];
/// To build the dashboard and run the browser scripts; only where the commands are missing.
const NODE: &[(&str, &str)] = &[("node", "nodejs"), ("npm", "npm")];
/// To watch a camera without a person, in a namespace.
const BROWSER: &[&str] = &["iproute2", "util-linux"];
/// To cross-build for ARM and to boot the result.
const ARM_LAB: &[&str] = &[
    "rustc-web",
    "cargo-web",
    "libstd-rust-web-dev:arm64",
    "gcc-aarch64-linux-gnu",
    "g++-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
    "libasound2-dev:arm64",
    "qemu-system-arm",
    "mmdebstrap",
    "kmod",
    "cpio",
    "gzip",
    "xz-utils",
    "ffmpeg",
];

/// Foreign programs that the tests talk to. Each test starts its own; Debian's services are not wanted.
const PEERS: &[&str] = &[
    "coturn",
    "curl",
    "ffmpeg",
    "mosquitto",
    "mosquitto-clients",
    "openssl",
    "postgresql",
    "python3-venv",
    "redis-server",
];
/// The servers that Heron is measured against, and what feeds them.
const BENCH: &[&str] = &[
    "janus",
    "gstreamer1.0-tools",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-plugins-ugly",
    "gstreamer1.0-nice",
    "python3-gi",
    "python3-gst-1.0",
    "gir1.2-gst-plugins-base-1.0",
    "gir1.2-gst-plugins-bad-1.0",
    "openssl",
    "iproute2",
    "util-linux",
];
/// To build a player on GStreamer's WHEP client, and to decode.
const WHEP_PLAYER: &[&str] = &[
    "libgstreamer1.0-dev",
    "libgstreamer-plugins-bad1.0-dev",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-nice",
];
/// To be routers of every kind, other TURN servers, and a Chromium that trusts the control plane's CA.
const NAT_LAB: &[&str] = &["nftables", "tayga", "conntrack", "coturn", "libnss3-tools"];
/// The services that come with them.
const SERVICES: &[&str] = &[
    "coturn",
    "mosquitto",
    "janus",
    "nftables",
    "postgresql",
    "redis-server",
    "tayga",
];

/// What a command needs, and how it is called as a package.
struct Wanted {
    packages: Vec<&'static str>,
    foreign: Option<&'static str>,
}

/// Installs what building needs and is missing.
pub fn ensure_build() -> Result<()> {
    ensure(Wanted {
        packages: [BUILD, &missing_commands(NODE)].concat(),
        foreign: None,
    })
}

/// Installs what a check with a browser needs and is missing.
pub fn ensure_browser() -> Result<()> {
    let mut packages = [BROWSER, &missing_commands(NODE)].concat();
    packages.extend(missing_commands(&[("chromium", "chromium")]));
    ensure(Wanted {
        packages,
        foreign: None,
    })
}

/// Installs the foreign programs that the tests talk to, without leaving a service of theirs behind.
pub fn ensure_peers() -> Result<()> {
    without_services(PEERS)
}

/// Installs what the NAT laboratory's routers are made of, without leaving a service of theirs behind.
pub fn ensure_nat_lab() -> Result<()> {
    without_services(NAT_LAB)
}

/// Installs the servers that Heron is measured against, without leaving a service of theirs behind.
pub fn ensure_bench() -> Result<()> {
    without_services(BENCH)
}

/// Installs packages and turns off the [`SERVICES`] that came with them.
fn without_services(packages: &[&'static str]) -> Result<()> {
    let installed = installed()?;
    let fresh: Vec<&str> = SERVICES
        .iter()
        .copied()
        .filter(|name| packages.contains(name) && !installed.contains(*name))
        .collect();
    ensure(Wanted {
        packages: packages.to_vec(),
        foreign: None,
    })?;
    if !fresh.is_empty() && step::found("systemctl") {
        println!(
            "  Turning off the services that were just installed: {}",
            fresh.join(" ")
        );
        // Where systemd does not run there is nothing to turn off, and it says so.
        let _ = privileged("systemctl")?
            .args(["disable", "--now"])
            .args(&fresh)
            .output();
    }
    Ok(())
}

/// Installs what GStreamer's WHEP client needs.
pub fn ensure_whep_player() -> Result<()> {
    without_services(WHEP_PLAYER)
}

/// Installs what the ARM lab needs and is missing.
pub fn ensure_arm_lab() -> Result<()> {
    ensure(Wanted {
        packages: ARM_LAB.to_vec(),
        foreign: Some("arm64"),
    })
}

fn missing_commands(table: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    table
        .iter()
        .filter(|(command, _)| !step::found(command))
        .map(|(_, package)| *package)
        .collect()
}

fn ensure(wanted: Wanted) -> Result<()> {
    if !step::found("dpkg-query") {
        println!(
            "  This is not a Debian system. Needed, by Debian's names: {}",
            wanted.packages.join(" ")
        );
        return Ok(());
    }
    let installed = installed()?;
    let missing: Vec<&str> = wanted
        .packages
        .into_iter()
        .filter(|name| !installed.contains(*name))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("  System packages to install: {}", missing.join(" "));
    privileged("true").with_context(|| {
        format!(
            "run `apt-get install {}` as root, then this again",
            missing.join(" ")
        )
    })?;
    // Quiet: what apt-get and dpkg say fills screens, and their complaints become the error.
    if let Some(architecture) = wanted.foreign {
        step::output(privileged("dpkg")?.args(["--add-architecture", architecture]))?;
    }
    step::output(privileged("apt-get")?.arg("update"))?;
    let install = ["install", "--yes", "--no-install-recommends"];
    step::output(privileged("apt-get")?.args(install).args(&missing))?;
    Ok(())
}

/// `program` as root: by itself, or through sudo.
fn privileged(program: &str) -> Result<Command> {
    let mut command = if netns::is_root()? {
        Command::new(program)
    } else if step::found("sudo") {
        let mut sudo = Command::new("sudo");
        sudo.arg(program);
        sudo
    } else {
        bail!("system packages are missing, and only root may install them");
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}

/// Installed packages: `name` for this machine's architecture, `name:arch` for every one.
fn installed() -> Result<HashSet<String>> {
    let native = step::output(Command::new("dpkg").arg("--print-architecture"))?;
    let format = "${db:Status-Status} ${Package} ${Architecture}\n";
    let list = step::output(Command::new("dpkg-query").args(["--show", "--showformat", format]))?;
    let mut names = HashSet::new();
    for line in list.lines() {
        let mut words = line.split(' ');
        let (Some("installed"), Some(name), Some(architecture)) =
            (words.next(), words.next(), words.next())
        else {
            continue;
        };
        names.insert(format!("{name}:{architecture}"));
        if architecture == "all" || architecture == native.trim() {
            names.insert(name.to_owned());
        }
    }
    Ok(names)
}
