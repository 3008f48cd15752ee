//! UDP sockets that read and send in batches (recvmmsg, GRO, GSO), and never wait to send.
//!
//! What a socket has no room for is lost, as on every router of the path.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, SockRef, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams (or runs of them, with GRO) that are read at once.
const BATCH: usize = 32;
/// Room for the largest run that GRO delivers; a little more, so that the slots do not share the cache's sets.
const SLOT: usize = 64 * 1024 + 320;
/// Asked for; the system may give less.
const CLIENTS_BUFFER: usize = 4 * 1024 * 1024;
const PEERS_BUFFER: usize = 512 * 1024;
/// The most that one run of segments may hold.
const MAX_RUN: usize = 60_000;
const MAX_SEGMENTS: usize = 64;

/// Whom a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    Clients,
    Peers,
}

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

impl Socket {
    /// Binds to `address`. Call within a runtime.
    pub(super) fn bind(address: SocketAddr, whom: For) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let buffer = match whom {
            For::Clients => CLIENTS_BUFFER,
            For::Peers => PEERS_BUFFER,
        };
        // Less than asked for still works.
        let _ = socket.set_recv_buffer_size(buffer);
        let _ = socket.set_send_buffer_size(buffer);
        let io = UdpSocket::from_std(socket.into())?;
        Ok(Self {
            state: UdpSocketState::new((&io).into())?,
            local: io.local_addr()?,
            io,
        })
    }

    pub(super) const fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether it can send from that address.
    pub(super) fn is_at(&self, address: SocketAddr) -> bool {
        let same_family = self.local.is_ipv4() == address.is_ipv4();
        self.local == address
            || (self.local.ip().is_unspecified()
                && same_family
                && self.local.port() == address.port())
    }

    pub(super) async fn readable(&self) -> io::Result<()> {
        self.io.readable().await
    }

    /// Reads what is there, a batch at most.
    pub(super) fn receive<'a>(&self, buffers: &'a mut Buffers) -> Option<Batch<'a>> {
        let Buffers { slots, metas } = buffers;
        let mut count = 0;
        let read = self.io.try_io(Interest::READABLE, || {
            let mut chunks = slots.chunks_mut(SLOT);
            let mut slices: [IoSliceMut<'_>; BATCH] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            count = self.state.recv((&self.io).into(), &mut slices, metas)?;
            if count < BATCH {
                // That was all: without saying so, the next read would only be told that nothing is there.
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        match read {
            Err(reason) if reason.kind() != io::ErrorKind::WouldBlock => {
                // An ICMP error of an earlier send, or a passing shortage.
                tracing::trace!(%reason, "receiving failed");
            }
            _ => {}
        }
        (count > 0).then_some(Batch {
            slots,
            metas: &metas[..count],
            local: self.local,
        })
    }

    /// Sends a run of datagrams of `segment` bytes, of which the last may be shorter.
    fn send(&self, from: Option<IpAddr>, to: SocketAddr, bytes: &[u8], segment: usize) {
        // Only a socket of many addresses needs to be told which one to send from.
        let src_ip = from.filter(|_| self.local.ip().is_unspecified());
        if bytes.len() <= segment && src_ip.is_none() {
            if let Err(reason) = SockRef::from(&self.io).send_to(bytes, &to.into()) {
                tracing::trace!(%reason, "a datagram was not sent");
            }
            return;
        }
        let transmit = |contents, segment_size| Transmit {
            destination: to,
            ecn: None,
            contents,
            segment_size,
            src_ip,
        };
        let one_by_one = self.state.max_gso_segments() == 1;
        if !one_by_one {
            let run = transmit(bytes, Some(segment));
            match self.state.try_send((&self.io).into(), &run) {
                Ok(()) => return,
                // Offload was refused and is off now.
                Err(_) if self.state.max_gso_segments() == 1 => {}
                Err(reason) => {
                    tracing::trace!(%reason, "datagrams were not sent");
                    return;
                }
            }
        }
        for datagram in bytes.chunks(segment.max(1)) {
            let sent = self
                .state
                .try_send((&self.io).into(), &transmit(datagram, None));
            if let Err(reason) = sent {
                tracing::trace!(%reason, "a datagram was not sent");
            }
        }
    }
}

/// Room to read into: one for all sockets of the thread that reads.
pub(super) struct Buffers {
    slots: Vec<u8>,
    metas: [RecvMeta; BATCH],
}

impl Default for Buffers {
    fn default() -> Self {
        Self {
            slots: vec![0; BATCH * SLOT],
            metas: [RecvMeta::default(); BATCH],
        }
    }
}

/// Datagrams that were read at once.
pub(super) struct Batch<'a> {
    slots: &'a [u8],
    metas: &'a [RecvMeta],
    local: SocketAddr,
}

/// One of them.
pub(super) struct Received<'a> {
    pub(super) from: SocketAddr,
    /// The address it was sent to.
    pub(super) to: SocketAddr,
    pub(super) datagram: &'a [u8],
}

