//! Load for any TURN server: `load SECRET SERVER PEERS ALLOCATIONS BURST SECONDS`.
//!
//! Each allocation has a channel to a peer socket of this program, and packets of 1000 bytes go both ways: bursts of
//! so many at once, as a camera sends its pictures, with at most a window of them under way, so that as much is
//! offered as is relayed. Prints `{"relayed":packets,"seconds":s,"lost":packets,"all":packets}`; `all` has the
//! warm-up, too.

#[path = "../tests/server/client.rs"]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    dead_code,
    reason = "the tests' client, which panics and can do more than is measured"
)]
mod client;

use std::error::Error;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use client::{Client, channel_data};
use heron_turn::{End, Holder, Secret, mint};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

const PAYLOAD: usize = 1000;
const CHANNEL: u16 = 0x4000;
/// Packets under way in all.
const WINDOW: usize = 240;
/// What has not come by then is lost.
const LOST: Duration = Duration::from_millis(100);
const WARM_UP: Duration = Duration::from_millis(500);

/// One way of one allocation.
struct Lane {
    sender: Batched,
    receiver: usize,
    to: SocketAddr,
    burst: Vec<u8>,
    packet: usize,
}

struct Batched {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Batched {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let buffer = socket2::SockRef::from(&socket);
        let _ = buffer.set_recv_buffer_size(4 * 1024 * 1024);
        Ok(Self {
            state: UdpSocketState::new((&socket).into())?,
            socket,
        })
    }

    fn send(&self, to: SocketAddr, bytes: &[u8], packet: usize) -> io::Result<()> {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: Some(packet),
            src_ip: None,
        };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    /// How many packets were there.
    fn drain(&self, buffers: &mut [u8]) -> usize {
        const BATCH: usize = 16;
        let mut metas = [RecvMeta::default(); BATCH];
        let mut chunks = buffers.chunks_mut(buffers.len() / BATCH);
        let mut slices: [IoSliceMut<'_>; BATCH] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        match self
            .state
            .recv((&self.socket).into(), &mut slices, &mut metas)
        {
            Ok(count) => metas[..count]
                .iter()
                .map(|meta| meta.len.div_ceil(meta.stride.max(1)))
                .sum(),
            Err(_) => 0,
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [secret, server, peers, allocations, burst, seconds] = &arguments[..] else {
        return Err("usage: load SECRET SERVER PEERS ALLOCATIONS BURST SECONDS".into());
    };
    let (server, peers): (SocketAddr, IpAddr) = (server.parse()?, peers.parse()?);
    let (allocations, burst): (usize, usize) = (allocations.parse()?, burst.parse()?);
    let length = Duration::from_secs_f64(seconds.parse()?);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;

    let mut lanes = Vec::new();
    for number in 0..allocations {
        let holder = Holder {
            tenant: "bench".into(),
            device: "load".into(),
            session: number.to_string(),
            end: End::Device,
        };
        let secret = Secret::new(secret.as_bytes());
        let who = mint(&secret, holder, now.as_secs(), Duration::from_secs(600));
        let peer = UdpSocket::bind((peers, 0))?;
        let mut client = Client::udp(server, who);
        let refused = |code| format!("allocation {number} was refused with {code}");
        let relayed = client.allocate(&[]).map_err(refused)?[0];
        client.bind(CHANNEL, peer.local_addr()?).map_err(refused)?;
        let framed = channel_data(CHANNEL, &[7; PAYLOAD]);
        lanes.push(Lane {
            sender: Batched::new(client.into_socket())?,
            receiver: lanes.len() + 1,
            to: server,
            burst: framed.repeat(burst),
            packet: framed.len(),
        });
        lanes.push(Lane {
            sender: Batched::new(peer)?,
            receiver: lanes.len() - 1,
            to: relayed,
            burst: vec![7; PAYLOAD * burst],
            packet: PAYLOAD,
        });
    }

    let mut buffers = vec![0; 16 * 65_536];
    let window = (WINDOW / lanes.len()).max(burst);
    let mut under_way = vec![0_usize; lanes.len()];
    let mut last_seen = vec![Instant::now(); lanes.len()];
    let (mut relayed, mut lost, mut before) = (0, 0, 0);
    let mut start = Instant::now();
    let mut warm = false;
    loop {
        let now = Instant::now();
        if !warm && now - start > WARM_UP {
            before = relayed;
            (warm, start, relayed, lost) = (true, now, 0, 0);
        }
        if warm && now - start >= length {
            break;
        }
        for (number, lane) in lanes.iter().enumerate() {
            while under_way[number] + burst <= window {
                if lane.sender.send(lane.to, &lane.burst, lane.packet).is_err() {
                    break;
                }
                under_way[number] += burst;
            }
            let seen = lanes[lane.receiver].sender.drain(&mut buffers);
            relayed += seen;
            if seen > 0 {
                under_way[number] = under_way[number].saturating_sub(seen);
                last_seen[number] = now;
            } else if under_way[number] > 0 && now - last_seen[number] > LOST {
                lost += std::mem::take(&mut under_way[number]);
                last_seen[number] = now;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    #[allow(clippy::print_stdout, reason = "its result")]
    {
        let all = before + relayed;
        println!(
            "{{\"relayed\":{relayed},\"seconds\":{seconds:.3},\"lost\":{lost},\"all\":{all}}}"
        );
    }
    Ok(())
}
