//! A home or an office: a router, or two where a carrier has one as well, a link to the internet, and hosts behind it.
//!
//! ```text
//! host -- router ------------- 20 ms, say -- internet -- public hosts
//! host -- router -- carrier -- 20 ms, say -/
//! ```

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::nat64::Nat64;
use crate::{
    Access, Direction, End, Forwarder, Impairment, Internet, LabError, Namespace, Nat, Out, Veth,
};

/// A site. Its hosts are their owner's; dropped, the way out is gone.
#[derive(Debug)]
pub struct Site {
    // In the order in which they end: what uses a router goes before it.
    _link: Forwarder,
    _nat64: Option<Nat64>,
    /// From the outermost in.
    routers: Vec<Namespace>,
    access: Access,
    number: u8,
    hosts: u8,
    /// The last byte of the public address.
    public: u8,
    /// The last byte of the first host's address.
    lease: u8,
}

impl Site {
    /// A site with no host yet. The number, 1 to 99, is in its addresses; `delay` is what the link takes each way; with
    /// [`Access::Only443`], TCP to `ports` goes out as well.
    ///
    /// # Errors
    /// When a part cannot be made: rights, iproute2, nftables, for IPv6 tayga.
    pub fn new(
        internet: &Internet,
        number: u8,
        access: Access,
        ports: &[u16],
        delay: Duration,
    ) -> Result<Self, LabError> {
        let router = Namespace::new(&format!("router-{number}"))?;
        let hub = internet.hub();
        let link = Forwarder::between(
            End {
                namespace: hub,
                address: &format!("11.{number}.0.1/29"),
            },
            End {
                namespace: &router,
                address: &format!("11.{number}.0.2/29"),
            },
            number.into(),
        )?;
        for direction in [Direction::Forth, Direction::Back] {
            let slow = Impairment {
                delay,
                ..Impairment::NONE
            };
            link.set(direction, slow);
        }
        let (out, mtu) = (hub.name(), access.mtu());
        hub.ip(&format!("link set {} mtu {mtu}", router.name()))?;
        router.ip(&format!("link set {out} mtu {mtu}"))?;
        router.route("default", &format!("11.{number}.0.1"))?;
        router.forward()?;
        let mut site = Self {
            _link: link,
            _nat64: None,
            routers: vec![router],
            access,
            number,
            hosts: 0,
            public: 2,
            lease: 2,
        };
        let mut nat = access.nat();
        if let Out::Tcp(open) = &mut nat.out {
            open.extend(ports);
        }
        site.outermost().nft(&nat.rules(out, site.public()))?;
        match access {
            Access::Cgnat => site.add_home()?,
            Access::Ipv6Only => site.add_ipv6(hub)?,
            _ => {}
        }
        Ok(site)
    }

    /// The address that the internet sees.
    #[must_use]
    pub const fn public(&self) -> Ipv4Addr {
        Ipv4Addr::new(11, self.number, 0, self.public)
    }

    /// A new host behind the router, on a network of its own.
    ///
    /// # Errors
    /// When a part cannot be made.
    pub fn host(&mut self, name: &str) -> Result<Namespace, LabError> {
        let host = Namespace::new(name)?;
        let router = self.innermost();
        if self.access == Access::Ipv6Only {
            let net = format!("2a11:{}:{}", self.number, self.hosts + 1);
            Veth::between(
                End {
                    namespace: &host,
                    address: &format!("{net}::2/64"),
                },
                End {
                    namespace: router,
                    address: &format!("{net}::1/64"),
                },
            )?;
            // Neighbours ask for each other from these (RFC 4861 section 7.2.2), and not by themselves: see `set_up`.
            for (on, device, end) in [(router, name, 1), (&host, router.name(), 2)] {
                on.ip(&format!("address add fe80::{end}/64 dev {device} nodad"))?;
            }
            host.route("default", &format!("{net}::1"))?;
        } else {
            // More hosts than the two of a hairpin are not needed.
            let net = format!("192.168.{}", self.number + 100 * self.hosts);
            Veth::between(
                End {
                    namespace: &host,
                    address: &format!("{net}.2/24"),
                },
                End {
                    namespace: router,
                    address: &format!("{net}.1/24"),
                },
            )?;
            host.route("default", &format!("{net}.1"))?;
        }
        self.hosts += 1;
        Ok(host)
    }

