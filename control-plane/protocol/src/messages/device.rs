//! What a device says of itself: presence, state, telemetry, events and alarms.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{message, text};
use crate::Label;

/// Retained bodies are kept per device by the broker, so they are small (design: 8 KB for state).
const STATE_BYTES: usize = 8 * 1024;

/// Why a device is not online.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Offline {
    /// The broker published the will: power or network went away. The camera tells which when it is back.
    ConnectionLost,
    /// The service was stopped.
    Shutdown,
    /// The service restarts, and will be back.
    Restart,
    /// The machine reboots.
    Reboot,
    /// The machine went down without a stop, and its kernel blames nobody: the power went away.
    Power,
    /// The way to the broker was gone: no link, no name, no route, or the connection went silent.
    Network,
    /// The broker was not there, or turned the camera away for a while.
    Broker,
    /// A certificate was not accepted: the camera's by the broker, or the broker's by the camera.
    Certificate,
    /// The machine was reset by its hardware watchdog.
    Watchdog,
    /// The service ended without a stop while the machine went on.
    Crash,
    /// New firmware was put in.
    Update,
    /// The machine was too hot to go on.
    Thermal,
    /// The supply's voltage was too low to go on.
    UnderVoltage,
}

impl Offline {
    /// Every reason.
    pub const ALL: [Self; 13] = [
        Self::ConnectionLost,
        Self::Shutdown,
        Self::Restart,
        Self::Reboot,
        Self::Power,
        Self::Network,
        Self::Broker,
        Self::Certificate,
        Self::Watchdog,
        Self::Crash,
        Self::Update,
        Self::Thermal,
        Self::UnderVoltage,
    ];
}

/// `up/presence`: whether the device is there. Also the device's will, with `online` false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Presence {
    /// Connected now.
    pub online: bool,
    /// Why not, when `online` is false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Offline>,
    /// Why the device was away before this connection, as it knows by now; only when `online` is true. The will can
    /// only say that the connection was lost, so this is the better word on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reason: Option<Offline>,
    /// Changes with each boot of the machine; two devices with one identity show here.
    pub boot_id: String,
    /// The firmware's version.
    pub firmware: String,
    /// The slot the system was started from, where there are slots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// Counts connections since the boot; of two messages with one boot id the higher is the newer.
    pub seq: u64,
    /// When the device said so, by its own clock.
    pub at_ms: u64,
}

impl Presence {
    fn limits(&self) -> Result<(), String> {
        text("boot_id", &self.boot_id, 64)?;
        text("firmware", &self.firmware, 64)?;
        text("slot", self.slot.as_deref().unwrap_or(""), 32)?;
        if self.online && self.reason.is_some() {
            return Err("reason is only allowed when online is false".into());
        }
        if !self.online && self.last_reason.is_some() {
            return Err("last_reason is only allowed when online is true".into());
        }
        Ok(())
    }
}

message!(Presence, "presence", 1024, limits);

/// A part of a device's state; the last part of the state topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Section {
    Video,
    Audio,
    Network,
    Ota,
    System,
    Privacy,
    Hardware,
}

impl Section {
    /// Every section.
    pub const ALL: [Self; 7] = [
        Self::Video,
        Self::Audio,
        Self::Network,
        Self::Ota,
        Self::System,
        Self::Privacy,
        Self::Hardware,
    ];

    /// The section's name in topics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
            Self::Network => "network",
            Self::Ota => "ota",
            Self::System => "system",
            Self::Privacy => "privacy",
            Self::Hardware => "hardware",
        }
    }
}

/// `up/state/{section}`: the state a section really has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReportedState {
    /// The revision of the desired state that was applied last; 0 when none was.
    pub rev: u64,
    /// The section's fields.
    pub state: Map<String, Value>,
    /// What could not be applied: field to reason.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub errors: Map<String, Value>,
}

message!(ReportedState, "reported state", STATE_BYTES);

/// `dn/state/{section}`: the state a section should have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DesiredState {
    /// Grows with each change.
    pub rev: u64,
    /// The fields to have; a missing one stays as it is.
    pub state: Map<String, Value>,
}

message!(DesiredState, "desired state", STATE_BYTES);

/// One size of the picture, encoded once for all viewers on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RungTelemetry {
    /// `main` or `sub`.
    pub name: String,
    /// The encoder at work.
    pub encoder: String,
    /// Why it is not the one that should be at work, or what went wrong with it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Pictures a second that leave it.
    pub fps: f32,
    /// Bits a second that leave it.
    pub bps: u64,
    /// Bits a second that it was asked for.
    pub target_bps: u64,
    /// Viewers on it.
    pub viewers: u32,
}

/// `up/tele`: measurements, sent every few seconds and worth nothing when old.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Telemetry {
    /// When measured, by the device's clock.
    pub at_ms: u64,
    /// Since the service started.
    pub uptime_s: u64,
    /// Connected viewers.
    pub viewers: u32,
    /// Video encoders running now: 0 without viewers, one for each rung in use however many there are.
    pub encoders_running: u32,
    /// The rungs in use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<RungTelemetry>,
    /// Pictures a second that left the encoder.
    pub fps: f32,
    /// Video bits a second that left the encoder.
    pub video_bps: u64,
    /// Frames that the source gave since the start.
    pub frames_captured: u64,
    /// Frames replaced by a newer one before the encoder took them.
    pub frames_dropped: u64,
    /// Key frames encoded since the start.
    pub key_frames: u64,
    /// The hottest thermal zone, in degrees Celsius.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature_c: Option<f32>,
    /// The service's resident memory.
    pub resident_bytes: u64,
    /// Messages refused since the start.
    pub refused_messages: u64,
}

impl Telemetry {
    fn limits(&self) -> Result<(), String> {
        if self.rungs.len() > 4 {
            return Err(format!(
                "rungs: {} of them; at most 4 are allowed",
                self.rungs.len()
            ));
        }
        for rung in &self.rungs {
            text("rungs.name", &rung.name, 16)?;
            text("rungs.encoder", &rung.encoder, 128)?;
            text("rungs.trouble", rung.trouble.as_deref().unwrap_or(""), 300)?;
        }
        Ok(())
    }
}

message!(Telemetry, "telemetry", 4096, limits);

/// `up/event/{type}`: something happened once. Receiving it twice changes nothing: `id` tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Unique per device.
    pub id: Label,
    /// When it happened, by the device's clock.
    pub at_ms: u64,
    /// Depends on the type.
    #[serde(default)]
    pub payload: Map<String, Value>,
}

message!(Event, "event", STATE_BYTES);

/// How bad an alarm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Warning,
    /// Does not do its work.
    Error,
    /// Needs somebody now.
    Critical,
}

/// `up/alarm/{type}`: a condition that lasts; an empty retained message clears it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Alarm {
    /// How bad.
    pub severity: Severity,
    /// Since when, by the device's clock.
    pub since_ms: u64,
    /// One sentence for a person.
    #[serde(default)]
    pub detail: String,
}

impl Alarm {
    fn limits(&self) -> Result<(), String> {
        text("detail", &self.detail, 400)
    }
}

message!(Alarm, "alarm", 1024, limits);
