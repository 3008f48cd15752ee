//! A server that is measured: Heron or a peer, joined by WHEP, with the same stream or pictures as the others.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::node::Node;
use crate::process::{Process, tied};
use crate::stack::{Control, HD_PATTERN, Picture, camera_config};
use crate::{build, http, netns, packages, step, workspace};

/// The profile of what is measured.
pub const PROFILE: &str = "release";
/// Heron's name among the servers.
pub const HERON: &str = "heron";
/// The control plane only has to be there.
const CONTROL_PROFILE: &str = "dev";
/// Where every server takes offers.
const PORT: u16 = 8889;
/// The local view refuses shorter ones.
const TOKEN: &str = "0123456789abcdef";
/// How long a server may take until it takes offers.
const START: Duration = Duration::from_secs(60);

/// Installs and builds what is measured and what measures; `browser`: Chromium and the scripts too.
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

/// The light viewer and the peers.
pub fn program() -> PathBuf {
    build::built(PROFILE).camera.with_file_name("heron-bench")
}

const CLIP: Picture = Picture {
    kbps: 2000,
    ..HD_PATTERN
};

/// Ten seconds of 720p30 H.264 at 2 Mbit/s, constrained baseline, a key frame every 2 s: made once.
/// The encoder stays below the bitrate that it is told.
fn clip() -> Result<PathBuf> {
    let folder = workspace::target().join("bench/cache");
    let file = folder.join("720p30-2mbit.h264");
    if file.exists() {
        return Ok(file);
    }
    fs::create_dir_all(&folder)?;
    let making = folder.join("making.h264");
    // Enough detail that the encoder needs its bitrate; no filler, one slice a picture.
    let line = format!(
        "-q videotestsrc pattern=zone-plate kx2=8 ky2=5 kt=2 num-buffers=300 \
         ! video/x-raw,format=I420,width=1280,height=720,framerate=30/1 \
         ! x264enc tune=zerolatency speed-preset=veryfast bitrate=2260 vbv-buf-capacity=300 \
         key-int-max=60 threads=2 sliced-threads=false aud=false option-string=scenecut=0 \
         ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au \
         ! filesink location={}",
        making.display()
    );
    step::run(Command::new("gst-launch-1.0").args(line.split_whitespace()))?;
    fs::rename(making, &file)?;
    Ok(file)
}

/// What a server sends its viewers.
#[derive(Clone, Copy)]
pub enum Shown {
    /// A clip of H.264, passed through.
    Clip,
    /// Pictures with a clock, which come raw over a pipe and are encoded.
    Pictures(Picture, Content),
}

/// What the pictures are like.
#[derive(Clone, Copy, PartialEq)]
pub enum Content {
    /// Easy to encode.
    Bars,
    /// Partly noise: the encoder needs every bit that it is given.
    Noise,
}

impl Shown {
    fn noise(self) -> Option<&'static str> {
        matches!(self, Self::Pictures(_, Content::Noise)).then_some("--noise")
    }
}

/// A running server.
pub struct Subject {
    /// The process whose use counts.
    pub id: u32,
    /// From its start to taking offers.
    pub start: Duration,
    token: Option<&'static str>,
    // Declared in this order: the camera ends before the control plane.
    server: Process,
    _control: Option<Control>,
}

impl Subject {
    /// A server by name, with its data and log below `folder`.
    pub fn start(name: &str, folder: &Path, shown: Shown) -> Result<Self> {
        let folder = folder.join(name);
        // The children of the one before end after it.
        step::wait_for("the servers' port being free", START, || {
            Ok(TcpListener::bind((netns::ADDRESS, PORT)).ok().map(drop))
        })?;
        match (name, shown) {
            (HERON, Shown::Clip) => {
                let file = clip()?.display().to_string();
                Self::camera(&folder, &exec("h264", &["feed", "--file", &file], CLIP))
            }
            (HERON, Shown::Pictures(picture, _)) => {
                let [width, height, fps] =
                    [picture.width, picture.height, picture.fps].map(|number| number.to_string());
                let size = ["--width", &width, "--height", &height, "--fps", &fps];
                let words: Vec<&str> = ["pattern", "--y4m"]
                    .into_iter()
                    .chain(size)
                    .chain(shown.noise())
                    .collect();
                Self::camera(&folder, &exec("y4m", &words, picture))
            }
            (peer, shown) => Self::peer(peer, &folder, shown),
        }
    }

    /// Heron as it is: the pattern, drawn and encoded by the camera itself, with sound.
    pub fn heron(folder: &Path) -> Result<Self> {
        let config = camera_config("bundle.toml", HD_PATTERN, "", "");
        Self::camera(&folder.join(HERON), &config)
    }