    /// The router's mappings are lost, and its public address is another one from now on: what a provider's forced
    /// reconnection does.
    ///
    /// # Errors
    /// When `ip` or `conntrack` refuse it.
    pub fn rebind(&mut self) -> Result<(), LabError> {
        let (before, net) = (self.public, format!("11.{}.0", self.number));
        // Of the six addresses of the link, the first is the other side's.
        self.public = if before == 6 { 2 } else { before + 1 };
        let router = self.outermost();
        let public = self.public;
        // With the last address of a prefix its routes go.
        router.ip(&format!("address del {net}.{before}/29 dev internet"))?;
        router.ip(&format!("address add {net}.{public}/29 dev internet"))?;
        router.route("default", &format!("{net}.1"))?;
        router.forget_connections()
    }

    /// Gives the site's first host another address of its network, as a DHCP server does that has forgotten the first.
    ///
    /// # Errors
    /// When `ip` refuses it: the site has IPv6 only.
    pub fn readdress(&mut self, host: &Namespace) -> Result<(), LabError> {
        let (before, net) = (self.lease, format!("192.168.{}", self.number));
        self.lease = if before == 254 { 2 } else { before + 1 };
        let device = self.innermost().name();
        host.ip(&format!("address del {net}.{before}/24 dev {device}"))?;
        host.ip(&format!("address add {net}.{}/24 dev {device}", self.lease))?;
        host.route("default", &format!("{net}.1"))
    }

    /// Takes the site's first host off its network: its interface is down.
    ///
    /// # Errors
    /// When `ip` refuses it.
    pub fn unplug(&self, host: &Namespace) -> Result<(), LabError> {
        host.ip(&format!("link set {} down", self.innermost().name()))
    }

    /// Puts it back, with the address that it had.
    ///
    /// # Errors
    /// When `ip` refuses it.
    pub fn plug(&self, host: &Namespace) -> Result<(), LabError> {
        host.ip(&format!("link set {} up", self.innermost().name()))?;
        // The routes went with the interface.
        host.route("default", &format!("192.168.{}.1", self.number))
    }

    /// A home router of the usual kind behind the carrier's (RFC 6598 for the addresses in between).
    fn add_home(&mut self) -> Result<(), LabError> {
        let home = Namespace::new(&format!("home-{}", self.number))?;
        let carrier = self.outermost();
        let net = format!("100.64.{}", self.number);
        Veth::between(
            End {
                namespace: &home,
                address: &format!("{net}.2/24"),
            },
            End {
                namespace: carrier,
                address: &format!("{net}.1/24"),
            },
        )?;
        home.route("default", &format!("{net}.1"))?;
        home.forward()?;
        let public = Ipv4Addr::new(100, 64, self.number, 2);
        home.nft(&Nat::PORT_RESTRICTED.rules(carrier.name(), public))?;
        self.routers.push(home);
        Ok(())
    }

    /// IPv6 to the internet behind a firewall, and IPv4 through a NAT64.
    fn add_ipv6(&mut self, hub: &Namespace) -> Result<(), LabError> {
        let (number, router) = (self.number, self.outermost());
        let net = format!("2a11:{number}");
        for (host, device, end) in [(hub, router.name(), 1), (router, hub.name(), 2)] {
            host.ip(&format!("address add {net}::{end}/64 dev {device} nodad"))?;
        }
        hub.route(&format!("{net}::/32"), &format!("{net}::2"))?;
        router.route("default", &format!("{net}::1"))?;
        let nat64 = Nat64::start(router, hub.name(), &format!("{net}:6464::1"))?;
        self._nat64 = Some(nat64);
        Ok(())
    }

    fn outermost(&self) -> &Namespace {
        &self.routers[0]
    }

    fn innermost(&self) -> &Namespace {
        &self.routers[self.routers.len() - 1]
    }
}
