//! `heron-bench`: light viewers, and peers to hold Heron against.
//!
//! What is measured goes to standard output as JSON, one object a line.

#![allow(clippy::print_stdout)]

use std::io::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use heron_bench::feed::{self, Sink};
use heron_bench::peers::{Picture, Setting, janus, webrtcbin};
use heron_bench::whep::Endpoint;
use heron_bench::{pli, wander, watch};
use serde::Serialize;

#[derive(Parser)]
#[command(
    name = "heron-bench",
    about = "Light viewers, and peers to hold Heron against"
)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// A fixed number of viewers: prints `steady` and `done` around the time that is counted, then what came.
    Watch {
        #[command(flatten)]
        whep: Whep,
        /// How many watch.
        #[arg(long, default_value_t = 1)]
        viewers: usize,
        /// How long is counted, in seconds.
        #[arg(long, default_value_t = 10.0)]
        seconds: f64,
        /// From everybody's having a picture to the begin of the count, in seconds.
        #[arg(long, default_value_t = 2.0)]
        settle: f64,
    },
    /// From a PLI to the IDR on the wire: prints an array of `{"frames", "ms"}`.
    Pli {
        #[command(flatten)]
        whep: Whep,
        /// How many PLIs are sent.
        #[arg(long, default_value_t = 20)]
        count: usize,
        /// From one's answer to the next, in milliseconds.
        #[arg(long, default_value_t = 700)]
        gap_ms: u64,
    },
    /// Viewers who come and go at random: prints a sample each interval, then what came altogether.
    Wander {
        #[command(flatten)]
        whep: Whep,
        /// Never more than this many at once.
        #[arg(long, default_value_t = 6)]
        most: usize,
        /// The same seed, the same coming and going.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How long, in seconds.
        #[arg(long, default_value_t = 60.0)]
        seconds: f64,
        /// How often there is a sample, in seconds.
        #[arg(long, default_value_t = 10.0)]
        interval: f64,
    },
    /// A peer behind a WHEP endpoint: prints `ready PID` when it takes offers. Use a network namespace.
    Serve {
        /// Which.
        #[arg(value_enum)]
        peer: Peer,
        /// Where offers are taken, at any path.
        #[arg(long)]
        listen: SocketAddr,
        /// H.264 (Annex B) to loop; without it, the picture with Heron's clock is encoded.
        #[arg(long)]
        clip: Option<PathBuf>,
        #[command(flatten)]
        size: Size,
        /// What the encoder aims at.
        #[arg(long, default_value_t = 2500)]
        kbps: u32,
        /// With noise in the picture, so that the encoder needs its bitrate.
        #[arg(long)]
        noise: bool,
        /// For configuration and logs.
        #[arg(long)]
        folder: PathBuf,
    },
    /// Loops a file of H.264 (Annex B) at its pace: to standard output, or as RTP.
    Feed {
        /// The file.
        #[arg(long)]
        file: PathBuf,
        /// Its frames per second.
        #[arg(long, default_value_t = 30)]
        fps: u32,
        /// Where RTP goes.
        #[arg(long)]
        rtp: Option<SocketAddr>,
    },
    /// Raw I420 pictures with Heron's clock, to standard output.
    #[cfg(feature = "clock")]
    Pattern {
        #[command(flatten)]
        size: Size,
        /// With noise in the picture, so that the encoder needs its bitrate.
        #[arg(long)]
        noise: bool,
        /// As YUV4MPEG2.
        #[arg(long)]
        y4m: bool,
    },
}

#[derive(Args)]
struct Whep {
    /// The WHEP endpoint.
    #[arg(long = "whep", value_name = "URL")]
    url: String,
    /// Its bearer token.
    #[arg(long)]
    token: Option<String>,
}

impl Whep {
    /// The endpoint, and this machine's address on the way to it.
    fn endpoint(self) -> Result<(Endpoint, IpAddr)> {
        let Self { url, token } = self;
        let host = url.trim_start_matches("http://").split('/').next();
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        // Connecting a UDP socket sends nothing: it asks the system which address it would use.
        socket
            .connect(host.unwrap_or_default())
            .with_context(|| format!("{url} names no host and port"))?;
        Ok((Endpoint { url, token }, socket.local_addr()?.ip()))
    }
}

#[derive(Args)]
struct Size {
    /// In pixels.
    #[arg(long, default_value_t = 1280)]
    width: u32,
    /// In pixels.
    #[arg(long, default_value_t = 720)]
    height: u32,
    /// Frames per second.
    #[arg(long, default_value_t = 30)]
    fps: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Peer {
    Janus,
    Webrtcbin,
}

fn main() -> Result<()> {
    match Arguments::parse().chore {
        Chore::Watch {
            whep,
            viewers,
            seconds,
            settle,
        } => {
            let (endpoint, address) = whep.endpoint()?;
            let options = watch::Options {
                endpoint,
                address,
                viewers,
                settle: Duration::from_secs_f64(settle),
                time: Duration::from_secs_f64(seconds),
            };
            print(&watch::run(&options, || say("steady"), || say("done"))?)
        }
        Chore::Pli {
            whep,
            count,
            gap_ms,
        } => {
            let (endpoint, address) = whep.endpoint()?;
            let gap = Duration::from_millis(gap_ms);
            print(&pli::run(&endpoint, address, count, gap)?)
        }
        Chore::Wander {
            whep,
            most,
            seed,
            seconds,
            interval,
        } => {
            let (endpoint, address) = whep.endpoint()?;
            let options = wander::Options {
                endpoint,
                address,
                most,
                seed,
                time: Duration::from_secs_f64(seconds),
                interval: Duration::from_secs_f64(interval),
            };
            let total = wander::run(&options, |sample| {
                // Whoever waits for samples notices that they stay away.
                let _ = print(sample);
            })?;
            print(&total)
        }
        Chore::Serve {
            peer,
            listen,
            clip,
            size,
            kbps,
            noise,
            folder,
        } => {
            let Size { width, height, fps } = size;
            let setting = Setting {
                listen,
                picture: clip.map_or(
                    Picture::Clock {
                        width,
                        height,
                        fps,
                        kbps,
                        noise,
                    },
                    |file| Picture::Clip { file, fps },
                ),
                folder,
            };
            match peer {
                Peer::Janus => janus::serve(&setting),
                Peer::Webrtcbin => webrtcbin::serve(&setting),
            }
        }
        Chore::Feed { file, fps, rtp } => {
            feed::run(&file, fps, &rtp.map_or(Sink::Output, Sink::Rtp))
        }
        #[cfg(feature = "clock")]
        Chore::Pattern {
            size: Size { width, height, fps },
            noise,
            y4m,
        } => heron_bench::pattern::run(heron_bench::pattern::Pattern {
            width,
            height,
            fps,
            noise,
            y4m,
        }),
    }
}

fn print(what: &impl Serialize) -> Result<()> {
    say(&serde_json::to_string(what)?);
    Ok(())
}

fn say(line: &str) {
    println!("{line}");
    // A pipe is not a terminal: the harness waits for this line.
    let _ = std::io::stdout().flush();
}
