//! Signalling: the broker's messages, routed between browsers and cameras.
//!
//! # Place
//!
//! The control plane is an MQTT client like any other, on the broker's own listener for it. Browsers live in
//! `view/1/...`, cameras in `cam/1/...`, and nothing goes from one tree to the other but through here, where it is
//! checked: who says it, about which session, and whether that person may watch that camera.
//!
//! # Flow
//!
//! ```text
//! broker -> link -> switchboard -> sessions (who is connected with whom)
//!                       |          cameras  (who is there, in what state)
//!                       |          browsers (who sits before which browser)
//!                       v
//!            messages to the broker, lines for the session log
//! ```
//!
//! - `link`: the MQTT client. Never gives up.
//! - `switchboard`: what to do with each message; `news`: those of cameras about themselves. Asks the [`Directory`] for
//!   rights.
//! - `opener`: what opening a session and looking for another path take: rights, a grant, credentials.
//! - `sessions`, `session`, `restarts`, `cameras`, `clones`, `sequence`: state machines without IO, with the time passed in.
//! - `ice`: STUN and TURN servers with credentials for both ends.
//! - `router`: the driver that ties them together.
//!
//! The rest of the server gives a [`Directory`], a [`SessionLog`] and a [`PresenceLog`],
//! fills the [`BrowserRegistry`], and asks the
//! [`Router`] for what it knows.

mod browsers;
mod cameras;
mod clones;
mod counters;
mod ice;
mod link;
mod moment;
mod news;
mod opener;
mod restarts;
mod router;
mod seams;
mod sequence;
mod session;
mod sessions;
mod switchboard;

pub use browsers::{Browser, BrowserRegistry, IssuedToken};
pub use cameras::CameraChange;
pub use counters::SignallingStats;
pub use ice::{IceProvisioner, SELF_TEST_TTL};
pub use link::BrokerAddress;
pub use router::{Router, RouterConfig};
pub use seams::{
    CameraRecord, ConnectionRecord, Directory, Ends, PathKind, Phases, PresenceLog, SessionLog,
    SessionRecord,
};
pub use sessions::Limits;
