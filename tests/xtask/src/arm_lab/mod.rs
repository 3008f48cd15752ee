//! `cargo xtask arm-lab`: the camera as an aarch64 program on Debian's arm64 kernel, with a V4L2
//! camera (`vivid`), an H.264 encoder (`heron-h264enc`, ours) and an ALSA card (`snd-aloop`) that
//! only differ from real ones below the driver, watched by Chromium on this machine.
//!
//! The encoder's driver is checked itself, heron-media's tests run on the drivers, and then the camera is watched:
//! with the software encoder, and with the driver's.
//!
//! The guest is behind QEMU's user network and the control plane is told to relay, so the media
//! takes the way it takes between two closed networks: through TURN.

pub mod cross;
mod debian;
mod drivers;
mod encoder;
mod guest;
mod initramfs;
mod kernel;
mod root;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::node::Node;
use crate::stack::{Control, Picture, camera_config, input};
use crate::{browser, build, netns, packages, step, workspace};
use guest::Guest;

const PROFILE: &str = "dev";
/// Where the kernel and the bare root system stay between runs.
const CACHE: &str = "arm-lab/cache";
/// Where the tests for the guest wait.
const DEVICE_TESTS: &str = "arm-lab/device-tests";
/// Where the kernel modules for the guest wait.
const MODULES: &str = "arm-lab/modules";
/// What the guest sees as `/mnt`.
const SHARED: &str = "arm-lab/shared";
/// What the cameras log, in there.
const LOG: &str = "heron-camera.log";
/// The guest's cameras' configurations, one for each encoder.
const ENCODERS: &[Encoder] = &[Encoder::Software, Encoder::Hardware];
/// A tone into the loopback's one side comes out of its other, where the camera listens. Again and again, as the card
/// may be unplugged.
const TONE: &str = "while :; do speaker-test -D hw:Loopback,0 -t sine -f 440 -r 48000 -c 2 -F S16_LE; sleep 0.5; done \
    </dev/null >/dev/null 2>&1 &";

/// Which encoder the camera is to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Encoder {
    /// OpenH264.
    Software,
    /// The driver's, and OpenH264 while that fails.
    Hardware,
}

impl Encoder {
    /// The name of its camera's configuration.
    const fn name(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Hardware => "hardware",
        }
    }

    /// As that configuration has it.
    const fn choice(self) -> &'static str {
        match self {
            Self::Software => "software",
            Self::Hardware => "auto",
        }
    }

    /// What an emulated processor can encode, in a size and at a rate that `vivid` offers.
    const fn picture(self) -> Picture {
        Picture {
            source: "v4l2",
            sound: "alsa",
            width: 320,
            height: 180,
            fps: 10,
            kbps: match self {
                Self::Software => 300,
                // More than a viewer is sent before its path has shown what it carries: the bitrate grows.
                Self::Hardware => 2000,
            },
        }
    }

    /// The script that watches the camera then.
    const fn script(self) -> &'static str {
        match self {
            Self::Software => "arm-lab",
            Self::Hardware => "arm-lab-encoder",
        }
    }
}

/// Builds, boots, watches, and prints what came through.
pub fn run(encoders: &[Encoder]) -> Result<()> {
    let cache = workspace::target().join(CACHE);
    if !netns::inside() {
        packages::ensure_build()?;
        packages::ensure_browser()?;
        packages::ensure_arm_lab()?;
        build::all(PROFILE)?;
        cross::build(&workspace::target().join(DEVICE_TESTS))?;
        let kernel = kernel::ensure(&cache)?;
        root::ensure(&cache, &kernel)?;
        drivers::build(&cache, &kernel, &workspace::target().join(MODULES))?;
    }
    netns::enter()?;
    let folder = workspace::target().join("arm-lab");
    let watched = watch(&cache, &folder, encoders);
    if watched.is_err() {
        for log in [folder.join("console.log"), folder.join("shared").join(LOG)] {
            println!("  {} ends with:\n{}", log.display(), step::tail(&log, 30));
        }
    }
    watched
}

