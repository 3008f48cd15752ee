//! UDP sockets as the driver uses them: batched receiving (recvmmsg, GRO) and sending (GSO), never blocking.
//!
//! Where the kernel or a network driver refuses segmentation offload, the same packets are sent one by one from
//! then on. What the socket has no room for is not kept: it is the caller's to count, and the viewer's loss.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams (or runs of them, with GRO) that are read at once.
const BATCH: usize = 8;

/// The largest run of datagrams that GRO delivers in one buffer.
const BUFFER: usize = 64 * 1024;

/// A key frame for every viewer fits; the kernel caps it at its own limit.
const SEND_BUFFER: usize = 2 * 1024 * 1024;

/// Feedback of all viewers while the driver is busy sending.
const RECEIVE_BUFFER: usize = 1024 * 1024;

/// The most a run of segments may hold: the largest UDP payload over IPv4.
const MAX_RUN: usize = 65_507;

/// What became of datagrams that were given to a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// The kernel has them.
    All,
    /// The socket's buffer is full: at least one was lost.
    WouldBlock,
    /// The kernel refused: no route, or a firewall.
    Failed,
}

/// A datagram that came in.
#[derive(Debug)]
pub struct Received<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// The local address it was sent to.
    pub to: SocketAddr,
    /// Its payload.
    pub datagram: &'a [u8],
}

/// One bound socket.
#[derive(Debug)]
pub struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
}

impl Socket {
    /// Binds to `address`; port 0 takes any. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// What the kernel says: the address is not ours, or the port is taken.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        if address.is_ipv6() {
            // IPv4 has a socket of its own on the same port.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        // A smaller buffer than asked for still works.
        let _ = socket.set_send_buffer_size(SEND_BUFFER);
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        socket.bind(&address.into())?;
        let io = UdpSocket::from_std(socket.into())?;
        Ok(Self {
            state: UdpSocketState::new((&io).into())?,
            local: io.local_addr()?,
            io,
        })
    }

    /// The bound address; unspecified if it is every address of the family.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether `address` is one of this socket's.
    pub fn is_at(&self, address: SocketAddr) -> bool {
        self.local == address
            || (self.local.ip().is_unspecified()
                && self.local.is_ipv4() == address.is_ipv4()
                && self.local.port() == address.port())
    }

    /// Wakes the task when something can be read.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        // An error of the readiness itself shows again when reading.
        self.io.poll_recv_ready(cx).map(|_| ())
    }

    /// Reads what is there, one batch at most, and gives every datagram to `handle`. False when nothing was there.
    pub fn receive(&self, buffers: &mut Buffers, mut handle: impl FnMut(Received<'_>)) -> bool {
        let mut metas = [RecvMeta::default(); BATCH];
        let count = {
            let mut chunks = buffers.0.chunks_mut(BUFFER);
            let mut slices: [IoSliceMut<'_>; BATCH] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            let read = self.io.try_io(Interest::READABLE, || {
                self.state.recv((&self.io).into(), &mut slices, &mut metas)
            });
            match read {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // An ICMP error of an earlier send: the next read goes on.
                Err(error) => {
                    tracing::debug!(%error, "reading from the socket");
                    return true;
                }
            }
        };
        for (buffer, meta) in buffers.0.chunks(BUFFER).zip(&metas).take(count) {
            let to = SocketAddr::new(
                meta.dst_ip.unwrap_or_else(|| self.local.ip()),
                self.local.port(),
            );
            let run = buffer.get(..meta.len).unwrap_or_default();
            for datagram in run.chunks(meta.stride.max(1)) {
                handle(Received {
                    from: meta.addr,
                    to,
                    datagram,
                });
            }
        }
        true
    }

    /// Sends one datagram, or with `segment` a run of datagrams of that size, of which the last may be shorter.
    pub fn send(&self, from: IpAddr, to: SocketAddr, bytes: &[u8], segment: Option<usize>) -> Sent {
        let Some(size) = segment.filter(|size| *size > 0 && *size < bytes.len()) else {
            return outcome(self.try_send(from, to, bytes, None));
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let segments = self.state.max_gso_segments().min(MAX_RUN / size).max(1);
            let (run, after) = rest.split_at(rest.len().min(segments * size));
            match self.try_send(from, to, run, Some(size)) {
                Ok(()) => rest = after,
                // Offload was refused and is off now: go on one by one.
                Err(error)
                    if run.len() > size
                        && error.kind() != io::ErrorKind::WouldBlock
                        && self.state.max_gso_segments() == 1 => {}
                Err(error) => return outcome(Err(error)),
            }
        }
        Sent::All
    }

    fn try_send(
        &self,
        from: IpAddr,
        to: SocketAddr,
        contents: &[u8],
        segment_size: Option<usize>,
    ) -> io::Result<()> {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents,
            segment_size,
            // Only a socket of many addresses needs to be told which one to send from.
            src_ip: (self.local.ip().is_unspecified() && !from.is_unspecified()).then_some(from),
        };
        // Nobody waits for room, so the runtime's idea of it is not asked.
        self.state.try_send((&self.io).into(), &transmit)
    }
}

