//! Signalling of a video session between the control plane and a device.
//!
//! `seq` counts from 0 in each direction of a session; a message whose `seq` was seen is a duplicate.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{count, message, text};

const SDP_BYTES: usize = 24 * 1024;
const RTC_BYTES: usize = 48 * 1024;

/// An ICE candidate as the browser API has it (`RTCIceCandidateInit`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// The candidate line, beginning with `candidate:`.
    pub candidate: String,
    /// The media section's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_mid: Option<String>,
    /// The media section's index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sdp_m_line_index: Option<u16>,
    /// The ICE user name fragment the candidate belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username_fragment: Option<String>,
}

pub(super) fn candidates(list: &[Candidate]) -> Result<(), String> {
    count("candidates", list, 64)?;
    for one in list {
        text("candidate", &one.candidate, 512)?;
        text("sdp_mid", one.sdp_mid.as_deref().unwrap_or(""), 32)?;
        text(
            "username_fragment",
            one.username_fragment.as_deref().unwrap_or(""),
            256,
        )?;
    }
    Ok(())
}

/// A STUN or TURN server with the credential of one end of one session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IceServer {
    /// `stun:` and `turn:` URLs.
    pub urls: Vec<String>,
    /// Empty for STUN.
    #[serde(default)]
    pub username: String,
    /// Empty for STUN.
    #[serde(default)]
    pub credential: String,
}

// The credential stays out of logs.
impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

pub(super) fn ice_servers(list: &[IceServer]) -> Result<(), String> {
    count("ice_servers", list, 8)?;
    for server in list {
        count("urls", &server.urls, 8)?;
        text("username", &server.username, 256)?;
        text("credential", &server.credential, 256)?;
        for url in &server.urls {
            text("url", url, 256)?;
            if !["stun:", "stuns:", "turn:", "turns:"]
                .iter()
                .any(|scheme| url.starts_with(scheme))
            {
                return Err("url must begin with stun:, stuns:, turn: or turns:".into());
            }
        }
    }
    Ok(())
}

pub(super) fn sdp(field: &str, sdp: &str) -> Result<(), String> {
    text(field, sdp, SDP_BYTES)?;
    if !sdp.starts_with("v=0") {
        return Err(format!("{field} must be an SDP that begins with v=0"));
    }
    Ok(())
}

pub(super) fn detail(detail: &str) -> Result<(), String> {
    text("detail", detail, 400)
}

/// Which candidates may be used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IcePolicy {
    /// Any path, the best wins.
    #[default]
    All,
    /// Only through TURN.
    Relay,
}

/// Why a session ended or was never opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The viewer closed it.
    ViewerClosed,
    /// The viewer's packets stopped.
    ViewerVanished,
    /// No path between the two ends was found in time.
    NoPath,
    /// The camera did not answer in time.
    NoAnswer,
    /// The camera is not online.
    CameraOffline,
    /// The camera's service stopped.
    CameraShutdown,
    /// The camera refused the grant.
    GrantRefused,
    /// The person may not watch this camera, or no longer.
    NotAllowed,
    /// A limit on viewers or sessions was reached.
    Limit,
    /// A message could not be understood.
    BadMessage,
    /// Something broke; `detail` says what.
    Failed,
}

/// Why an end asks for a new path (an ICE restart, RFC 8445 section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RestartReason {
    /// Its addresses or routes changed.
    NetworkChanged,
    /// The path carries nothing any more (RFC 7675).
    PathLost,
    /// The TURN server on the path is gone.
    RelayLost,
}

