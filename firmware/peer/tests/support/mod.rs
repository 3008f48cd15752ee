//! A viewer of another stack (the core of the `webrtc` crate) and a link between it and a peer, in virtual time.

#![allow(dead_code)] // Each test file uses its part.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use heron_peer::{
    Batch, Certificate, LocalCandidate, MediaClock, Path, Peer, PeerConfig, PeerEvent, Rights,
    VideoCodec, VideoFrame,
};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rtc::data_channel::RTCDataChannelId;
use rtc::dtls::extension::extension_use_srtp::SrtpProtectionProfile;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{FlexFec03ReceiveBuilder, Registry, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_FLEX_FEC03, MIME_TYPE_OPUS, MediaEngine,
};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::event::{RTCDataChannelEvent, RTCPeerConnectionEvent, RTCTrackEvent};
use rtc::peer_connection::message::RTCMessage;
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::state::RTCPeerConnectionState;
use rtc::peer_connection::transport::{CandidateConfig, CandidateHostConfig, RTCIceCandidate};
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use rtc::rtp_transceiver::{
    RTCRtpReceiverId, RTCRtpSenderId, RTCRtpTransceiverDirection, RTCRtpTransceiverInit,
};
use rtc::sansio::Protocol;
use rtc::shared::{TaggedBytesMut, TransportContext, TransportProtocol};

pub const CAMERA: &str = "192.0.2.1:5000";
pub const VIEWER: &str = "192.0.2.9:6000";

/// One way of the link.
const DELAY: Duration = Duration::from_millis(10);

pub const ALL: Rights = Rights {
    video: true,
    audio: true,
    talk: true,
    control: true,
};

/// The viewer, and what it saw.
pub struct Viewer {
    pub pc: RTCPeerConnection,
    pub channel: RTCDataChannelId,
    pub channel_open: bool,
    pub messages: Vec<(Vec<u8>, bool)>,
    pub packets: Vec<rtp::Packet>,
    pub receivers: Vec<(RTCRtpReceiverId, u32)>,
    pub states: Vec<RTCPeerConnectionState>,
    pub talks: Option<RTCRtpSenderId>,
}

pub const MICROPHONE_SSRC: u32 = 77;

fn microphone_track() -> MediaStreamTrack {
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(MICROPHONE_SSRC),
            ..Default::default()
        },
        active: true,
        codec: RTCRtpCodec {
            mime_type: MIME_TYPE_OPUS.to_owned(),
            clock_rate: 48_000,
            channels: 2,
            ..RTCRtpCodec::default()
        },
        ..RTCRtpEncodingParameters::default()
    };
    let name = || "microphone".to_owned();
    MediaStreamTrack::new(name(), name(), name(), RtpCodecKind::Audio, vec![coding])
}

impl Viewer {
    pub fn new(now: Instant) -> Self {
        Self::with_microphone(now, false)
    }

    pub fn with_microphone(now: Instant, microphone: bool) -> Self {
        Self::build(now, microphone, Vec::new(), false)
    }

    /// A viewer that offers only these SRTP profiles.
    pub fn with_profiles(now: Instant, profiles: Vec<SrtpProtectionProfile>) -> Self {
        Self::build(now, false, profiles, false)
    }

    /// A viewer that offers FlexFEC and decodes it.
    pub fn with_fec(now: Instant) -> Self {
        Self::build(now, false, Vec::new(), true)
    }

