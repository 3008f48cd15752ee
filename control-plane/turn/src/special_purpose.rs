//! The blocks of addresses at which no stranger's peer is: IANA's special-purpose registries (RFC 6890 and its
//! updates), multicast, IPv6 outside global unicast, and what embeds an IPv4 address in an IPv6 one (mapped,
//! translated, NAT64, 6to4, Teredo), which would be a way round the IPv4 blocks.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::Cidr;

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Cidr {
    Cidr::v4(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Cidr {
    Cidr::v6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

/// The special-purpose blocks. Where blocks nest, the narrower one comes first, so that a refusal names it.
pub(crate) const SPECIAL: &[(Cidr, &str)] = &[
    // IANA IPv4 Special-Purpose Address Registry.
    (v4(0, 0, 0, 0, 32), "the unspecified address"),
    (v4(0, 0, 0, 0, 8), "this network"),
    (v4(10, 0, 0, 0, 8), "private use"),
    (v4(100, 64, 0, 0, 10), "carrier-grade NAT"),
    (v4(127, 0, 0, 0, 8), "loopback"),
    (v4(169, 254, 0, 0, 16), "link local"),
    (v4(172, 16, 0, 0, 12), "private use"),
    (v4(192, 0, 0, 0, 24), "protocol assignments"),
    (v4(192, 0, 2, 0, 24), "documentation"),
    (v4(192, 31, 196, 0, 24), "AS112"),
    (v4(192, 52, 193, 0, 24), "AMT"),
    (v4(192, 88, 99, 0, 24), "6to4 relay anycast"),
    (v4(192, 168, 0, 0, 16), "private use"),
    (v4(192, 175, 48, 0, 24), "AS112"),
    (v4(198, 18, 0, 0, 15), "benchmarking"),
    (v4(198, 51, 100, 0, 24), "documentation"),
    (v4(203, 0, 113, 0, 24), "documentation"),
    (v4(224, 0, 0, 0, 4), "multicast"),
    (v4(255, 255, 255, 255, 32), "broadcast"),
    (v4(240, 0, 0, 0, 4), "reserved"),
    // A cloud's metadata and key services at an address that is otherwise public; the others' lie in blocks above and
    // below (169.254.169.254, 100.100.100.200, 192.0.0.192, fd00:ec2::254).
    (v4(168, 63, 129, 16, 32), "metadata service"),
    // IANA IPv6 Special-Purpose Address Registry.
    (
        Cidr::v6(Ipv6Addr::UNSPECIFIED, 128),
        "the unspecified address",
    ),
    (Cidr::v6(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (
        Cidr::v6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
        "IPv4-mapped",
    ),
    (
        Cidr::v6(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96),
        "IPv4-translated",
    ),
    (Cidr::v6(Ipv6Addr::UNSPECIFIED, 96), "IPv4-compatible"),
    (v6(0x64, 0xff9b, 0, 96), "NAT64"),
    (v6(0x64, 0xff9b, 1, 48), "local NAT64"),
    (v6(0x100, 0, 0, 64), "discard only"),
    (
        Cidr::v6(Ipv6Addr::new(0x100, 0, 0, 1, 0, 0, 0, 0), 64),
        "dummy prefix",
    ),
    (v6(0x2001, 0, 0, 32), "Teredo"),
    (v6(0x2001, 0, 0, 23), "protocol assignments"),
    (v6(0x2001, 0xdb8, 0, 32), "documentation"),
    (v6(0x2002, 0, 0, 16), "6to4"),
    (v6(0x2620, 0x4f, 0x8000, 48), "AS112"),
    (v6(0x3fff, 0, 0, 20), "documentation"),
    (v6(0x5f00, 0, 0, 16), "segment routing"),
    (v6(0xfc00, 0, 0, 7), "unique local"),
    (v6(0xfe80, 0, 0, 10), "link local"),
    (v6(0xfec0, 0, 0, 10), "site local"),
    (v6(0xff00, 0, 0, 8), "multicast"),
    // What IANA has not given out as global unicast, 2000::/3 (RFC 4291, section 2.4).
    (v6(0, 0, 0, 3), "reserved"),
    (v6(0x4000, 0, 0, 2), "reserved"),
    (v6(0x8000, 0, 0, 1), "reserved"),
];
