//! The camera's link to its control plane.
//!
//! # Place
//!
//! One of the three libraries under `heron-camera`. It knows MQTT and the protocol's topics, and
//! nothing of pictures: a broker that goes away is this crate's trouble alone, and media does not
//! notice. `rumqttc` is used here and nowhere else in the firmware. It is also how a camera comes by
//! its identity and keeps it: enrolment and renewal over HTTPS (EST, RFC 7030).
//!
//! # Flow
//!
//! ```text
//! Bundle ----> connection: TLS with the device certificate, will, session, backoff
//!                  |                                        ^
//!        inbox: typed, within limits, ours      sender: presence first, then what waits
//!                  |                                        |
//!                Down  (to the camera)           outbox: bounded, expiring, retained kept
//!                                                           ^
//!                                                Link::publish_*  (never blocks)
//! ```
//!
//! ```text
//! claim file, pairing code, serial number --> Enrolment --> bundle file --> Bundle --> Link
//!                                                                ^                    |
//!                                                                +------ Renewer -----+
//! ```
//!
//! A connection begins with the subscription, then `online` presence, then every retained value once
//! more: whatever a broker forgot in a restart, it knows again. It ends with `offline` presence and a
//! reason, sent by us on [`Link::stop`] or by the broker from our will. Between the two the link comes
//! back for ever, after delays by [`Backoff`], and says in its next `online` presence why it was away:
//! what it saw itself, or what [`Parting`] kept over a reboot.
//!
//! # Example
//!
//! ```no_run
//! use heron_agent::{AgentConfig, Bundle, Down, Link};
//! use heron_protocol::messages::Offline;
//!
//! # async fn example() -> Result<(), heron_agent::BundleError> {
//! let bundle = Bundle::load("/etc/heron/bundle.toml".as_ref())?;
//! let (link, mut down) = Link::start(AgentConfig::new(bundle, "0.1.0", "boot", 0));
//! while let Some(message) = down.recv().await {
//!     match message {
//!         Down::Rtc { session, .. } => println!("signalling for {session}"),
//!         Down::State { section, .. } => println!("wanted: {}", section.as_str()),
//!     }
//! }
//! link.stop(Offline::Shutdown).await;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod bundle;
mod clock;
mod connection;
mod control_plane;
mod enrolment;
mod est;
mod folder;
mod https;
mod inbox;
mod link;
mod network;
mod outage;
mod outbox;
mod parting;
mod path;
mod pause;
mod presence;
mod reach;
mod renewal;
mod renewer;
mod sender;
mod server;
mod trust;
mod whereabouts;

pub use backoff::Backoff;
pub use bundle::{AddressError, BrokerAddress, Bundle, BundleError, Validity};
pub use clock::Clock;
pub use control_plane::{ControlPlane, ToldServers};
pub use enrolment::{
    Advance, Claim, ClaimError, Enrolment, EnrolmentConfig, Introduction, PairingCode, Standing,
    Step,
};
pub use est::{Answer, Credentials, DeviceKey, Est, EstError, KeyError, Subject};
pub use https::HttpsError;
pub use inbox::Down;
pub use link::{AgentConfig, Generation, Link, Status, Trouble};
pub use network::NetworkWatch;
pub use parting::Parting;
pub use reach::{Hindrance, Reached, reach_broker};
pub use renewal::{Action, Asked, Renewal, Tried};
pub use renewer::{IdentityEvent, Renewer};
pub use server::{ServerUrl, ServerUrlError};
pub use trust::check_authorities;

/// Ways in for the fuzz targets of `tests/fuzz`, which see only what is public.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads what an EST server answers with.
    pub fn certificates(body: &[u8]) {
        if let Ok(found) = crate::est::pkcs7::certificates(body) {
            let _ = crate::est::pkcs7::ours_first(&found, b"");
        }
    }

    /// Reads a claim file.
    pub fn claim(bytes: &[u8]) {
        let _ = crate::enrolment::Claim::parse("heron-claim.toml".as_ref(), bytes);
    }
}
