//! What a router does to the addresses of the hosts behind it, in the terms of RFC 4787, as rules for nftables; and
//! which two of them a path can join without a relay.
//!
//! Ports are preserved where the mapping is endpoint-independent, as Linux and most home routers do. Mappings and
//! filters are for UDP; TCP only goes out, whatever the filtering is.

use std::fmt::Write;
use std::net::Ipv4Addr;

/// Whether a host's port keeps its public port for other destinations (RFC 4787 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// The same public port for all destinations.
    EndpointIndependent,
    /// Another public port for each destination address and port: "symmetric".
    AddressAndPortDependent,
}

/// Whose packets come in to a public port (RFC 4787 section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filtering {
    /// Everybody's: "full cone", together with such a mapping.
    EndpointIndependent,
    /// Those of addresses that the port has sent to: "address-restricted".
    AddressDependent,
    /// Those of addresses and ports that the port has sent to: "port-restricted".
    AddressAndPortDependent,
}

/// What a firewall lets out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// Everything.
    All,
    /// Everything but UDP.
    NoUdp,
    /// TCP to these ports, and nothing else.
    Tcp(Vec<u16>),
}

/// A NAT and its firewall. What is not let through is dropped without a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nat {
    /// Which public ports hosts have.
    pub mapping: Mapping,
    /// Who reaches them. A mapping that depends on the destination has a filtering that does, too.
    pub filtering: Filtering,
    /// Whether hosts behind it reach each other at their public addresses (RFC 4787 section 6).
    pub hairpin: bool,
    /// What comes through at all.
    pub out: Out,
}

impl Nat {
    /// Anyone can send to a public port.
    pub const FULL_CONE: Self = Self {
        filtering: Filtering::EndpointIndependent,
        ..Self::PORT_RESTRICTED
    };
    /// Addresses that were sent to can answer, from any port.
    pub const ADDRESS_RESTRICTED: Self = Self {
        filtering: Filtering::AddressDependent,
        ..Self::PORT_RESTRICTED
    };
    /// Only whom was sent to can answer: the usual home router.
    pub const PORT_RESTRICTED: Self = Self {
        mapping: Mapping::EndpointIndependent,
        filtering: Filtering::AddressAndPortDependent,
        hairpin: false,
        out: Out::All,
    };
    /// A public port for each destination: offices, some mobile networks.
    pub const SYMMETRIC: Self = Self {
        mapping: Mapping::AddressAndPortDependent,
        ..Self::PORT_RESTRICTED
    };

    /// Whether the ends behind two of these, not the same one, can send each other UDP by way of their server-reflexive
    /// addresses (RFC 8445 section 5.1.1, RFC 5128 section 3.3).
    #[must_use]
    pub fn reaches(&self, other: &Self) -> bool {
        use Mapping::{AddressAndPortDependent as Unknown, EndpointIndependent as Known};
        if self.out != Out::All || other.out != Out::All {
            return false;
        }
        match (self.mapping, other.mapping) {
            (Known, Known) => true,
            // The port that one comes from is known to nobody beforehand: the other must let it in by its address.
            (Unknown, Known) => other.filtering != Filtering::AddressAndPortDependent,
            (Known, Unknown) => self.filtering != Filtering::AddressAndPortDependent,
            (Unknown, Unknown) => false,
        }
    }

    /// The rules of nftables. `wan` is the device that leads out, `public` the address there.
    #[must_use]
    pub fn rules(&self, wan: &str, public: Ipv4Addr) -> String {
        let mut incoming = String::new();
        let mut admitted = String::new();
        if self.mapping == Mapping::EndpointIndependent {
            let to_owner = "meta l4proto udp dnat to udp dport map @owner";
            if self.filtering != Filtering::AddressAndPortDependent {
                let _ = writeln!(incoming, "iifname \"{wan}\" {to_owner}");
            }
            if self.hairpin {
                let _ = writeln!(
                    incoming,
                    "iifname != \"{wan}\" ip daddr {public} {to_owner}"
                );
                let _ = writeln!(
                    admitted,
                    "iifname != \"{wan}\" oifname != \"{wan}\" ct status dnat accept"
                );
            }
            let _ = match self.filtering {
                Filtering::EndpointIndependent => {
                    writeln!(admitted, "iifname \"{wan}\" ct status dnat accept")
                }
                Filtering::AddressDependent => writeln!(
                    admitted,
                    "iifname \"{wan}\" ct status dnat udp dport . ip saddr @seen accept"
                ),
                Filtering::AddressAndPortDependent => Ok(()),
            };
        }
        let masquerade = match self.mapping {
            Mapping::EndpointIndependent => "masquerade",
            // Without the word the kernel keeps the port where it can.
            Mapping::AddressAndPortDependent => "masquerade fully-random",
        };
        let out = match &self.out {
            Out::All => String::new(),
            Out::NoUdp => format!("oifname \"{wan}\" meta l4proto udp drop"),
            Out::Tcp(ports) => {
                let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
                let ports = ports.join(", ");
                format!(
                    "oifname \"{wan}\" meta l4proto != tcp drop\noifname \"{wan}\" tcp dport != {{ {ports} }} drop"
                )
            }
        };
        // A packet that nobody waits for must not get as far as this host: it would leave a connection behind that takes
        // the port from the host inside, and the mapping would no longer be endpoint-independent.
        format!(
            r#"table ip lab {{
map owner {{
type inet_service : ipv4_addr
flags dynamic,timeout
timeout 5m
}}
set seen {{
type inet_service . ipv4_addr
flags dynamic,timeout
timeout 5m
}}
chain incoming {{
type nat hook prerouting priority dstnat
{incoming}}}
chain through {{
type filter hook forward priority filter
policy drop
{out}
oifname "{wan}" meta l4proto udp update @owner {{ udp sport : ip saddr }}
oifname "{wan}" meta l4proto udp update @seen {{ udp sport . ip daddr }}
oifname "{wan}" accept
iifname "{wan}" ct state established,related accept
{admitted}}}
chain here {{
type filter hook input priority filter
iifname "{wan}" ct state != established,related drop
}}
chain outgoing {{
type nat hook postrouting priority srcnat
oifname "{wan}" {masquerade}
ct status dnat iifname != "{wan}" oifname != "{wan}" snat to {public}
}}
}}
"#
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_joins_what_theory_says() {
        let all = [
            Nat::FULL_CONE,
            Nat::ADDRESS_RESTRICTED,
            Nat::PORT_RESTRICTED,
            Nat::SYMMETRIC,
        ];
        // RFC 5128's cases, as everyone tabulates them.
        let expected = [
            [true, true, true, true],
            [true, true, true, true],
            [true, true, true, false],
            [true, true, false, false],
        ];
        for (a, row) in all.iter().zip(expected) {
            for (b, direct) in all.iter().zip(row) {
                assert_eq!(a.reaches(b), direct, "{a:?} and {b:?}");
                let walled = Nat {
                    out: Out::NoUdp,
                    ..b.clone()
                };
                assert!(!a.reaches(&walled));
            }
        }
    }
}
