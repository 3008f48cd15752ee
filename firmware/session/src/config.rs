//! What a hub is told at its start.

use std::sync::Arc;
use std::time::Duration;

use heron_congestion::LadderConfig;
use heron_peer::VideoCodec;
use heron_protocol::{DeviceId, SigningKey, VerifyingKey};
use rustls::RootCertStore;

use crate::identity::{Calendar, Identity};
use crate::liveness::Patience;
use crate::ports::Ports;

/// Identity and limits of one camera's hub.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// The camera's id; grants must name it.
    pub camera: DeviceId,
    /// The device's private key, which signs answers. [`Hub::renew`](crate::Hub::renew) changes it.
    pub identity: Identity,
    /// The control plane's public key, which signed the grants.
    pub grant_key: VerifyingKey,
    /// The calendar by which grants are judged.
    pub calendar: Calendar,
    /// How many viewers may watch at once.
    pub max_viewers: usize,
    /// Local addresses for media, as `address:port`. `0.0.0.0:0` and `[::]:0` stand for every interface of the
    /// family; loopback is used only when it is named. A port of 0 stands for [`udp_port`](Self::udp_port).
    pub bind: Vec<String>,
    /// The one UDP port of all viewers; 0 takes any that is free on every bound address.
    pub udp_port: u16,
    /// Whether the same port also listens for TCP, for viewers whose networks let no UDP through.
    pub tcp: bool,
    /// Who may vouch for TURN servers that are reached over TLS (`turns:`). Without any such servers are of no use.
    pub turn_roots: Arc<RootCertStore>,
    /// Whether addresses that browsers hide behind names (`….local`) are asked for by multicast on our networks.
    pub mdns: bool,
    /// Whether the camera has a loudspeaker: without one, nobody may talk.
    pub talk: bool,
    /// How the pictures that [`Hub::video`](crate::Hub::video) is given are encoded. A viewer that does not take it is
    /// refused.
    pub video_codec: VideoCodec,
    /// What the encoders can do, and what viewers are moved between.
    pub ladder: LadderConfig,
    /// How long viewers may take and be silent.
    pub patience: Patience,
    /// The shortest time between two key frame requests to the same encoder.
    pub key_frame_interval: Duration,
    /// How much video may wait for a slow viewer before it is dropped.
    pub max_delay: Duration,
    /// How long local candidates are gathered before they are sent together.
    pub candidate_delay: Duration,
    /// How often figures are reported.
    pub stats_interval: Duration,
}

impl HubConfig {
    /// The usual limits.
    pub fn new(camera: DeviceId, key: SigningKey, grant_key: VerifyingKey) -> Self {
        Self {
            camera,
            identity: Identity::new(key),
            grant_key,
            calendar: Calendar::default(),
            max_viewers: 16,
            bind: vec!["0.0.0.0:0".to_owned(), "[::]:0".to_owned()],
            udp_port: 0,
            tcp: true,
            turn_roots: Arc::new(RootCertStore::empty()),
            mdns: true,
            talk: true,
            video_codec: VideoCodec::default(),
            ladder: LadderConfig::default(),
            patience: Patience::default(),
            key_frame_interval: Duration::from_millis(300),
            max_delay: Duration::from_millis(500),
            candidate_delay: Duration::from_millis(30),
            stats_interval: Duration::from_secs(2),
        }
    }

    /// Binds the addresses for media. Must be called within a Tokio runtime.
    pub(crate) fn ports(&self) -> Ports {
        Ports::bind(&self.bind, self.udp_port, self.tcp)
    }
}
