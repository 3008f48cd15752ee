//! Which peers a client may be relayed to.
//!
//! A TURN server inside a network is a door into it: without a filter, whoever holds a credential reaches the
//! server's own loopback services and everything on its LAN. So every block of IANA's special-purpose registries
//! (RFC 6890 and its updates) and all multicast is refused, unless the owner allows a part of it by name.
//!
//! One exception needs no configuration: the server's own relayed addresses, on the relay's ports only. Two clients
//! behind NATs meet there, and behind each of those ports stands another allocation with permissions of its own.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use thiserror::Error;

use crate::Cidr;
use crate::special_purpose::SPECIAL;

/// The blocks that are refused unless allowed by name, and what each is for.
pub fn refused_blocks() -> impl Iterator<Item = (Cidr, &'static str)> {
    SPECIAL.iter().copied()
}

/// Which ports of an allowed address may be relayed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedPorts {
    /// Every port.
    Any,
    /// Only these: the address is the server's own.
    Only(RangeInclusive<u16>),
}

impl AllowedPorts {
    /// Whether the port is among them.
    pub fn contains(&self, port: u16) -> bool {
        match self {
            Self::Any => true,
            Self::Only(ports) => ports.contains(&port),
        }
    }
}

/// A peer that is not relayed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{address} is special-purpose ({purpose}, {block}) and not in the allow list")]
pub struct PeerRefused {
    /// The address asked for.
    pub address: IpAddr,
    /// The block it lies in.
    pub block: Cidr,
    /// What that block is for.
    pub purpose: &'static str,
}

/// The rule for peers: an allow list over the table of special-purpose blocks.
#[derive(Debug, Clone)]
pub struct PeerFilter {
    allow: Vec<Cidr>,
    own_addresses: Vec<IpAddr>,
    own_ports: RangeInclusive<u16>,
}

impl PeerFilter {
    /// A filter that lets through what is public, what is in `allow`, and the relay's own addresses and ports.
    pub fn new(
        allow: Vec<Cidr>,
        own_addresses: Vec<IpAddr>,
        own_ports: RangeInclusive<u16>,
    ) -> Self {
        Self {
            allow,
            own_addresses,
            own_ports,
        }
    }

    /// On which ports the address may be relayed to.
    ///
    /// # Errors
    ///
    /// [`PeerRefused`] if on none.
    pub fn check(&self, address: IpAddr) -> Result<AllowedPorts, PeerRefused> {
        if self.allow.iter().any(|block| block.contains(address)) {
            return Ok(AllowedPorts::Any);
        }
        if self.own_addresses.contains(&address) {
            return Ok(AllowedPorts::Only(self.own_ports.clone()));
        }
        match SPECIAL.iter().find(|(block, _)| block.contains(address)) {
            Some(&(block, purpose)) => Err(PeerRefused {
                address,
                block,
                purpose,
            }),
            None => Ok(AllowedPorts::Any),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(allow: &[&str]) -> PeerFilter {
        let allow = allow.iter().map(|block| block.parse().unwrap()).collect();
        PeerFilter::new(allow, vec!["198.51.100.7".parse().unwrap()], 49160..=49359)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_special_purpose_registries_are_refused() {
        let cases = [
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "this network"),
            ("10.0.0.1", "private"),
            ("100.64.0.1", "carrier-grade"),
            ("100.127.255.255", "carrier-grade"),
            ("127.0.0.1", "loopback"),
            ("127.255.255.254", "loopback"),
            ("169.254.169.254", "link local"),
            ("172.31.255.255", "private"),
            ("192.0.0.170", "protocol assignments"),
            ("192.0.2.1", "documentation"),
            ("192.88.99.1", "6to4"),
            ("192.168.1.1", "private"),
            ("198.19.255.255", "benchmarking"),
            ("203.0.113.9", "documentation"),
            ("224.0.0.251", "multicast"),
            ("239.255.255.255", "multicast"),
            ("240.0.0.1", "reserved"),
            ("255.255.255.255", "broadcast"),
            ("::", "unspecified"),
            ("::1", "loopback"),
            ("::ffff:8.8.8.8", "IPv4-mapped"),
            ("::ffff:127.0.0.1", "IPv4-mapped"),
            ("::127.0.0.1", "IPv4-compatible"),
            ("64:ff9b::7f00:1", "NAT64"),
            ("64:ff9b:1::1", "local NAT64"),
            ("100::1", "discard"),
            ("100:0:0:1::1", "dummy"),
            ("2001::1", "Teredo"),
            ("2001:20::1", "protocol assignments"),
            ("2001:db8::1", "documentation"),
            ("2002:7f00:1::", "6to4"),
            ("3fff::1", "documentation"),
            ("5f00::1", "segment routing"),
            ("fd12:3456::1", "unique local"),
            ("fe80::1", "link local"),
            ("fec0::1", "site local"),
            ("ff02::1", "multicast"),
            ("168.63.129.16", "metadata"),
            ("100.100.100.200", "carrier-grade"),
            ("192.0.0.192", "protocol assignments"),
            ("fd00:ec2::254", "unique local"),
            ("::ffff:0:127.0.0.1", "IPv4-translated"),
            ("64:ff9b:1::10.0.0.1", "local NAT64"),
            ("2002:c0a8:101::1", "6to4"),
            ("4000::1", "reserved"),
            ("9abc::1", "reserved"),
            ("200::1", "reserved"),
        ];
        for (address, purpose) in cases {
            let refused = filter(&[]).check(ip(address)).expect_err(address);
            assert!(refused.purpose.contains(purpose), "{address}: {refused}");
        }
    }

    #[test]
    fn every_block_is_refused_from_its_first_to_its_last_address() {
        for (block, _) in SPECIAL {
            for address in [block.first(), block.last()] {
                assert!(filter(&[]).check(address).is_err(), "{address} of {block}");
            }
        }
    }

    #[test]
    fn public_addresses_pass() {
        for address in [
            "8.8.8.8",
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.0",
            "172.32.0.1",
            "223.255.255.255",
        ] {
            assert_eq!(
                filter(&[]).check(ip(address)),
                Ok(AllowedPorts::Any),
                "{address}"
            );
        }
        for address in ["2606:4700::1111", "2a00:1450::1", "2003::1", "2001:200::1"] {
            assert_eq!(
                filter(&[]).check(ip(address)),
                Ok(AllowedPorts::Any),
                "{address}"
            );
        }
    }

    #[test]
    fn the_allow_list_opens_what_it_names_and_nothing_else() {
        let filter = filter(&["127.0.0.0/8", "fd00::/8"]);
        assert!(filter.check(ip("127.0.0.1")).is_ok());
        assert!(filter.check(ip("fd00::1")).is_ok());
        assert!(filter.check(ip("::1")).is_err());
        assert!(
            filter.check(ip("::ffff:127.0.0.1")).is_err(),
            "an IPv4 block says nothing of mapped addresses"
        );
        assert!(filter.check(ip("10.0.0.1")).is_err());
        assert!(filter.check(ip("fc00::1")).is_err());
    }

    #[test]
    fn the_relays_own_address_is_open_on_the_relays_ports_only() {
        let ports = filter(&[]).check(ip("198.51.100.7")).unwrap();
        assert!(ports.contains(49160) && ports.contains(49359));
        assert!(!ports.contains(22) && !ports.contains(49360));
        assert!(filter(&[]).check(ip("198.51.100.8")).is_err());
    }
}
