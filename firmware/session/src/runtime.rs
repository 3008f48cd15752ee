//! The runtime under one connection of the WebRTC stack: Tokio, with two remedies.
//!
//! - Its sockets complete nominations (see [`crate::nomination`]).
//! - What the stack sends through a TURN server, it queues after it has emptied that queue, so it would leave with
//!   whatever happens next, up to 200 ms later. While a connection may be relayed, every pass of the stack's loop
//!   is therefore followed by a second one at once: instead of sleeping, the loop goes round.

use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};

use crate::nomination::Nominations;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tokio, as one connection sees it.
#[derive(Debug)]
pub struct SessionRuntime {
    relaying: Arc<AtomicBool>,
    /// The task of the stack's loop: the first one it spawns.
    driver: Arc<OnceLock<tokio::task::Id>>,
    /// The last sleep was a second pass.
    passed: Arc<AtomicBool>,
}

impl SessionRuntime {
    /// A runtime for one connection; `relaying` is true while it may go through a TURN server.
    pub fn new(relaying: Arc<AtomicBool>) -> Self {
        Self {
            relaying,
            driver: Arc::default(),
            passed: Arc::default(),
        }
    }
}

impl Runtime for SessionRuntime {
    fn spawn(&self, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        let driver = Arc::clone(&self.driver);
        TokioRuntime.spawn(Box::pin(async move {
            if let Some(id) = tokio::task::try_id() {
                driver.get_or_init(|| id);
            }
            future.await;
        }))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = TokioRuntime.wrap_udp_socket(socket)?;
        Ok(Arc::new(Socket {
            socket,
            again: Mutex::default(),
        }))
    }

    fn wrap_tcp_listener(
        &self,
        listener: std::net::TcpListener,
    ) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Boxed<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        TokioRuntime.connect_tcp(remote)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        TokioRuntime.resolve_host(host)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }

    fn sleep(&self, duration: Duration) -> Boxed<'static, ()> {
        let task = tokio::task::try_id();
        let in_loop = task.is_some() && self.driver.get().copied() == task;
        if !in_loop
            || !self.relaying.load(Ordering::Relaxed)
            || self.passed.swap(false, Ordering::Relaxed)
        {
            return TokioRuntime.sleep(duration);
        }
        // Another event may be ready in the same moment and win: then this is not polled, and not a second pass.
        let passed = Arc::clone(&self.passed);
        Box::pin(async move { passed.store(true, Ordering::Relaxed) })
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn name(&self) -> &'static str {
        "heron"
    }
}

#[derive(Debug)]
struct Socket {
    socket: Arc<dyn AsyncUdpSocket>,
    again: Mutex<Again>,
}

#[derive(Debug, Default)]
struct Again {
    nominations: Nominations,
    /// What is to be read before the socket is.
    waiting: VecDeque<(RecvMeta, Vec<u8>)>,
}

impl AsyncUdpSocket for Socket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        self.socket.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut again = self.again.lock();
        if let (Some(buf), Some(slot)) = (bufs.first_mut(), meta.first_mut())
            && let Some((read, datagram)) = again.waiting.pop_front()
            && let Some(room) = buf.get_mut(..datagram.len())
        {
            room.copy_from_slice(&datagram);
            *slot = read;
            return Poll::Ready(Ok(1));
        }
        let polled = self.socket.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = polled {
            for (buf, read) in bufs.iter().zip(meta.iter()).take(count) {
                // Several datagrams of one peer may have been read as one.
                for datagram in buf
                    .get(..read.len)
                    .unwrap_or_default()
                    .chunks(read.stride.max(1))
                {
                    if let Some(request) = again.nominations.look(read.addr, datagram) {
                        let mut read = *read;
                        (read.len, read.stride) = (request.len(), request.len());
                        again.waiting.push_back((read, request));
                    }
                }
            }
        }
        polled
    }

    fn max_gso_segments(&self) -> usize {
        self.socket.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.socket.max_gro_segments()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long two sleeps of a second take inside the stack's loop.
    async fn two_sleeps(relaying: bool) -> Duration {
        let runtime = Arc::new(SessionRuntime::new(Arc::new(AtomicBool::new(relaying))));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let inside = Arc::clone(&runtime);
        runtime.spawn(Box::pin(async move {
            let start = tokio::time::Instant::now();
            inside.sleep(Duration::from_secs(1)).await;
            inside.sleep(Duration::from_secs(1)).await;
            let _ = sender.send(start.elapsed());
        }));
        receiver.await.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_relayed_connection_goes_round_once_more_before_it_sleeps() {
        assert_eq!(two_sleeps(false).await.as_secs(), 2);
        assert_eq!(two_sleeps(true).await.as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn sleeps_outside_the_loop_are_not_shortened() {
        let runtime = SessionRuntime::new(Arc::new(AtomicBool::new(true)));
        let start = tokio::time::Instant::now();
        runtime.sleep(Duration::from_secs(1)).await;
        assert_eq!(start.elapsed().as_secs(), 1);
    }
}
