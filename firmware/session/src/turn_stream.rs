//! A connection to a TURN server over TCP or TLS (RFC 8656 section 3.1), in a task of its own.
//!
//! Connecting, the TLS handshake and every read and write wait in the task, never in the driver. What the task has not
//! sent yet is bounded: a message that finds no room is dropped whole, as a full UDP socket would. When the connection
//! ends, for whatever reason, its last word is why; nothing connects it again.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::stream::{MAX_QUEUED, tune};
use crate::turn_framing;

/// How long connecting and the handshake may take together.
const CONNECT: Duration = Duration::from_secs(8);

/// How long the kernel may have no room for anything at all.
const STUCK: Duration = Duration::from_secs(10);

/// Messages that may wait for the driver; then the server waits.
const INBOUND: usize = 256;

/// What a read may bring at once, bytes.
const READ: usize = 16 * 1024;

/// TLS to a server: how, and by which name.
pub type Tls = (Arc<ClientConfig>, ServerName<'static>);

/// A connection, or an attempt at one. Ends when it is dropped, after what was pushed has left.
#[derive(Debug)]
pub struct TurnStream {
    inbound: mpsc::Receiver<Result<BytesMut, String>>,
    next: Option<Result<BytesMut, String>>,
    outgoing: Arc<Outgoing>,
    local: IpAddr,
}

#[derive(Debug, Default)]
struct Outgoing {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    closing: bool,
}

impl TurnStream {
    /// Connects to `server` from `local` (any port of it). Must be called within a Tokio runtime.
    pub fn connect(local: IpAddr, server: SocketAddr, tls: Option<Tls>) -> Self {
        let (sender, inbound) = mpsc::channel(INBOUND);
        let outgoing = Arc::new(Outgoing::default());
        let mine = Arc::clone(&outgoing);
        tokio::spawn(async move {
            let ended = tokio::select! {
                connected = timeout(CONNECT, connect(local, server, tls)) => match connected {
                    Ok(Ok(stream)) => carry(stream, &mine, &sender).await,
                    Ok(Err(error)) => error,
                    Err(_) => io::ErrorKind::TimedOut.into(),
                },
                () = mine.closing() => return,
            };
            let _ = sender.send(Err(ended.to_string())).await;
        });
        Self {
            inbound,
            next: None,
            outgoing,
            local,
        }
    }

    /// The address it was made from.
    pub fn local(&self) -> IpAddr {
        self.local
    }

    /// Wakes the task when something can be received.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.next.is_none() {
            match self.inbound.poll_recv(cx) {
                Poll::Ready(Some(next)) => self.next = Some(next),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// The next message of the server, or why there will be none any more.
    pub fn receive(&mut self) -> Option<Result<BytesMut, String>> {
        self.next.take().or_else(|| self.inbound.try_recv().ok())
    }

    /// Queues a message, framed already. False when there is no room: it is lost.
    pub fn push(&self, message: &[u8]) -> bool {
        let mut queue = self.outgoing.queue.lock();
        if queue.bytes.len() + message.len() > MAX_QUEUED {
            return false;
        }
        queue.bytes.extend_from_slice(message);
        drop(queue);
        self.outgoing.changed.notify_one();
        true
    }
}

impl Drop for TurnStream {
    fn drop(&mut self) {
        self.outgoing.queue.lock().closing = true;
        self.outgoing.changed.notify_one();
    }
}

impl Outgoing {
    /// What is to be written, when there is something; `None` when it is over and all is written.
    async fn take(&self) -> Option<Vec<u8>> {
        loop {
            {
                let mut queue = self.queue.lock();
                if !queue.bytes.is_empty() {
                    return Some(std::mem::take(&mut queue.bytes));
                }
                if queue.closing {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Until nobody wants the connection any more.
    async fn closing(&self) {
        while !self.queue.lock().closing {
            self.changed.notified().await;
        }
    }
}

trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

async fn connect(
    local: IpAddr,
    server: SocketAddr,
    tls: Option<Tls>,
) -> io::Result<Box<dyn Carrier>> {
    let socket = if server.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(SocketAddr::new(local, 0))?;
    let stream: TcpStream = socket.connect(server).await?;
    tune(&stream);
    match tls {
        None => Ok(Box::new(stream)),
        Some((config, name)) => {
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            Ok(Box::new(stream))
        }
    }
}

/// Reads and writes until one of them ends; returns why.
async fn carry(
    stream: Box<dyn Carrier>,
    outgoing: &Outgoing,
    inbound: &mpsc::Sender<Result<BytesMut, String>>,
) -> io::Error {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let read = async {
        let mut received = BytesMut::with_capacity(READ);
        loop {
            received.reserve(READ);
            if reader.read_buf(&mut received).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            while let Some(message) = turn_framing::next(&mut received).map_err(io::Error::other)? {
                if inbound.send(Ok(message)).await.is_err() {
                    // Nobody wants the connection any more: what is to be written is all that matters.
                    std::future::pending::<()>().await;
                }
            }
        }
    };
    let write = async {
        while let Some(bytes) = outgoing.take().await {
            let written = async {
                writer.write_all(&bytes).await?;
                writer.flush().await
            };
            timeout(STUCK, written).await??;
        }
        let _ = timeout(STUCK, writer.shutdown()).await;
        Ok::<(), io::Error>(())
    };
    let ended: io::Result<()> = tokio::select! {
        ended = read => ended,
        ended = write => ended,
    };
    let aborted = || io::ErrorKind::ConnectionAborted.into();
    ended.err().unwrap_or_else(aborted)
}
