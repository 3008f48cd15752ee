//! Encoded media to RTP payloads, once for all viewers.
//!
//! The payloads are shared bytes: a viewer's stream adds only the 12-byte header (sequence number, SSRC, payload
//! type) and its own extensions. [`h264`] follows RFC 6184; Opus needs no packetising, a packet is a payload
//! (RFC 7587 section 4.2).

mod annex_b;
pub mod h264;

pub use h264::packetise as packetise_h264;

/// The largest RTP payload. With the RTP header, extensions, the SRTP tag, an RTX prefix and a TURN channel
/// header, a packet stays within the 1200 bytes that get through every path WebRTC meets.
pub const MAX_PAYLOAD: usize = 1120;
