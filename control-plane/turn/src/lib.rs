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
//! client datagram --> stun --> auth (401, 438) --> relay (403 by peer_filter, 437, 486, ...) --> reply
//!                                                    |
//! client data -----------------------------> allocation --permission--> peer, and back
//! ```
//!
//! [`peer_filter`] keeps the server from being a door into its own network: special-purpose addresses are refused
//! unless allowed by name. Everything but `server` is pure: time and sockets are passed in.
//!
//! A credential must be in date to make an allocation, not to keep one: a session may outlast it. In return the
//! control plane calls [`TurnServer::end_session`] when a session is over, which closes its allocations at once and
//! refuses its credentials from then on.
//!
//! The server speaks UDP on both sides, with SHA-1 integrity, which is what every WebRTC client sends.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use heron_turn::{End, Holder, Quotas, Secret, Secrets, TurnConfig, TurnServer, mint};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let secret = Secret::new(*b"32 random bytes, kept by control");
//! let server = TurnServer::start(TurnConfig {
//!     listen: "127.0.0.1:0".parse()?,
//!     relay_address: "127.0.0.1".parse()?,
//!     relay_ports: 49160..=49359,
//!     realm: "heron".into(),
//!     secrets: Secrets { current: secret.clone(), previous: None },
//!     allow_peers: vec!["127.0.0.0/8".parse()?],
//!     quotas: Quotas::default(),
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
mod credential;
pub mod peer_filter;
mod relay;
mod server;
mod stun;

pub use cidr::{Cidr, ParseCidrError};
pub use credential::{
    Credential, End, Holder, ParseUsernameError, Secret, Secrets, Username, mint,
};
pub use peer_filter::{AllowedPorts, PeerFilter, PeerRefused};
pub use relay::{Quotas, Stats};
pub use server::{StartError, TurnConfig, TurnServer};

/// Ways in for the fuzz targets of `tests/fuzz`, which see only what is public.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads a datagram as STUN, and every attribute in it.
    pub fn stun(bytes: &[u8]) {
        if let Some(message) = crate::stun::Message::parse(bytes) {
            for (kind, _) in message.attributes() {
                let _ = message.text(kind);
                message.addresses(kind).for_each(drop);
            }
            message.unknown();
            message.is_signed_with(&[0; 16]);
        }
    }
}
