//! `cargo xtask nat-lab`: cameras behind every kind of access to the internet, watched from behind every other.
//!
//! [`world`] makes the places: a public host with the control plane and its TURN server, and sites of `heron-net-lab`
//! with a link of 20 ms each way, a real camera in some and a real Chromium in the others. [`matrix`] holds what was
//! seen against what theory allows; [`events`] breaks the path of a session that runs.

mod events;
mod matrix;
mod world;

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use heron_net_lab::Access;

use crate::node::Node;
use crate::{build, netns, packages};

const PROFILE: &str = "dev";

/// What is tried in [`Arguments::quick`]: little, but every way of connecting.
const QUICK: [Access; 3] = [Access::PortRestricted, Access::Symmetric, Access::Only443];

/// What to try.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only three kinds of access, which connect in every way there is; times are shown and not judged.
    #[arg(long, conflicts_with = "only")]
    quick: bool,
    /// Only the pairs with these kinds of access at either end: `camera=symmetric,viewer=port`, or one of the two.
    #[arg(long, value_name = "camera=KIND,viewer=KIND", value_delimiter = ',')]
    only: Vec<Only>,
    /// Break the path of a running session instead: addresses, links, mappings and relays that go.
    #[arg(long, conflicts_with_all = ["quick", "only"])]
    events: bool,
}

/// One end of the pairs, held fast.
#[derive(Clone)]
enum Only {
    Camera(Access),
    Viewer(Access),
}

impl FromStr for Only {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (end, kind) = text.split_once('=').context("camera=KIND or viewer=KIND")?;
        let names: Vec<_> = Access::ALL.iter().map(|kind| kind.name()).collect();
        let unknown = || format!("no kind is called `{kind}`: there are {}", names.join(", "));
        let kind = Access::named(kind).with_context(unknown)?;
        match end {
            "camera" => Ok(Self::Camera(kind)),
            "viewer" => Ok(Self::Viewer(kind)),
            _ => bail!("camera=KIND or viewer=KIND"),
        }
    }
}

impl Arguments {
    /// The kinds of access at the cameras' and at the viewers' end.
    fn kinds(&self) -> (Vec<Access>, Vec<Access>) {
        let all = match self.quick {
            true => QUICK.to_vec(),
            false => Access::ALL.to_vec(),
        };
        let (mut cameras, mut viewers) = (Vec::new(), Vec::new());
        for only in &self.only {
            match only {
                Only::Camera(kind) => cameras.push(*kind),
                Only::Viewer(kind) => viewers.push(*kind),
            }
        }
        let chosen = |kinds: Vec<Access>| if kinds.is_empty() { all.clone() } else { kinds };
        (chosen(cameras), chosen(viewers))
    }
}

/// Tries it, prints the table, and fails when a figure was missed.
pub fn run(arguments: &Arguments) -> Result<()> {
    if !netns::inside() {
        packages::ensure_build()?;
        packages::ensure_browser()?;
        packages::ensure_nat_lab()?;
        build::all(PROFILE)?;
    }
    netns::enter()?;
    let node = Node::ensure()?;
    if arguments.events {
        return events::run(&node);
    }
    let (cameras, viewers) = arguments.kinds();
    matrix::run(&node, &cameras, &viewers, !arguments.quick)
}
