//! One peer connection: everything that is said to the WebRTC stack to answer an offer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use heron_protocol::messages::{Candidate, CandidateKind, IcePolicy, IceServer, Path};
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{NackResponderBuilder, Registry, Slot};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::peer_connection::transport::{
    RTCDtlsRole, RTCDtlsTransportState, RTCIceCandidateInit, RTCIceCandidateType,
};
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::statistics::StatsSelector;
use tokio::sync::mpsc;
use webrtc::error::Error;
use webrtc::peer_connection::transport::DtlsTransport;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceConnectionState, RTCIceTransportPolicy, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState, RTCSessionDescription,
};

use crate::feedback::Feedback;
use crate::ice::usable_servers;
use crate::offer::Offer;
use crate::runtime::SessionRuntime;
use crate::tap::{Outbox, Tap};
use crate::tracks::{Outgoing, media_engine, outgoing};

/// How often unanswered ICE checks are repeated. A camera has few pairs, so checks are still some 5 ms apart
/// (RFC 8445 section 14.2).
const CHECK_INTERVAL: Duration = Duration::from_millis(25);

/// A candidate that nobody answers at (RFC 5737, discard port).
const NOWHERE: &str = "candidate:1 1 udp 1 192.0.2.9 9 typ host";

/// What the stack tells us.
#[derive(Debug)]
pub enum PeerEvent {
    /// A local candidate was gathered.
    Candidate(Candidate),
    /// ICE moved.
    Ice(RTCIceConnectionState),
    /// ICE and DTLS together moved.
    Connection(RTCPeerConnectionState),
}

/// How the connection is to be made.
pub struct Setup<'a> {
    /// What the viewer may receive.
    pub offer: &'a Offer,
    /// The offer itself.
    pub sdp: &'a str,
    /// Servers of this end.
    pub ice_servers: &'a [IceServer],
    /// Which candidates may be used.
    pub ice_policy: IcePolicy,
    /// Local addresses to use, as `address:port`; `0.0.0.0:0` stands for every interface.
    pub bind: &'a [String],
    /// Where the stack's events go.
    pub events: mpsc::UnboundedSender<PeerEvent>,
    /// Reads the viewer's RTCP.
    pub feedback: Arc<Feedback>,
}

/// A connection that has been answered.
pub struct Connection {
    peer: Arc<dyn PeerConnection>,
    transport: Option<Arc<dyn DtlsTransport>>,
    may_relay: bool,
    relaying: Arc<AtomicBool>,
    /// The SDP answer.
    pub answer: String,
    /// Picture, if it was offered and allowed.
    pub video: Option<Outgoing>,
    /// Sound, likewise.
    pub audio: Option<Outgoing>,
    /// Packets of a frame that wait for its last.
    pub outbox: Arc<Outbox>,
}

