//! What all of the server's tasks share, and the one that reads what clients send by UDP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::peers::UdpPorts;
use super::socket::{Buffers, Runs, Socket};
use super::streams::Streams;
use crate::relay::{Action, Client, Link, Now, Relay};

const TICK: Duration = Duration::from_secs(1);

/// One lock for all of the relay's state: it is held for a batch of packets and never over a system call, and nearly
/// always by the one thread that reads datagrams.
pub(super) struct Shared {
    pub(super) relay: Mutex<Relay<UdpPorts>>,
    /// The sockets that clients send to; those of NAT discovery come last.
    pub(super) sockets: Vec<Arc<Socket>>,
    pub(super) streams: Streams,
    /// Where datagrams are read and relayed: a thread of its own, so that a packet never waits for other work of the
    /// process, nor is passed between threads.
    pub(super) thread: Handle,
    pub(super) buffers: Mutex<Buffers>,
}

pub(super) fn now() -> Now {
    let unix = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    Now {
        steady: Instant::now(),
        unix,
    }
}

pub(super) async fn tick(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        shared.relay.lock().tick(now());
    }
}

/// Reads what clients send to the socket of that number.
pub(super) async fn serve_clients(shared: Arc<Shared>, number: u16, socket: Arc<Socket>) {
    let mut runs = Runs::default();
    loop {
        if let Err(reason) = socket.readable().await {
            tracing::warn!(%reason, "receiving from TURN clients failed");
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        shared.take_from_clients(number, &socket, &mut runs);
    }
}

impl Shared {
    fn take_from_clients(&self, number: u16, socket: &Arc<Socket>, runs: &mut Runs) {
        let mut buffers = self.buffers.lock();
        let Some(batch) = socket.receive(&mut buffers) else {
            return;
        };
        let now = now();
        let mut relay = self.relay.lock();
        for received in batch.iter() {
            let client = Client {
                address: received.from,
                server: received.to,
                link: Link::Udp(number),
            };
            match relay.client_message(&client, received.datagram, now) {
                Action::Drop => {}
                Action::Reply(answer) => {
                    runs.push(socket, Some(received.to.ip()), received.from, &answer);
                }
                Action::Elsewhere { from, to, answer } => {
                    if let Some(socket) = self.socket_at(from) {
                        runs.push(socket, Some(from.ip()), to, &answer);
                    }
                }
                Action::Relay { socket, peer, data } => {
                    runs.push(&socket.socket, None, peer, data);
                }
            }
        }
        drop(relay);
        runs.flush();
    }

    fn socket_at(&self, address: SocketAddr) -> Option<&Arc<Socket>> {
        self.sockets.iter().find(|socket| socket.is_at(address))
    }
}