/// What the control plane sends on `dn/rtc/{session}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RtcDown {
    /// A viewer wants to watch.
    Open {
        /// Message number.
        seq: u32,
        /// The grant (JWS); see [`crate::grant`].
        grant: String,
        /// The viewer's SDP offer.
        offer: String,
        /// Servers and credentials for the device's end.
        ice_servers: Vec<IceServer>,
        /// Which candidates the device may use.
        #[serde(default)]
        ice_policy: IcePolicy,
    },
    /// Candidates of the viewer.
    Candidates {
        /// Message number.
        seq: u32,
        /// In the order of their gathering.
        candidates: Vec<Candidate>,
    },
    /// The path changed: a new offer with fresh ICE credentials, under a fresh grant for the same session.
    Restart {
        /// Message number.
        seq: u32,
        /// The grant (JWS) for the new offer.
        grant: String,
        /// The viewer's new SDP offer.
        offer: String,
        /// Servers and credentials for the device's end.
        ice_servers: Vec<IceServer>,
    },
    /// The session is over.
    Close {
        /// Message number.
        seq: u32,
        /// Why.
        reason: EndReason,
    },
}

impl RtcDown {
    fn limits(&self) -> Result<(), String> {
        match self {
            Self::Open {
                grant,
                offer,
                ice_servers: servers,
                ..
            }
            | Self::Restart {
                grant,
                offer,
                ice_servers: servers,
                ..
            } => {
                text("grant", grant, 2048)?;
                sdp("offer", offer)?;
                ice_servers(servers)
            }
            Self::Candidates {
                candidates: list, ..
            } => candidates(list),
            Self::Close { .. } => Ok(()),
        }
    }

    /// The message's number.
    pub const fn seq(&self) -> u32 {
        match self {
            Self::Open { seq, .. }
            | Self::Candidates { seq, .. }
            | Self::Restart { seq, .. }
            | Self::Close { seq, .. } => *seq,
        }
    }
}

message!(RtcDown, "rtc message to the device", RTC_BYTES, limits);

/// What the device sends on `up/rtc/{session}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RtcUp {
    /// The device accepts.
    Answer {
        /// Message number.
        seq: u32,
        /// The SDP answer.
        sdp: String,
        /// JWS by the device's key; see [`crate::proof`].
        proof: String,
    },
    /// Candidates of the device.
    Candidates {
        /// Message number.
        seq: u32,
        /// In the order of their gathering.
        candidates: Vec<Candidate>,
    },
    /// The device wants a new path: the viewer is asked for a new offer, which comes as [`RtcDown::Restart`].
    RestartWanted {
        /// Message number.
        seq: u32,
        /// Why.
        reason: RestartReason,
    },
    /// How the session goes, every few seconds.
    Stats {
        /// Message number.
        seq: u32,
        /// The figures.
        stats: SessionStats,
    },
    /// The session is over, or was refused.
    Closed {
        /// Message number.
        seq: u32,
        /// Why.
        reason: EndReason,
        /// One sentence for a person.
        #[serde(default)]
        detail: String,
        /// The last figures.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stats: Option<SessionStats>,
    },
}

impl RtcUp {
    fn limits(&self) -> Result<(), String> {
        match self {
            Self::Answer {
                sdp: answer, proof, ..
            } => {
                text("proof", proof, 2048)?;
                sdp("sdp", answer)
            }
            Self::Candidates {
                candidates: list, ..
            } => candidates(list),
            Self::RestartWanted { .. } => Ok(()),
            Self::Stats { stats, .. } => stats.limits(),
            Self::Closed {
                detail: text,
                stats,
                ..
            } => {
                stats.as_ref().map_or(Ok(()), SessionStats::limits)?;
                detail(text)
            }
        }
    }

    /// The message's number.
    pub const fn seq(&self) -> u32 {
        match self {
            Self::Answer { seq, .. }
            | Self::Candidates { seq, .. }
            | Self::RestartWanted { seq, .. }
            | Self::Stats { seq, .. }
            | Self::Closed { seq, .. } => *seq,
        }
    }
}

message!(RtcUp, "rtc message from the device", RTC_BYTES, limits);

/// The kind of an ICE candidate (RFC 8445 section 5.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CandidateKind {
    /// An address of the end itself.
    Host,
    /// An address a STUN server saw.
    Srflx,
    /// An address the other end saw.
    Prflx,
    /// An address at a TURN server.
    Relay,
}