impl Connection {
    /// Answers an offer. Does not wait for candidates: they follow as events.
    ///
    /// # Errors
    ///
    /// What the stack finds wrong with the offer, or that no socket could be opened.
    pub async fn answer(setup: Setup<'_>) -> Result<Self, Error> {
        let outbox = Arc::new(Outbox::default());
        let registry = Registry::new()
            .with(
                Slot::NackResponder,
                NackResponderBuilder::new().with_size(1024).build(),
            )
            .with(
                Slot::from(Tap::SLOT),
                Tap::new(Arc::clone(&outbox), setup.feedback),
            );
        let (servers, skipped) = usable_servers(setup.ice_servers);
        if !skipped.is_empty() {
            tracing::info!(urls = ?skipped, "ICE servers passed over: only STUN and TURN over UDP are used");
        }
        let may_relay = servers.iter().any(|server| !server.username.is_empty());
        let policy = match setup.ice_policy {
            IcePolicy::All => RTCIceTransportPolicy::All,
            IcePolicy::Relay => RTCIceTransportPolicy::Relay,
        };
        let settings = SettingEngineBuilder::new()
            // The answerer starts the handshake: one flight fewer until the first picture (RFC 8842 section 5.3).
            .with_answering_dtls_role(RTCDtlsRole::Client)
            // Names are never resolved (see `trickle::is_usable`); the mode would open a multicast socket.
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            .with_ice_timeouts(
                Some(Duration::from_secs(5)),
                Some(Duration::from_secs(25)),
                Some(Duration::from_secs(2)),
            )
            // Checks repeat quickly, for as long as a viewer may take to connect.
            .with_ice_connection_attempts(Some(CHECK_INTERVAL), Some(1000))
            .build();
        let own = Arc::new(OnceLock::new());
        let relaying = Arc::new(AtomicBool::new(may_relay));
        // The builder's future is large, and most viewers' tasks are long past it.
        let building = PeerConnectionBuilder::new()
            .with_configuration(
                RTCConfigurationBuilder::new()
                    .with_ice_servers(servers)
                    .with_ice_transport_policy(policy)
                    .build(),
            )
            .with_media_engine(media_engine(setup.offer)?)
            .with_setting_engine(settings)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Handler {
                events: setup.events,
                peer: Arc::clone(&own),
            }))
            .with_runtime(Arc::new(SessionRuntime::new(Arc::clone(&relaying))))
            .with_udp_addrs(setup.bind.to_vec())
            .build();
        let peer: Arc<dyn PeerConnection> = Arc::new(Box::pin(building).await?);
        let _ = own.set(Arc::downgrade(&peer));

        let video = match &setup.offer.video {
            Some(section) => Some(outgoing(&*peer, section, RtpCodecKind::Video).await?),
            None => None,
        };
        let audio = match &setup.offer.audio {
            Some(section) => Some(outgoing(&*peer, section, RtpCodecKind::Audio).await?),
            None => None,
        };
        let offer = RTCSessionDescription::offer(setup.offer.restrict(setup.sdp))?;
        peer.set_remote_description(offer).await?;
        let answer = peer.create_answer(None).await?;
        let sdp = answer.sdp.clone();
        peer.set_local_description(answer).await?;
        let transport = match peer.get_senders().await.first() {
            Some(sender) => sender.transport().await?,
            None => None,
        };
        Ok(Self {
            peer,
            transport,
            may_relay,
            relaying,
            answer: sdp,
            video,
            audio,
            outbox,
        })
    }

    /// Adds a candidate of the viewer.
    pub async fn add_candidate(&self, candidate: &Candidate) -> Result<(), Error> {
        let candidate = RTCIceCandidateInit {
            candidate: candidate.candidate.clone(),
            sdp_mid: candidate.sdp_mid.clone(),
            sdp_mline_index: candidate.sdp_m_line_index,
            username_fragment: candidate.username_fragment.clone(),
            url: None,
        };
        self.peer.add_ice_candidate(candidate).await
    }

    /// Answers a new offer of the same viewer with fresh ICE credentials (RFC 8445 section 9); media goes on.
    pub async fn restart(&self, offer: &Offer, sdp: &str) -> Result<String, Error> {
        let description = RTCSessionDescription::offer(offer.restrict(sdp))?;
        self.relaying.store(self.may_relay, Ordering::Relaxed);
        self.peer.set_remote_description(description).await?;
        let answer = self.peer.create_answer(None).await?;
        let sdp = answer.sdp.clone();
        self.peer.set_local_description(answer).await?;
        Ok(sdp)
    }

    /// Whether the viewer has closed DTLS. The stack reports that nowhere else.
    pub async fn closed_by_viewer(&self) -> bool {
        match &self.transport {
            Some(transport) => matches!(transport.state().await, Ok(RTCDtlsTransportState::Closed)),
            None => false,
        }
    }

    /// The selected path and its round trip time.
    pub async fn path(&self) -> (Option<Path>, Option<Duration>) {
        let Some(transport) = &self.transport else {
            return (None, None);
        };
        let pair = transport
            .ice_transport()
            .get_selected_candidate_pair()
            .await
            .ok()
            .flatten();
        let path = pair.and_then(|pair| {
            Some(Path {
                local: kind(pair.local().typ)?,
                remote: kind(pair.remote().typ)?,
                protocol: pair.local().protocol.to_string(),
            })
        });
        if let Some(path) = &path {
            self.relaying
                .store(path.local == CandidateKind::Relay, Ordering::Relaxed);
        }
        let report = self
            .peer
            .get_stats(Instant::now(), StatsSelector::None)
            .await;
        let nominated = report.candidate_pairs().find(|pair| pair.nominated);
        let seconds = nominated
            .map(|pair| pair.current_round_trip_time)
            .filter(|seconds| *seconds > 0.0);
        (path, seconds.map(Duration::from_secs_f64))
    }

    /// Ends the connection; the viewer is told by DTLS.
    pub async fn close(&self) {
        if let Err(error) = self.peer.close().await {
            tracing::debug!(%error, "the connection did not close cleanly");
        }
    }
}

fn kind(kind: RTCIceCandidateType) -> Option<CandidateKind> {
    match kind {
        RTCIceCandidateType::Host => Some(CandidateKind::Host),
        RTCIceCandidateType::Srflx => Some(CandidateKind::Srflx),
        RTCIceCandidateType::Prflx => Some(CandidateKind::Prflx),
        RTCIceCandidateType::Relay => Some(CandidateKind::Relay),
        _ => None,
    }
}

/// The stack calls it from its own task, between two steps.
struct Handler {
    events: mpsc::UnboundedSender<PeerEvent>,
    peer: Arc<OnceLock<Weak<dyn PeerConnection>>>,
}

impl Handler {
    /// Lets the DTLS handshake begin. The stack queues the first flight when ICE selects a path, and sends it with
    /// its next timer; a new candidate makes that timer fire at once. It is never checked: a path is selected.
    async fn start_dtls(&self) {
        if let Some(peer) = self.peer.get().and_then(Weak::upgrade) {
            let candidate = RTCIceCandidateInit {
                candidate: NOWHERE.to_owned(),
                ..RTCIceCandidateInit::default()
            };
            if let Err(error) = peer.add_ice_candidate(candidate).await {
                tracing::debug!(%error, "DTLS starts a little later");
            }
        }
    }

    fn tell(&self, event: PeerEvent) {
        // Nobody listens any more when the viewer is being taken down.
        let _ = self.events.send(event);
    }
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        // A socket bound to every address, for want of a usable interface, has no address to tell.
        let unspecified = event
            .candidate
            .address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_unspecified());
        if unspecified {
            return;
        }
        match event.candidate.to_json() {
            Ok(init) => self.tell(PeerEvent::Candidate(Candidate {
                candidate: init.candidate,
                // One transport for all sections (BUNDLE, RTCP mux): the first section's index names it.
                sdp_mid: None,
                sdp_m_line_index: Some(0),
                username_fragment: None,
            })),
            Err(error) => tracing::debug!(%error, "a local candidate could not be written down"),
        }
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        if state == RTCIceConnectionState::Connected {
            self.start_dtls().await;
        }
        self.tell(PeerEvent::Ice(state));
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.tell(PeerEvent::Connection(state));
    }
}
