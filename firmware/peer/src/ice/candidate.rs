//! Candidates (RFC 8445 section 5.1, written as in RFC 8839 section 5.1).

use std::fmt;
use std::net::SocketAddr;

use crate::path::Protocol;

/// What an address is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateKind {
    /// Of an interface.
    Host,
    /// As a STUN server sees it.
    Srflx,
    /// As the other end sees it.
    Prflx,
    /// Of a TURN server.
    Relay,
}

impl CandidateKind {
    /// As it is written after `typ`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Srflx => "srflx",
            Self::Prflx => "prflx",
            Self::Relay => "relay",
        }
    }

    /// RFC 8445 section 5.1.2.2.
    const fn preference(self) -> u32 {
        match self {
            Self::Host => 126,
            Self::Prflx => 110,
            Self::Srflx => 100,
            Self::Relay => 0,
        }
    }

    /// How good it is to be connected to, among the directions of TCP (RFC 6544 section 4.2).
    const fn passive_preference(self) -> u32 {
        match self {
            Self::Host | Self::Relay => 4,
            Self::Srflx | Self::Prflx => 2,
        }
    }
}

/// An address of ours. `to_string` writes it as a candidate attribute's value, `candidate:…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalCandidate {
    /// Where the viewer can reach us.
    pub address: SocketAddr,
    /// Where datagrams to it arrive and leave: the socket's address for a server-reflexive one, else as `address`.
    pub base: SocketAddr,
    /// What it is.
    pub kind: CandidateKind,
    /// UDP, or TCP where we listen (`tcptype passive`).
    pub protocol: Protocol,
    /// Which is to be preferred among those of a kind: higher is better.
    pub preference: u16,
}

impl LocalCandidate {
    /// An interface's address over UDP.
    pub const fn host(address: SocketAddr) -> Self {
        Self {
            address,
            base: address,
            kind: CandidateKind::Host,
            protocol: Protocol::Udp,
            preference: u16::MAX,
        }
    }

    /// The mapping of `base` that a STUN server saw.
    pub const fn srflx(address: SocketAddr, base: SocketAddr) -> Self {
        Self {
            base,
            kind: CandidateKind::Srflx,
            ..Self::host(address)
        }
    }

    /// An address that a TURN server relays for us.
    pub const fn relay(address: SocketAddr) -> Self {
        Self {
            kind: CandidateKind::Relay,
            ..Self::host(address)
        }
    }

    /// An interface's address where we accept TCP (RFC 6544).
    pub const fn tcp(address: SocketAddr) -> Self {
        Self {
            protocol: Protocol::Tcp,
            ..Self::host(address)
        }
    }

    /// RFC 8445 section 5.1.2.1; over TCP RFC 6544 section 4.2, so that UDP wins where it works.
    pub fn priority(&self) -> u32 {
        priority(self.kind, self.protocol, self.preference)
    }
}

pub(crate) fn priority(kind: CandidateKind, protocol: Protocol, preference: u16) -> u32 {
    let (kind, preference) = match protocol {
        Protocol::Udp => (kind.preference(), u32::from(preference)),
        // Below every UDP type but relays. The direction is in the upper three bits: we are passive.
        Protocol::Tcp => (
            kind.preference().saturating_sub(36),
            kind.passive_preference() << 13 | u32::from(preference >> 3),
        ),
    };
    (kind << 24) | (preference << 8) | 255
}

impl fmt::Display for LocalCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One foundation per kind, base and protocol (RFC 8445 section 5.1.1.3): any number that says as much.
        let family = if self.base.is_ipv4() { 4 } else { 6 };
        let (protocol, name) = match self.protocol {
            Protocol::Udp => (0, "udp"),
            Protocol::Tcp => (1, "tcp"),
        };
        let foundation = self.base.ip().to_string().bytes().fold(
            self.kind.preference() * 100 + family * 10 + protocol,
            |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)),
        );
        write!(
            f,
            "candidate:{foundation} 1 {name} {} {} {} typ {}",
            self.priority(),
            self.address.ip(),
            self.address.port(),
            self.kind.name()
        )?;
        match self.kind {
            CandidateKind::Host => {}
            // The base behind a relay or a NAT is nobody's business (RFC 8828): the wildcard stands for it.
            _ if self.address.is_ipv4() => write!(f, " raddr 0.0.0.0 rport 0")?,
            _ => write!(f, " raddr :: rport 0")?,
        }
        if self.protocol == Protocol::Tcp {
            write!(f, " tcptype passive")?;
        }
        Ok(())
    }
}

