//! The public part of a lab: what lies between sites, and hosts with public addresses.
//!
//! The addresses are ordinary ones (11.0.0.0/8, 2a11::/16), not those set aside for examples: what a server refuses to
//! relay to because of its address is refused here as well, and nothing else. Nothing of the lab leaves it.

use std::net::Ipv4Addr;

use crate::{End, LabError, Namespace, Veth};

/// A router that knows public addresses only.
#[derive(Debug)]
pub struct Internet {
    hub: Namespace,
}

impl Internet {
    /// One with nothing joined to it.
    ///
    /// # Errors
    /// When this process has not the rights, or iproute2 is missing.
    pub fn new() -> Result<Self, LabError> {
        let hub = Namespace::new("internet")?;
        hub.forward()?;
        // Private addresses lead nowhere, without a word, as they do at a carrier (RFC 1918, RFC 6598).
        for block in [
            "10.0.0.0/8",
            "172.16.0.0/12",
            "192.168.0.0/16",
            "100.64.0.0/10",
        ] {
            hub.ip(&format!("route add blackhole {block}"))?;
        }
        Ok(Self { hub })
    }

    /// The address of a public host.
    #[must_use]
    pub const fn address(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(11, 0, number, 1)
    }

    /// Gives a host the public address of this number, and sends all it has for others here. The addresses up to the
    /// fourth one after it are the host's, too.
    ///
    /// # Errors
    /// When `ip` refuses it: the host has been joined before.
    pub fn join(&self, host: &Namespace, number: u8) -> Result<(), LabError> {
        let wire = [format!("11.0.{number}.1/29"), format!("11.0.{number}.6/29")];
        Veth::between(
            End {
                namespace: host,
                address: &wire[0],
            },
            End {
                namespace: &self.hub,
                address: &wire[1],
            },
        )?;
        // The current host may have a way out already.
        host.ip(&format!("route replace default via 11.0.{number}.6"))
    }

    pub(crate) fn hub(&self) -> &Namespace {
        &self.hub
    }
}
