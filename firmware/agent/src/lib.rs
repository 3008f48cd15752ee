//! The camera's link to its control plane.
//!
//! # Place
//!
//! One of the three libraries under `heron-camera`. It knows MQTT and the protocol's topics, and
//! nothing of pictures: a broker that goes away is this crate's trouble alone, and media does not
//! notice. `rumqttc` is used here and nowhere else in the firmware.
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
//! A connection begins with the subscription, then `online` presence, then every retained value once
//! more: whatever a broker forgot in a restart, it knows again. It ends with `offline` presence and a
//! reason, sent by us on [`Link::stop`] or by the broker from our will. Between the two the link comes
//! back for ever, after delays by [`Backoff`].
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
mod connection;
mod inbox;
mod link;
mod outbox;
mod presence;
mod sender;

pub use backoff::Backoff;
pub use bundle::{AddressError, BrokerAddress, Bundle, BundleError, Validity};
pub use inbox::Down;
pub use link::{AgentConfig, Link, Status};
