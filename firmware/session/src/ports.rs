//! The sockets of the one port that all viewers use: for each bound address one for UDP, and one that listens for
//! viewers whose networks let only TCP through (RFC 6544).

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use heron_peer::LocalCandidate;
use socket2::{Domain, Protocol, Type};
use tokio::net::TcpListener;

use crate::interfaces::reachable_at;
use crate::socket::{Buffers, Received, Sent, Socket};

/// A port that is free on one address may be taken on another: so often another one is tried.
const ATTEMPTS: usize = 16;

/// Connections that may wait until the driver looks at them.
const BACKLOG: i32 = 64;

/// The bound sockets.
#[derive(Debug, Default)]
pub struct Ports {
    sockets: Vec<Socket>,
    listeners: Vec<TcpListener>,
    /// What could not be bound yet, and where it belongs to.
    missing: Vec<String>,
    port: u16,
    tcp: bool,
}

impl Ports {
    /// Binds every address (`address:port`) to one port: the named one, else `udp_port`, else any. Addresses that
    /// cannot be bound are left out, and logged: a machine without IPv6 has a camera too. With `tcp` the same port
    /// listens for TCP; where it cannot, UDP has to do.
    pub fn bind(addresses: &[String], udp_port: u16, tcp: bool) -> Self {
        let mut ports = Self::default();
        for _ in 0..ATTEMPTS {
            ports = Self {
                missing: addresses.to_vec(),
                port: udp_port,
                tcp,
                ..Self::default()
            };
            // Taken by somebody else, who may well have left all of another port free.
            let taken = |error: &io::Error, port: u16| {
                error.kind() == io::ErrorKind::AddrInUse && port != udp_port
            };
            if !ports.bind_missing(taken) {
                break;
            }
        }
        ports
    }

    /// Binds what could not be bound before: its address may have come. Bound sockets outlive their addresses.
    pub fn renew(&mut self) {
        self.bind_missing(|_, _| false);
    }

    /// Whether something failed for a reason that counts as `taken`.
    fn bind_missing(&mut self, taken: impl Fn(&io::Error, u16) -> bool) -> bool {
        let mut again = false;
        for address in std::mem::take(&mut self.missing) {
            let socket = match bind(&address, self.port) {
                Ok(socket) => socket,
                Err(error) => {
                    again |= taken(&error, self.port);
                    tracing::info!(address, %error, "an address for media is left out");
                    self.missing.push(address);
                    continue;
                }
            };
            if self.port == 0 {
                self.port = socket.local().port();
            }
            if self.tcp {
                match listen(socket.local()) {
                    Ok(listener) => self.listeners.push(listener),
                    Err(error) => {
                        again |= taken(&error, self.port);
                        tracing::info!(address, %error, "an address for media is without TCP");
                    }
                }
            }
            self.sockets.push(socket);
        }
        again
    }

    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// Where viewers can reach us over UDP now; interfaces come and go.
    pub fn hosts(&self) -> Vec<SocketAddr> {
        reachable(self.sockets.iter().map(|socket| Ok(socket.local())))
    }

    /// What viewers are told of it: first UDP, then TCP.
    pub fn candidates(&self) -> Vec<LocalCandidate> {
        let udp = self.hosts().into_iter().map(LocalCandidate::host);
        let tcp = reachable(self.listeners.iter().map(TcpListener::local_addr));
        udp.chain(tcp.into_iter().map(LocalCandidate::tcp))
            .collect()
    }

    /// Where viewers connect.
    pub fn listeners(&self) -> &[TcpListener] {
        &self.listeners
    }

    /// Wakes the task when something can be read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let ready = self
            .sockets
            .iter()
            .filter(|socket| socket.poll_readable(cx).is_ready());
        if ready.count() > 0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Reads a batch from every socket. False when nothing was there.
    pub fn receive(&self, buffers: &mut Buffers, mut handle: impl FnMut(Received<'_>)) -> bool {
        let mut any = false;
        for socket in &self.sockets {
            any |= socket.receive(buffers, &mut handle);
        }
        any
    }

    /// Sends from one of our addresses; see [`Socket::send`].
    pub fn send(
        &self,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
        segment: Option<usize>,
    ) -> Sent {
        match self.sockets.iter().find(|socket| socket.is_at(from)) {
            Some(socket) => socket.send(from.ip(), to, bytes, segment),
            None => Sent::Failed,
        }
    }
}

fn bind(address: &str, port: u16) -> io::Result<Socket> {
    let mut address: SocketAddr = address
        .parse()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    if address.port() == 0 {
        address.set_port(port);
    }
    Socket::bind(address)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // The camera may start again while connections of before are not forgotten yet.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

fn reachable(bound: impl Iterator<Item = io::Result<SocketAddr>>) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for bound in bound {
        match bound.and_then(reachable_at) {
            Ok(reachable) => addresses.extend(reachable),
            Err(error) => tracing::warn!(%error, "the interfaces are not known"),
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_share_one_port_and_those_that_fail_are_left_out() {
        let addresses = ["127.0.0.1:0", "127.0.0.2:0", "192.0.2.1:0", "nowhere"];
        let ports = Ports::bind(&addresses.map(str::to_owned), 0, true);
        let hosts = ports.hosts();
        let [one, two] = hosts[..] else {
            panic!("two of four can be bound: {hosts:?}")
        };
        assert_eq!(one.port(), two.port());
        assert_ne!(one.ip(), two.ip());
        assert!(Ports::bind(&["nowhere".to_owned()], 0, true).is_empty());
    }

    #[tokio::test]
    async fn tcp_has_the_same_port_as_udp_or_is_left_out() {
        let ports = Ports::bind(&["127.0.0.1:0".to_owned()], 0, true);
        let [udp, tcp] = ports.candidates()[..] else {
            panic!("two candidates: {:?}", ports.candidates())
        };
        assert_eq!(udp.address, tcp.address);
        assert!(tcp.to_string().ends_with("tcptype passive"));
        let without = Ports::bind(&["127.0.0.1:0".to_owned()], 0, false);
        assert_eq!(without.candidates().len(), 1);
        // A port whose TCP half somebody else has: UDP has to do when it is asked for, another one is found when not.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let fixed = Ports::bind(&["127.0.0.1:0".to_owned()], port, true);
        assert_eq!(fixed.candidates().len(), 1);
    }
}