/// An address of the viewer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteCandidate {
    /// Where it is.
    pub address: SocketAddr,
    /// UDP, or TCP where the viewer has connected.
    pub protocol: Protocol,
    /// What it is.
    pub kind: CandidateKind,
    /// Its priority, as the viewer gave it.
    pub priority: u32,
}

impl RemoteCandidate {
    /// Reads `candidate:…` (or `a=candidate:…`). `None` for what is of no use here: TCP (browsers only connect
    /// actively, and are learned from their checks), other components, and names.
    ///
    /// Browsers hide their addresses behind mDNS names (`….local`). Whoever can ask for them gives the candidate with
    /// its address. Until then nothing is lost: the browser knows our addresses, its checks reach us, and its address
    /// is learned from them (peer-reflexive, RFC 8445 section 7.3.1.3).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("a=").unwrap_or(text);
        let text = text.strip_prefix("candidate:").unwrap_or(text);
        let mut words = text.split_ascii_whitespace();
        let _foundation = words.next()?;
        if words.next()? != "1" || !words.next()?.eq_ignore_ascii_case("udp") {
            return None;
        }
        let priority = words.next()?.parse().ok()?;
        let ip = words.next()?.parse().ok()?;
        let port: u16 = words.next()?.parse().ok()?;
        if words.next()? != "typ" || port == 0 {
            return None;
        }
        let kind = match words.next()? {
            "host" => CandidateKind::Host,
            "srflx" => CandidateKind::Srflx,
            "prflx" => CandidateKind::Prflx,
            "relay" => CandidateKind::Relay,
            _ => return None,
        };
        Some(Self {
            address: SocketAddr::new(ip, port),
            protocol: Protocol::Udp,
            kind,
            priority,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_host_candidate_is_written_as_browsers_read_it() {
        let host = LocalCandidate::host("192.0.2.7:50000".parse().unwrap());
        let text = host.to_string();
        assert!(
            text.ends_with(" 1 udp 2130706431 192.0.2.7 50000 typ host"),
            "{text}"
        );
        let relay = LocalCandidate::relay("[2001:db8::1]:4000".parse().unwrap()).to_string();
        assert!(relay.ends_with("2001:db8::1 4000 typ relay raddr :: rport 0"));
        let tcp = LocalCandidate::tcp("192.0.2.7:9000".parse().unwrap());
        assert!(tcp.to_string().ends_with("typ host tcptype passive"));
        // RFC 6544 section 4.2: (2^24) * 90 + (2^8) * ((2^13) * 4 + 8191) + 255
        assert_eq!(tcp.priority(), (90 << 24) + ((4 << 13) + 8191) * 256 + 255);
        assert!(tcp.priority() < host.priority());
    }

    #[test]
    fn names_tcp_and_other_components_are_passed_over() {
        let read = |text: &str| RemoteCandidate::parse(text);
        let host = "candidate:1 1 udp 2122260223 192.168.1.9 50123 typ host generation 0";
        let candidate = read(host).unwrap();
        let address: SocketAddr = "192.168.1.9:50123".parse().unwrap();
        assert_eq!(candidate.address, address);
        assert_eq!(candidate.priority, 2_122_260_223);
        assert!(
            read("a=candidate:1 1 UDP 1 2001:db8::1 5 typ srflx raddr :: rport 0\r\n").is_some()
        );
        assert_eq!(read(&host.replace("192.168.1.9", "0e4a0b7e.local")), None);
        assert_eq!(read(&host.replace("udp", "tcp")), None);
        assert_eq!(read(&host.replace("1 1 udp", "1 2 udp")), None);
        assert_eq!(read(""), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String, words in "candidate:[0-9a-z .:]{0,80}") {
            let _ = (RemoteCandidate::parse(&text), RemoteCandidate::parse(&words));
        }

        #[test]
        fn what_is_written_can_be_read(ip: std::net::IpAddr, port in 1_u16..) {
            let address = SocketAddr::new(ip, port);
            let read = RemoteCandidate::parse(&LocalCandidate::relay(address).to_string()).unwrap();
            prop_assert_eq!((read.address, read.kind), (address, CandidateKind::Relay));
        }
    }
}
