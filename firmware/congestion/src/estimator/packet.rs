//! Packets as the caller tells of them.

use std::time::{Duration, Instant};

/// Names one probe cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbeId(pub u32);

/// A cluster of packets to send at one rate, to see whether it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Its name; comes back in [`Sent::probe`].
    pub id: ProbeId,
    /// The rate to send at, bits/s.
    pub rate_bps: u32,
    /// At least so many bytes,
    pub bytes: usize,
    /// and at least so many packets.
    pub packets: u32,
}

/// A packet that left with a transport-wide sequence number.
#[derive(Debug, Clone, Copy)]
pub struct Sent {
    /// The transport-wide sequence number, as on the wire.
    pub seq: u16,
    /// Bytes on the wire, with IP and UDP headers if the caller knows them.
    pub size: usize,
    /// When it left.
    pub at: Instant,
    /// The probe cluster that it belongs to ([`When::Now`](crate::When::Now) says so).
    pub probe: Option<ProbeId>,
}

/// One packet's line of a transport-wide feedback message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The transport-wide sequence number, as on the wire.
    pub seq: u16,
    /// When it arrived in the viewer's clock, from any epoch; `None`: not received.
    pub at: Option<Duration>,
}
