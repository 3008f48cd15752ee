//! The TCP connections of all viewers (RFC 6544): viewers connect, on the port that UDP has too.
//!
//! A connection is nobody's until a viewer's check over it was answered, which the viewer's ICE password
//! authenticated; from then on everything on it is that viewer's. Whoever says something else first, or nothing for
//! [`PATIENCE`], is cut off. Connections are bounded, all together and from one address, and so is what each of
//! them keeps (see `stream`).

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use heron_peer::{Batch, Path, Protocol};
use tokio::net::{TcpListener, TcpStream};

use crate::socket::{Buffers, Sent};
use crate::stream::{End, Stream};

/// How long a connection may take until a viewer's check came over it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of all viewers: each connects from each of its addresses to each of ours.
const MAX_CONNECTIONS: usize = 128;

/// From one address: several viewers may share it, behind a NAT.
const MAX_PER_ADDRESS: usize = 32;

/// After a connection could not be accepted (no file descriptors left) the next one waits for so long.
const PAUSE: Duration = Duration::from_millis(100);

/// Figures of all connections.
#[derive(Debug, Default)]
pub struct TcpCounters {
    /// Connections now.
    pub open: AtomicUsize,
    /// Connections that were cut off: too many, or not a viewer's.
    pub refused: AtomicU64,
    /// Packets that found no room.
    pub dropped: AtomicU64,
}

/// Every connection; `K` names viewers.
#[derive(Debug)]
pub struct Connections<K> {
    open: HashMap<Path, Connection<K>>,
    /// Viewers whose connection ended, and which.
    lost: Vec<(K, Path)>,
    /// Accepted, and not looked at yet.
    arrived: Vec<TcpStream>,
    /// Nothing is accepted before.
    paused: Option<Instant>,
    counters: Arc<TcpCounters>,
}

#[derive(Debug)]
struct Connection<K> {
    stream: Stream,
    /// Whose it is, or until when somebody's check must have come.
    owner: Result<K, Instant>,
}

impl<K: Copy + Eq> Connections<K> {
    /// None.
    pub fn new(counters: Arc<TcpCounters>) -> Self {
        Self {
            open: HashMap::new(),
            lost: Vec::new(),
            arrived: Vec::new(),
            paused: None,
            counters,
        }
    }

