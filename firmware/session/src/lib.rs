//! WebRTC sessions of a camera: one encode, many viewers, one UDP port.
//!
//! # Place
//!
//! Between the encoders and the network. This crate knows neither MQTT nor cameras: the camera's binary hands it
//! encoded media and the control plane's messages, and acts on the [`Event`]s that come back. How a connection
//! works is `heron-peer`'s, how fast to send and what to encode is `heron-congestion`'s; both are pure.
//!
//! # Flow
//!
//! ```text
//! RtcDown ──► Hub ── grant verified? ──no──► RtcUp::Closed
//!              │ yes: a command                                   ┌──► Event::Send(RtcUp)
//!              ▼                                                  │
//!            Driver (one task): Viewer = Peer + Outlet + Estimator, for each viewer
//!              ▲      │                   ▲                        │ estimates, PLI
//! VideoUnit ─► packetise once ─► Handover │ Demux                  ▼
//! AudioUnit ─►        │                   │                    Adaptation ─► Event::Targets, KeyFrameWanted
//!                     ▼                   │
//!                   Ports: one UDP port, GSO and recvmmsg
//! ```
//!
//! - **Nothing before the grant.** An `Open` costs a signature check; only then memory is taken.
//! - **One encode for all.** A frame is packetised once (RFC 6184, RFC 7587); viewers share the bytes and add
//!   headers and encryption. The frame path never waits: what the driver cannot take in time is dropped up to the
//!   next key frame. Nothing is allocated for a packet.
//! - **Encode once and adapt.** Every viewer's feedback becomes an estimate, all estimates become two rungs and
//!   their targets; a slow viewer is moved to the small rung, or to sound only, and drags nobody along.
//! - **Fast start.** The answer has the interfaces' candidates in it, the device starts DTLS, the encoder is warm by
//!   [`Event::Targets`] before ICE is done, and the key frame is asked for in the moment DTLS is up, never before.
//! - **One port.** Datagrams find their viewer by ICE user name, transaction or address (see `demux`). The same port
//!   takes TCP connections (RFC 6544), for viewers whose networks let no UDP through (see `connections`). Relayed
//!   addresses of ours are the exception: a TURN server wants a socket for each.
//! - **Paths that change.** A path that says nothing is noticed within two seconds, an address of ours that is gone at
//!   once ([`Hub::network_changed`]). Where the path went with it the viewer is asked for a restart of ICE; keys,
//!   congestion control and the encoder's lane go on, and what was gathered before carries media until a new path is
//!   there. TURN servers are reached over UDP, else TCP, else TLS (see `gathering`).
//! - **Calls.** The data channel `control` carries JSON-RPC 2.0 in messages of up to 16 KiB. `stats`, `report`,
//!   `talk.begin` and `talk.end` are answered here, everything else, and who may call it, is the owner's
//!   ([`Event::Control`]).
//!
//! # On failure
//!
//! A refused or failed session ends with `RtcUp::Closed`, its reason and one sentence. Viewers that never connect,
//! fall silent or lose their path are reaped (see [`Patience`]). Other sessions never notice.
//!
//! # Example
//!
//! ```no_run
//! use heron_protocol::{SessionId, SigningKey, VerifyingKey, messages::RtcDown};
//! use heron_session::{ControlError, Event, Hub, HubConfig, VideoUnit};
//!
//! # async fn example(key: SigningKey, grant_key: VerifyingKey, message: (SessionId, RtcDown), unit: VideoUnit)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! let (hub, mut events) = Hub::new(HubConfig::new("front-door-01".parse()?, key, grant_key));
//! hub.handle(&message.0, message.1); // from MQTT
//! hub.video(unit); // from an encoder's thread
//! while let Some(event) = events.recv().await {
//!     match event {
//!         Event::Send { session, message } => { /* publish on up/rtc/{session} */ }
//!         Event::KeyFrameWanted { rung } => { /* encoder.request_key_frame(rung) */ }
//!         Event::Targets(targets) => { /* encoder.set_target(rung, target), for each rung */ }
//!         Event::Demand { viewers } => { /* microphone.set_active(viewers > 0) */ }
//!         Event::Talk(event) => { /* to the loudspeaker */ }
//!         Event::Control { request, reply } => reply.error(ControlError::unknown_method(&request.method)),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod adaptation;
mod allocation;
mod call;
mod config;
mod connections;
mod control;
mod demux;
mod dispatch;
mod driver;
mod estimate;
mod event;
mod framing;
mod gathering;
mod handover;
mod hub;
mod identity;
mod interfaces;
mod keyframe;
mod link;
mod liveness;
mod mdns;
mod media;
mod opening;
mod outlet;
mod paths;
mod ports;
mod reach;
mod record;
mod registry;
mod restarts;
mod rights;
mod servers;
mod socket;
mod stats;
mod stream;
mod talk;
mod trickle;
pub mod turn_framing;
mod turn_stream;
mod viewer;

/// STUN and TURN servers as messages name them, for whoever tests them.
pub mod ice_servers {
    pub use crate::servers::{Located, Login, Server, Transport, look_up, usable};
}

pub use config::HubConfig;
pub use control::ControlError;
pub use event::{ControlReply, ControlRequest, Event};
pub use heron_congestion::{LadderConfig, Rung, RungConfig, RungTarget};
pub use heron_peer::VideoCodec;
pub use hub::{Hub, LocalAnswer, Refusal};
pub use identity::{Calendar, Identity};
pub use liveness::Patience;
pub use media::{AudioUnit, VideoUnit, monotonic_ns};
pub use rights::Rights;
pub use stats::{HubStats, ViewerStats};
pub use talk::TalkEvent;

/// Ways in for the fuzz targets of `tests/fuzz`, which see only what is public.
#[cfg(fuzzing)]
pub mod fuzzing {
    /// Reads a message of the control channel.
    pub fn control(message: &[u8]) {
        let _ = crate::control::Calls::default().receive(message);
    }

    /// Takes datagrams out of a TCP stream that arrives in two pieces.
    pub fn stream(bytes: &[u8]) {
        let mut deframer = crate::framing::Deframer::default();
        let (first, second) = bytes.split_at(bytes.len() / 2);
        for mut piece in [first, second] {
            while let Ok(Some(datagram)) = deframer.next(&mut piece) {
                demux(datagram);
            }
        }
    }

    /// Takes messages out of a TURN server's stream that arrives in two pieces.
    pub fn turn_stream(bytes: &[u8]) {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let mut received = bytes::BytesMut::new();
        for piece in [first, second] {
            received.extend_from_slice(piece);
            while let Ok(Some(_)) = crate::turn_framing::next(&mut received) {}
        }
    }

    /// Reads an answer to a question for a hidden name, and a candidate that may hide one.
    pub fn mdns(message: &[u8]) {
        let _ = crate::mdns::read(message);
        let _ = crate::mdns::hidden(&String::from_utf8_lossy(message));
    }

    /// Sorts a datagram.
    pub fn demux(datagram: &[u8]) {
        let mut demux = crate::demux::Demux::default();
        demux.expect("abcd", 1);
        let from = std::net::SocketAddr::from(([192, 0, 2, 1], 5000));
        demux.sent(1, from, datagram);
        let _ = demux.viewer(from, datagram);
        let _ = crate::demux::refused_refresh(datagram);
    }
}
