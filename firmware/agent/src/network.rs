//! When this machine's network changes: a link comes or goes, an address, a route (rtnetlink(7)).
//!
//! Whoever keeps a connection then looks for itself what became of it, so nothing is read from the kernel's messages:
//! that there was one is the news. They come in bursts, one for each address and route of an interface, and count as
//! one change. Where the kernel does not tell (another system, a sandbox without netlink) that is said once, and no
//! change is ever seen: connections then end by their own deadlines, as they did before.

use std::future::pending;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, socket,
};
use tokio::net::UnixDatagram;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

/// A burst is over after so long without a message,
const QUIET: Duration = Duration::from_millis(100);
/// and counts as over after so long in any case.
const BURST: Duration = Duration::from_millis(500);

/// The multicast groups of `<linux/rtnetlink.h>`, as bits of an address: links, addresses and routes.
mod group {
    pub const LINK: u32 = 0x1;
    pub const IPV4_ADDRESS: u32 = 0x10;
    pub const IPV4_ROUTE: u32 = 0x40;
    pub const IPV6_ADDRESS: u32 = 0x100;
    pub const IPV6_ROUTE: u32 = 0x400;
}

/// Watches the network of the namespace in which it was made. Clones see the same changes, each for itself.
#[derive(Debug, Clone)]
pub struct NetworkWatch {
    /// Closed where the kernel does not tell.
    changes: watch::Receiver<()>,
}

impl NetworkWatch {
    /// Begins to watch, until all clones are dropped. Must be called within a Tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        let (news, changes) = watch::channel(());
        match open() {
            Ok(socket) => {
                tokio::spawn(run(socket, news));
            }
            Err(error) => warn!("changes of the network are not noticed at once: netlink: {error}"),
        }
        Self { changes }
    }

    /// The next change; what happened since the last call is one. May be dropped and called again.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

impl Default for NetworkWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn open() -> io::Result<UnixDatagram> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkRoute,
    )?;
    let groups = group::LINK
        | group::IPV4_ADDRESS
        | group::IPV4_ROUTE
        | group::IPV6_ADDRESS
        | group::IPV6_ROUTE;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    // To receive, a socket of datagrams is as good as another; Tokio has none for netlink.
    UnixDatagram::from_std(std::os::unix::net::UnixDatagram::from(socket))
}

async fn run(socket: UnixDatagram, news: watch::Sender<()>) {
    loop {
        tokio::select! {
            burst = burst(&socket) => match burst {
                Ok(()) => {
                    news.send_replace(());
                }
                Err(error) => {
                    warn!("changes of the network are not noticed any more: netlink: {error}");
                    return;
                }
            },
            () = news.closed() => return,
        }
    }
}

/// Waits for a message, and then until no more come.
async fn burst(socket: &UnixDatagram) -> io::Result<()> {
    message(socket).await?;
    let latest = Instant::now() + BURST;
    loop {
        let quiet = (Instant::now() + QUIET).min(latest);
        match timeout_at(quiet, message(socket)).await {
            Ok(message) => message?,
            Err(_) => return Ok(()),
        }
        if Instant::now() >= latest {
            return Ok(());
        }
    }
}

/// Takes a message out of the socket.
async fn message(socket: &UnixDatagram) -> io::Result<()> {
    // What does not fit is cut off, which is just as well.
    match socket.recv(&mut [0; 64]).await {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(_) => Ok(()),
        // Overrun: messages were lost, so there were some.
        Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => Ok(()),
        Err(error) => Err(error),
    }
}
