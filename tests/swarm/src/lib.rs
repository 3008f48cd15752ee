//! A simulated fleet: thousands of cameras in one process, most of them well-behaved.
//!
//! # What is real
//!
//! A well-behaved camera is `heron_agent::Link`, the code that runs on the board: its own certificate on mTLS,
//! presence with a will, reported state, telemetry, session resume and backoff. It checks grants and signs proofs as
//! `heron-session` does; only the media is missing, so that an answer is canned and no packet ever follows.
//!
//! The others ([`Behaviour`]) do what a broken or hostile camera could do with its own valid identity: flood, connect
//! and never speak, have the clock wrong, speak in the wrong shard, or be two machines with one identity.
//!
//! # Parts
//!
//! ```text
//! enrol: identities in bulk through the control plane's API  ->  a folder of device bundles
//! swarm: starts a camera for each bundle ─┬─ camera   heron_agent::Link
//!                                         └─ misfit   clients of their own making
//! dashboard: what a person's browser sees of it, over MQTT on WebSocket with a real token
//! changes:   cameras leave and come back; how long until the view knows
//! ```
//!
//! A camera that fails tries again for ever, as real ones do; what went wrong is counted in [`Figures`], and every
//! figure leaves the program as one JSON object a line.

mod answer;
mod behaviour;
mod camera;
mod changes;
mod dashboard;
mod enrol;
mod figures;
mod http;
mod identity;
mod misfit;
mod mqtt;
mod swarm;
mod view;

pub use behaviour::{Behaviour, Mix, MixError};
pub use changes::{Changes, blink};
pub use dashboard::Dashboard;
pub use enrol::{add_cameras, save};
pub use figures::{Counted, Figures};
pub use http::{Control, Person};
pub use identity::{Identity, load};
pub use swarm::{Options, Swarm};
pub use view::{Seen, View, subscriber};
