//! A control plane and a camera of this checkout, running.
//!
//! Everything is done as a person would: documented configuration files, and the commands
//! `heron-control user add` and `heron-control camera add`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::build::Binaries;
use crate::equipment::Equipment;
use crate::netns::BlockedUdp;
use crate::process::{Process, tied};
use crate::{http, step};

/// Where the control plane answers on this machine.
pub const LOCAL: &str = "127.0.0.1:8080";
/// Where the camera answers for its figures.
const METRICS: &str = "127.0.0.1:9143";
/// How long either may take until it answers.
const START: Duration = Duration::from_secs(60);

/// What the camera sends.
#[derive(Clone, Copy)]
pub struct Picture {
    pub source: &'static str,
    pub sound: &'static str,
    pub width: u32,
    pub height: u32,
    pub fps: u32,
    pub kbps: u32,
}

/// The picture the demo shows where there is no camera.
pub const HD_PATTERN: Picture = Picture {
    source: "pattern",
    sound: "tone",
    width: 1280,
    height: 720,
    fps: 30,
    kbps: 2500,
};

/// A picture that leaves the machine room for many viewers.
pub const SMALL_PATTERN: Picture = Picture {
    source: "pattern",
    sound: "tone",
    width: 320,
    height: 180,
    fps: 15,
    kbps: 300,
};

/// The same size as AV1, from a child: it is passed through, and Chromium can show it on every machine.
pub const AV1_CHILD: Picture = Picture {
    source: "exec",
    ..SMALL_PATTERN
};
/// A live source with a key frame every second, for a child can be asked for none.
const AV1_COMMAND: &str = r#"stream = "av1"
command = [
    "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=15",
    "-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0", "-g", "15", "-b:v", "300k",
    "-f", "ivf", "-",
]
"#;

/// The account that looks at the cameras.
pub struct Account {
    pub name: String,
    pub password: String,
}

/// A running `heron-control` with its data in one folder.
pub struct Control {
    program: PathBuf,
    folder: PathBuf,
    url: String,
    process: Option<Process>,
}

impl Control {
    /// Starts one with nothing in it: what an earlier run left in `folder` is removed.
    pub fn start(program: &Path, folder: &Path, host: &str, relay_only: bool) -> Result<Self> {
        let url = format!("https://{host}:8443");
        Self::configured(program, folder, url, &config(host, relay_only))
    }