fn outcome(result: io::Result<()>) -> Sent {
    match result {
        Ok(()) => Sent::All,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::WouldBlock,
        Err(error) => {
            tracing::trace!(%error, "a datagram was not sent");
            Sent::Failed
        }
    }
}

/// Room to receive into, shared by all sockets of a driver.
#[derive(Debug)]
pub struct Buffers(Vec<u8>);

impl Default for Buffers {
    fn default() -> Self {
        Self(vec![0; BATCH * BUFFER])
    }
}

impl Buffers {
    /// One of them, for what is not a datagram socket.
    pub fn one(&mut self) -> &mut [u8] {
        self.0.get_mut(..BUFFER).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn receive_all(socket: &Socket, expected: usize) -> Vec<Vec<u8>> {
        let mut buffers = Buffers::default();
        let mut seen = Vec::new();
        while seen.len() < expected {
            std::future::poll_fn(|cx| socket.poll_readable(cx)).await;
            while socket.receive(&mut buffers, |received| {
                assert_eq!(received.to, socket.local());
                seen.push(received.datagram.to_vec());
            }) {}
        }
        seen
    }

    #[tokio::test]
    async fn runs_arrive_as_single_datagrams_in_order() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let local: SocketAddr = local.parse().unwrap();
            let Ok(sender) = Socket::bind(local) else {
                // A machine without IPv6.
                assert!(local.is_ipv6());
                continue;
            };
            let receiver = Socket::bind(local).unwrap();
            let run: Vec<u8> = (0..50_u8)
                .flat_map(|number| [number; 1000])
                .chain([77; 10])
                .collect();
            let sent = sender.send(local.ip(), receiver.local(), &run, Some(1000));
            assert_eq!(sent, Sent::All);
            let seen = receive_all(&receiver, 51).await;
            assert!(seen.concat() == run);
            assert_eq!(seen.last().map(Vec::len), Some(10));
        }
    }

    #[tokio::test]
    async fn a_socket_of_every_address_answers_from_the_one_it_was_asked_at() {
        let server = Socket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let client = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let at = SocketAddr::from(([127, 0, 0, 2], server.local().port()));
        assert!(server.is_at(at));
        assert_eq!(
            client.send(client.local().ip(), at, b"question", None),
            Sent::All
        );
        let mut buffers = Buffers::default();
        std::future::poll_fn(|cx| server.poll_readable(cx)).await;
        server.receive(&mut buffers, |received| {
            assert_eq!(received.to, at);
            server.send(received.to.ip(), received.from, b"answer", None);
        });
        std::future::poll_fn(|cx| client.poll_readable(cx)).await;
        client.receive(&mut buffers, |received| assert_eq!(received.from, at));
    }
}
