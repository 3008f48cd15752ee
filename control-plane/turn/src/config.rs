//! How a TURN server is set up.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls;

use crate::Cidr;
use crate::credential::Secrets;

/// How a client speaks to a listener.
#[derive(Clone)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream (RFC 8656, section 3.1).
    Tcp,
    /// A stream in TLS.
    Tls(Arc<rustls::ServerConfig>),
}

/// One address where clients are served.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Where; port 0 takes any. `[::]` takes IPv6 only: IPv4 wants a listener of its own.
    pub address: SocketAddr,
    /// How.
    pub transport: Transport,
}

/// NAT behaviour discovery (RFC 5780): a second port, and a second address if there is one.
///
/// With two addresses a client learns how its NAT maps and filters. With one it learns whether the mapping depends on
/// the port, and nothing of other addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NatDiscovery {
    /// This machine's address, or both, as clients reach them (no NAT in between), both of one family.
    pub addresses: Vec<IpAddr>,
    /// The second port; not that of the first UDP listener. 0 takes any.
    pub port: u16,
}

/// How much of the server one client, and all of them together, may hold and use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Allocations in all.
    pub allocations: usize,
    /// Allocations with one user name: a client makes one for each of its network interfaces and transports.
    pub per_username: usize,
    /// Permissions, and channels, of one allocation.
    pub peers: usize,
    /// An allocation ends so long after its credential has expired, however often it is refreshed.
    pub hold: Duration,
    /// Connections (TCP and TLS) in all, with and without an allocation.
    pub connections: usize,
    /// Connections from one IPv4 address or one IPv6 /64.
    pub connections_per_address: usize,
    /// Bandwidth of an allocation made by UDP, both ways together, in bits per second.
    pub udp_rate: u64,
    /// Bandwidth of an allocation made by TCP or TLS: reduced, since where UDP is blocked the way is narrow and shared.
    pub stream_rate: u64,
    /// Bandwidth of all allocations of one user name together.
    pub username_rate: u64,
    /// Answers a second to one address (or IPv6 /64) that has shown no credential, after a burst of four times as
    /// many: what a spoofed source can be made to receive.
    pub answers_per_address: u32,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            allocations: 1024,
            per_username: 8,
            peers: 64,
            hold: Duration::from_secs(12 * 3600),
            connections: 1024,
            connections_per_address: 64,
            udp_rate: 32_000_000,
            stream_rate: 4_000_000,
            username_rate: 64_000_000,
            answers_per_address: 50,
        }
    }
}

/// How the server is set up. [`TurnConfig::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct TurnConfig {
    /// Where clients are served.
    pub listeners: Vec<Listener>,
    /// The IPv4 address that relayed addresses are made of: what peers can reach. With neither this nor
    /// [`TurnConfig::relay_v6`] the server is one of STUN only.
    pub relay_v4: Option<Ipv4Addr>,
    /// The same in IPv6.
    pub relay_v6: Option<Ipv6Addr>,
    /// The ports they are made of.
    pub relay_ports: RangeInclusive<u16>,
    /// The realm of the long-term credential mechanism.
    pub realm: String,
    /// The secrets in force.
    pub secrets: Secrets,
    /// Special-purpose blocks that may be relayed to nevertheless.
    pub allow_peers: Vec<Cidr>,
    /// How much clients may hold and use.
    pub quotas: Quotas,
    /// What clients need to learn about their NAT.
    pub discovery: Option<NatDiscovery>,
}

impl TurnConfig {
    /// A server without listeners and relayed addresses: fill in which.
    pub fn new(realm: impl Into<String>, secrets: Secrets) -> Self {
        Self {
            listeners: Vec::new(),
            relay_v4: None,
            relay_v6: None,
            relay_ports: 49_160..=49_359,
            realm: realm.into(),
            secrets,
            allow_peers: Vec::new(),
            quotas: Quotas::default(),
            discovery: None,
        }
    }
}

impl Listener {
    /// A listener for datagrams.
    pub const fn udp(address: SocketAddr) -> Self {
        Self {
            address,
            transport: Transport::Udp,
        }
    }

    /// A listener for streams.
    pub const fn tcp(address: SocketAddr) -> Self {
        Self {
            address,
            transport: Transport::Tcp,
        }
    }

    /// A listener for streams in TLS. The protocol name of RFC 7443 is `stun.turn`; clients without one are served too.
    pub const fn tls(address: SocketAddr, config: Arc<rustls::ServerConfig>) -> Self {
        Self {
            address,
            transport: Transport::Tls(config),
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls(_) => "tls",
        })
    }
}
