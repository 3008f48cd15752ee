//! The viewer's side.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use heron_protocol::SessionId;
use heron_protocol::messages::{Candidate, EndReason, IceServer, RtcDown, RtcUp};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::rtcp;
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState, RTCSessionDescription,
};

use super::{Camera, LOOPBACK, PATIENCE};

/// What the viewer's side tells the test.
#[derive(Debug)]
pub enum Seen {
    Candidate(RTCIceCandidateInit),
    State(RTCPeerConnectionState),
    Rtp(RtpCodecKind, rtp::Packet),
}

struct Handler(
    mpsc::UnboundedSender<Seen>,
    mpsc::UnboundedSender<Arc<dyn TrackRemote>>,
);

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let _ = self
            .0
            .send(Seen::Candidate(event.candidate.to_json().unwrap()));
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let _ = self.0.send(Seen::State(state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.1.send(Arc::clone(&track));
        let seen = self.0.clone();
        tokio::spawn(async move {
            let kind = track.kind().await;
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    let _ = seen.send(Seen::Rtp(kind, packet));
                }
            }
        });
    }
}

/// A browser's stand-in: a second peer connection that receives.
pub struct Viewer {
    pub peer: Arc<dyn PeerConnection>,
    pub session: SessionId,
    pub offer: String,
    pub seen: mpsc::UnboundedReceiver<Seen>,
    /// The channel for calls.
    pub control: Arc<dyn DataChannel>,
    tracks: mpsc::UnboundedReceiver<Arc<dyn TrackRemote>>,
    video: Option<Arc<dyn TrackRemote>>,
    pub next_seq: u32,
}

impl Viewer {
    /// A viewer with its offer, not yet sent.
    pub async fn new(session: u128) -> Self {
        Self::at(session, vec![LOOPBACK], vec![]).await
    }

    /// One whose network lets no UDP through.
    pub async fn over_tcp(session: u128) -> Self {
        Self::at(session, vec![], vec![LOOPBACK]).await
    }