    /// The same with a configuration of one's own, which has it answer at `url` and keep its data in `data`.
    pub fn configured(program: &Path, folder: &Path, url: String, config: &str) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        fs::write(folder.join("heron-control.toml"), config)?;
        let mut control = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            url,
            process: None,
        };
        control.restart()?;
        Ok(control)
    }

    /// Starts it again, with the data it had, and waits until it answers.
    pub fn restart(&mut self) -> Result<()> {
        let mut process = self.serve()?;
        step::wait_for("heron-control answering", START, || {
            process.ensure_running()?;
            Ok(http::get(LOCAL, "/readyz").ok())
        })?;
        self.process = Some(process);
        Ok(())
    }

    fn serve(&self) -> Result<Process> {
        let arguments = ["serve", "--config", "heron-control.toml"];
        let log = self.log();
        Process::start(
            "heron-control",
            &self.program,
            arguments,
            &log,
            &self.folder,
        )
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) -> Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.kill())
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(&mut self) -> Result<()> {
        self.process
            .take()
            .map_or(Ok(()), |mut process| process.stop())
    }

    /// Its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Fails when it has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        self.process
            .as_mut()
            .map_or(Ok(()), Process::ensure_running)
    }

    /// Adds a person with a password of their own.
    pub fn add_user(&self, name: &str) -> Result<Account> {
        let said = self.run(&["user", "add", name])?;
        let password = said
            .rsplit_once("password ")
            .map(|(_, password)| password.trim().to_owned())
            .context("`heron-control user add` printed no password")?;
        Ok(Account {
            name: name.to_owned(),
            password,
        })
    }

    /// Adds a camera; returns its device bundle.
    pub fn add_camera(&self, name: &str) -> Result<PathBuf> {
        let bundle = self.folder.join("bundle.toml");
        self.run(&["camera", "add", name, "--out", "bundle.toml"])?;
        Ok(bundle)
    }

    /// Revokes the identity of the camera that was added last.
    pub fn revoke_camera(&self) -> Result<String> {
        let bundle = fs::read_to_string(self.folder.join("bundle.toml"))?;
        let device = bundle
            .lines()
            .find_map(|line| line.strip_prefix("device = \"")?.strip_suffix('"'))
            .context("the bundle names no device")?;
        self.run(&["camera", "revoke", device, "--reason", "stolen"])
    }

    /// Has the files written that Mosquitto needs in its place, in `data/broker`, and returns Mosquitto's configuration.
    /// It does not run afterwards.
    pub fn hand_over_to_mosquitto(&mut self) -> Result<String> {
        self.stop()?;
        let file = self.folder.join("heron-control.toml");
        let own = fs::read_to_string(&file)?;
        fs::write(
            &file,
            format!(
                "{own}\n[broker]\nkind = \"mosquitto\"\nwebsocket = \"127.0.0.1:8885\"\nreload = \"true\"\n"
            ),
        )?;
        // Without Mosquitto it is not ready, and need not be: it writes its files as soon as it starts.
        let mut process = self.serve()?;
        let list = self.folder.join("data/broker/devices.crl");
        step::wait_for("the list of revoked certificates", START, || {
            process.ensure_running()?;
            Ok(list.exists().then_some(()))
        })?;
        process.stop()?;
        let config = self.run(&["broker", "config", "--for", "mosquitto"])?;
        fs::write(&file, own)?;
        Ok(config)
    }

    /// Where a person on this machine finds it: a secure context without a certificate.
    pub fn local_url(&self) -> String {
        format!("http://localhost{}", LOCAL.trim_start_matches("127.0.0.1"))
    }

    /// Where everyone else does.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    fn log(&self) -> PathBuf {
        self.folder.join("heron-control.log")
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .args(["--config", "heron-control.toml"])
            .current_dir(&self.folder);
        println!("  $ heron-control {}", arguments.join(" "));
        step::output(&mut command)
    }
}

fn config(host: &str, relay_only: bool) -> String {
    // Loopback and the machine's own address: the two ends of a session that never leaves it.
    format!(
        r#"[server]
public_host = "{host}"
data_dir = "data"

[turn]
allow_peers = ["127.0.0.0/8", "{host}/32"]
relay_only = {relay_only}
"#
    )
}

/// A running `heron-camera` on this machine.
pub struct Camera {
    process: Process,
}

impl Camera {
    /// Starts one beside its bundle and waits until it is connected.
    pub fn start(
        program: &Path,
        bundle: &Path,
        picture: Picture,
        equipment: Option<&Equipment>,
    ) -> Result<Self> {
        let folder = bundle.parent().unwrap_or(Path::new("."));
        let audio = equipment.map_or("", Equipment::audio);
        let device = match picture.source {
            "exec" => AV1_COMMAND,
            _ => "",
        };
        let mut config = camera_config("bundle.toml", picture, device, audio);
        let mut command = tied(program);
        command.args(["run", "--config", "heron-camera.toml"]);
        if let Some(equipment) = equipment {
            config += &equipment.sections();
            let (name, value) = equipment.environment();
            command.env(name, value);
        }
        fs::write(folder.join("heron-camera.toml"), config)?;
        let log = folder.join("heron-camera.log");
        let mut process = Process::spawn("heron-camera", command, &log, folder)?;
        step::wait_for("heron-camera reaching the control plane", START, || {
            process.ensure_running()?;
            let there = Self::has_figure("heron_broker_connected 1").unwrap_or(false);
            Ok(there.then_some(()))
        })?;
        Ok(Self { process })
    }

    /// Its figures, in Prometheus' text format.
    pub fn metrics() -> Result<String> {
        http::get(METRICS, "/metrics")
    }

