//! TURN provisioning: which relays serve a session, with which credentials, how much they relayed, and when that ends.
//!
//! # Flow
//!
//! ```text
//! relay policy (camera, tenant) ──┐
//! regions of camera and viewer ───┤
//! health and load of each pool ───┴─ choice ── Relays::servers ── credentials for one end of one session
//!                                                                    │
//! embedded ── heron-turn in this process                             │ signalling::IceProvisioner
//! shared secret ── coturn, eturnal, heron-control turn               │
//! fetched ── Cloudflare, Twilio                                      │
//! fixed ── a static list                                             │
//!                                                                    │
//! usage per end <── embedded, relay link, coturn's Redis ── meter ───┴─ caps end a session with a reason
//! ```
//!
//! A session never waits for the network: every [`Provider`] answers from what it has, and tasks of its own keep that
//! fresh. Where one has nothing to give, sessions go on with the others, and one line in the log says so.
//!
//! Modules: `choice`, `meter`, `policy` and `secrets` are pure; `provider` is the trait; `embedded`, `shared_secret`,
//! `fetched` (with `cloudflare` and `twilio`) and `fixed` implement it; `probe` asks each relay for a STUN binding;
//! `relay_link` and `relay_process` are the two ends between the control plane and a stand-alone relay;
//! `coturn_status` reads coturn's reports; `pools` makes
//! them from the configuration, `relays` ties them together, and `metering` looks at them once a second.

mod choice;
mod cloudflare;
mod coturn_status;
mod embedded;
mod fetched;
mod fixed;
mod https;
mod meter;
mod metering;
mod policy;
mod pools;
mod probe;
mod provider;
mod relay_link;
mod relay_process;
mod relays;
mod secrets;
mod shared_secret;
mod twilio;

pub use coturn_status::CoturnStatus;
pub use embedded::{REALM, start as start_embedded};
pub use meter::{Account, AccountDay, Relayed, RelayedTime};
pub use metering::{follow, read_days, read_policies};
pub use policy::{BadPolicy, RelayMode, RelayPolicy};
pub use probe::Probe;
pub use provider::{Health, Provider};
pub use relay_link::RelayLink;
pub use relay_process::{RelayProcess, secret_file};
pub use relays::{Metered, Relays};
pub use secrets::{RotationTooSoon, SecretFile};
pub use shared_secret::{Reports, SharedSecret};
