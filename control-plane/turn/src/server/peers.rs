//! Relayed addresses: a socket for each, and the task that reads from it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::outbox::Outbox;
use super::shared::{Shared, now};
use super::socket::{For, Runs, Socket};
use crate::relay::{Client, Family, Link, Ports};
use crate::stats::Refusal;

/// The addresses that relayed addresses are made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct RelayAddresses {
    pub(super) v4: Option<Ipv4Addr>,
    pub(super) v6: Option<Ipv6Addr>,
}

impl RelayAddresses {
    pub(super) fn of(&self, family: Family) -> Option<IpAddr> {
        match family {
            Family::V4 => self.v4.map(IpAddr::V4),
            Family::V6 => self.v6.map(IpAddr::V6),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = IpAddr> {
        [Family::V4, Family::V6]
            .into_iter()
            .filter_map(|family| self.of(family))
    }
}

/// Opens relayed addresses on real ports.
pub(super) struct UdpPorts {
    pub(super) shared: Weak<Shared>,
    pub(super) addresses: RelayAddresses,
    pub(super) range: RangeInclusive<u16>,
}

/// The socket of one relayed address; its reader ends with it.
pub(super) struct RelaySocket {
    pub(super) socket: Arc<Socket>,
    reader: AbortHandle,
}

impl Drop for RelaySocket {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Ports for UdpPorts {
    type Socket = Arc<RelaySocket>;

    fn has(&self, family: Family) -> bool {
        self.addresses.of(family).is_some()
    }

    fn open(
        &mut self,
        client: &Client,
        family: Family,
        even: bool,
    ) -> io::Result<(Self::Socket, SocketAddr)> {
        let shared = self.shared.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        let address = { self.addresses.of(family) }.ok_or(io::ErrorKind::Unsupported)?;
        let outlet = shared.outlet(client).ok_or(io::ErrorKind::NotConnected)?;
        // All reading is the one thread's.
        let _entered = shared.thread.enter();
        let socket = Arc::new(bind_any(address, &self.range, even)?);
        let relayed = SocketAddr::new(address, socket.local().port());
        let reading = serve_peers(Arc::clone(&shared), Arc::clone(&socket), *client, outlet);
        let reader = shared.thread.spawn(reading).abort_handle();
        Ok((Arc::new(RelaySocket { socket, reader }), relayed))
    }
}

/// A socket on a free port of the range.
fn bind_any(address: IpAddr, range: &RangeInclusive<u16>, even: bool) -> io::Result<Socket> {
    let (first, last) = (*range.start(), *range.end());
    // A random start makes the next relayed address hard to guess (RFC 8656, section 7.2).
    let start = rand::random_range(first..=last);
    let mut error = io::ErrorKind::AddrInUse.into();
    for port in (start..=last).chain(first..start) {
        if even && port % 2 != 0 {
            continue;
        }
        match Socket::bind(SocketAddr::new(address, port), For::Peers) {
            Ok(socket) => return Ok(socket),
            // Behind a NAT the address peers reach is not one of this machine's.
            Err(reason) if reason.kind() == io::ErrorKind::AddrNotAvailable => {
                let every: IpAddr = match address {
                    IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                    IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                };
                if every == address {
                    return Err(reason);
                }
                return bind_any(every, range, even);
            }
            Err(reason) => error = reason,
        }
    }
    Err(error)
}

/// How a client is reached.
pub(super) enum Outlet {
    Udp { socket: Arc<Socket>, from: IpAddr },
    Stream(Arc<Outbox>),
}

/// Reads what peers send to one relayed address, until the allocation's end aborts it.
async fn serve_peers(shared: Arc<Shared>, socket: Arc<Socket>, client: Client, outlet: Outlet) {
    let mut runs = Runs::default();
    let mut frame = Vec::new();
    loop {
        if socket.readable().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        let mut buffers = shared.buffers.lock();
        let Some(batch) = socket.receive(&mut buffers) else {
            continue;
        };
        let now = now();
        let mut relay = shared.relay.lock();
        for received in batch.iter() {
            let (peer, data) = (received.from, received.datagram);
            match &outlet {
                Outlet::Udp { socket, from } => {
                    runs.write(socket, Some(*from), client.address, |out| {
                        relay.peer_datagram(&client, peer, data, now, out)
                    });
                }
                Outlet::Stream(outbox) => {
                    frame.clear();
                    if relay.peer_datagram(&client, peer, data, now, &mut frame)
                        && !outbox.push(&frame)
                    {
                        relay.count_refusal(Refusal::SlowReader);
                    }
                }
            }
        }
        drop(relay);
        runs.flush();
    }
}

impl Shared {
    /// How that client is reached; `None` if its connection has just closed.
    fn outlet(&self, client: &Client) -> Option<Outlet> {
        match client.link {
            Link::Udp(number) => Some(Outlet::Udp {
                socket: Arc::clone(self.sockets.get(usize::from(number))?),
                from: client.server.ip(),
            }),
            Link::Stream(number) => self.streams.outbox(number).map(Outlet::Stream),
        }
    }
}
