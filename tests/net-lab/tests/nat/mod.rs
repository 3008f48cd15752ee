//! Every kind of access is what its name says: probed from a host behind it, as RFC 5780 sections 4.3 and 4.4 probe a
//! NAT, with two public hosts that have two ports each.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Stdio};
use std::time::Duration;

use heron_net_lab::{Access, Filtering, Internet, Mapping, Namespace, Out, Site, embedded};

/// No packet is under way for longer.
const SILENCE: Duration = Duration::from_millis(400);
const PORTS: [u16; 2] = [3478, 3479];

/// Two public hosts and what is between them and sites.
struct World {
    servers: [Namespace; 2],
    internet: Internet,
}

impl World {
    fn new() -> Self {
        let internet = Internet::new().unwrap();
        let servers = ["server-0", "server-1"].map(|name| Namespace::new(name).unwrap());
        for (number, server) in servers.iter().enumerate() {
            internet.join(server, number as u8).unwrap();
        }
        Self { servers, internet }
    }

    fn site(&self, number: u8, access: Access) -> Site {
        Site::new(&self.internet, number, access, &[], Duration::ZERO).unwrap()
    }

    /// A socket on a public host.
    fn socket(&self, server: u8, port: u16) -> UdpSocket {
        udp(&self.servers[usize::from(server)], port, true)
    }
}

fn udp(host: &Namespace, port: u16, v4: bool) -> UdpSocket {
    let any: IpAddr = match v4 {
        true => [0, 0, 0, 0].into(),
        false => [0_u16; 8].into(),
    };
    let socket = host.run(|| UdpSocket::bind((any, port))).unwrap().unwrap();
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket
}

/// Who sent the next datagram, if there is one.
fn sender(socket: &UdpSocket) -> Option<SocketAddr> {
    match socket.recv_from(&mut [0; 16]) {
        Ok((_, from)) => Some(from),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => panic!("{error}"),
    }
}

/// What a host behind a NAT finds out about it; none where no UDP comes through.
fn probe(world: &World, host: &Namespace, v4: bool) -> Option<(Mapping, Filtering, SocketAddr)> {
    let address = |server| -> IpAddr {
        let address = Internet::address(server);
        if v4 {
            address.into()
        } else {
            embedded(address).into()
        }
    };
    let places = [(0, PORTS[0]), (0, PORTS[1]), (1, PORTS[0])];
    let servers = places.map(|(server, port)| world.socket(server, port));
    let inside = udp(host, 0, v4);
    // Filtering first: so far one place has been sent to, and the others answer unasked.
    let first = (address(0), PORTS[0]);
    inside.send_to(b"first", first).unwrap();
    let public = sender(&servers[0])?;
    let answered = servers.each_ref().map(|server| {
        server.send_to(b"answer", public).unwrap();
        sender(&inside).is_some()
    });
    let filtering = match answered {
        [true, true, true] => Filtering::EndpointIndependent,
        [true, true, false] => Filtering::AddressDependent,
        [true, false, false] => Filtering::AddressAndPortDependent,
        odd => panic!("an odd filter: {odd:?}"),
    };
    let mut seen = BTreeSet::from([public]);
    for (server, socket) in servers.iter().enumerate().skip(1) {
        let (number, port) = places[server];
        inside.send_to(b"more", (address(number), port)).unwrap();
        seen.insert(sender(socket).unwrap());
    }
    let mapping = match seen.len() {
        1 => Mapping::EndpointIndependent,
        3 => Mapping::AddressAndPortDependent,
        _ => panic!("an odd mapping: {seen:?}"),
    };
    Some((mapping, filtering, public))
}

/// Whether a TCP connection can be made.
fn tcp(world: &World, host: &Namespace, port: u16) -> bool {
    let server = &world.servers[0];
    let listener = server.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)));
    let _listener = listener.unwrap().unwrap();
    let to = SocketAddr::from((Internet::address(0), port));
    host.run(|| TcpStream::connect_timeout(&to, SILENCE))
        .unwrap()
        .is_ok()
}

#[test]
fn each_access_does_what_its_name_says() {
    let world = World::new();
    for (number, access) in (1..).zip(Access::ALL) {
        let mut site = world.site(number, access);
        let host = site.host("host").unwrap();
        let (nat, v4) = (access.nat(), access != Access::Ipv6Only);
        let found = probe(&world, &host, v4);
        if nat.out != Out::All {
            assert_eq!(found, None, "{access:?}");
            assert!(tcp(&world, &host, 443), "{access:?}");
            assert_eq!(
                tcp(&world, &host, 3478),
                nat.out == Out::NoUdp,
                "{access:?}"
            );
            continue;
        }
        let (mapping, filtering, public) = found.unwrap();
        assert_eq!(
            (mapping, filtering),
            (nat.mapping, nat.filtering),
            "{access:?}"
        );
        assert_eq!(public.ip(), site.public(), "{access:?}");
    }
}

#[test]
fn a_rebound_router_has_another_address_and_lets_nobody_in_before_it_has_sent() {
    let world = World::new();
    let mut site = world.site(1, Access::PortRestricted);
    let host = site.host("host").unwrap();
    let (server, inside) = (world.socket(0, PORTS[0]), udp(&host, 0, true));
    let to = (Internet::address(0), PORTS[0]);
    inside.send_to(b"before", to).unwrap();
    let before = sender(&server).unwrap();
    site.rebind().unwrap();
    server.send_to(b"answer", before).unwrap();
    assert_eq!(sender(&inside), None);
    inside.send_to(b"after", to).unwrap();
    let after = sender(&server).unwrap();
    assert_ne!(after.ip(), before.ip());
    assert_eq!(after.ip(), site.public());
    server.send_to(b"answer", after).unwrap();
    assert_eq!(sender(&inside), Some(to.into()));
}