    /// Whether its figures have this line.
    fn has_figure(line: &str) -> Result<bool> {
        Ok(Self::metrics()?.lines().any(|one| one == line))
    }

    /// Waits until nobody watches it.
    pub fn idle(&self) -> Result<()> {
        step::wait_for("the last viewer leaving", START, || {
            let nobody = Self::has_figure("heron_viewers 0")?;
            Ok(nobody.then_some(()))
        })
    }

    /// Fails when it has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        self.process.ensure_running()
    }
}

/// The configuration of a camera; `device` and `audio` are empty or whole lines.
pub fn camera_config(bundle: &str, picture: Picture, device: &str, audio: &str) -> String {
    let Picture {
        source,
        sound,
        width,
        height,
        fps,
        kbps,
    } = picture;
    format!(
        r#"bundle = "{bundle}"

[video]
source = "{source}"
{device}width = {width}
height = {height}
fps = {fps}
bitrate_kbps = {kbps}

[audio]
source = "{sound}"
{audio}
[metrics]
listen = "{METRICS}"
"#
    )
}

/// A control plane, an account and a camera.
pub struct Stack {
    // Declared first: the camera stops before the control plane.
    pub camera: Camera,
    pub control: Control,
    pub account: Account,
    blocked_udp: Option<BlockedUdp>,
}

impl Stack {
    /// Starts all of it afresh with its data and logs in `folder`.
    pub fn start(binaries: &Binaries, folder: &Path, host: &str, picture: Picture) -> Result<Self> {
        let control = Control::start(&binaries.control, folder, host, false)?;
        Self::around(control, binaries, picture, None)
    }

    /// The same with all media through TURN.
    pub fn relayed(
        binaries: &Binaries,
        folder: &Path,
        host: &str,
        picture: Picture,
    ) -> Result<Self> {
        let control = Control::start(&binaries.control, folder, host, true)?;
        Self::around(control, binaries, picture, None)
    }

    /// The same with everything a camera can have; also what a browser script needs to know of it.
    pub fn equipped(
        binaries: &Binaries,
        folder: &Path,
        host: &str,
        picture: Picture,
    ) -> Result<(Self, Value)> {
        let control = Control::start(&binaries.control, folder, host, false)?;
        let equipment = Equipment::new(folder, host)?;
        let stack = Self::around(control, binaries, picture, Some(&equipment))?;
        let mut input = stack.input(folder);
        if let (Value::Object(input), Value::Object(more)) = (&mut input, equipment.input()) {
            input.extend(more);
        }
        Ok((stack, input))
    }

    fn around(
        control: Control,
        binaries: &Binaries,
        picture: Picture,
        equipment: Option<&Equipment>,
    ) -> Result<Self> {
        let account = control.add_user("demo")?;
        let bundle = control.add_camera("Front door")?;
        let camera = Camera::start(&binaries.camera, &bundle, picture, equipment)?;
        Ok(Self {
            camera,
            control,
            account,
            blocked_udp: None,
        })
    }

    /// What a browser script needs to know.
    pub fn input(&self, output: &Path) -> Value {
        input(&self.control, &self.account, output)
    }

    /// What a browser script may ask for.
    pub fn answer(&mut self, what: &str) -> Result<String> {
        match what {
            "metrics" => Camera::metrics(),
            "idle" => self.camera.idle().map(|()| String::new()),
            "control-metrics" => http::get(LOCAL, "/metrics"),
            "revoke" => self.control.revoke_camera(),
            "block-udp" => {
                self.blocked_udp = Some(BlockedUdp::new()?);
                Ok(String::new())
            }
            "kill-control" => self.control.kill().map(|()| String::new()),
            "start-control" => self.control.restart().map(|()| String::new()),
            _ => anyhow::bail!("a stack knows no `{what}`"),
        }
    }
}

/// What a browser script needs to know of a control plane.
pub fn input(control: &Control, account: &Account, output: &Path) -> Value {
    json!({
        "url": control.url(),
        "name": account.name,
        "password": account.password,
        "chromium": crate::build::chromium(),
        "output": output,
    })
}