    fn build(
        now: Instant,
        microphone: bool,
        profiles: Vec<SrtpProtectionProfile>,
        fec: bool,
    ) -> Self {
        let mut engine = MediaEngine::default();
        engine.register_default_codecs().unwrap();
        let mut registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
        if fec {
            let codec = RTCRtpCodecParameters {
                rtp_codec: RTCRtpCodec {
                    mime_type: MIME_TYPE_FLEX_FEC03.to_owned(),
                    clock_rate: 90_000,
                    sdp_fmtp_line: "repair-window=10000000".to_owned(),
                    ..RTCRtpCodec::default()
                },
                payload_type: 49,
            };
            engine.register_codec(codec, RtpCodecKind::Video).unwrap();
            registry = registry.with(Slot::FecDecoder, FlexFec03ReceiveBuilder::new().build());
        }
        let mut pc = RTCPeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(
                SettingEngineBuilder::new()
                    .with_multicast_dns_mode(MulticastDnsMode::Disabled)
                    .with_srtp_protection_profiles(profiles)
                    .build(),
            )
            .build(now)
            .unwrap();
        let mut talks = None;
        if microphone {
            talks = Some(pc.add_track(microphone_track()).unwrap());
        }
        let audio = (!microphone).then_some(RtpCodecKind::Audio);
        for kind in [Some(RtpCodecKind::Video), audio].into_iter().flatten() {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                ..Default::default()
            };
            pc.add_transceiver_from_kind(kind, Some(init)).unwrap();
        }
        let channel = pc.create_data_channel("control", None).unwrap().id();
        let mut viewer = Self {
            pc,
            channel,
            channel_open: false,
            messages: Vec::new(),
            packets: Vec::new(),
            receivers: Vec::new(),
            states: Vec::new(),
            talks,
        };
        viewer.add_candidate();
        viewer
    }

    pub fn add_candidate(&mut self) {
        let address: SocketAddr = VIEWER.parse().unwrap();
        let candidate = CandidateHostConfig {
            base_config: CandidateConfig {
                network: "udp".to_owned(),
                address: address.ip().to_string(),
                port: address.port(),
                component: 1,
                ..Default::default()
            },
            ..Default::default()
        }
        .new_candidate_host()
        .unwrap();
        let init = RTCIceCandidate::from(&candidate).to_json().unwrap();
        self.pc.add_local_candidate(init).unwrap();
    }

    pub fn offer(&mut self, now: Instant) -> String {
        let offer = self.pc.create_offer(None).unwrap();
        let sdp = offer.sdp.clone();
        self.pc.set_local_description(now, offer).unwrap();
        sdp
    }

    pub fn take_answer(&mut self, sdp: &str, now: Instant) {
        let answer = RTCSessionDescription::answer(sdp.to_owned()).unwrap();
        self.pc.set_remote_description(now, answer).unwrap();
    }

    fn poll(&mut self) {
        while let Some(event) = self.pc.poll_event() {
            match event {
                RTCPeerConnectionEvent::OnConnectionStateChangeEvent(state) => {
                    self.states.push(state);
                }
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnOpen(_)) => {
                    self.channel_open = true;
                }
                RTCPeerConnectionEvent::OnDataChannel(RTCDataChannelEvent::OnClose(_)) => {
                    self.channel_open = false;
                }
                RTCPeerConnectionEvent::OnTrack(RTCTrackEvent::OnOpen(init)) => {
                    self.receivers.push((init.receiver_id, init.ssrc));
                }
                _ => {}
            }
        }
        while let Some(message) = self.pc.poll_read() {
            match message.message {
                RTCMessage::RtpPacket(_, packet) => self.packets.push(packet),
                RTCMessage::DataChannelMessage(_, message) => {
                    self.messages
                        .push((message.data.to_vec(), message.is_string));
                }
                _ => {}
            }
        }
    }

    pub fn send_rtcp(&mut self, packet: Box<dyn rtc::rtcp::Packet>, ssrc: u32, now: Instant) {
        let (id, _) = self.receivers.iter().find(|(_, s)| *s == ssrc).unwrap();
        let mut receiver = self.pc.rtp_receiver(*id).unwrap();
        receiver.write_rtcp(now, vec![packet]).unwrap();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Camera,
    Viewer,
}

type Loss = Box<dyn FnMut(&[u8]) -> bool>;

/// A peer and a viewer with a link between them.
pub struct Link {
    pub now: Instant,
    pub start: Instant,
    pub viewer: Viewer,
    pub peer: Peer,
    pub events: Vec<PeerEvent>,
    pub rng: StdRng,
    /// Both directions are cut.
    pub cut: bool,
    /// Says of each datagram to the viewer whether it is lost.
    pub lose: Loss,
    wire: Vec<(Instant, To, Path, Vec<u8>)>,
}

pub fn config(now: Instant) -> PeerConfig {
    let certificate = Arc::new(Certificate::generate().unwrap());
    let clock = MediaClock::new(now, 1_000_000_000, SystemTime::now());
    let mut config = PeerConfig::new(certificate, ALL, clock);
    config.candidates = vec![LocalCandidate::host(CAMERA.parse().unwrap())];
    config
}

impl Link {
    /// Offer and answer are exchanged; nothing has moved on the link yet. `change` may alter the offer on its way.
    pub fn with_offer(change: impl Fn(String) -> String) -> Self {
        let now = Instant::now();
        Self::with_viewer(Viewer::new(now), now, change)
    }

    pub fn with_viewer(viewer: Viewer, now: Instant, change: impl Fn(String) -> String) -> Self {
        Self::with_config(viewer, config(now), now, change)
    }

    /// With a camera whose picture is of `codec`.
    pub fn with_codec(viewer: Viewer, now: Instant, codec: VideoCodec) -> Self {
        let mut config = config(now);
        config.video_codec = codec;
        Self::with_config(viewer, config, now, |offer| offer)
    }

    fn with_config(
        mut viewer: Viewer,
        config: PeerConfig,
        now: Instant,
        change: impl Fn(String) -> String,
    ) -> Self {
        let offer = change(viewer.offer(now));
        let mut rng = StdRng::seed_from_u64(7);
        let (peer, answer) = Peer::answer(config, &offer, now, &mut rng).unwrap();
        viewer.take_answer(&answer.sdp, now);
        Self {
            now,
            start: now,
            viewer,
            peer,
            events: Vec::new(),
            rng,
            cut: false,
            lose: Box::new(|_| false),
            wire: Vec::new(),
        }
    }