#[test]
fn two_networks_of_a_hairpin_meet_at_their_public_address_only() {
    let world = World::new();
    let mut site = world.site(1, Access::Hairpin);
    let hosts = ["left", "right"].map(|name| site.host(name).unwrap());
    let server = world.socket(0, PORTS[0]);
    let sockets = hosts.each_ref().map(|host| udp(host, 0, true));
    let [left, right] = sockets.each_ref().map(|socket| {
        socket
            .send_to(b"who am I", (Internet::address(0), PORTS[0]))
            .unwrap();
        sender(&server).unwrap()
    });
    // Not at the address within.
    let within = ("192.168.101.2", sockets[1].local_addr().unwrap().port());
    sockets[0].send_to(b"within", within).unwrap();
    assert_eq!(sender(&sockets[1]), None);
    sockets[0].send_to(b"hairpin", right).unwrap();
    assert_eq!(sender(&sockets[1]), Some(left));
    sockets[1].send_to(b"back", left).unwrap();
    assert_eq!(sender(&sockets[0]), Some(right));
}

#[test]
fn hosts_with_ipv6_reach_each_other_through_both_firewalls_once_both_have_sent() {
    let world = World::new();
    let mut sites = [1, 2].map(|number| world.site(number, Access::Ipv6Only));
    let hosts = sites.each_mut().map(|site| site.host("host").unwrap());
    let sockets = hosts.each_ref().map(|host| udp(host, 5000, false));
    let [left, right] = ["[2a11:1:1::2]:5000", "[2a11:2:1::2]:5000"];
    sockets[0].send_to(b"first", right).unwrap();
    assert_eq!(sender(&sockets[1]), None);
    sockets[1].send_to(b"second", left).unwrap();
    assert_eq!(sender(&sockets[0]), Some(right.parse().unwrap()));
    sockets[0].send_to(b"third", right).unwrap();
    assert_eq!(sender(&sockets[1]), Some(left.parse().unwrap()));
}

#[test]
fn a_packet_too_large_for_the_narrow_link_is_refused_once_that_is_known() {
    let world = World::new();
    let mut site = world.site(1, Access::Mtu1280);
    let host = site.host("host").unwrap();
    let (server, inside) = (world.socket(0, PORTS[0]), udp(&host, 0, true));
    inside.connect((Internet::address(0), PORTS[0])).unwrap();
    inside.send(&[0; 1280 - 28]).unwrap();
    assert!(sender(&server).is_some());
    // The router says that it is too large (ICMP), to the socket it came from.
    inside.send(&[0; 1280 - 27]).unwrap();
    assert_eq!(sender(&server), None);
    let told = inside.send(&[0; 1280 - 27]).unwrap_err();
    assert_eq!(
        told.raw_os_error(),
        Some(rustix::io::Errno::MSGSIZE.raw_os_error())
    );
}

/// Debian's coturn with the two addresses that RFC 5780 asks for; ends with the test.
struct Coturn(Child);

impl Coturn {
    fn start(server: &Namespace) -> Self {
        let second = ["address", "add", "11.0.0.2/29", "dev", "internet"];
        assert!(
            server
                .command("ip")
                .args(second)
                .status()
                .unwrap()
                .success()
        );
        let child = server
            .command("turnserver")
            .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--no-auth"])
            .args(["--listening-ip", "11.0.0.1", "--listening-ip", "11.0.0.2"])
            .args(["--pidfile", "", "--log-file", "stdout"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("turnserver (apt-get install coturn): {error}"));
        Self(child)
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn coturns_own_discovery_says_the_same_of_each() {
    let world = World::new();
    let _coturn = Coturn::start(&world.servers[0]);
    let mut sites = Vec::new();
    for (number, access) in (1..).zip(Access::ALL) {
        if access.nat().out != Out::All || access == Access::Ipv6Only {
            continue;
        }
        let mut site = world.site(number, access);
        let host = site.host("host").unwrap();
        let mut discovery = host.command("turnutils_natdiscovery");
        // It waits for seconds for what does not come: all of them at the same time.
        discovery
            .args(["-m", "-f", "11.0.0.1"])
            .stdout(Stdio::piped());
        sites.push((access, site, host, discovery.spawn().unwrap()));
    }
    for (access, _site, _host, discovery) in sites {
        let said = discovery.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout);
        let mapping = match access.nat().mapping {
            Mapping::EndpointIndependent => "Endpoint Independent",
            Mapping::AddressAndPortDependent => "Address and Port Dependent",
        };
        let filtering = match access.nat().filtering {
            Filtering::EndpointIndependent => "Endpoint Independent",
            Filtering::AddressDependent => "Address Dependent",
            Filtering::AddressAndPortDependent => "Address and Port Dependent",
        };
        for sentence in [
            format!("NAT with {mapping} Mapping!"),
            format!("NAT with {filtering} Filtering!"),
        ] {
            assert!(
                said.contains(&sentence),
                "{access:?}: not {sentence}\n{said}"
            );
        }
    }
}
