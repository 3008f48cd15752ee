//! How a home or an office is joined to the internet: the kinds of access that people have.

use crate::{Nat, Out};

/// A kind of access, by the name that tables have for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// A NAT with endpoint-independent mapping and filtering.
    FullCone,
    /// Endpoint-independent mapping, address-dependent filtering.
    AddressRestricted,
    /// Endpoint-independent mapping, address- and port-dependent filtering.
    PortRestricted,
    /// Address- and port-dependent mapping and filtering.
    Symmetric,
    /// Port-restricted, and behind a carrier's port-restricted NAT.
    Cgnat,
    /// Port-restricted with hairpinning; its two networks see each other only at their public address.
    Hairpin,
    /// Port-restricted, and no UDP goes out.
    NoUdp,
    /// Only TCP to port 443 (and to the ports that the site was made with) goes out.
    Only443,
    /// No IPv4; a firewall for IPv6, and a NAT64 (RFC 6146) whose IPv4 side is port-restricted.
    Ipv6Only,
    /// Port-restricted, with an MTU of 1280 on the link out.
    Mtu1280,
}

impl Access {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::FullCone,
        Self::AddressRestricted,
        Self::PortRestricted,
        Self::Symmetric,
        Self::Cgnat,
        Self::Hairpin,
        Self::NoUdp,
        Self::Only443,
        Self::Ipv6Only,
        Self::Mtu1280,
    ];

    /// Its name, of at most 9 bytes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FullCone => "full-cone",
            Self::AddressRestricted => "address",
            Self::PortRestricted => "port",
            Self::Symmetric => "symmetric",
            Self::Cgnat => "cgnat",
            Self::Hairpin => "hairpin",
            Self::NoUdp => "no-udp",
            Self::Only443 => "only-443",
            Self::Ipv6Only => "ipv6-only",
            Self::Mtu1280 => "mtu-1280",
        }
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.name() == name)
    }

    /// What its router, the outermost if there are two, does to IPv4.
    #[must_use]
    pub fn nat(self) -> Nat {
        match self {
            Self::FullCone => Nat::FULL_CONE,
            Self::AddressRestricted => Nat::ADDRESS_RESTRICTED,
            Self::Symmetric => Nat::SYMMETRIC,
            Self::PortRestricted | Self::Cgnat | Self::Ipv6Only | Self::Mtu1280 => {
                Nat::PORT_RESTRICTED
            }
            Self::Hairpin => Nat {
                hairpin: true,
                ..Nat::PORT_RESTRICTED
            },
            Self::NoUdp => Nat {
                out: Out::NoUdp,
                ..Nat::PORT_RESTRICTED
            },
            Self::Only443 => Nat {
                out: Out::Tcp(vec![443]),
                ..Nat::PORT_RESTRICTED
            },
        }
    }

    /// The largest packet on its link out, in bytes.
    #[must_use]
    pub const fn mtu(self) -> u16 {
        match self {
            Self::Mtu1280 => 1280,
            _ => 1500,
        }
    }

    /// Whether ends behind two of them can send each other UDP without a relay, by the addresses that a server with IPv4
    /// tells them. Two hosts with [`Access::Hairpin`] are behind the same router, two others behind one each.
    #[must_use]
    pub fn reaches(self, other: Self) -> bool {
        match (self, other) {
            // What it is told is the NAT64's address, to which nobody here can send: candidates (RFC 8445) are not
            // rewritten. Its own address a browser keeps for itself, and the firewall keeps out who was not sent to.
            (Self::Ipv6Only, _) | (_, Self::Ipv6Only) => false,
            _ => self.nat().reaches(&other.nat()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_kind_and_fit_into_a_device_name() {
        for access in Access::ALL {
            assert_eq!(Access::named(access.name()), Some(access));
            assert!(access.name().len() <= 9);
        }
        assert_eq!(Access::named("moon"), None);
    }
}
