//! Where datagrams come from and go to.

use std::net::SocketAddr;

/// What carries a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP with RFC 4571 framing (RFC 6544); the driver frames, the peer sees whole datagrams.
    Tcp,
}

/// The two ends of a path, seen from the camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// Our end: the address a local candidate was given as its base, so the relayed address where a TURN server
    /// relays for us.
    pub local: SocketAddr,
    /// The viewer's end.
    pub remote: SocketAddr,
    /// What lies between.
    pub protocol: Protocol,
}

impl Path {
    /// A path over UDP.
    pub const fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            local,
            remote,
            protocol: Protocol::Udp,
        }
    }
}

/// A datagram to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// From where to where.
    pub path: Path,
    /// What.
    pub bytes: Vec<u8>,
}
