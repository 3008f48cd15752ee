//! `cargo xtask bench`: figures held against the budgets, beside a peer in the same run.

mod adapt;
mod fanout;
mod first_frame;
mod fleet;
mod footprint;
mod latency;
mod pli;
mod server;
pub mod soak;
mod subject;
mod turn;
mod usage;
pub mod whep_player;

use anyhow::Result;
use clap::Subcommand;

/// What can be measured.
#[derive(Subcommand)]
pub enum What {
    /// From the click to the first frame, phase by phase, in Chromium.
    FirstFrame {
        /// How often to start.
        #[arg(long, default_value_t = 30)]
        starts: u32,
        /// The cargo profile of the binaries.
        #[arg(long, default_value = "dev")]
        profile: String,
    },
    /// What a viewer costs the server at 1, 10 and 50 viewers, beside Janus and webrtcbin.
    Fanout {
        /// How often each server is measured.
        #[arg(long, default_value_t = 3)]
        runs: u32,
        /// For how long each time, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Measure only these servers.
        #[arg(long, value_delimiter = ',', value_name = "SERVER")]
        only: Vec<String>,
    },
    /// The camera's size on disk and in memory, and how long it takes to start.
    Footprint {
        /// Leave the build for aarch64 out.
        #[arg(long)]
        no_arm: bool,
    },
    /// From the drawing of a picture to its being decoded and shown in Chromium, beside Janus and webrtcbin.
    Latency {
        /// How often each server is measured.
        #[arg(long, default_value_t = 3)]
        runs: u32,
        /// For how long each time, in seconds.
        #[arg(long, default_value_t = 15)]
        seconds: u32,
        /// Which to measure; the first is held against the others.
        #[arg(long, value_delimiter = ',', default_value = "heron,janus,webrtcbin")]
        servers: Vec<String>,
    },
    /// Chromium behind a link that turns slow and one that loses packets, beside webrtcbin.
    Adapt {
        /// Which to measure; the first is held against the figures.
        #[arg(long, value_delimiter = ',', default_value = "heron,webrtcbin")]
        servers: Vec<String>,
    },
    /// A fleet of simulated cameras: memory, presence, and a restart of the broker, beside Mosquitto.
    Fleet {
        /// How many cameras; several sizes are measured one after the other.
        #[arg(long, value_delimiter = ',', default_value = "1000")]
        cameras: Vec<usize>,
        /// How often each broker is measured and restarted.
        #[arg(long, default_value_t = 3)]
        runs: u32,
        /// Measure only these brokers.
        #[arg(long, value_delimiter = ',', value_name = "BROKER")]
        only: Vec<String>,
    },
    /// From a PLI to the IDR on the wire, beside Janus and webrtcbin.
    Pli {
        /// How many PLIs are sent.
        #[arg(long, default_value_t = 20)]
        count: u32,
        /// Which to measure; the first is held against the figure.
        #[arg(long, value_delimiter = ',', default_value = "heron,janus,webrtcbin")]
        servers: Vec<String>,
    },
    /// Packets a second and CPU for a packet of the embedded TURN server, beside coturn.
    Turn {
        /// How often each server is measured.
        #[arg(long, default_value_t = 3)]
        runs: u32,
        /// For how long each load, in seconds.
        #[arg(long, default_value_t = 3)]
        seconds: u32,
        /// Measure only these servers.
        #[arg(long, value_delimiter = ',', value_name = "SERVER")]
        only: Vec<String>,
    },
}

/// Measures, prints the table, and fails when a budget was missed.
pub fn run(what: &What) -> Result<()> {
    match what {
        What::FirstFrame { starts, profile } => first_frame::run(*starts, profile),
        What::Fanout {
            runs,
            seconds,
            only,
        } => fanout::run(*runs, *seconds, only),
        What::Fleet {
            cameras,
            runs,
            only,
        } => fleet::run(cameras, *runs, only),
        What::Footprint { no_arm } => footprint::run(!no_arm),
        What::Latency {
            runs,
            seconds,
            servers,
        } => latency::run(*runs, *seconds, servers),
        What::Adapt { servers } => adapt::run(servers),
        What::Pli { count, servers } => pli::run(*count, servers),
        What::Turn {
            runs,
            seconds,
            only,
        } => turn::run(*runs, *seconds, only),
    }
}
