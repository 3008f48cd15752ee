//! The server's side of NAT behaviour discovery (RFC 5780): answers from another address or port.
//!
//! A client asks the same question at two addresses and two ports and compares what it is told of itself (how its NAT
//! maps), and asks for answers from where it has not sent to (how its NAT filters).

use std::net::{IpAddr, SocketAddr};

/// The addresses and ports from which the server can answer: every address with every port.
#[derive(Debug, Clone)]
pub(crate) struct Corners {
    addresses: Vec<IpAddr>,
    ports: [u16; 2],
}

impl Corners {
    /// `addresses` are one or two.
    pub(crate) fn new(mut addresses: Vec<IpAddr>, ports: [u16; 2]) -> Self {
        addresses.truncate(2);
        Self { addresses, ports }
    }

    /// Whether questions that come in here can be answered from elsewhere.
    fn has(&self, at: SocketAddr) -> bool {
        self.addresses.contains(&at.ip()) && self.ports.contains(&at.port())
    }

    /// What OTHER-ADDRESS says to who asked `at`: another port, and another address if there is one.
    pub(crate) fn opposite(&self, at: SocketAddr) -> Option<SocketAddr> {
        let address = self.other_address(at).unwrap_or(at.ip());
        self.has(at)
            .then(|| SocketAddr::new(address, self.other_port(at)))
    }

    /// From where to answer when CHANGE-REQUEST asks for another address or another port. `None` if there is none.
    pub(crate) fn changed(&self, at: SocketAddr, address: bool, port: bool) -> Option<SocketAddr> {
        if !self.has(at) {
            return None;
        }
        let address = if address {
            self.other_address(at)?
        } else {
            at.ip()
        };
        let port = if port { self.other_port(at) } else { at.port() };
        Some(SocketAddr::new(address, port))
    }

    fn other_address(&self, at: SocketAddr) -> Option<IpAddr> {
        { self.addresses.iter() }
            .find(|address| **address != at.ip())
            .copied()
    }

    fn other_port(&self, at: SocketAddr) -> u16 {
        let [one, other] = self.ports;
        if at.port() == one { other } else { one }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn corners(addresses: &[&str]) -> Corners {
        let addresses = addresses.iter().map(|text| text.parse().unwrap());
        Corners::new(addresses.collect(), [3478, 3479])
    }

    #[test]
    fn two_addresses_make_four_corners() {
        let corners = corners(&["192.0.2.1", "192.0.2.2"]);
        let asked = at("192.0.2.2:3478");
        assert_eq!(corners.opposite(asked), Some(at("192.0.2.1:3479")));
        let changed = |address, port| corners.changed(asked, address, port);
        assert_eq!(changed(false, false), Some(asked));
        assert_eq!(changed(true, false), Some(at("192.0.2.1:3478")));
        assert_eq!(changed(false, true), Some(at("192.0.2.2:3479")));
        assert_eq!(changed(true, true), Some(at("192.0.2.1:3479")));
    }

    #[test]
    fn one_address_can_change_its_port_only() {
        let corners = corners(&["192.0.2.1"]);
        let asked = at("192.0.2.1:3479");
        assert_eq!(corners.opposite(asked), Some(at("192.0.2.1:3478")));
        assert_eq!(corners.changed(asked, true, false), None);
        assert_eq!(
            corners.changed(asked, false, true),
            Some(at("192.0.2.1:3478"))
        );
    }

    #[test]
    fn where_nothing_was_configured_nothing_is_offered() {
        let corners = corners(&["192.0.2.1", "192.0.2.2"]);
        assert_eq!(corners.opposite(at("10.0.0.1:3478")), None);
        assert_eq!(corners.changed(at("192.0.2.1:443"), false, true), None);
    }
}
