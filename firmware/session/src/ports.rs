//! The sockets of the one port that all viewers use: one for each bound address.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use crate::interfaces::reachable_at;
use crate::socket::{Buffers, Received, Sent, Socket};

/// A port that is free on one address may be taken on another: so often another one is tried.
const ATTEMPTS: usize = 16;

/// The bound sockets.
#[derive(Debug, Default)]
pub struct Ports(Vec<Socket>);

impl Ports {
    /// Binds every address (`address:port`) to one port: the named one, else `udp_port`, else any. Addresses that
    /// cannot be bound are left out, and logged: a machine without IPv6 has a camera too.
    pub fn bind(addresses: &[String], udp_port: u16) -> Self {
        let mut sockets = Vec::new();
        for _ in 0..ATTEMPTS {
            let mut port = udp_port;
            let mut again = false;
            sockets.clear();
            for address in addresses {
                match bind(address, port) {
                    Ok(socket) => {
                        if port == 0 {
                            port = socket.local().port();
                        }
                        sockets.push(socket);
                    }
                    Err(error) if error.kind() == io::ErrorKind::AddrInUse && port != udp_port => {
                        again = true;
                    }
                    Err(error) => {
                        tracing::info!(address, %error, "an address for media is left out");
                    }
                }
            }
            if !again {
                break;
            }
        }
        Self(sockets)
    }

    /// Whether nothing is bound.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where viewers can reach us now; interfaces come and go.
    pub fn hosts(&self) -> Vec<SocketAddr> {
        let mut hosts = Vec::new();
        for socket in &self.0 {
            match reachable_at(socket.local()) {
                Ok(addresses) => hosts.extend(addresses),
                Err(error) => tracing::warn!(%error, "the interfaces are not known"),
            }
        }
        hosts
    }

    /// Wakes the task when something can be read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let ready = self
            .0
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
        for socket in &self.0 {
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
        match self.0.iter().find(|socket| socket.is_at(from)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_addresses_share_one_port_and_those_that_fail_are_left_out() {
        let addresses = ["127.0.0.1:0", "127.0.0.2:0", "192.0.2.1:0", "nowhere"];
        let ports = Ports::bind(&addresses.map(str::to_owned), 0);
        let hosts = ports.hosts();
        let [one, two] = hosts[..] else {
            panic!("two of four can be bound: {hosts:?}")
        };
        assert_eq!(one.port(), two.port());
        assert_ne!(one.ip(), two.ip());
        assert!(Ports::bind(&["nowhere".to_owned()], 0).is_empty());
    }
}
