//! Figures for metrics.

use std::time::Duration;

use heron_congestion::Rung;
use heron_protocol::SessionId;

use heron_histogram::{Histogram, Snapshot};

/// The hub at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HubStats {
    /// Every viewer, connected or connecting.
    pub viewers: Vec<ViewerStats>,
    /// Sessions whose offer was answered since the start.
    pub sessions_opened: u64,
    /// Sessions refused since the start: by their grant, their offer, or for want of room.
    pub sessions_refused: u64,
    /// Key frames asked of the encoders since the start, after throttling.
    pub key_frames_wanted: u64,
    /// Datagrams that belonged to no viewer.
    pub strange_datagrams: u64,
    /// TCP connections for media now.
    pub tcp_connections: usize,
    /// TCP connections that were cut off: too many, or not a viewer's.
    pub tcp_refused: u64,
    /// Packets that a TCP connection had no room for.
    pub tcp_dropped: u64,
    /// Pictures to packets, once for all viewers.
    pub packetise: Snapshot,
    /// From the hand-over of a picture until its last packet left, for each viewer.
    pub pace: Snapshot,
    /// System calls that send to one viewer, for each batch.
    pub send: Snapshot,
}

/// One viewer, counted from its start.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewerStats {
    /// Its session.
    pub session: SessionId,
    /// Let in by the camera itself, without a grant.
    pub local: bool,
    /// Whether media flows.
    pub connected: bool,
    /// What it gets: `None` before the first picture, and when it gets sound only.
    pub rung: Option<Rung>,
    /// Video frames sent.
    pub frames_sent: u64,
    /// Video frames that it missed because it was slow, or before its first key frame.
    pub frames_dropped: u64,
    /// RTP packets sent, repairs and padding left out.
    pub packets_sent: u64,
    /// RTP payload bytes sent, repairs and padding left out.
    pub bytes_sent: u64,
    /// Key frames it asked for (PLI and FIR).
    pub key_frame_requests: u64,
    /// Packets it asked for again.
    pub nacks: u64,
    /// Packets sent again.
    pub repaired: u64,
    /// Packets of forward error correction sent.
    pub fec_packets: u64,
    /// Their payload bytes.
    pub fec_bytes: u64,
    /// For how many packets of picture one of forward error correction is sent; `None`: it is off.
    pub protected: Option<u8>,
    /// Round trip time, from reports or ICE.
    pub rtt: Option<Duration>,
    /// Part of the packets lost lately, 0 to 1.
    pub loss: Option<f64>,
    /// What its path carries, bits/s.
    pub estimate_bps: u32,
    /// Times that the socket had no room for it.
    pub sends_blocked: u64,
    /// From its arrival until the last packet of its first picture left.
    pub first_frame: Option<Duration>,
    /// Freezes of the picture and their time together, if the viewer reports them.
    pub freezes: Option<(u64, Duration)>,
}

impl ViewerStats {
    /// Nothing counted yet.
    pub(crate) fn new(session: SessionId, local: bool) -> Self {
        Self {
            session,
            local,
            connected: false,
            rung: None,
            frames_sent: 0,
            frames_dropped: 0,
            packets_sent: 0,
            bytes_sent: 0,
            key_frame_requests: 0,
            nacks: 0,
            repaired: 0,
            fec_packets: 0,
            fec_bytes: 0,
            protected: None,
            rtt: None,
            loss: None,
            estimate_bps: 0,
            sends_blocked: 0,
            first_frame: None,
            freezes: None,
        }
    }
}

/// How long the stages of the way out take.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    pub packetise: Histogram,
    pub pace: Histogram,
    pub send: Histogram,
}
