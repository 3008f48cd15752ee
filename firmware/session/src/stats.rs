//! Figures for metrics.

use heron_protocol::SessionId;

/// The hub at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubStats {
    /// Every viewer, connected or connecting.
    pub viewers: Vec<ViewerStats>,
    /// Sessions accepted since the start.
    pub sessions_opened: u64,
    /// Sessions refused since the start.
    pub sessions_refused: u64,
    /// Key frames asked of the encoder since the start.
    pub key_frames_wanted: u64,
}

/// One viewer, counted from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewerStats {
    /// Its session.
    pub session: SessionId,
    /// Whether media flows.
    pub connected: bool,
    /// Video frames sent.
    pub frames_sent: u64,
    /// Video frames that it missed because it was slow.
    pub frames_dropped: u64,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// RTP payload bytes sent.
    pub bytes_sent: u64,
    /// Key frames it asked for (PLI and FIR).
    pub key_frame_requests: u64,
}
