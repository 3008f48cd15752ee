//! One TCP connection of a viewer (RFC 6544): datagrams in and out, never blocking.
//!
//! A viewer that does not read costs [`MAX_QUEUED`] here and [`SEND_BUFFER`] in the kernel and no more: a packet that
//! finds no room is dropped whole, as a full UDP socket would, so what the viewer reads is never out of step.

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::net::TcpStream;

use crate::framing::{Deframer, frame, framed_len};
use crate::socket::Buffers;

/// Bytes that may wait until the kernel has room: a quarter of a second at 2 Mbit/s.
pub const MAX_QUEUED: usize = 64 * 1024;

/// What the kernel may hold: half a second at 8 Mbit/s, so that a long path can be filled.
const SEND_BUFFER: usize = 512 * 1024;

/// What of it may wait to be sent the first time. More would only grow old there.
const MAX_UNSENT: u32 = 16 * 1024;

/// Buffers that are read before others have their turn.
const READS: usize = 4;

/// A connection has ended, or has to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The other end closed it, or the path broke.
    Closed,
    /// What came over it was not for us.
    Refused,
}

/// A connection.
#[derive(Debug)]
pub struct Stream {
    io: TcpStream,
    deframer: Deframer,
    /// Framed packets; the first `written` bytes have left.
    queue: Vec<u8>,
    written: usize,
    broken: bool,
}

/// Prepares a connection for media. The kernel's own limits hold where it refuses these.
pub fn tune(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
    let socket = SockRef::from(stream);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    let _ = socket.set_tcp_notsent_lowat(MAX_UNSENT);
}

impl Stream {
    /// A connection that was accepted.
    pub fn new(io: TcpStream) -> Self {
        tune(&io);
        Self {
            io,
            deframer: Deframer::default(),
            queue: Vec::new(),
            written: 0,
            broken: false,
        }
    }

    /// Both ends: ours and the viewer's.
    ///
    /// # Errors
    ///
    /// When it was closed already.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.io.local_addr()?, self.io.peer_addr()?))
    }

    /// Wakes the task when something can be read, or written that waits.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let readable = self.io.poll_read_ready(cx).is_ready();
        let writable = self.queued() > 0 && self.io.poll_write_ready(cx).is_ready();
        if readable || writable {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Reads what is there and gives every datagram to `handle`, which says whether to go on.
    ///
    /// # Errors
    ///
    /// When it ends here: closed, or refused for a frame too long, or by `handle`.
    pub fn receive(
        &mut self,
        buffers: &mut Buffers,
        mut handle: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), End> {
        for _ in 0..READS {
            let buffer = buffers.one();
            let mut bytes = match self.io.try_read(buffer) {
                Ok(0) => return Err(End::Closed),
                Ok(size) => buffer.get(..size).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(End::Closed),
            };
            loop {
                match self.deframer.next(&mut bytes) {
                    Ok(Some(datagram)) if handle(datagram) => {}
                    Ok(None) => break,
                    Ok(Some(_)) => return Err(End::Refused),
                    Err(error) => {
                        tracing::debug!(%error, "not a viewer's stream");
                        return Err(End::Refused);
                    }
                }
            }
        }
        Ok(())
    }

    /// Queues a datagram. False when there is no room: it is lost. [`flush`](Self::flush) sends it.
    pub fn push(&mut self, datagram: &[u8]) -> bool {
        let size = framed_len(datagram);
        if self.queued() + size > MAX_QUEUED {
            self.flush();
        }
        if self.broken || self.queued() + size > MAX_QUEUED {
            return false;
        }
        if self.queue.len() + size > MAX_QUEUED {
            self.queue.drain(..self.written);
            self.written = 0;
        }
        frame(datagram, &mut self.queue);
        true
    }

    /// Gives the kernel what it takes.
    pub fn flush(&mut self) {
        while let Some(rest) = self
            .queue
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            match self.io.try_write(rest) {
                Ok(size) => self.written += size,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    // Reading says so too, and ends it.
                    self.broken = true;
                    break;
                }
            }
        }
        self.queue.clear();
        self.written = 0;
    }

    /// Bytes that wait.
    pub fn queued(&self) -> usize {
        self.queue.len() - self.written
    }
}
