//! Encoded media to RTP payloads, once for all viewers.
//!
//! The payloads are shared bytes: a viewer's stream adds only its own header and extensions. `h264` follows
//! RFC 6184, `h265` RFC 7798, `av1` the AV1 RTP payload format; Opus needs no packetising, a packet is a payload (RFC
//! 7587 section 4.2).

mod annex_b;
pub(crate) mod av1;
pub(crate) mod h264;
pub(crate) mod h265;
mod units;

/// The largest RTP payload. With the RTP header, extensions, the SRTP tag, an RTX prefix and a TURN channel
/// header, a packet stays within the 1200 bytes that get through every path WebRTC meets.
pub const MAX_PAYLOAD: usize = 1120;

/// What a first fragment is shorter by: what the extensions that only the first packet of a frame carries
/// (`abs-capture-time`, `playout-delay`) take. So all full packets of a frame have one size, as UDP segmentation
/// offload wants it.
pub(crate) const FIRST_EXTRA: usize = 12;
