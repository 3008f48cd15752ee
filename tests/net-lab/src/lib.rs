//! Networks to test on: namespaces, wires between them, and links that are slow, late and lossy.
//!
//! # Parts
//!
//! - [`Namespace`]: a host of its own, with its own addresses and routes; [`Namespace::command`] and
//!   [`Namespace::run`] do something on it.
//! - [`Veth`]: a wire between two hosts at the kernel's speed, or at a rate that `tc tbf` keeps.
//! - [`Forwarder`]: a link between two hosts that delays, loses, reorders and duplicates packets and
//!   has a bottleneck with a queue. It carries whatever is IP: ICE, DTLS and SRTP as well as TCP.
//!   The kernels we run on have no netem, so it is a thread of ours between two TUN devices.
//! - [`Link`]: what the forwarder does to packets in one direction, as a pure state machine: packets
//!   in, packets out at times. The same seed and the same packets give the same fate.
//! - [`Internet`], [`Site`]: hosts with public addresses, and homes and offices behind routers. [`Access`] names the
//!   kinds of access that people have, [`Nat`] what a router does, in the terms of RFC 4787: nftables does it.
//!
//! # Example
//!
//! ```no_run
//! use std::time::Duration;
//! use heron_net_lab::{Direction, End, Forwarder, Impairment, Namespace};
//!
//! let (camera, viewer) = (Namespace::new("camera")?, Namespace::new("viewer")?);
//! let link = Forwarder::between(
//!     End { namespace: &camera, address: "10.78.0.1/30" },
//!     End { namespace: &viewer, address: "10.78.0.2/30" },
//!     7,
//! )?;
//! viewer.route("default", "10.78.0.1")?;
//! let slow = Impairment { rate: Some(5_000_000), delay: Duration::from_millis(20), ..Impairment::NONE };
//! link.set(Direction::Forth, slow);
//! viewer.command("curl").arg("http://10.78.0.1/").status()?;
//! link.set(Direction::Forth, Impairment { rate: Some(1_000_000), ..slow });
//! println!("{:?}", link.counters(Direction::Forth));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rights and clearing up
//!
//! Making a namespace takes root, or a user namespace (`unshare --map-root-user --net`). Nothing is
//! registered anywhere: a namespace lives as long as a process that waits for the end of a pipe of
//! ours, a TUN device as long as our descriptor. So all of it is gone when its owner is dropped, and
//! also when this process ends in any other way, Ctrl-C and SIGKILL included.

mod access;
mod error;
mod forwarder;
mod impairment;
mod internet;
mod link;
mod namespace;
mod nat;
mod nat64;
mod random;
mod site;
mod tun;
mod veth;

pub use access::Access;
pub use error::LabError;
pub use forwarder::{Direction, Forwarder};
pub use impairment::{Impairment, Queue};
pub use internet::Internet;
pub use link::{Counters, Link};
pub use namespace::{End, Namespace};
pub use nat::{Filtering, Mapping, Nat, Out};
pub use nat64::embedded;
pub use site::Site;
pub use veth::Veth;
