//! What signalling asks of the rest of the server: who may watch what, and where sessions and connections are written
//! down.
//!
//! The store implements both traits; the router holds them as trait objects and never sees SQL.

use async_trait::async_trait;
use heron_protocol::grant::Right;
use heron_protocol::messages::{
    CandidateKind, CandidatePair, DevicePhases, EndReason, Path, ViewerPhases,
};
use heron_protocol::{BrowserId, DeviceId, SessionId, TenantId};
use serde::{Deserialize, Serialize};

/// A camera as the store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraRecord {
    /// The tenant that owns the camera.
    pub tenant: TenantId,
    /// The name people gave it.
    pub name: String,
    /// Why nothing of it is accepted, if it is kept out.
    pub kept_out: Option<String>,
}

/// Who owns a camera and who may watch it.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The camera of that device id, unless it was never added or has been removed.
    async fn camera(&self, device: &DeviceId) -> anyhow::Result<Option<CameraRecord>>;
    /// What the person may do with the camera; empty for strangers, who are told that there is no such camera.
    async fn may_view(&self, person: &str, device: &DeviceId) -> anyhow::Result<Vec<Right>>;
}

/// One video session as it is stored. Every call of [`SessionLog`] hands over the whole of it, so a store may upsert.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionRecord {
    /// The session id, 128 bits in hex: the key.
    pub session: SessionId,
    /// The tenant of camera and person.
    pub tenant: TenantId,
    /// The device id of the camera.
    pub camera: DeviceId,
    /// The person who watched.
    pub person: String,
    /// The browser it was watched in.
    pub browser: BrowserId,
    /// When the browser asked, in milliseconds since the Unix epoch.
    pub opened_ms: i64,
    /// When it ended, likewise.
    pub ended_ms: Option<i64>,
    /// The way its media takes, once ICE has settled.
    pub path: Option<PathKind>,
    /// What both ends say of the paths between them.
    pub ends: Ends,
    /// How often another path was looked for.
    pub restarts: u32,
    /// Milliseconds from the click to each phase, as the browser measured them.
    pub phases: Phases,
    /// Bytes of media the camera sent to the viewer.
    pub bytes: u64,
    /// Why it ended, as the protocol names it.
    pub end: Option<EndReason>,
    /// The same in words a person can read.
    pub end_reason: Option<String>,
}

/// The way between two ends, by what is on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathKind {
    /// Straight from one host to the other.
    Host,
    /// Through NAT, which STUN found a way through.
    Reflexive,
    /// Over a TURN server.
    Relay,
}

impl PathKind {
    /// Every kind, the shortest way first.
    pub const ALL: [Self; 3] = [Self::Host, Self::Reflexive, Self::Relay];

    /// As it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Reflexive => "reflexive",
            Self::Relay => "relay",
        }
    }

    /// `direct` or `relayed`.
    pub const fn directness(self) -> &'static str {
        match self {
            Self::Host | Self::Reflexive => "direct",
            Self::Relay => "relayed",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// What the two ends of a session say of the paths between them. Bounded: as the protocol bounds its messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ends {
    /// The path as the camera sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<Path>,
    /// The path as the viewer sees it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewer: Option<Path>,
    /// The start at the camera, in milliseconds since it was asked.
    pub device_phases: DevicePhases,
    /// The start at the viewer, in milliseconds since the click.
    pub viewer_phases: ViewerPhases,
    /// Candidate pairs that the camera tried, the chosen one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<CandidatePair>,
}

impl Ends {
    /// The way that the two make out together: each sees only its own relay as one, and knows best whether its own
    /// address is what the other sees.
    pub fn kind(&self) -> Option<PathKind> {
        let both = || [&self.device, &self.viewer].into_iter().flatten();
        if both().any(Path::relayed) {
            return Some(PathKind::Relay);
        }
        let direct = |kind: CandidateKind| kind == CandidateKind::Host;
        let hosts = match (&self.device, &self.viewer) {
            (Some(device), Some(viewer)) => direct(device.local) && direct(viewer.local),
            _ => both()
                .next()
                .map(|path| direct(path.local) && direct(path.remote))?,
        };
        Some(if hosts {
            PathKind::Host
        } else {
            PathKind::Reflexive
        })
    }

    /// The TURN server on the way: its URL, without a credential.
    pub fn relay(&self) -> Option<&str> {
        [&self.device, &self.viewer]
            .into_iter()
            .flatten()
            .find_map(|path| path.relay.as_deref())
    }
}

/// The phases of a start, each in milliseconds since the click.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Phases {
    /// The camera's answer arrived.
    pub signal_ms: Option<f64>,
    /// ICE has a working pair.
    pub ice_ms: Option<f64>,
    /// DTLS is up.
    pub dtls_ms: Option<f64>,
    /// The first media packet arrived.
    pub first_packet_ms: Option<f64>,
    /// The first frame was decoded.
    pub first_frame_ms: Option<f64>,
}

/// Where sessions are written down. A failure is logged by the router and never ends a session.
#[async_trait]
pub trait SessionLog: Send + Sync {
    /// A session began.
    async fn opened(&self, record: &SessionRecord) -> anyhow::Result<()>;
    /// Its path, phases or bytes changed.
    async fn updated(&self, record: &SessionRecord) -> anyhow::Result<()>;
    /// It ended; `ended_ms` and `end_reason` are set.
    async fn ended(&self, record: &SessionRecord) -> anyhow::Result<()>;
}

/// A camera came or went, as its presence told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionRecord {
    /// The device id of the camera.
    pub camera: DeviceId,
    /// When we heard of it, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Whether it is there from then on.
    pub online: bool,
    /// Why it went; or, when it is back, why it had been away.
    pub reason: Option<String>,
    /// Changes with each boot of the machine.
    pub boot_id: String,
    /// The firmware's version.
    pub firmware: String,
    /// The number of the presence message.
    pub seq: u64,
}

/// Where presence is written down. A failure is logged by the router.
#[async_trait]
pub trait PresenceLog: Send + Sync {
    /// Cameras came and went, in this order.
    async fn connections(&self, records: &[ConnectionRecord]) -> anyhow::Result<()>;
    /// More than one device goes by this identity: nothing of it can be believed until a person has looked.
    async fn cloned(&self, device: &DeviceId, evidence: &str) -> anyhow::Result<()>;
}
