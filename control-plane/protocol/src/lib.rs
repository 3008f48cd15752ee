//! The contract between a camera, the control plane and a browser.
//!
//! # Place
//!
//! This is the only crate that both the firmware and the control plane depend on. It does no IO and keeps no
//! clock: times are passed in. Everything that travels over MQTT is defined here once, in [`topics::TABLE`]:
//! the topic, its one writer, QoS, retention, expiry and the type of its body. The access rules ([`acl`]) and
//! the AsyncAPI document ([`asyncapi`]) are computed from that table, so they cannot disagree with it.
//!
//! # Flow
//!
//! ```text
//! bytes --decode(limits)--> typed message --> state machine --> typed message --encode--> bytes
//!                |                                    |
//!             Refused (reason, counted by caller)   Grant: what the viewer may do, signed by the control plane
//!                                                   Proof: who answered, signed by the device
//! ```
//!
//! The broker between the parties carries messages but is not trusted: a camera acts only on a [`grant`], and a
//! browser accepts only the DTLS fingerprint named by a [`proof`].
//!
//! # Example
//!
//! ```
//! use heron_protocol::{DeviceId, Topic, acl, messages::Presence};
//!
//! let device: DeviceId = "front-door-01".parse()?;
//! let topic = Topic::Presence(device.clone());
//! assert!(topic.to_string().ends_with("/front-door-01/up/presence"));
//!
//! // The ACL comes from the same table: another camera may not write here.
//! let other = acl::Client::Device("back-door-01".parse()?);
//! assert!(acl::may_publish(&other, &topic.to_string(), true).is_err());
//!
//! // Whatever arrives is checked against size and field limits.
//! let refused = heron_protocol::decode::<Presence>(b"{\"online\": 3}").unwrap_err();
//! assert!(refused.to_string().contains("presence"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod acl;
pub mod acl_file;
pub mod asyncapi;
mod codec;
mod fingerprint;
pub mod grant;
mod ids;
mod keys;
pub mod messages;
pub mod proof;
pub mod topics;

pub use codec::{MAX_MESSAGE_BYTES, Message, Refused, decode, encode};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use ids::{BrowserId, CallId, DeviceId, Label, ParseIdError, SessionId, Shard, TenantId};
pub use keys::{KeyError, SigningKey, VerifyingKey};
pub use topics::{ParseTopicError, Topic};
