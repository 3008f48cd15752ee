//! A player that is not ours: a peer connection of the `webrtc` crate that joins by WHEP.

use std::sync::Arc;

use async_trait::async_trait;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::Registry;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCPeerConnectionState, RTCSessionDescription,
};

use super::running::PATIENCE;

/// What the player notices.
#[derive(Debug, PartialEq)]
enum Seen {
    State(RTCPeerConnectionState),
    Packet(RtpCodecKind),
}

struct Handler(mpsc::UnboundedSender<Seen>);

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let _ = self.0.send(Seen::State(state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let seen = self.0.clone();
        tokio::spawn(async move {
            let kind = track.kind().await;
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(_) = event {
                    let _ = seen.send(Seen::Packet(kind));
                }
            }
        });
    }
}

/// A player with its offer.
pub struct Player {
    peer: Arc<dyn PeerConnection>,
    /// The offer; whole, since a player by itself needs no candidates of its own.
    pub offer: String,
    control: Arc<dyn DataChannel>,
    seen: mpsc::UnboundedReceiver<Seen>,
    calls: u64,
}

impl Player {
    pub async fn new() -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let mut engine = MediaEngine::default();
        engine.register_default_codecs().unwrap();
        let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
        let settings = SettingEngineBuilder::new()
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .build();
        let building = PeerConnectionBuilder::new()
            .with_configuration(RTCConfigurationBuilder::new().build())
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_setting_engine(settings)
            .with_handler(Arc::new(Handler(sender)))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build();
        let peer = Box::pin(building).await.unwrap();
        for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Recvonly,
                ..RTCRtpTransceiverInit::default()
            };
            let added = peer.add_transceiver_from_kind(kind, Some(init)).await;
            added.unwrap();
        }
        let control = peer.create_data_channel("control", None).await.unwrap();
        let offer = peer.create_offer(None).await.unwrap();
        let sdp = offer.sdp.clone();
        peer.set_local_description(offer).await.unwrap();
        Self {
            peer: Arc::new(peer),
            offer: sdp,
            control,
            seen,
            calls: 0,
        }
    }

    /// Takes the answer.
    pub async fn answered(&self, sdp: &str) {
        let answer = RTCSessionDescription::answer(sdp.to_owned()).unwrap();
        self.peer.set_remote_description(answer).await.unwrap();
    }

    /// Waits until it is connected.
    pub async fn connects(&mut self) {
        let connected = |seen: &Seen| *seen == Seen::State(RTCPeerConnectionState::Connected);
        self.until("connected", connected).await;
    }

    /// Waits until it notices that the camera is gone.
    pub async fn is_left(&mut self) {
        use RTCPeerConnectionState::{Closed, Disconnected, Failed};
        let gone = [Disconnected, Failed, Closed].map(Seen::State);
        self.until("left alone", |seen| gone.contains(seen)).await;
    }

    /// Waits for so many packets.
    pub async fn receives(&mut self, kind: RtpCodecKind, packets: usize) {
        for _ in 0..packets {
            self.until("sent media", |seen| *seen == Seen::Packet(kind))
                .await;
        }
    }

    async fn until(&mut self, what: &str, wanted: impl Fn(&Seen) -> bool) {
        loop {
            let seen = timeout(PATIENCE, self.seen.recv()).await;
            let seen = seen.unwrap_or_else(|_| panic!("the player is never {what}"));
            if wanted(&seen.expect("the player goes on")) {
                return;
            }
        }
    }

    /// Waits until the camera can be called.
    pub async fn reaches(&self) {
        let open =
            async { while !matches!(self.control.poll().await, Some(DataChannelEvent::OnOpen)) {} };
        timeout(PATIENCE, open).await.expect("the channel opens");
    }

    /// Calls a method; returns the whole answer.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        self.calls += 1;
        let mut call = json!({"jsonrpc": "2.0", "id": self.calls, "method": method});
        if !params.is_null() {
            call["params"] = params;
        }
        self.control.send_text(&call.to_string()).await.unwrap();
        let hear = async {
            loop {
                let event = self.control.poll().await.expect("the channel is open");
                if let DataChannelEvent::OnMessage(message) = event {
                    let said: Value = serde_json::from_slice(&message.data).unwrap();
                    if said["id"] == self.calls {
                        return said;
                    }
                }
            }
        };
        let answer = timeout(PATIENCE, hear).await;
        answer.unwrap_or_else(|_| panic!("no answer to {method}"))
    }
}