fn watch(cache: &Path, folder: &Path, encoders: &[Encoder]) -> Result<()> {
    let node = Node::ensure()?;
    let stack = folder.join("stack");
    let control = Control::start(&build::built(PROFILE).control, &stack, netns::ADDRESS, true)?;
    let account = control.add_user("demo")?;
    let bundle = control.add_camera("ARM lab")?;
    let kernel = kernel::ensure(cache)?;
    let payload = payload(folder)?;
    add_camera(&payload, &bundle)?;
    let initrd = with_payload(&root::ensure(cache, &kernel)?, &payload, folder)?;

    let shared = workspace::target().join(SHARED);
    fs::create_dir_all(&shared)?;
    fs::write(shared.join(LOG), "")?;
    let log = folder.join("console.log");
    let boot = format!("Linux {} for arm64, emulated, booting", kernel.release);
    let mut guest = timed(&boot, || Guest::boot(&kernel.image, &initrd, &shared, &log))?;
    let driver = encoders.contains(&Encoder::Hardware);
    if driver {
        timed("the encoder's driver", || {
            encoder::check(&mut guest, &shared)
        })?;
    }
    let devices = guest.run("heron-camera devices", Duration::from_secs(60))?;
    println!(
        "  heron-camera devices, in the guest:\n{}",
        indented(&devices)
    );
    for name in cross::DEVICE_TESTS
        .iter()
        .filter(|name| driver || **name != "m2m")
    {
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
    for encoder in encoders {
        let name = encoder.name();
        println!("  Watching the camera, {name} encoder");
        guest.run(&start_camera(name), Duration::from_secs(30))?;
        let limit = Duration::from_secs(300);
        let outcome = timed(&format!("watching, {name} encoder"), || {
            browser::run(
                &node,
                encoder.script(),
                &input(&control, &account, folder),
                limit,
                &mut |what, command| match what {
                    "guest" => guest.run(command, Duration::from_secs(60)),
                    _ => bail!("the ARM lab knows no `{what}`"),
                },
            )
        })?;
        outcome.conclude()?;
    }
    Ok(())
}

/// Says how long something took that went well.
fn timed<T>(what: &str, action: impl FnOnce() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    let done = action()?;
    println!("  {what}: {:.0} s", begin.elapsed().as_secs_f64());
    Ok(done)
}

/// Starts the camera in the guest, anew if one runs; its log goes to the shared folder.
fn start_camera(encoder: &str) -> String {
    format!(
        "killall heron-camera 2>/dev/null; while pidof heron-camera >/dev/null; do sleep 0.2; done; \
         heron-camera run --config /etc/heron/{encoder}.toml </dev/null >>/mnt/{LOG} 2>&1 &"
    )
}

/// What belongs to this run, beside the bare root system: the first process and the drivers.
fn payload(folder: &Path) -> Result<PathBuf> {
    let payload = folder.join("payload");
    if payload.exists() {
        fs::remove_dir_all(&payload)?;
    }
    let modules = payload.join("usr/lib/heron-modules");
    fs::create_dir_all(&modules)?;
    fs::copy(
        workspace::root().join("tests/arm-lab/init"),
        payload.join("init"),
    )?;
    for module in fs::read_dir(workspace::target().join(MODULES))? {
        let module = module?;
        fs::copy(module.path(), modules.join(module.file_name()))?;
    }
    Ok(payload)
}

/// The camera, its files and the device tests.
fn add_camera(payload: &Path, bundle: &Path) -> Result<()> {
    let etc = payload.join("etc/heron");
    let programs = payload.join("usr/bin");
    let tests = payload.join("usr/lib/heron-tests");
    for folder in [&etc, &programs, &tests] {
        fs::create_dir_all(folder)?;
    }
    fs::copy(cross::built(), programs.join("heron-camera"))?;
    for name in cross::DEVICE_TESTS {
        fs::copy(
            workspace::target().join(DEVICE_TESTS).join(name),
            tests.join(name),
        )?;
    }
    fs::copy(bundle, etc.join("bundle.toml"))?;
    for encoder in ENCODERS {
        let choice = encoder.choice();
        let config = camera_config(
            "bundle.toml",
            encoder.picture(),
            &format!("device = \"/dev/video0\"\nencoder = \"{choice}\"\n"),
            "device = \"hw:Loopback,1\"\nchannels = 2\n",
        );
        fs::write(etc.join(format!("{}.toml", encoder.name())), config)?;
    }
    Ok(())
}

/// The bare root system and a payload as one initramfs.
fn with_payload(root: &Path, payload: &Path, folder: &Path) -> Result<PathBuf> {
    let archive = folder.join("payload.cpio.gz");
    initramfs::pack(payload, &archive)?;
    // The kernel unpacks archives one after the other, later files over earlier ones.
    let whole = folder.join("initrd");
    fs::write(&whole, [fs::read(root)?, fs::read(archive)?].concat())?;
    Ok(whole)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lab without the camera, in a minute: for work on the encoder's driver.
    #[test]
    #[ignore = "boots the emulated machine"]
    fn the_encoder_driver_is_one() {
        let folder = workspace::target().join("arm-lab/driver");
        let cache = workspace::target().join(CACHE);
        fs::create_dir_all(&folder).unwrap();
        let kernel = kernel::ensure(&cache).unwrap();
        drivers::build(&cache, &kernel, &workspace::target().join(MODULES)).unwrap();
        let root = root::ensure(&cache, &kernel).unwrap();
        let initrd = with_payload(&root, &payload(&folder).unwrap(), &folder).unwrap();
        let log = folder.join("console.log");
        let mut guest = Guest::boot(&kernel.image, &initrd, &folder, &log).unwrap();
        encoder::check(&mut guest, &folder).unwrap();
    }
}