/// The path that the packets take, as one end sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Path {
    /// This end's candidate.
    pub local: CandidateKind,
    /// The other end's candidate.
    pub remote: CandidateKind,
    /// `udp` or `tcp`.
    pub protocol: String,
    /// This end's address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_address: Option<String>,
    /// The other end's address and port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_address: Option<String>,
    /// The URL of the TURN server that this end's address is at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relay: Option<String>,
}

/// How far the checks of a candidate pair have come (RFC 8445 section 6.1.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PairState {
    /// Not checked yet.
    Waiting,
    /// A check is under way.
    InProgress,
    /// A check was answered.
    Succeeded,
    /// No check was answered.
    Failed,
}

/// A pair of candidates that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CandidatePair {
    /// The candidates and where they are.
    #[serde(flatten)]
    pub path: Path,
    /// How its checks went.
    pub state: PairState,
    /// Whether media takes it.
    pub chosen: bool,
}

impl Path {
    /// A path of which only the kinds are known.
    pub fn new(local: CandidateKind, remote: CandidateKind, protocol: impl Into<String>) -> Self {
        Self {
            local,
            remote,
            protocol: protocol.into(),
            local_address: None,
            remote_address: None,
            relay: None,
        }
    }

    pub(super) fn limits(&self) -> Result<(), String> {
        text("protocol", &self.protocol, 8)?;
        for (field, value, limit) in [
            ("local_address", &self.local_address, 64),
            ("remote_address", &self.remote_address, 64),
            ("relay", &self.relay, 256),
        ] {
            text(field, value.as_deref().unwrap_or(""), limit)?;
        }
        Ok(())
    }

    /// Whether a TURN server is in between.
    pub fn relayed(&self) -> bool {
        self.local == CandidateKind::Relay || self.remote == CandidateKind::Relay
    }
}

/// When each phase of the start ended on the device, in milliseconds since the device received `Open`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DevicePhases {
    /// The grant was verified.
    pub granted_ms: Option<f64>,
    /// The answer was sent.
    pub answered_ms: Option<f64>,
    /// The last of the device's candidates was found.
    pub gathered_ms: Option<f64>,
    /// ICE found a path.
    pub ice_ms: Option<f64>,
    /// DTLS is up.
    pub dtls_ms: Option<f64>,
    /// The first packet of video left.
    pub first_packet_ms: Option<f64>,
}

/// The device's figures of one session, counted from its start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SessionStats {
    /// The start, phase by phase.
    pub phases: DevicePhases,
    /// The path, once there is one.
    pub path: Option<Path>,
    /// Candidate pairs that were tried, the chosen one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<CandidatePair>,
    /// ICE restarts so far.
    pub restarts: u32,
    /// Bytes of media sent.
    pub bytes_sent: u64,
    /// Packets of media sent.
    pub packets_sent: u64,
    /// Video frames sent.
    pub frames_sent: u64,
    /// Video frames not sent because this viewer was too slow.
    pub frames_dropped: u64,
    /// Key frame requests received (PLI and FIR).
    pub key_frame_requests: u64,
    /// Packets the viewer asked for again.
    pub nacks: u64,
    /// Round trip time, from RTCP or ICE.
    pub rtt_ms: Option<f64>,
    /// Part of the packets lost, 0 to 1, from RTCP.
    pub loss: Option<f64>,
    /// Bits a second that the path to the viewer is believed to carry.
    pub estimate_bps: Option<u64>,
    /// What the viewer is sent: `main`, `sub` or `audio_only`.
    pub level: Option<Level>,
    /// How often that changed.
    pub level_changes: u64,
}

/// Candidate pairs in one message.
const MAX_PAIRS: usize = 16;

impl SessionStats {
    fn limits(&self) -> Result<(), String> {
        count("pairs", &self.pairs, MAX_PAIRS)?;
        let paths = self.pairs.iter().map(|pair| &pair.path);
        paths.chain(&self.path).try_for_each(Path::limits)
    }
}

/// What a viewer is sent of the camera's picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// The full picture.
    Main,
    /// The smaller one.
    Sub,
    /// Sound only: the path carries no picture.
    AudioOnly,
}
