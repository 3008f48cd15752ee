//! The addresses of this machine that a viewer may be told: host candidates (RFC 8445 section 5.1.1.1).

use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// The addresses that a socket bound to `bound` is reached at. An address by itself stands for itself, loopback
/// included; the unspecified one for every address of its family on an interface that is up, without loopback and
/// link-local addresses: those mean nothing to another machine (and no zone fits into a candidate).
///
/// # Errors
///
/// When the kernel does not list its interfaces.
pub fn reachable_at(bound: SocketAddr) -> io::Result<Vec<SocketAddr>> {
    if !bound.ip().is_unspecified() {
        return Ok(vec![bound]);
    }
    let addresses = getifaddrs()?.filter_map(|interface| {
        let usable = interface.flags.contains(InterfaceFlags::IFF_UP)
            && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
        let ip = ip(&interface.address?)?;
        (usable && ip.is_ipv4() == bound.is_ipv4() && !is_link_local(ip)).then_some(ip)
    });
    let mut addresses: Vec<_> = addresses
        .map(|ip| SocketAddr::new(ip, bound.port()))
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

fn ip(address: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|address| IpAddr::V6(address.ip()))
    })
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_address_stands_for_itself() {
        let loopback: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        assert_eq!(reachable_at(loopback).unwrap(), [loopback]);
    }

    #[test]
    fn the_unspecified_address_stands_for_those_others_can_reach() {
        for any in ["0.0.0.0:5000", "[::]:5000"] {
            let any: SocketAddr = any.parse().unwrap();
            for address in reachable_at(any).unwrap() {
                assert_eq!(address.port(), 5000);
                assert_eq!(address.is_ipv4(), any.is_ipv4());
                assert!(!address.ip().is_loopback() && !address.ip().is_unspecified());
                assert!(!is_link_local(address.ip()));
            }
        }
    }
}
