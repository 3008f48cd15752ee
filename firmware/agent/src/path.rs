//! What became of a connection's way through the network after something changed there.
//!
//! A TCP connection is bound to the two addresses it was made between. When ours is gone, nothing that is sent ever
//! leaves; when it is still there the connection may be as good as before, or its route may lead nowhere. So the
//! kernel is asked, and the broker, rather than guessing; keep-alives would take a minute to find out.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rumqttc::{MqttOptions, default_socket_connect};

/// How long a broker has to answer over a connection that outlived a change.
pub const PROBE: Duration = Duration::from_secs(1);
/// How long an attempt to connect may go on after a change, which may have left it without an answer.
pub const ATTEMPT: Duration = Duration::from_secs(2);
/// At least so long between two attempts that changes give rise to: interfaces flap.
pub const BETWEEN: Duration = Duration::from_secs(1);

/// The two ends of the connection that was made last. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Path(Arc<Mutex<Option<Ends>>>);

#[derive(Debug, Clone, Copy)]
struct Ends {
    local: IpAddr,
    broker: SocketAddr,
}

/// What to do about a connection after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// There is no way at all: wait for the next change.
    Wait,
    /// Ask the broker.
    Probe,
    /// Our address is gone, and there is a way from another one: connect anew.
    Replace,
}

impl Path {
    /// Takes note of the ends of each connection that is made with these options.
    pub fn watch(&self, options: &mut MqttOptions) {
        let path = self.clone();
        options.set_socket_connector(move |host, network| {
            let path = path.clone();
            async move {
                let stream = default_socket_connect(host, network).await?;
                let (local, broker) = (stream.local_addr()?.ip(), stream.peer_addr()?);
                *path.0.lock() = Some(Ends { local, broker });
                Ok::<_, io::Error>(stream)
            }
        });
    }

    /// What the kernel says of the connection.
    pub fn verdict(&self) -> Verdict {
        let Some(Ends { local, broker }) = *self.0.lock() else {
            return Verdict::Probe;
        };
        verdict(is_ours(local), way_to(broker).is_ok())
    }
}

fn verdict(is_ours: bool, is_way: bool) -> Verdict {
    match (is_ours, is_way) {
        (_, false) => Verdict::Wait,
        (true, true) => Verdict::Probe,
        (false, true) => Verdict::Replace,
    }
}

/// Whether an interface has this address.
fn is_ours(address: IpAddr) -> bool {
    // Only its absence is an answer: a zone that is missing from a link-local one is not.
    let bound = UdpSocket::bind((address, 0));
    !bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// The address from which the kernel would send to `peer` now. Nothing is sent.
fn way_to(peer: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if peer.is_ipv4() {
        std::net::Ipv4Addr::UNSPECIFIED.into()
    } else {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_replaced_only_when_its_address_is_gone_and_another_way_is_there() {
        assert_eq!(verdict(true, true), Verdict::Probe);
        assert_eq!(verdict(false, true), Verdict::Replace);
        // Its address may come back, and then it goes on.
        assert_eq!(verdict(false, false), Verdict::Wait);
        assert_eq!(verdict(true, false), Verdict::Wait);
    }

    #[test]
    fn the_kernel_knows_which_addresses_are_ours() {
        assert!(is_ours("127.0.0.1".parse().unwrap()));
        // Set aside for documentation (RFC 5737).
        assert!(!is_ours("192.0.2.1".parse().unwrap()));
        let way = way_to("127.0.0.1:9".parse().unwrap()).unwrap();
        assert_eq!(way, IpAddr::from([127, 0, 0, 1]));
    }
}
