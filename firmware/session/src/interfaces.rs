//! The addresses of this machine that a viewer may be told: host candidates (RFC 8445 section 5.1.1.1).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// The addresses that a socket bound to `bound` is reached at. An address by itself stands for itself while an interface
/// has it, loopback included; the unspecified one for every address of its family on an interface that is up, without loopback and
/// link-local addresses: those mean nothing to another machine (and no zone fits into a candidate).
///
/// # Errors
///
/// When the kernel does not list its interfaces.
pub fn reachable_at(bound: SocketAddr) -> io::Result<Vec<SocketAddr>> {
    if !bound.ip().is_unspecified() {
        let there = bound.ip().is_loopback() || ours()?.contains(&bound.ip());
        return Ok(there.then_some(bound).into_iter().collect());
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

/// The address that the kernel sends to `remote` from, now; `None` when there is no route. Nothing is sent.
pub fn route_to(remote: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if remote.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Every address of an interface that is up.
///
/// # Errors
///
/// When the kernel does not list its interfaces.
pub fn ours() -> io::Result<Vec<IpAddr>> {
    let up = getifaddrs()?.filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP));
    Ok(up.filter_map(|interface| ip(&interface.address?)).collect())
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
    fn a_named_address_stands_for_itself_while_it_is_ours() {
        let loopback: SocketAddr = "127.0.0.1:5000".parse().unwrap();
        assert_eq!(reachable_at(loopback).unwrap(), [loopback]);
        assert_eq!(route_to(loopback), Some(loopback.ip()));
        // RFC 5737: nobody's.
        let elsewhere: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        assert!(reachable_at(elsewhere).unwrap().is_empty());
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
