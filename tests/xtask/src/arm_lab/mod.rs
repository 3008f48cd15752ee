//! `cargo xtask arm-lab`: the camera as an aarch64 program on Debian's arm64 kernel, with a V4L2
//! camera (`vivid`) and an ALSA card (`snd-aloop`) that only differ from real ones below the
//! driver, watched by Chromium on this machine.
//!
//! The guest is behind QEMU's user network and the control plane is told to relay, so the media
//! takes the way it takes between two closed networks: through TURN.

mod cross;
mod guest;
mod initramfs;
mod kernel;
mod root;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

use crate::node::Node;
use crate::stack::{Control, Picture, camera_config, input};
use crate::{browser, build, netns, packages, step, workspace};
use guest::Guest;

const PROFILE: &str = "dev";
/// What an emulated processor can encode, and a size and rate that `vivid` offers.
const PICTURE: Picture = Picture {
    source: "v4l2",
    sound: "alsa",
    width: 320,
    height: 180,
    fps: 10,
    kbps: 300,
};
/// Where the kernel and the bare root system stay between runs.
const CACHE: &str = "arm-lab/cache";
/// Where the tests for the guest wait.
const DEVICE_TESTS: &str = "arm-lab/device-tests";
/// A tone into the loopback's one side comes out of its other, where the camera listens. Again and again, as the card
/// may be unplugged.
const TONE: &str = "while :; do speaker-test -D hw:Loopback,0 -t sine -f 440 -r 48000 -c 2 -F S16_LE; sleep 0.5; done \
    </dev/null >/dev/null 2>&1 &";

/// Builds, boots, watches, and prints what came through.
pub fn run() -> Result<()> {
    let cache = workspace::target().join(CACHE);
    if !netns::inside() {
        packages::ensure_build()?;
        packages::ensure_browser()?;
        packages::ensure_arm_lab()?;
        build::all(PROFILE)?;
        cross::build()?;
        cross::build_device_tests(&workspace::target().join(DEVICE_TESTS))?;
        let kernel = kernel::ensure(&cache)?;
        root::ensure(&cache, &kernel)?;
    }
    netns::enter()?;
    let folder = workspace::target().join("arm-lab");
    let watched = watch(&cache, &folder);
    if watched.is_err() {
        println!(
            "  The guest's console ended with:\n{}",
            step::tail(&folder.join("console.log"), 30)
        );
    }
    watched
}

fn watch(cache: &Path, folder: &Path) -> Result<()> {
    let node = Node::ensure()?;
    let stack = folder.join("stack");
    let control = Control::start(&build::built(PROFILE).control, &stack, netns::ADDRESS, true)?;
    let account = control.add_user("demo")?;
    let bundle = control.add_camera("ARM lab")?;
    let kernel = kernel::ensure(cache)?;
    let initrd = with_payload(&root::ensure(cache, &kernel)?, folder, &bundle)?;

    println!("  Booting Linux {} for arm64, emulated", kernel.release);
    let mut guest = Guest::boot(&kernel.image, &initrd, &folder.join("console.log"))?;
    let devices = guest.run("heron-camera devices", Duration::from_secs(60))?;
    println!(
        "  heron-camera devices, in the guest:\n{}",
        indented(&devices)
    );
    for name in cross::DEVICE_TESTS {
        let printed = guest.run(
            &format!("/usr/lib/heron-tests/{name} --ignored --test-threads=1 2>&1"),
            Duration::from_secs(300),
        )?;
        let result = printed.lines().find(|line| line.starts_with("test result"));
        println!(
            "  heron-media's tests on {name}, in the guest: {}",
            result.unwrap_or("no result")
        );
    }
    guest.run(TONE, Duration::from_secs(10))?;
    guest.run(
        "heron-camera run --config /etc/heron/heron-camera.toml </dev/null 2>&1 \
         | while read -r line; do echo \"camera: $line\"; done >/dev/console &",
        Duration::from_secs(10),
    )?;
    let limit = Duration::from_secs(300);
    browser::run(
        &node,
        "arm-lab",
        &input(&control, &account, folder),
        limit,
        &mut |what, command| match what {
            "guest" => guest.run(command, Duration::from_secs(60)),
            _ => bail!("the ARM lab knows no `{what}`"),
        },
    )?
    .conclude()
}

/// The bare root system plus what belongs to this run: the first process, the camera, its files.
fn with_payload(root: &Path, folder: &Path, bundle: &Path) -> Result<PathBuf> {
    let payload = folder.join("payload");
    if payload.exists() {
        fs::remove_dir_all(&payload)?;
    }
    let etc = payload.join("etc/heron");
    let programs = payload.join("usr/bin");
    fs::create_dir_all(&etc)?;
    fs::create_dir_all(&programs)?;
    fs::copy(
        workspace::root().join("tests/arm-lab/init"),
        payload.join("init"),
    )?;
    fs::copy(cross::built(), programs.join("heron-camera"))?;
    let tests = payload.join("usr/lib/heron-tests");
    fs::create_dir_all(&tests)?;
    for name in cross::DEVICE_TESTS {
        fs::copy(
            workspace::target().join(DEVICE_TESTS).join(name),
            tests.join(name),
        )?;
    }
    fs::copy(bundle, etc.join("bundle.toml"))?;
    let config = camera_config(
        "bundle.toml",
        PICTURE,
        "device = \"/dev/video0\"\n",
        "device = \"hw:Loopback,1\"\nchannels = 2\n",
    );
    fs::write(etc.join("heron-camera.toml"), config)?;
    let archive = folder.join("payload.cpio.gz");
    initramfs::pack(&payload, &archive)?;
    // The kernel unpacks archives one after the other, later files over earlier ones.
    let whole = folder.join("initrd");
    fs::write(&whole, [fs::read(root)?, fs::read(archive)?].concat())?;
    Ok(whole)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