    /// Wakes the task when somebody connects, or something can be read, or written that waits.
    pub fn poll_ready(&mut self, listeners: &[TcpListener], cx: &mut Context<'_>) -> Poll<()> {
        for listener in listeners {
            while self.paused.is_none() && self.arrived.len() < MAX_CONNECTIONS {
                match listener.poll_accept(cx) {
                    Poll::Ready(Ok((stream, _))) => self.arrived.push(stream),
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(%error, "a connection could not be accepted");
                        self.paused = Some(Instant::now() + PAUSE);
                    }
                    Poll::Pending => break,
                }
            }
        }
        let ready = self
            .open
            .values()
            .filter(|connection| connection.stream.poll_ready(cx).is_ready());
        if ready.count() > 0 || !self.arrived.is_empty() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Reads what is there: `handle` gets every datagram with its path and owner, and says of one on a connection
    /// that is nobody's whether it was a viewer's check. Writes what waits.
    pub fn receive(
        &mut self,
        buffers: &mut Buffers,
        now: Instant,
        mut handle: impl FnMut(Path, Option<K>, &[u8]) -> bool,
    ) {
        for stream in std::mem::take(&mut self.arrived) {
            if self.accept(stream, now).is_err() {
                self.counters.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut ended = Vec::new();
        for (path, connection) in &mut self.open {
            let owner = connection.owner.ok();
            let read = connection.stream.receive(buffers, |datagram| {
                handle(*path, owner, datagram) || owner.is_some()
            });
            connection.stream.flush();
            if let Err(end) = read {
                ended.push((*path, end));
            }
        }
        for (path, end) in ended {
            self.end(path, end);
        }
    }

    /// A viewer's check over this connection was answered: it is the viewer's, if it is nobody's yet.
    pub fn belongs(&mut self, path: Path, viewer: K) {
        if let Some(connection) = self.open.get_mut(&path)
            && connection.owner.is_err()
        {
            connection.owner = Ok(viewer);
        }
    }

    /// Sends one datagram.
    pub fn send(&mut self, path: Path, datagram: &[u8]) -> Sent {
        self.send_all(path, std::iter::once(datagram))
    }

    /// Sends the packets of a batch.
    pub fn send_batch(&mut self, path: Path, batch: &Batch) -> Sent {
        self.send_all(path, batch.datagrams())
    }

    /// Closes a viewer's connections.
    pub fn forget(&mut self, viewer: K) {
        self.open
            .retain(|_, connection| connection.owner != Ok(viewer));
        self.lost.retain(|(owner, _)| *owner != viewer);
        self.count();
    }

    /// The next viewer that has lost a connection.
    pub fn poll_lost(&mut self) -> Option<(K, Path)> {
        self.lost.pop()
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn due(&self) -> Option<Instant> {
        let waiting = self.open.values();
        let waiting = waiting.filter_map(|connection| connection.owner.err());
        waiting.chain(self.paused).min()
    }

    /// Cuts off who has said nothing.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.paused = self.paused.filter(|until| *until > now);
        let late = |connection: &Connection<K>| connection.owner.is_err_and(|until| until <= now);
        let late: Vec<Path> = self
            .open
            .iter()
            .filter(|(_, connection)| late(connection))
            .map(|(path, _)| *path)
            .collect();
        for path in late {
            self.end(path, End::Refused);
        }
    }

    fn accept(&mut self, stream: TcpStream, now: Instant) -> io::Result<()> {
        let stream = Stream::new(stream);
        let (local, remote) = stream.addresses()?;
        let neighbour = network(remote);
        let neighbours = self.open.keys();
        let neighbours = neighbours.filter(|path| network(path.remote) == neighbour);
        if self.open.len() >= MAX_CONNECTIONS || neighbours.count() >= MAX_PER_ADDRESS {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let path = Path {
            local,
            remote,
            protocol: Protocol::Tcp,
        };
        let owner = Err(now + PATIENCE);
        self.open.insert(path, Connection { stream, owner });
        self.count();
        Ok(())
    }

    fn send_all<'a>(&mut self, path: Path, datagrams: impl Iterator<Item = &'a [u8]>) -> Sent {
        let Some(connection) = self.open.get_mut(&path) else {
            return Sent::Failed;
        };
        let stream = &mut connection.stream;
        let dropped = datagrams.filter(|datagram| !stream.push(datagram)).count();
        stream.flush();
        if dropped == 0 {
            return Sent::All;
        }
        let counter = &self.counters.dropped;
        counter.fetch_add(dropped as u64, Ordering::Relaxed);
        Sent::WouldBlock
    }

    fn end(&mut self, path: Path, end: End) {
        let Some(connection) = self.open.remove(&path) else {
            return;
        };
        if let Ok(viewer) = connection.owner {
            self.lost.push((viewer, path));
        }
        if end == End::Refused {
            tracing::debug!(remote = %path.remote, "a TCP connection is cut off");
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.count();
    }

    fn count(&self) {
        self.counters.open.store(self.open.len(), Ordering::Relaxed);
    }
}

/// What counts as one address: of IPv6 a whole /64, since every machine there has as many addresses as it likes.
fn network(address: SocketAddr) -> IpAddr {
    match address.ip() {
        IpAddr::V6(ip) => IpAddr::V6((u128::from(ip) >> 64 << 64).into()),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::io::{Read, Write};

    use super::*;
    use crate::framing::{Deframer, frame};
    use crate::stream::MAX_QUEUED;

    const VIEWER: u32 = 7;

    struct Camera {
        connections: Connections<u32>,
        listeners: Vec<TcpListener>,
        buffers: Buffers,
        seen: Vec<(Path, Option<u32>, Vec<u8>)>,
    }

    impl Camera {
        async fn start() -> Self {
            Self {
                connections: Connections::new(Arc::default()),
                listeners: vec![TcpListener::bind("127.0.0.1:0").await.unwrap()],
                buffers: Buffers::default(),
                seen: Vec::new(),
            }
        }

        /// A viewer's end, which blocks: what it waits for comes from the kernel.
        fn connect(&self) -> std::net::TcpStream {
            std::net::TcpStream::connect(self.listeners[0].local_addr().unwrap()).unwrap()
        }

        /// Serves connections until `until` holds; a viewer's check is `check` here.
        async fn serve(&mut self, until: impl Fn(&Self) -> bool) {
            while !until(self) {
                poll_fn(|cx| self.connections.poll_ready(&self.listeners, cx)).await;
                let seen = &mut self.seen;
                self.connections.receive(
                    &mut self.buffers,
                    Instant::now(),
                    |path, owner, datagram| {
                        seen.push((path, owner, datagram.to_vec()));
                        datagram == b"check"
                    },
                );
            }
        }

        fn open(&self) -> usize {
            self.connections.counters.open.load(Ordering::Relaxed)
        }

        fn refused(&self) -> u64 {
            self.connections.counters.refused.load(Ordering::Relaxed)
        }

        fn dropped(&self) -> u64 {
            self.connections.counters.dropped.load(Ordering::Relaxed)
        }
    }

    fn framed(datagrams: &[&[u8]]) -> Vec<u8> {
        let mut stream = Vec::new();
        datagrams
            .iter()
            .for_each(|datagram| frame(datagram, &mut stream));
        stream
    }

    #[tokio::test]
    async fn a_connection_is_the_viewers_whose_check_was_answered_over_it() {
        let mut camera = Camera::start().await;
        let mut viewer = camera.connect();
        viewer.write_all(&framed(&[b"check"])).unwrap();
        camera.serve(|camera| !camera.seen.is_empty()).await;
        let (path, owner, _) = camera.seen.remove(0);
        assert_eq!(path.remote, viewer.local_addr().unwrap());
        assert_eq!(path.local, viewer.peer_addr().unwrap());
        assert_eq!(owner, None);
        camera.connections.belongs(path, VIEWER);
        camera.connections.belongs(path, VIEWER + 1);
        assert_eq!(camera.connections.send(path, b"answer"), Sent::All);
        let mut answer = [0; 8];
        viewer.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"\0\x06answer");
        assert_eq!(camera.connections.due(), None);

        viewer.write_all(&framed(&[b"media"])).unwrap();
        camera.serve(|camera| !camera.seen.is_empty()).await;
        assert_eq!(camera.seen, [(path, Some(VIEWER), b"media".to_vec())]);

        drop(viewer);
        camera.serve(|camera| camera.open() == 0).await;
        assert_eq!(camera.connections.poll_lost(), Some((VIEWER, path)));
        assert_eq!(camera.connections.poll_lost(), None);
        assert_eq!(camera.connections.send(path, b"late"), Sent::Failed);
        assert_eq!(camera.refused(), 0);
    }

    #[tokio::test]
    async fn what_is_no_viewers_is_cut_off_and_counted() {
        let mut camera = Camera::start().await;
        for (at, nonsense) in [&b"GET / HTTP/1.1\r\n"[..], b"\0\x07nothing"]
            .into_iter()
            .enumerate()
        {
            let mut stranger = camera.connect();
            stranger.write_all(nonsense).unwrap();
            camera.serve(|camera| camera.refused() > at as u64).await;
            assert_eq!(camera.open(), 0);
        }
        // Silence is a matter of time.
        let mut silent = camera.connect();
        camera.serve(|camera| camera.open() == 1).await;
        let due = camera.connections.due().unwrap();
        camera
            .connections
            .handle_timeout(due - Duration::from_millis(1));
        assert_eq!(camera.open(), 1);
        camera.connections.handle_timeout(due);
        assert_eq!((camera.open(), camera.refused()), (0, 3));
        assert_eq!(silent.read(&mut [0]).unwrap(), 0);
        assert_eq!(camera.connections.poll_lost(), None);
    }

    #[tokio::test]
    async fn one_address_has_so_many_connections_and_no_more() {
        let mut camera = Camera::start().await;
        let crowd: Vec<_> = (0..MAX_PER_ADDRESS + 5).map(|_| camera.connect()).collect();
        camera.serve(|camera| camera.refused() == 5).await;
        assert_eq!(camera.open(), MAX_PER_ADDRESS);
        drop(crowd);
        camera.serve(|camera| camera.open() == 0).await;
    }

    #[tokio::test]
    async fn a_viewer_that_never_reads_costs_a_bounded_buffer_and_then_reads_whole_packets() {
        let mut camera = Camera::start().await;
        let mut viewer = camera.connect();
        viewer.write_all(&framed(&[b"check"])).unwrap();
        camera.serve(|camera| !camera.seen.is_empty()).await;
        let path = camera.seen[0].0;
        camera.connections.belongs(path, VIEWER);
        let packet = |number: u32| {
            let mut packet = vec![number as u8; 1000];
            packet[..4].copy_from_slice(&number.to_be_bytes());
            packet
        };
        let mut number = 0;
        while camera.dropped() < 100 {
            camera.connections.send(path, &packet(number));
            number += 1;
            assert!(camera.connections.open[&path].stream.queued() <= MAX_QUEUED);
            assert!(number < 100_000, "nothing is ever full");
        }
        assert_eq!(
            camera.connections.send(path, &packet(number)),
            Sent::WouldBlock
        );
        // It reads again: what it gets is in order and whole, and new packets come through.
        let (mut deframer, mut buffer, mut last) = (Deframer::default(), vec![0; 65_536], None);
        viewer.set_nonblocking(true).unwrap();
        let last_number = u32::MAX;
        while last != Some(last_number) {
            camera.connections.send(path, &packet(last_number));
            tokio::task::yield_now().await;
            let Ok(size) = viewer.read(&mut buffer) else {
                continue;
            };
            let mut bytes = &buffer[..size];
            while let Some(datagram) = deframer.next(&mut bytes).unwrap() {
                let number = u32::from_be_bytes(*datagram.first_chunk().unwrap());
                assert!(datagram == packet(number) && last.is_none_or(|last| number >= last));
                last = Some(number);
            }
        }
    }
}
