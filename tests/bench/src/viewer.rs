//! One viewer: ICE, DTLS, SRTP and RTCP like a browser's, and nothing decoded.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use serde::Serialize;
use socket2::SockRef;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{Extension, RtpPacket};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::{feed, rtp};

/// Room for what arrives while another viewer is served: a key frame for each of fifty at once.
const SOCKET_BUFFER: usize = 1 << 20;
/// Constrained baseline, level 3.1: what every browser offers.
const PROFILE: u32 = 0x42_e0_1f;

/// What a viewer has got so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    /// RTP packets of the picture, each once.
    pub packets: u64,
    /// Their payloads, in bytes.
    pub bytes: u64,
    /// Pictures whose last packet arrived.
    pub frames: u64,
    /// Of these, those that begin with an IDR slice.
    pub key_frames: u64,
    /// Packets that should have come by now and did not, also when asked for again.
    pub lost: u64,
    /// Datagrams of every kind.
    pub datagrams: u64,
}

impl Counts {
    /// What came since an earlier count.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            packets: self.packets - earlier.packets,
            bytes: self.bytes - earlier.bytes,
            frames: self.frames - earlier.frames,
            key_frames: self.key_frames - earlier.key_frames,
            lost: self.lost.saturating_sub(earlier.lost),
            datagrams: self.datagrams - earlier.datagrams,
        }
    }

    /// Adds another viewer's.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.frames += other.frames;
        self.key_frames += other.key_frames;
        self.lost += other.lost;
        self.datagrams += other.datagrams;
    }
}

/// A packet of the picture, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When.
    pub at: Instant,
    /// The RTP time in ticks of 1/90000 s, without wrapping.
    pub time: u64,
    /// Whether it is the first packet of a picture later than all before.
    pub begins: bool,
    /// Whether it is the last packet of its picture.
    pub ends: bool,
    /// Whether an IDR slice begins in it.
    pub idr: bool,
    /// How long before its arrival the picture was taken, by `abs-capture-time`.
    pub age: Option<Duration>,
}

/// A connection to a server, or on the way to one.
pub struct Viewer {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    pending: Option<SdpPendingOffer>,
    video: Mid,
    counts: Counts,
    /// The lowest and highest sequence number seen.
    range: Option<(u64, u64)>,
    latest: Option<u64>,
    /// When the picture of this RTP time was taken: said once a picture, if at all.
    captured: Option<(u64, SystemTime)>,
    begun: Instant,
    connected: Option<Duration>,
    first_frame: Option<Duration>,
    wake: Instant,
}