    pub fn new() -> Self {
        Self::with_offer(|offer| offer)
    }

    /// Up and running.
    pub fn connected() -> Self {
        let mut link = Self::new();
        link.run_until("connected", |link| {
            link.peer.is_connected() && link.viewer.channel_open
        });
        link
    }

    /// Moves what both ends have to say, then to the next instant at which something is due.
    pub fn step(&mut self) {
        let far = self.now + Duration::from_secs(3600);
        self.step_until(far);
    }

    fn step_until(&mut self, end: Instant) {
        self.collect();
        let next = [
            self.wire.iter().map(|(at, ..)| *at).min(),
            self.peer.poll_timeout(),
            self.viewer.pc.poll_timeout(),
        ];
        let next = next.into_iter().flatten().min().unwrap();
        self.now = next.max(self.now + Duration::from_micros(100)).min(end);
        let due: Vec<_> = {
            let now = self.now;
            let (due, later) = self.wire.drain(..).partition(|(at, ..)| *at <= now);
            self.wire = later;
            due
        };
        for (_, to, path, bytes) in due {
            if self.cut {
                continue;
            }
            match to {
                To::Camera => self.peer.handle_datagram(path, &bytes, self.now),
                To::Viewer => {
                    let _ = self.viewer.pc.handle_read(TaggedBytesMut {
                        now: self.now,
                        transport: TransportContext {
                            local_addr: path.local,
                            peer_addr: path.remote,
                            ecn: None,
                            transport_protocol: TransportProtocol::UDP,
                        },
                        message: BytesMut::from(&bytes[..]),
                    });
                }
            }
        }
        self.peer.handle_timeout(self.now);
        let _ = self.viewer.pc.handle_timeout(self.now);
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(transmit) = self.peer.poll_transmit() {
            self.send(transmit.path, transmit.bytes);
        }
        while let Some(event) = self.peer.poll_event() {
            self.events.push(event);
        }
        while let Some(message) = self.viewer.pc.poll_write() {
            let path = Path::udp(message.transport.peer_addr, message.transport.local_addr);
            self.wire
                .push((self.now + DELAY, To::Camera, path, message.message.to_vec()));
        }
        self.viewer.poll();
    }

    /// A datagram of the camera's.
    fn send(&mut self, path: Path, bytes: Vec<u8>) {
        if !(self.lose)(&bytes) {
            let back = Path::udp(path.remote, path.local);
            self.wire.push((self.now + DELAY, To::Viewer, back, bytes));
        }
    }

    /// Sends what a batch holds, and empties it.
    pub fn send_batch(&mut self, batch: &mut Batch) {
        let path = self.peer.selected().unwrap().path;
        let datagrams: Vec<_> = batch.datagrams().map(<[u8]>::to_vec).collect();
        for bytes in datagrams {
            self.send(path, bytes);
        }
        batch.clear();
    }

    /// Runs until something holds, for at most a minute of the link's time.
    pub fn run_until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let end = self.now + Duration::from_secs(60);
        while !holds(self) {
            assert!(self.now < end, "not {what} in time; {:?}", self.events);
            self.step();
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step_until(end);
        }
    }
}

/// An access unit of one picture of about `size` bytes, distinguishable by its `number`.
pub fn access_unit(number: u8, key: bool, size: usize) -> Bytes {
    let mut unit = Vec::new();
    if key {
        unit.extend([
            0,
            0,
            0,
            1,
            0x67,
            0x42,
            0xe0,
            0x1f,
            number | 1,
            0,
            0,
            0,
            1,
            0x68,
            0xce,
            2,
        ]);
    }
    unit.extend([0, 0, 0, 1, if key { 0x65 } else { 0x41 }]);
    unit.extend((0..size).map(|i| (i % 251) as u8 | 2));
    unit.push(number | 1);
    unit.into()
}

pub fn frame(number: u8, key: bool, size: usize, captured_ns: u64) -> VideoFrame {
    VideoFrame::h264(&access_unit(number, key, size), key, captured_ns)
}

/// RFC 6184 read the other way: packets in order to an Annex-B stream.
pub fn depacketise(packets: &[&rtp::Packet]) -> Vec<u8> {
    const START: [u8; 4] = [0, 0, 0, 1];
    let mut data = Vec::new();
    for packet in packets {
        let payload = &packet.payload;
        match payload[0] & 0x1f {
            24 => {
                let mut rest = &payload[1..];
                while let [high, low, tail @ ..] = rest {
                    let size = usize::from(u16::from_be_bytes([*high, *low]));
                    data.extend(START.iter().chain(&tail[..size]));
                    rest = &tail[size..];
                }
            }
            28 => {
                if payload[1] & 0x80 != 0 {
                    data.extend(START);
                    data.push(payload[0] & 0xe0 | payload[1] & 0x1f);
                }
                data.extend(&payload[2..]);
            }
            _ => data.extend(START.iter().chain(payload)),
        }
    }
    data
}
