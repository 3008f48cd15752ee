//! How large a packet may be on the way to a server: binding requests that must not be cut up (RFC 8899's idea).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rtc_stun::message::Message;
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::stun;
use super::wire::socket;

/// IP packets that mean something: Ethernet, PPPoE, and what tunnels, mobile networks and IPv6 leave of it.
const SIZES: [usize; 8] = [1500, 1492, 1480, 1460, 1420, 1400, 1352, 1280];
/// What Heron sends at most: 1200 bytes of RTP with its headers, through a relay.
pub const NEEDED: usize = 1280;
/// Each size is tried so often.
const TRIES: usize = 3;
/// How long answers may take.
const ANSWER: Duration = Duration::from_millis(500);

/// The largest size in bytes, headers included, at which a packet arrived; `None` when none did.
pub async fn path(server: SocketAddr) -> io::Result<Option<usize>> {
    let socket = socket(server).await?;
    // The kernel neither cuts a packet up nor trusts what it knows of the path.
    match server {
        SocketAddr::V4(_) => set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?,
        SocketAddr::V6(_) => set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?,
    }
    socket.connect(server).await?;
    let headers = if server.is_ipv4() { 28 } else { 48 };
    let asked: Vec<_> = SIZES
        .iter()
        .map(|size| (*size, stun::padded(size - headers)))
        .collect();
    let mut largest = None;
    for _ in 0..TRIES {
        for (size, request) in &asked {
            if largest.is_none_or(|largest| *size > largest) {
                // Too large for this machine's own link, or an earlier one was turned back.
                let _ = socket.send(&request.raw).await;
            }
        }
        let deadline = Instant::now() + ANSWER;
        while largest != Some(SIZES[0]) {
            let Ok(size) = timeout_at(deadline, arrived(&socket, &asked)).await else {
                break;
            };
            largest = largest.max(size);
        }
    }
    Ok(largest)
}

/// The size of the next request that was answered.
async fn arrived(socket: &UdpSocket, asked: &[(usize, Message)]) -> Option<usize> {
    let mut bytes = vec![0; 2048];
    let size = socket.recv(&mut bytes).await.ok()?;
    let answered = asked
        .iter()
        .find(|(_, request)| stun::answer(&bytes[..size], request).is_some());
    answered.map(|(size, _)| *size)
}
