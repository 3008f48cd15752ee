//! Signalling between a browser and the control plane.
//!
//! A browser speaks of a call; the control plane answers with the session it made of it. `seq` counts from 0 in
//! each direction of a call.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rtc::{candidates, detail, ice_servers, sdp};
use super::{
    Candidate, EndReason, IcePolicy, IceServer, Path, Presence, RestartReason, Telemetry, message,
    text,
};
use crate::grant::Right;
use crate::{DeviceId, SessionId};

const VIEW_BYTES: usize = 48 * 1024;

/// What a browser sends on `up/rtc/{call}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ViewUp {
    /// Asks to watch a camera. The offer carries no candidates; they follow.
    Open {
        /// Message number.
        seq: u32,
        /// Which camera.
        camera: DeviceId,
        /// The SDP offer.
        offer: String,
        /// What is wanted; the grant has at most that.
        rights: Vec<Right>,
    },
    /// Candidates of the browser.
    Candidates {
        /// Message number.
        seq: u32,
        /// In the order of their gathering.
        candidates: Vec<Candidate>,
    },
    /// A new offer with fresh ICE credentials: the path is lost, or the camera asked for another.
    Restart {
        /// Message number.
        seq: u32,
        /// The SDP offer, without candidates.
        offer: String,
    },
    /// How the session goes, as the viewer sees it.
    Stats {
        /// Message number.
        seq: u32,
        /// The figures.
        stats: ViewerStats,
    },
    /// The viewer leaves, or refuses what it was answered.
    Close {
        /// Message number.
        seq: u32,
        /// Why.
        reason: EndReason,
        /// One sentence.
        #[serde(default)]
        detail: String,
    },
}

impl ViewUp {
    fn limits(&self) -> Result<(), String> {
        match self {
            Self::Open { offer, rights, .. } => {
                super::count("rights", rights, 8)?;
                sdp("offer", offer)
            }
            Self::Candidates {
                candidates: list, ..
            } => candidates(list),
            Self::Restart { offer, .. } => sdp("offer", offer),
            Self::Stats { stats, .. } => stats.path.as_ref().map_or(Ok(()), Path::limits),
            Self::Close { detail: text, .. } => detail(text),
        }
    }

    /// The message's number.
    pub const fn seq(&self) -> u32 {
        match self {
            Self::Open { seq, .. }
            | Self::Candidates { seq, .. }
            | Self::Restart { seq, .. }
            | Self::Stats { seq, .. }
            | Self::Close { seq, .. } => *seq,
        }
    }
}

message!(ViewUp, "rtc message from the browser", VIEW_BYTES, limits);

/// What the control plane sends on `dn/rtc/{call}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ViewDown {
    /// The call is a session now; sent before the camera has answered, so that the browser can gather.
    Opened {
        /// Message number.
        seq: u32,
        /// The session, which the camera's proof will name.
        session: SessionId,
        /// Servers and credentials for the browser's end.
        ice_servers: Vec<IceServer>,
        /// Which candidates the browser may use.
        ice_policy: IcePolicy,
    },
    /// The camera's answer.
    Answer {
        /// Message number.
        seq: u32,
        /// The SDP answer.
        sdp: String,
        /// The device's proof, to be verified before the answer is used.
        proof: String,
    },
    /// Candidates of the camera.
    Candidates {
        /// Message number.
        seq: u32,
        /// In the order of their gathering.
        candidates: Vec<Candidate>,
    },
    /// The camera wants a new path: the browser is to make a new offer.
    RestartWanted {
        /// Message number.
        seq: u32,
        /// Why.
        reason: RestartReason,
    },
    /// The restart is under way: fresh servers, with which the browser gathers anew. The answer follows.
    Restarted {
        /// Message number.
        seq: u32,
        /// Servers and credentials for the browser's end.
        ice_servers: Vec<IceServer>,
        /// Which candidates the browser may use.
        ice_policy: IcePolicy,
    },
    /// The session is over, or was refused.
    Closed {
        /// Message number.
        seq: u32,
        /// Why.
        reason: EndReason,
        /// One sentence for the viewer.
        #[serde(default)]
        detail: String,
    },
}

impl ViewDown {
    fn limits(&self) -> Result<(), String> {
        match self {
            Self::Opened {
                ice_servers: servers,
                ..
            }
            | Self::Restarted {
                ice_servers: servers,
                ..
            } => ice_servers(servers),
            Self::RestartWanted { .. } => Ok(()),
            Self::Answer {
                sdp: answer, proof, ..
            } => {
                text("proof", proof, 2048)?;
                sdp("sdp", answer)
            }
            Self::Candidates {
                candidates: list, ..
            } => candidates(list),
            Self::Closed { detail: text, .. } => detail(text),
        }
    }
}

message!(ViewDown, "rtc message to the browser", VIEW_BYTES, limits);

/// When each phase of the start ended in the browser, in milliseconds since the click.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ViewerPhases {
    /// The control plane opened the session.
    pub opened_ms: Option<f64>,
    /// The camera's answer was verified.
    pub answered_ms: Option<f64>,
    /// ICE found a path.
    pub ice_ms: Option<f64>,
    /// DTLS is up.
    pub dtls_ms: Option<f64>,
    /// The first picture was shown.
    pub first_frame_ms: Option<f64>,
}

/// The viewer's figures of one session, counted from its start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ViewerStats {
    /// The start, phase by phase.
    pub phases: ViewerPhases,
    /// The path, once there is one.
    pub path: Option<Path>,
    /// Bytes of media received.
    pub bytes_received: u64,
    /// Pictures decoded.
    pub frames_decoded: u64,
    /// Pictures a second, now.
    pub fps: Option<f64>,
    /// Width of the picture.
    pub width: Option<u32>,
    /// Height of the picture.
    pub height: Option<u32>,
    /// Round trip time.
    pub rtt_ms: Option<f64>,
    /// Capture to shown.
    pub latency_ms: Option<f64>,
    /// Freezes so far.
    pub freezes: u32,
}

/// `dn/camera/{device}` to a browser: a camera's presence or state changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CameraUpdate {
    /// The newest presence, when the camera ever said one.
    pub presence: Option<Presence>,
    /// When the control plane saw it change.
    pub since_ms: u64,
    /// Reported state by section, where it changed.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub state: Map<String, Value>,
    /// The newest telemetry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<Telemetry>,
}

message!(CameraUpdate, "camera update", 64 * 1024);