impl<'a> Batch<'a> {
    pub(super) fn iter(&self) -> impl Iterator<Item = Received<'a>> {
        let local = self.local;
        let filled = self.slots.chunks(SLOT).zip(self.metas);
        filled.flat_map(move |(slot, meta)| {
            let address = meta.dst_ip.unwrap_or(local.ip());
            let run = slot.get(..meta.len).unwrap_or_default();
            // An empty datagram is one, too.
            let empty = run.is_empty().then_some(run);
            let datagrams = empty.into_iter().chain(run.chunks(meta.stride.max(1)));
            datagrams.map(move |datagram| Received {
                from: meta.addr,
                to: SocketAddr::new(address, local.port()),
                datagram,
            })
        })
    }
}

/// Datagrams to be sent together; those that follow one another to the same place with the same size go as one.
#[derive(Default)]
pub(super) struct Runs {
    bytes: Vec<u8>,
    runs: Vec<Run>,
}

struct Run {
    socket: Arc<Socket>,
    from: Option<IpAddr>,
    to: SocketAddr,
    start: usize,
    end: usize,
    segment: usize,
}

impl Run {
    /// Whether `length` more bytes can follow as one more segment.
    fn takes(&self, length: usize) -> bool {
        let held = self.end - self.start;
        length > 0
            && length <= self.segment
            && held.is_multiple_of(self.segment)
            && held / self.segment < MAX_SEGMENTS
            && held + length <= MAX_RUN
    }
}

impl Runs {
    pub(super) fn push(
        &mut self,
        socket: &Arc<Socket>,
        from: Option<IpAddr>,
        to: SocketAddr,
        datagram: &[u8],
    ) {
        self.write(socket, from, to, |bytes| {
            bytes.extend(datagram);
            true
        });
    }

    /// The same for a datagram that is appended by `write`, if that is true.
    pub(super) fn write(
        &mut self,
        socket: &Arc<Socket>,
        from: Option<IpAddr>,
        to: SocketAddr,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) {
        let start = self.bytes.len();
        if !write(&mut self.bytes) {
            return;
        }
        let end = self.bytes.len();
        let length = end - start;
        match self.runs.last_mut() {
            Some(run)
                if run.to == to
                    && run.from == from
                    && Arc::ptr_eq(&run.socket, socket)
                    && run.takes(length) =>
            {
                run.end = end;
            }
            _ => self.runs.push(Run {
                socket: Arc::clone(socket),
                from,
                to,
                start,
                end,
                segment: length,
            }),
        }
    }

    /// Sends them all.
    pub(super) fn flush(&mut self) {
        for run in self.runs.drain(..) {
            let bytes = &self.bytes[run.start..run.end];
            run.socket.send(run.from, run.to, bytes, run.segment);
        }
        self.bytes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Arc<Socket> {
        Arc::new(Socket::bind("127.0.0.1:0".parse().unwrap(), For::Peers).unwrap())
    }

    #[tokio::test]
    async fn what_is_sent_together_arrives_one_by_one_and_in_order() {
        let (sender, one, other) = (socket(), socket(), socket());
        let sizes = [1000, 1000, 1000, 10, 1000, 0, 0, 7];
        let mut runs = Runs::default();
        for (number, size) in sizes.into_iter().enumerate() {
            runs.push(&sender, None, one.local(), &vec![number as u8; size]);
        }
        runs.push(&sender, None, other.local(), b"alone");
        assert_eq!(runs.runs.len(), 6);
        runs.flush();
        let mut buffers = Buffers::default();
        let mut seen = Vec::new();
        while seen.len() < sizes.len() {
            one.readable().await.unwrap();
            if let Some(batch) = one.receive(&mut buffers) {
                seen.extend(batch.iter().map(|received| {
                    assert_eq!((received.from, received.to), (sender.local(), one.local()));
                    received.datagram.len()
                }));
            }
        }
        assert_eq!(seen, sizes);
    }

    #[tokio::test]
    async fn a_socket_of_every_address_answers_from_the_one_it_was_asked_at() {
        let server = Socket::bind("0.0.0.0:0".parse().unwrap(), For::Clients).unwrap();
        let (server, client) = (Arc::new(server), socket());
        let at = SocketAddr::from(([127, 0, 0, 2], server.local().port()));
        assert!(server.is_at(at));
        let mut runs = Runs::default();
        runs.push(&client, None, at, b"question");
        runs.flush();
        let mut buffers = Buffers::default();
        server.readable().await.unwrap();
        let asked = server.receive(&mut buffers).unwrap();
        let asked = asked.iter().next().unwrap();
        assert_eq!(asked.to, at);
        runs.push(&server, Some(asked.to.ip()), asked.from, b"answer");
        runs.flush();
        let mut buffers = Buffers::default();
        client.readable().await.unwrap();
        let answer = client.receive(&mut buffers).unwrap();
        assert_eq!(answer.iter().next().unwrap().from, at);
    }
}