impl Viewer {
    /// A viewer on a socket of its own, and its offer: one H.264 picture, to receive.
    pub fn new(address: IpAddr, now: Instant) -> Result<(Self, String)> {
        let socket = UdpSocket::bind((address, 0))?;
        socket.set_nonblocking(true)?;
        SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER)?;
        let local = socket.local_addr()?;
        let mut config = RtcConfig::new().clear_codecs();
        let (picture, repair) = (feed::PAYLOAD_TYPE.into(), (feed::PAYLOAD_TYPE + 1).into());
        config
            .codec_config()
            .add_h264(picture, Some(repair), true, PROFILE);
        let mut rtc = config
            .set_extension(5, Extension::AbsoluteCaptureTime)
            .set_extension(6, Extension::PlayoutDelay)
            .set_rtp_mode(true)
            .build(now);
        rtc.add_local_candidate(Candidate::host(local, "udp")?);
        let mut changes = rtc.sdp_api();
        let video = changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = changes.apply().context("nothing to offer")?;
        let viewer = Self {
            rtc,
            socket,
            local,
            pending: Some(pending),
            video,
            counts: Counts::default(),
            range: None,
            latest: None,
            captured: None,
            begun: now,
            connected: None,
            first_frame: None,
            wake: now,
        };
        Ok((viewer, offer.to_sdp_string()))
    }

    /// Takes the server's answer.
    pub fn answered(&mut self, sdp: &str) -> Result<()> {
        let pending = self.pending.take().context("answered twice")?;
        let answer = SdpAnswer::from_sdp_string(sdp).context("the answer is no SDP")?;
        self.rtc.sdp_api().accept_answer(pending, answer)?;
        self.wake = Instant::now();
        Ok(())
    }

    /// Asks for a key frame (PLI); it leaves with the next [`Viewer::drive`], at once.
    pub fn request_key_frame(&mut self) {
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(self.video, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        self.wake = Instant::now();
    }

    /// Says goodbye to the server.
    pub fn close(&mut self) {
        // It fails only when it is closed already.
        let _ = self.rtc.close();
        self.wake = Instant::now();
        let _ = self.drive(Instant::now());
    }

    /// Whether the connection has not ended.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    /// What it got so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = self.counts;
        let expected = self.range.map_or(0, |(first, last)| last - first + 1);
        counts.lost = expected.saturating_sub(counts.packets);
        counts
    }

    /// From the offer to ICE and DTLS being done.
    #[must_use]
    pub fn connected(&self) -> Option<Duration> {
        self.connected
    }

    /// From the offer to the end of the first key frame.
    #[must_use]
    pub fn first_frame(&self) -> Option<Duration> {
        self.first_frame
    }

    /// When [`Viewer::drive`] is to be called at the latest.
    #[must_use]
    pub fn wake(&self) -> Instant {
        self.wake
    }

    /// The socket to wait on.
    #[must_use]
    pub fn socket(&self) -> &UdpSocket {
        &self.socket
    }

    /// Takes everything that has arrived.
    pub fn receive(&mut self, buffer: &mut [u8], each: &mut dyn FnMut(Seen)) -> Result<()> {
        loop {
            let (length, source) = match self.socket.recv_from(buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // The server has gone: ICE will notice.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error.into()),
            };
            let now = Instant::now();
            self.counts.datagrams += 1;
            let Ok(contents) = buffer[..length].try_into() else {
                continue;
            };
            self.rtc.handle_input(Input::Receive(
                now,
                Receive {
                    proto: Protocol::Udp,
                    source,
                    destination: self.local,
                    contents,
                },
            ))?;
            self.drain(now, each)?;
        }
    }

    /// Lets time pass.
    pub fn drive(&mut self, now: Instant) -> Result<()> {
        self.rtc.handle_input(Input::Timeout(now))?;
        self.drain(now, &mut |_| {})
    }

    /// Sends and reports what has come of the last input.
    fn drain(&mut self, now: Instant, each: &mut dyn FnMut(Seen)) -> Result<()> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.wake = at;
                    return Ok(());
                }
                Output::Transmit(datagram) => {
                    // Whatever does not leave is a lost datagram: all protocols here expect some.
                    let _ = self
                        .socket
                        .send_to(&datagram.contents, datagram.destination);
                }
                Output::Event(Event::RtpPacket(packet)) => each(self.took(&packet, now)),
                Output::Event(Event::Connected) => {
                    self.connected.get_or_insert(now - self.begun);
                }
                Output::Event(_) => {}
            }
        }
    }

    fn took(&mut self, packet: &RtpPacket, now: Instant) -> Seen {
        let sequence: u64 = *packet.seq_no;
        let (first, last) = self.range.unwrap_or((sequence, sequence));
        self.range = Some((first.min(sequence), last.max(sequence)));
        let time = packet.time.numer();
        let idr = rtp::begins_idr(&packet.payload);
        let begins = self.latest.is_none_or(|latest| time > latest);
        let ends = packet.header.marker;
        self.counts.packets += 1;
        self.counts.bytes += packet.payload.len() as u64;
        self.counts.frames += u64::from(ends);
        if idr {
            self.counts.key_frames += 1;
        }
        if begins {
            self.latest = Some(time);
        }
        if ends && self.counts.key_frames > 0 {
            self.first_frame.get_or_insert(now - self.begun);
        }
        if let Some(said) = packet.header.ext_vals.abs_capture_time {
            self.captured = Some((time, said.capture_time));
        }
        let captured = self.captured.filter(|(of, _)| *of == time);
        Seen {
            at: now,
            time,
            begins,
            ends,
            idr,
            age: captured.and_then(|(_, at)| SystemTime::now().duration_since(at).ok()),
        }
    }
}
