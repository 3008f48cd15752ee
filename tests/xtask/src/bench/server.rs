//! The servers of a bench: Heron and its peers, one at a time, all joined by WHEP and all with a clock in the picture.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::build;
use crate::node::Node;
use crate::process::Process;
use crate::stack::{Control, HD_PATTERN, Picture};
use crate::{http, netns, packages, step, workspace};

/// Heron's name among the servers.
const HERON: &str = "heron";
/// After a server's name: with a picture that leaves the machine room for five viewers.
const SMALL: &str = "-small";
const MIDDLE_PATTERN: Picture = Picture {
    width: 640,
    height: 360,
    kbps: 1500,
    ..HD_PATTERN
};
/// The profile of what is measured.
const PROFILE: &str = "release";
/// The control plane only has to be there.
const CONTROL_PROFILE: &str = "dev";
/// Where each server takes offers.
const PORT: u16 = 8889;
/// The local view refuses shorter ones.
const TOKEN: &str = "0123456789abcdef";
/// How long a server may take until it takes offers.
const START: Duration = Duration::from_secs(60);

/// Installs and builds what the benches with peers need; `browser`: Chromium and the scripts too.
pub fn prepare(browser: bool) -> Result<()> {
    packages::ensure_build()?;
    packages::ensure_bench()?;
    let node = Node::ensure()?;
    if browser {
        packages::ensure_browser()?;
        node.install(&workspace::e2e())?;
    }
    build::dashboard(&node)?;
    let package = |profile: &str, name: &str| {
        step::run(build::cargo().args(["build", "--profile", profile, "--package", name]))
    };
    package(CONTROL_PROFILE, "heron-control")?;
    // Apart: together, the camera would be built with what the bench wants of the crates that both have.
    package(PROFILE, "heron-camera")?;
    package(PROFILE, "heron-bench")
}

/// Where [`prepare`] put the light client and the peers.
pub fn program() -> PathBuf {
    build::built(PROFILE).camera.with_file_name("heron-bench")
}

/// What the picture is like: the same for all servers.
#[derive(Clone, Copy, PartialEq)]
pub enum Content {
    /// Easy to encode.
    Bars,
    /// Partly noise: the encoder needs every bit that it is given.
    Noise,
}

/// Starts servers by name, each after ending the one before.
pub struct Servers {
    folder: PathBuf,
    content: Content,
    running: Option<Running>,
}

/// Its parts, in the order in which they end.
enum Running {
    Heron { _camera: Process, _control: Control },
    Peer { _server: Process },
}

impl Servers {
    /// With their data and logs below `folder`.
    pub fn new(folder: PathBuf, content: Content) -> Self {
        Self {
            folder,
            content,
            running: None,
        }
    }

    /// Ends the server that runs, starts this one, and says how to join it.
    pub fn serve(&mut self, name: &str) -> Result<Value> {
        self.running = None;
        let folder = self.folder.join(name);
        let address = format!("{}:{PORT}", netns::ADDRESS);
        let (name, picture) = name
            .strip_suffix(SMALL)
            .map_or((name, HD_PATTERN), |name| (name, MIDDLE_PATTERN));
        // The children of the one before end after it.
        step::wait_for(&format!("{address} being free"), START, || {
            Ok(TcpListener::bind(&address).ok().map(drop))
        })?;
        let mut joined = json!({ "whep": format!("http://{address}/whep") });
        self.running = Some(if name == HERON {
            joined["token"] = TOKEN.into();
            heron(&folder, &address, picture, self.content)?
        } else {
            peer(&folder, &address, name, picture, self.content)?
        });
        Ok(joined)
    }
}

fn heron(folder: &Path, address: &str, picture: Picture, content: Content) -> Result<Running> {
    let control = Control::start(
        &build::built(CONTROL_PROFILE).control,
        folder,
        netns::ADDRESS,
        false,
    )?;
    control.add_camera("Front door")?;
    let Picture {
        width,
        height,
        fps,
        kbps,
        ..
    } = picture;
    // The pictures that the peers get, in the same way: over a pipe.
    let noise = if content == Content::Noise {
        ", \"--noise\""
    } else {
        ""
    };
    let config = format!(
        "bundle = \"bundle.toml\"\n\n[video]\nsource = \"exec\"\nstream = \"y4m\"\ncommand = [\"{}\", \"pattern\", \
         \"--y4m\", \"--width\", \"{width}\", \"--height\", \"{height}\", \"--fps\", \"{fps}\"{noise}]\nwidth = {width}\n\
         height = {height}\nfps = {fps}\nbitrate_kbps = {kbps}\n\n[audio]\nsource = \"none\"\n\n\
         [local_view]\nlisten = \"{address}\"\ntoken = \"{TOKEN}\"\n",
        program().display()
    );
    fs::write(folder.join("heron-camera.toml"), config)?;
    let mut camera = Process::start(
        "heron-camera",
        &build::built(PROFILE).camera,
        ["run", "--config", "heron-camera.toml"],
        &folder.join("heron-camera.log"),
        folder,
    )?;
    step::wait_for("heron-camera's local view", START, || {
        camera.ensure_running()?;
        Ok(http::get(address, "/").ok())
    })?;
    Ok(Running::Heron {
        _camera: camera,
        _control: control,
    })
}

fn peer(
    folder: &Path,
    address: &str,
    name: &str,
    picture: Picture,
    content: Content,
) -> Result<Running> {
    let Picture {
        width,
        height,
        fps,
        kbps,
        ..
    } = picture;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let log = folder.join("server.log");
    let line = format!(
        "serve {name} --listen {address} --width {width} --height {height} --fps {fps} --kbps {kbps} --folder"
    );
    let arguments = line.split(' ').map(Into::into);
    let arguments = arguments.chain([folder.as_os_str().to_owned()]);
    let arguments = arguments.chain((content == Content::Noise).then(|| "--noise".into()));
    let mut server = Process::start(name, &program(), arguments, &log, folder)?;
    step::wait_for(&format!("{name} taking offers"), START, || {
        server.ensure_running()?;
        let said = fs::read_to_string(&log)?;
        Ok(said
            .lines()
            .any(|line| line.starts_with("ready"))
            .then_some(()))
    })?;
    Ok(Running::Peer { _server: server })
}

/// Keeps the figures of a bench as a file.
pub fn write(file: &Path, data: &Value) -> Result<()> {
    fs::write(file, serde_json::to_vec_pretty(data)?)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    println!("  All figures are in {}", file.display());
    Ok(())
}

/// The folder of the benches.
pub fn folder() -> Result<PathBuf> {
    let folder = workspace::target().join("bench");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