    /// One with sockets at these addresses.
    pub async fn at(session: u128, udp: Vec<&'static str>, tcp: Vec<&'static str>) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let (track_sender, tracks) = mpsc::unbounded_channel();
        let mut engine = MediaEngine::default();
        engine.register_default_codecs().unwrap();
        let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
        let building = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(
                SettingEngineBuilder::new()
                    .with_multicast_dns_mode(MulticastDnsMode::Disabled)
                    .build(),
            )
            .with_handler(Arc::new(Handler(sender, track_sender)))
            .with_udp_addrs(udp)
            .with_tcp_addrs(tcp)
            .build();
        let peer = Box::pin(building).await.unwrap();
        for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
            let direction = RTCRtpTransceiverDirection::Recvonly;
            let init = RTCRtpTransceiverInit {
                direction,
                ..Default::default()
            };
            peer.add_transceiver_from_kind(kind, Some(init))
                .await
                .unwrap();
        }
        let control = peer.create_data_channel("control", None).await.unwrap();
        let offer = peer.create_offer(None).await.unwrap();
        let sdp = offer.sdp.clone();
        peer.set_local_description(offer).await.unwrap();
        let peer: Arc<dyn PeerConnection> = Arc::new(peer);
        Self {
            peer,
            session: SessionId::from_bits(session),
            offer: sdp,
            seen,
            control,
            tracks,
            video: None,
            next_seq: 1,
        }
    }

    /// Opens the session and carries candidates both ways until media can flow.
    pub async fn connect(&mut self, camera: &mut Camera) {
        let grant = camera.grant(&self.session, &self.offer);
        camera.open(&self.session, &grant, &self.offer);
        self.take_answer(camera).await;
        self.wait_connected(camera).await;
    }

    /// Waits for the answer and applies it.
    pub async fn take_answer(&mut self, camera: &mut Camera) -> (String, String) {
        let (sdp, proof) = Self::answer(&self.session, camera).await;
        self.apply(&sdp).await;
        (sdp, proof)
    }

    /// Waits for the answer: the SDP and the proof.
    pub async fn answer(session: &SessionId, camera: &mut Camera) -> (String, String) {
        camera
            .message(session, "Answer", |message| match message {
                RtcUp::Answer { sdp, proof, .. } => Some((sdp.clone(), proof.clone())),
                _ => None,
            })
            .await
    }

    /// Adds candidates of the camera as they come, as soon as one is there; returns the first of them.
    pub async fn take_candidates(&mut self, camera: &mut Camera) -> Vec<Candidate> {
        let candidates = camera
            .message(&self.session, "Candidates", |message| match message {
                RtcUp::Candidates { candidates, .. } => Some(candidates.clone()),
                _ => None,
            })
            .await;
        for candidate in &candidates {
            let init = RTCIceCandidateInit {
                candidate: candidate.candidate.clone(),
                sdp_mline_index: candidate.sdp_m_line_index,
                ..Default::default()
            };
            self.peer.add_ice_candidate(init).await.unwrap();
        }
        candidates
    }

    /// Begins a restart of ICE, and takes the answer.
    pub async fn restart(&mut self, camera: &mut Camera, ice_servers: Vec<IceServer>) -> String {
        let options = RTCOfferOptions { ice_restart: true };
        let offer = self.peer.create_offer(Some(options)).await.unwrap();
        let sdp = offer.sdp.clone();
        self.peer.set_local_description(offer).await.unwrap();
        let grant = camera.grant(&self.session, &sdp);
        camera.hub.handle(
            &self.session,
            RtcDown::Restart {
                seq: 1000 + self.next_seq,
                grant: grant.sign(&camera.control_key).unwrap(),
                offer: sdp,
                ice_servers,
            },
        );
        self.next_seq += 1;
        self.take_answer(camera).await.0
    }

    pub async fn apply(&self, answer: &str) {
        let answer = RTCSessionDescription::answer(answer.to_owned()).unwrap();
        self.peer.set_remote_description(answer).await.unwrap();
    }

    /// Opens the session knowing only of the camera's TCP candidates, until media can flow. `through` is where it
    /// connects to reach the camera's address.
    pub async fn connect_over_tcp(
        &mut self,
        camera: &mut Camera,
        through: impl Fn(SocketAddr) -> SocketAddr,
    ) {
        let grant = camera.grant(&self.session, &self.offer);
        camera.open(&self.session, &grant, &self.offer);
        let (answer, _) = Self::answer(&self.session, camera).await;
        let (candidates, rest): (Vec<&str>, Vec<&str>) = answer
            .lines()
            .partition(|line| line.starts_with("a=candidate:"));
        self.apply(&(rest.join("\r\n") + "\r\n")).await;
        for candidate in candidates.iter().filter(|line| line.contains(" tcp ")) {
            let words: Vec<&str> = candidate.split(' ').collect();
            let (ip, port) = (words[4], words[5]);
            let at = through(format!("{ip}:{port}").parse().unwrap());
            let candidate = candidate.trim_start_matches("a=").replace(
                &format!(" {ip} {port} "),
                &format!(" {} {} ", at.ip(), at.port()),
            );
            let init = RTCIceCandidateInit {
                candidate,
                sdp_mline_index: Some(0),
                ..Default::default()
            };
            self.peer.add_ice_candidate(init).await.unwrap();
        }
        self.wait_connected(camera).await;
    }

    pub async fn wait_connected(&mut self, camera: &mut Camera) {
        loop {
            match self.next().await {
                Seen::Candidate(init) => self.send_candidate(camera, &init),
                Seen::State(RTCPeerConnectionState::Connected) => break,
                _ => {}
            }
        }
    }

    pub fn send_candidate(&mut self, camera: &Camera, init: &RTCIceCandidateInit) {
        let candidate = Candidate {
            candidate: init.candidate.clone(),
            sdp_mid: init.sdp_mid.clone(),
            sdp_m_line_index: init.sdp_mline_index,
            username_fragment: None,
        };
        camera.hub.handle(
            &self.session,
            RtcDown::Candidates {
                seq: self.next_seq,
                candidates: vec![candidate],
            },
        );
        self.next_seq += 1;
    }

    pub fn close(&mut self, camera: &Camera) {
        camera.hub.handle(
            &self.session,
            RtcDown::Close {
                seq: self.next_seq,
                reason: EndReason::ViewerClosed,
            },
        );
        self.next_seq += 1;
    }

    pub async fn next(&mut self) -> Seen {
        timeout(PATIENCE, self.seen.recv())
            .await
            .expect("the viewer sees something")
            .unwrap()
    }

    /// The next packet of `kind`.
    pub async fn packet(&mut self, kind: RtpCodecKind) -> rtp::Packet {
        loop {
            if let Seen::Rtp(seen, packet) = self.next().await
                && seen == kind
            {
                return packet;
            }
        }
    }

    /// The next access unit, put together again in Annex-B form, and its packets.
    pub async fn frame(&mut self) -> (Bytes, Vec<rtp::Packet>) {
        let mut packets = Vec::new();
        let mut data = Vec::new();
        loop {
            let packet = self.packet(RtpCodecKind::Video).await;
            depacketise(&packet.payload, &mut data);
            let last = packet.header.marker;
            packets.push(packet);
            if last {
                return (data.into(), packets);
            }
        }
    }

    /// Sends RTCP about the picture, as a decoder does that cannot go on.
    pub async fn send_rtcp(&mut self, make: impl Fn(u32) -> Box<dyn rtcp::Packet>) {
        while self.video.is_none() {
            let track = timeout(PATIENCE, self.tracks.recv())
                .await
                .expect("a track comes")
                .unwrap();
            if track.kind().await == RtpCodecKind::Video {
                self.video = Some(track);
            }
        }
        let track = self.video.as_ref().unwrap();
        let ssrc = track.ssrcs().await[0];
        track.write_rtcp(vec![make(ssrc)]).await.unwrap();
    }

    /// What comes next on the control channel.
    pub async fn hear(&self) -> Value {
        let hear = async {
            loop {
                let event = self.control.poll().await.expect("the channel is open");
                if let DataChannelEvent::OnMessage(message) = event {
                    return serde_json::from_slice(&message.data).unwrap();
                }
            }
        };
        timeout(PATIENCE, hear).await.expect("something is said")
    }

    /// Waits until the control channel is open.
    pub async fn reach(&self) {
        let open =
            async { while !matches!(self.control.poll().await, Some(DataChannelEvent::OnOpen)) {} };
        timeout(PATIENCE, open).await.expect("the channel opens");
    }

    /// Calls a method and waits for the answer.
    pub async fn call(&self, method: &str, params: Value) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.control.send_text(&call.to_string()).await.unwrap();
        self.hear().await
    }
}

/// RFC 6184 read the other way.
fn depacketise(payload: &Bytes, data: &mut Vec<u8>) {
    const START: [u8; 4] = [0, 0, 0, 1];
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
