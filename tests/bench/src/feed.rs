//! One H.264 stream for every server: a file in Annex B, looped and paced, as RTP or as it is.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{annexb, rtp};

/// Ticks of the RTP clock a second.
const CLOCK: u64 = 90_000;
/// The payload type that peers are told to expect.
pub const PAYLOAD_TYPE: u8 = 96;

/// Where the stream goes.
pub enum Sink {
    /// RTP packets to this address.
    Rtp(SocketAddr),
    /// Annex B to standard output, until nobody reads it.
    Output,
}

/// Sends the pictures of a file, `fps` a second, again and again, until the process ends or the
/// output is closed.
pub fn run(file: &Path, fps: u32, sink: &Sink) -> Result<()> {
    let stream = fs::read(file)?;
    let pictures = annexb::pictures(&stream);
    if pictures.is_empty() {
        bail!("{} holds no H.264 pictures", file.display());
    }
    let mut sender = match sink {
        Sink::Rtp(address) => Some(Sender::new(*address)?),
        Sink::Output => None,
    };
    let begin = Instant::now();
    for (index, picture) in pictures.iter().cycle().enumerate() {
        let due = begin + Duration::from_secs_f64(index as f64 / f64::from(fps));
        thread::sleep(due.saturating_duration_since(Instant::now()));
        match &mut sender {
            Some(sender) => {
                let time = index as u64 * CLOCK / u64::from(fps);
                sender.send(picture, time as u32);
            }
            None => {
                let bytes: Vec<u8> = picture
                    .iter()
                    .flat_map(|unit| [&[0, 0, 0, 1], *unit].concat())
                    .collect();
                let mut output = std::io::stdout().lock();
                if output
                    .write_all(&bytes)
                    .and_then(|()| output.flush())
                    .is_err()
                {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// An RTP sender (RFC 3550) without reports.
struct Sender {
    socket: UdpSocket,
    sequence: u16,
}

impl Sender {
    fn new(address: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(address)?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    fn send(&mut self, picture: &[&[u8]], time: u32) {
        let mut packets = Vec::new();
        for unit in picture {
            rtp::payloads(unit, |payload| packets.push(payload.to_vec()));
        }
        let last = packets.len().saturating_sub(1);
        for (index, payload) in packets.iter().enumerate() {
            let marker = if index == last { 0x80 } else { 0 };
            let mut packet = vec![0x80, marker | PAYLOAD_TYPE];
            packet.extend(self.sequence.to_be_bytes());
            packet.extend(time.to_be_bytes());
            packet.extend(b"HERN");
            packet.extend(payload);
            self.sequence = self.sequence.wrapping_add(1);
            // Nobody may listen yet.
            let _ = self.socket.send(&packet);
        }
    }
}
