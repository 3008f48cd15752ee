//! TURN for Heron: credentials that need no database, and an embedded server that takes them.
//!
//! # Place
//!
//! A camera behind one NAT and a viewer behind another meet on a relayed address. The control plane mints a
//! [`Credential`] for each end of each session; this crate's [`TurnServer`], or coturn with the same secret, accepts
//! it. Nothing here knows of MQTT or of the store.
//!
//! # Flow
//!
//! ```text
//! mint(secret, holder, now, ttl) --> user name with expiry, password = HMAC of it --> both ends of a session
//!
//! datagram, or frame of a stream --> stun --> auth (401, 438) --> relay (403 by peer_filter, 437, 486, ...) --> answer
//!                                                  |
//! client data -----------------------------> allocation --permission, bandwidth--> peer, and back
//! ```
//!
//! [`peer_filter`] keeps the server from being a door into its own network: special-purpose addresses are refused
//! unless allowed by name. Everything but `server` is pure: time and sockets are passed in.
//!
//! Clients come by UDP, TCP and TLS ([`Listener`]), or with a stream that another listener has accepted
//! ([`TurnServer::serve_stream`]), over IPv4 and IPv6, and get relayed addresses of either family or both. With no
//! relayed address configured the server is one of STUN only. [`NatDiscovery`] adds RFC 5780.
//!
//! # Bounds
//!
//! Whoever has shown no credential gets answers of at most 2.5 times their question's bytes on the wire, and
//! [`Quotas::answers_per_address`] of them a second. Allocations, permissions, channels, connections, what waits for a
//! slow connection and bandwidth all have bounds in [`Quotas`]; what is beyond them is refused or lost, and counted by
//! reason ([`Refusals`]).
//!
//! A credential must be in date to make an allocation, and [`Quotas::hold`] says for how long after it the allocation
//! may be kept. When a session is over, the control plane calls [`TurnServer::end_session`], which closes its
//! allocations at once and refuses its credentials from then on.
//!
//! Relays are UDP, integrity is SHA-1: what every WebRTC client speaks. Datagrams are read and relayed by one thread,
//! in batches; what a full socket or a slow connection has no room for is lost, and nobody waits for it.
//!
//! For servers that are not ours, [`coturn_config`] and [`eturnal_config`] write a configuration with the same
//! credentials and refused peers.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use heron_turn::{End, Holder, Listener, Secret, Secrets, TurnConfig, TurnServer, mint};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let secret = Secret::new(*b"32 random bytes, kept by control");
//! let secrets = Secrets { current: secret.clone(), previous: None };
//! let server = TurnServer::start(TurnConfig {
//!     listeners: vec![Listener::udp("127.0.0.1:0".parse()?)],
//!     relay_v4: Some("127.0.0.1".parse()?),
//!     allow_peers: vec!["127.0.0.0/8".parse()?],
//!     ..TurnConfig::new("heron", secrets)
//! })
//! .await?;
//!
//! let holder = Holder {
//!     tenant: "home".into(),
//!     device: "front-door-01".into(),
//!     session: "5f0c".into(),
//!     end: End::Viewer,
//! };
//! let credential = mint(&secret, holder, 1_800_000_000, Duration::from_secs(600));
//! assert_eq!(credential.username, "1800000600:home.front-door-01.5f0c.v");
//! server.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod auth;
mod cidr;
mod config;
mod credential;
mod discovery;
mod elsewhere;
mod framing;
pub mod peer_filter;
mod rate;
mod relay;
mod server;
mod special_purpose;
mod stats;
pub mod stun;
mod usage;

pub use cidr::{Cidr, ParseCidrError};
pub use config::{Listener, NatDiscovery, Quotas, Transport, TurnConfig};
pub use credential::{
    Credential, End, Holder, ParseUsernameError, Secret, Secrets, Username, mint,
};
pub use elsewhere::{ForeignConfigError, ForeignServer, ForeignTls, coturn_config, eturnal_config};
pub use peer_filter::{AllowedPorts, PeerFilter, PeerRefused};
pub use server::{StartError, TurnServer};
pub use stats::{Refusal, Refusals, Stats};
pub use usage::{SessionUsage, Usage};

#[cfg(fuzzing)]
pub mod fuzzing;
