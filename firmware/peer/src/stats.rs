//! Counters of one connection.

use std::time::Duration;

/// What a peer counted so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PeerStats {
    /// Media packets written, repairs and padding left out.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Packets the viewer asked for again (RFC 4585 section 6.2.1).
    pub nacks: u64,
    /// Packets sent again.
    pub repaired: u64,
    /// Asked for again, but no longer remembered, asked for too often, or over the limit.
    pub not_repaired: u64,
    /// Bytes of padding sent to probe the path.
    pub padding_bytes: u64,
    /// Packets of forward error correction sent.
    pub fec_packets: u64,
    /// Their payload bytes.
    pub fec_bytes: u64,
    /// For how many packets of picture one of parity is sent; `None`: forward error correction is off.
    pub protected: Option<u8>,
    /// PLI and FIR received.
    pub key_frame_requests: u64,
    /// The worst loss of the newest report, 0 to 1.
    pub loss: Option<f64>,
    /// Round trip time of the newest report.
    pub rtt: Option<Duration>,
    /// Round trip time of the newest ICE check on the selected path.
    pub ice_rtt: Option<Duration>,
    /// Datagrams that belong to no protocol, or do not parse.
    pub malformed: u64,
    /// Datagrams that failed authentication or were replayed.
    pub refused: u64,
    /// Transport-wide acknowledgements of packets that were never sent.
    pub unknown_acknowledgements: u64,
    /// Sound packets received.
    pub sound_packets: u64,
    /// Data channel messages that were too large, came for no channel, or found the queue full.
    pub dropped_messages: u64,
}
