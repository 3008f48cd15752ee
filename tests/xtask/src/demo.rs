//! `cargo xtask demo`: a control plane and a camera on this machine, for a person or for a check.

use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::node::Node;
use crate::stack::{HD_PATTERN, Picture, Stack};
use crate::{browser, build, netns, packages, step, workspace};

const PROFILE: &str = "dev";

/// Shows the demo to a person until Ctrl-C.
pub fn run() -> Result<()> {
    packages::ensure_build()?;
    build::dashboard(&Node::ensure()?)?;
    let binaries = build::binaries(PROFILE)?;
    let asked_to_stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&asked_to_stop))?;
    }
    let mut stack = Stack::start(
        &binaries,
        &folder(),
        &own_address()?.to_string(),
        own_picture()?,
    )?;
    let local = stack.control.local_url();
    println!();
    println!("  The camera is live.");
    println!("    on this machine   {local}");
    println!(
        "    on others         {} (they will warn of a certificate they do not know)",
        stack.control.url()
    );
    println!(
        "    sign in as        {}, password {}",
        stack.account.name, stack.account.password
    );
    println!(
        "  Logs and data are in {}. Ctrl-C stops it.",
        folder().display()
    );
    open(&local);
    while !asked_to_stop.load(Ordering::Relaxed) {
        stack.control.ensure_running()?;
        stack.camera.ensure_running()?;
        thread::sleep(Duration::from_millis(200));
    }
    println!("\n  Stopping.");
    Ok(())
}

/// Watches the demo with a headless Chromium and prints what was measured.
pub fn check() -> Result<()> {
    if !netns::inside() {
        packages::ensure_build()?;
        packages::ensure_browser()?;
        build::all(PROFILE)?;
    }
    netns::enter()?;
    let node = Node::ensure()?;
    // The test picture, whatever is plugged in: it carries the clock that latency is read from.
    let stack = Stack::start(
        &build::built(PROFILE),
        &folder(),
        netns::ADDRESS,
        HD_PATTERN,
    )?;
    let limit = Duration::from_secs(180);
    browser::run(
        &node,
        "demo",
        &stack.input(&folder()),
        limit,
        &mut |_, _| bail!("nothing to ask"),
    )?
    .conclude()
}

fn folder() -> PathBuf {
    workspace::target().join("demo")
}

/// The camera and the microphone of this machine, or what stands in for them.
fn own_picture() -> Result<Picture> {
    let source = if Path::new("/dev/video0").exists() {
        "auto"
    } else {
        "pattern"
    };
    let sound = if has_microphone()? { "auto" } else { "tone" };
    println!("  Video: {source}, sound: {sound}");
    Ok(Picture {
        source,
        sound,
        ..HD_PATTERN
    })
}

/// Whether ALSA knows a device to capture from.
fn has_microphone() -> Result<bool> {
    let Ok(devices) = std::fs::read_dir("/dev/snd") else {
        return Ok(false);
    };
    for device in devices {
        let name = device?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("pcm") && name.ends_with('c') {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The address other machines reach this one under.
fn own_address() -> Result<IpAddr> {
    // Connecting a UDP socket sends nothing: it asks the system which address it would send from.
    // The other end is one of those set aside for documentation (RFC 5737).
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    let address = socket
        .connect("192.0.2.1:9")
        .and_then(|()| socket.local_addr());
    let Ok(address) = address.map(|address| address.ip()) else {
        bail!("this machine has no network: WebRTC needs an address that is not loopback");
    };
    Ok(address)
}

/// Opens a page where there is a desktop to open it on.
fn open(url: &str) {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if desktop && step::found("xdg-open") {
        let quiet = || Stdio::null();
        // A page that did not open is still printed above.
        let _ = Command::new("xdg-open")
            .arg(url)
            .stdin(quiet())
            .stdout(quiet())
            .stderr(quiet())
            .spawn();
    }
}
