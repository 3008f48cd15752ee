//! A light WebRTC viewer, and the peers Heron is measured against.
//!
//! # Place
//!
//! `cargo xtask bench` and `soak` start the servers and read their processor time and memory; this
//! crate is what they start beside them, as the program `heron-bench`:
//!
//! - `viewer` and `crowd`: many receiving viewers in one thread, on `str0m`, which shares no
//!   code with Heron. They do what a browser does on the wire (ICE, DTLS, SRTP, NACK, transport-wide
//!   feedback, receiver reports, PLI on demand) and decode nothing. All servers get the same one.
//! - `whep`: how they join: WHEP, for every server.
//! - `feed`: one H.264 stream, looped and paced, for every server.
//! - `peers`: Janus and GStreamer's webrtcbin behind a WHEP endpoint.
//! - `watch`, `pli`, `wander`: what can be measured with them.
//!
//! [`statistics`] is all that a reader of the figures needs: without the features there is nothing
//! else.

pub mod statistics;

#[cfg(feature = "viewer")]
pub mod annexb;
#[cfg(feature = "viewer")]
pub mod crowd;
#[cfg(feature = "viewer")]
pub mod feed;
#[cfg(feature = "viewer")]
pub mod http;
#[cfg(feature = "clock")]
pub mod pattern;
#[cfg(feature = "viewer")]
pub mod peers;
#[cfg(feature = "viewer")]
pub mod pli;
#[cfg(feature = "viewer")]
pub mod rtp;
#[cfg(feature = "viewer")]
pub mod viewer;
#[cfg(feature = "viewer")]
pub mod wander;
#[cfg(feature = "viewer")]
pub mod watch;
#[cfg(feature = "viewer")]
pub mod whep;
