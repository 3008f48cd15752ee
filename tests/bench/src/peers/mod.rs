//! Servers that are not Heron, each behind a WHEP endpoint.

pub mod bridge;
pub mod janus;
pub mod webrtcbin;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};

/// Where a peer takes RTP, on this machine.
const RTP: &str = "127.0.0.1:5004";
/// Debian's Python, which has the bindings to GStreamer: another may come first in the search path.
const PYTHON: &str = "/usr/bin/python3";

/// What a peer sends its viewers.
#[derive(Clone, Debug)]
pub enum Picture {
    /// A file of H.264 (Annex B), looped: nothing is encoded.
    Clip {
        /// The file.
        file: PathBuf,
        /// Its frames per second.
        fps: u32,
    },
    /// The picture with Heron's clock, encoded by x264.
    Clock {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
        /// Frames per second.
        fps: u32,
        /// What the encoder aims at.
        kbps: u32,
        /// With noise, so that the encoder needs its bitrate.
        noise: bool,
    },
}

/// How a peer is run.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Where offers are taken.
    pub listen: SocketAddr,
    /// What is sent.
    pub picture: Picture,
    /// For its configuration and log.
    pub folder: PathBuf,
}

impl Picture {
    /// The size and rate as the scripts take them, and the bitrate.
    fn raw(&self) -> Option<[String; 2]> {
        match self {
            Self::Clip { .. } => None,
            Self::Clock {
                width,
                height,
                fps,
                kbps,
                ..
            } => Some([format!("{width}x{height}@{fps}"), kbps.to_string()]),
        }
    }

    /// Starts what delivers it: RTP to [`RTP`], or raw pictures on its standard output.
    fn start(&self) -> Result<Child> {
        let mut command = tied(std::env::current_exe()?);
        match self {
            Self::Clip { file, fps } => command
                .args(["feed", "--rtp", RTP, "--fps", &fps.to_string(), "--file"])
                .arg(file),
            Self::Clock {
                width,
                height,
                fps,
                noise,
                ..
            } => command
                .args(["pattern", "--width", &width.to_string()])
                .args(["--height", &height.to_string(), "--fps", &fps.to_string()])
                .args(noise.then_some("--noise"))
                .stdout(Stdio::piped()),
        };
        command
            .spawn()
            .context("the picture's source did not start")
    }
}

/// A command that ends with this process, however this one ends.
fn tied(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "TERM", "--"])
        .arg(program.as_ref())
        .stdin(Stdio::null());
    command
}

/// A script of this crate, run by Debian's Python.
fn script(name: &str) -> Command {
    let mut command = tied(PYTHON);
    command.arg(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("peers")
            .join(name),
    );
    command
}

/// Tells who waits on standard output that offers are taken, and whose processor time to read.
#[allow(clippy::print_stdout)]
fn ready(process: u32) {
    println!("ready {process}");
}
