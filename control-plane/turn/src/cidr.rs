//! A block of addresses, written `10.0.0.0/8` or `fc00::/7`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// An address block. IPv4 blocks hold IPv4 addresses only, also where an IPv6 address embeds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// Why a text is not a block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseCidrError {
    /// No address, or no prefix length after a slash.
    #[error(
        "{0:?} is not an address block; write an address, a slash and a prefix length, such as 10.0.0.0/8"
    )]
    Malformed(String),
    /// The prefix is longer than the address.
    #[error("{text:?}: the prefix length is {prefix}, at most {max} is allowed")]
    Prefix {
        /// What was given.
        text: String,
        /// Its prefix length.
        prefix: u8,
        /// The most that this family allows.
        max: u8,
    },
    /// Bits are set behind the prefix: likely a slip of the pen, so it is not guessed what was meant.
    #[error("{text:?} has bits set behind its prefix; did you mean {meant}?")]
    HostBits {
        /// What was given.
        text: String,
        /// The block around it.
        meant: Cidr,
    },
}

impl Cidr {
    /// The block of IPv4 addresses that share the first `prefix` bits with `network`.
    pub const fn v4(network: Ipv4Addr, prefix: u8) -> Self {
        Self {
            network: IpAddr::V4(network),
            prefix,
        }
    }

    /// The block of IPv6 addresses that share the first `prefix` bits with `network`.
    pub const fn v6(network: Ipv6Addr, prefix: u8) -> Self {
        Self {
            network: IpAddr::V6(network),
            prefix,
        }
    }

    /// Whether the address lies in this block.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX
                    .checked_shl(32 - u32::from(self.prefix))
                    .unwrap_or(0);
                (u32::from(network) ^ u32::from(address)) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX
                    .checked_shl(128 - u32::from(self.prefix))
                    .unwrap_or(0);
                (u128::from(network) ^ u128::from(address)) & mask == 0
            }
            _ => false,
        }
    }

    /// Its first address.
    pub fn first(&self) -> IpAddr {
        match self.network {
            IpAddr::V4(network) => {
                let host = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                Ipv4Addr::from(u32::from(network) & !host).into()
            }
            IpAddr::V6(network) => {
                let host = u128::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                Ipv6Addr::from(u128::from(network) & !host).into()
            }
        }
    }

    /// Its last address.
    pub fn last(&self) -> IpAddr {
        match self.network {
            IpAddr::V4(network) => {
                let host = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                Ipv4Addr::from(u32::from(network) | host).into()
            }
            IpAddr::V6(network) => {
                let host = u128::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                Ipv6Addr::from(u128::from(network) | host).into()
            }
        }
    }

    /// The same block with the bits behind the prefix cleared.
    fn truncated(self) -> Self {
        Self {
            network: self.first(),
            prefix: self.prefix,
        }
    }
}

impl FromStr for Cidr {
    type Err = ParseCidrError;

    fn from_str(text: &str) -> Result<Self, ParseCidrError> {
        let malformed = || ParseCidrError::Malformed(text.to_owned());
        let (network, prefix) = text.split_once('/').ok_or_else(malformed)?;
        let network: IpAddr = network.parse().map_err(|_| malformed())?;
        let prefix: u8 = prefix.parse().map_err(|_| malformed())?;
        let max = if network.is_ipv4() { 32 } else { 128 };
        if prefix > max {
            return Err(ParseCidrError::Prefix {
                text: text.to_owned(),
                prefix,
                max,
            });
        }
        let block = Self { network, prefix };
        let meant = block.truncated();
        if block == meant {
            Ok(block)
        } else {
            Err(ParseCidrError::HostBits {
                text: text.to_owned(),
                meant,
            })
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(block: &str, address: &str) -> bool {
        block
            .parse::<Cidr>()
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn a_block_holds_its_first_and_last_address_and_no_neighbour() {
        assert!(contains("172.16.0.0/12", "172.16.0.0"));
        assert!(contains("172.16.0.0/12", "172.31.255.255"));
        assert!(!contains("172.16.0.0/12", "172.32.0.0"));
        assert!(!contains("172.16.0.0/12", "172.15.255.255"));
        assert!(contains("fe80::/10", "febf::1"));
        assert!(!contains("fe80::/10", "fec0::1"));
        assert!(contains("0.0.0.0/0", "255.255.255.255") && contains("::/0", "ff02::1"));
        assert!(contains("192.0.2.1/32", "192.0.2.1") && !contains("192.0.2.1/32", "192.0.2.2"));
        assert!(
            !contains("0.0.0.0/0", "::ffff:1.2.3.4"),
            "families stay apart"
        );
    }

    #[test]
    fn a_block_knows_where_it_begins_and_ends() {
        for (block, first, last) in [
            ("172.16.0.0/12", "172.16.0.0", "172.31.255.255"),
            ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
            ("192.0.2.1/32", "192.0.2.1", "192.0.2.1"),
            (
                "fe80::/10",
                "fe80::",
                "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            ),
            ("::/0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            let block: Cidr = block.parse().unwrap();
            let ends = (block.first().to_string(), block.last().to_string());
            assert_eq!(ends, (first.into(), last.into()));
        }
    }

    #[test]
    fn a_wrong_block_is_named_with_what_is_allowed() {
        let error = |text: &str| text.parse::<Cidr>().unwrap_err().to_string();
        assert!(error("10.0.0.0").contains("10.0.0.0/8"));
        assert!(error("10.0.0.0/33").contains("at most 32"));
        assert!(error("10.1.2.3/8").contains("did you mean 10.0.0.0/8?"));
        assert!(error("localhost/8").contains("not an address block"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Cidr>();
        }

        #[test]
        fn what_is_written_is_read_back(bits: u32, prefix in 0u8..=32) {
            let block = Cidr::v4(Ipv4Addr::from(bits), prefix).truncated();
            proptest::prop_assert_eq!(block.to_string().parse(), Ok(block));
            proptest::prop_assert!(block.contains(IpAddr::V4(Ipv4Addr::from(bits))));
        }
    }
}