    fn camera(folder: &Path, config: &str) -> Result<Self> {
        let control = build::built(CONTROL_PROFILE).control;
        let control = Control::start(&control, folder, netns::ADDRESS, false)?;
        control.add_camera("Front door")?;
        let address = format!("{}:{PORT}", netns::ADDRESS);
        let local = format!(
            "\n[session]\nmax_viewers = 64\n\n[local_view]\nlisten = \"{address}\"\ntoken = \"{TOKEN}\"\n"
        );
        fs::write(folder.join("heron-camera.toml"), config.to_owned() + &local)?;
        let begin = Instant::now();
        let mut server = Process::start(
            "heron-camera",
            &build::built(PROFILE).camera,
            ["run", "--config", "heron-camera.toml"],
            &folder.join("heron-camera.log"),
            folder,
        )?;
        step::wait_for("heron-camera's local view", START, || {
            server.ensure_running()?;
            Ok(http::get(&address, "/").ok())
        })?;
        Ok(Self {
            id: server.id(),
            start: begin.elapsed(),
            token: Some(TOKEN),
            server,
            _control: Some(control),
        })
    }

    fn peer(name: &str, folder: &Path, shown: Shown) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let log = folder.join("server.log");
        let listen = format!("{}:{PORT}", netns::ADDRESS);
        let picture = match shown {
            Shown::Clip => format!("--clip {}", clip()?.display()),
            Shown::Pictures(picture, _) => format!(
                "--width {} --height {} --fps {} --kbps {}",
                picture.width, picture.height, picture.fps, picture.kbps
            ),
        };
        let mut arguments: Vec<OsString> = ["serve", name, "--listen", &listen, "--folder"]
            .map(Into::into)
            .to_vec();
        arguments.push(folder.into());
        arguments.extend(picture.split(' ').chain(shown.noise()).map(Into::into));
        let begin = Instant::now();
        let mut server = Process::start(name, &program(), arguments, &log, folder)?;
        let id = step::wait_for(&format!("{name} taking offers"), START, || {
            server.ensure_running()?;
            let said = fs::read_to_string(&log)?;
            let id = said.lines().find_map(|line| line.strip_prefix("ready "));
            Ok(id.and_then(|id| id.trim().parse().ok()))
        })?;
        Ok(Self {
            id,
            start: begin.elapsed(),
            token: None,
            server,
            _control: None,
        })
    }

    /// Fails when it has ended.
    pub fn ensure_running(&mut self) -> Result<()> {
        self.server.ensure_running()
    }

    /// Its WHEP endpoint and the token that it wants.
    pub fn whep(&self) -> (String, Option<&'static str>) {
        (format!("http://{}:{PORT}/whep", netns::ADDRESS), self.token)
    }

    /// Starts light viewers of it: `chore` and its options as `heron-bench` takes them.
    pub fn viewers(&self, chore: &str, options: &[String]) -> Result<Viewers> {
        let mut command = tied(&program());
        let (url, token) = self.whep();
        command.args([chore, "--whep", &url]).args(options);
        if let Some(token) = token {
            command.args(["--token", token]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the light viewers did not start")?;
        let output = child.stdout.take().context("no output to read")?;
        Ok(Viewers {
            child,
            lines: BufReader::new(output).lines(),
        })
    }
}

/// A camera's config whose picture is what the bench's own program writes.
fn exec(stream: &str, words: &[&str], picture: Picture) -> String {
    let Picture {
        width,
        height,
        fps,
        kbps,
        ..
    } = picture;
    let command: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    format!(
        "bundle = \"bundle.toml\"\n\n[video]\nsource = \"exec\"\nstream = \"{stream}\"\n\
         command = [{:?}, {}]\nwidth = {width}\nheight = {height}\nfps = {fps}\n\
         bitrate_kbps = {kbps}\n\n[audio]\nsource = \"none\"\n",
        program().display().to_string(),
        command.join(", ")
    )
}

/// Light viewers that report in lines.
pub struct Viewers {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Viewers {
    /// The next line; `None` when they are done. An error when they failed.
    pub fn line(&mut self) -> Result<Option<String>> {
        if let Some(line) = self.lines.next() {
            return Ok(Some(line?));
        }
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the light viewers failed ({status}): their complaint is above");
        }
        Ok(None)
    }

    /// The next line, which must be there.
    pub fn expect(&mut self) -> Result<String> {
        self.line()?.context("the light viewers ended too early")
    }
}

impl Drop for Viewers {
    fn drop(&mut self) {
        // Ended already, unless something went wrong before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
