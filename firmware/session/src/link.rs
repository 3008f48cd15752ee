//! What carries messages between us and a TURN server: a socket of its own, or a connection (RFC 8656 section 3.1).
//!
//! A server knows an allocation by its 5-tuple (RFC 8656 section 3.2), so two viewers cannot have theirs through one.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use bytes::BytesMut;
use heron_peer::Batch;

use crate::socket::{Buffers, Sent, Socket};
use crate::turn_framing::channel_data;
use crate::turn_stream::{Tls, TurnStream};

/// The way to a server.
#[derive(Debug)]
pub enum Link {
    /// Over UDP.
    Datagrams(Socket),
    /// Over TCP or TLS.
    Stream(TurnStream),
}

impl Link {
    /// Over UDP, from `local` (any port of it).
    ///
    /// # Errors
    ///
    /// When no socket can be had.
    pub fn datagrams(local: IpAddr) -> io::Result<Self> {
        Ok(Self::Datagrams(Socket::bind(SocketAddr::new(local, 0))?))
    }

    /// Over TCP, or TLS, from `local` (any port of it).
    pub fn stream(local: IpAddr, server: SocketAddr, tls: Option<Tls>) -> Self {
        Self::Stream(TurnStream::connect(local, server, tls))
    }

    /// Our address; the port is known for UDP only, and of no use elsewhere.
    pub fn local(&self) -> SocketAddr {
        match self {
            Self::Datagrams(socket) => socket.local(),
            Self::Stream(stream) => SocketAddr::new(stream.local(), 0),
        }
    }

    /// Whether what is sent arrives unless the link breaks.
    pub fn is_reliable(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    /// Wakes the task when something can be read.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Datagrams(socket) => socket.poll_readable(cx),
            Self::Stream(stream) => stream.poll_readable(cx),
        }
    }

    /// Reads messages of `server` and gives each to `handle`. False when nothing was there.
    ///
    /// # Errors
    ///
    /// Why a connection ended.
    pub fn receive(
        &mut self,
        server: SocketAddr,
        buffers: &mut Buffers,
        mut handle: impl FnMut(BytesMut),
    ) -> Result<bool, String> {
        match self {
            Self::Datagrams(socket) => Ok(socket.receive(buffers, |received| {
                if received.from == server {
                    handle(BytesMut::from(received.datagram));
                }
            })),
            Self::Stream(stream) => {
                let mut any = false;
                while let Some(received) = stream.receive() {
                    handle(received?);
                    any = true;
                }
                Ok(any)
            }
        }
    }

    /// Sends one message.
    pub fn send(&self, server: SocketAddr, message: &[u8]) -> Sent {
        match self {
            Self::Datagrams(socket) => socket.send(socket.local().ip(), server, message, None),
            Self::Stream(stream) if stream.push(message) => Sent::All,
            Self::Stream(_) => Sent::WouldBlock,
        }
    }

    /// Sends the packets of a batch as ChannelData; `framed` is room to frame them in.
    pub fn send_batch(
        &self,
        server: SocketAddr,
        channel: u16,
        batch: &Batch,
        framed: &mut Vec<u8>,
    ) -> Sent {
        for run in batch.runs() {
            framed.clear();
            for packet in run.bytes.chunks(run.segment) {
                channel_data(channel, packet, self.is_reliable(), framed);
            }
            let sent = match self {
                Self::Datagrams(socket) => {
                    let segment = (run.count > 1).then_some(run.segment + 4);
                    socket.send(socket.local().ip(), server, framed, segment)
                }
                Self::Stream(_) => self.send(server, framed),
            };
            if sent != Sent::All {
                return sent;
            }
        }
        Sent::All
    }
}
