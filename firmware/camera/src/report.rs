//! What the control plane is told: telemetry, and the state of the sections this camera has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use heron_media::{AudioConfig, Rung, VideoConfig};
use heron_protocol::messages::{DesiredState, ReportedState, RungTelemetry, Section, Telemetry};
use serde_json::{Map, Value, json};

use crate::figures::Figures;
use crate::machine;

/// The sections of state that this camera has.
pub const SECTIONS: [Section; 4] = [
    Section::Video,
    Section::Audio,
    Section::Network,
    Section::System,
];

/// Telemetry of this moment.
pub fn telemetry(figures: &Figures, uptime: Duration) -> Telemetry {
    let video = &figures.video;
    Telemetry {
        at_ms: now_ms(),
        uptime_s: uptime.as_secs(),
        viewers: figures.viewers(),
        encoders_running: video.encoders_running(),
        rungs: rungs(figures),
        fps: video.rungs.iter().map(|rung| rung.fps).fold(0.0, f32::max),
        video_bps: video.bitrate().into(),
        frames_captured: video.captured,
        frames_dropped: video.dropped(),
        key_frames: video.key_frames(),
        temperature_c: machine::temperature_c(),
        resident_bytes: machine::resident_bytes(),
        refused_messages: figures.messages_refused,
    }
}

/// The rungs somebody watches.
fn rungs(figures: &Figures) -> Vec<RungTelemetry> {
    let used = Rung::ALL.into_iter().zip(&figures.video.rungs);
    used.filter_map(|(rung, stats)| {
        let target = stats.target?;
        Some(RungTelemetry {
            name: rung.name().to_owned(),
            encoder: stats
                .encoder
                .as_deref()
                .map_or_else(String::new, |name| cut(name, 128)),
            trouble: stats.last_error.as_deref().map(short),
            fps: stats.fps,
            bps: stats.bitrate.into(),
            target_bps: target.bitrate.into(),
            viewers: figures.viewers_on(rung),
        })
    })
    .collect()
}

/// What the sections' fields are made of besides figures.
#[derive(Debug)]
pub struct Reporter {
    video: VideoConfig,
    audio: Option<AudioConfig>,
    system: Map<String, Value>,
    answers: Vec<(Section, Answer)>,
}

/// The answer to the newest desired state of a section.
#[derive(Debug, Clone, Default)]
struct Answer {
    rev: u64,
    errors: Map<String, Value>,
}

impl Reporter {
    /// Looks up what does not change while the process runs.
    pub fn new(video: VideoConfig, audio: Option<AudioConfig>, firmware: &str) -> Self {
        let system = fields(json!({
            "firmware": firmware,
            "architecture": std::env::consts::ARCH,
            "kernel": machine::kernel(),
            "board": machine::board(),
        }));
        Self {
            video,
            audio,
            system,
            answers: Vec::new(),
        }
    }

    /// Takes note of what the control plane wants. Nothing can be changed from there yet, and the
    /// reported state says so field by field; silence would look like a camera that is slow to obey.
    pub fn desired(&mut self, section: Section, desired: &DesiredState) {
        let reason = Value::from("this firmware takes it from its config file only");
        let fields = desired.state.keys();
        let answer = Answer {
            rev: desired.rev,
            errors: fields
                .map(|field| (field.clone(), reason.clone()))
                .collect(),
        };
        self.answers.retain(|(known, _)| *known != section);
        self.answers.push((section, answer));
    }

    /// The state of a section. Only what lasts is in it: what changes every second is telemetry.
    pub fn state(&self, section: Section, figures: &Figures) -> ReportedState {
        let state = match section {
            Section::Video => self.video(figures),
            Section::Audio => self.audio(figures),
            Section::Network => Self::network(figures),
            Section::System => self.system.clone(),
            _ => Map::new(),
        };
        let answer = self.answers.iter().find(|(known, _)| *known == section);
        let Answer { rev, errors } = answer.map(|(_, answer)| answer.clone()).unwrap_or_default();
        ReportedState { rev, state, errors }
    }

    fn video(&self, figures: &Figures) -> Map<String, Value> {
        let stats = &figures.video;
        let mut state = fields(json!({
            "source": self.video.source.name(),
            "state": stats.source.to_string(),
            "encoder": self.video.encoder.to_string(),
            "wanted": {
                "bps": self.video.bitrate,
                "width": self.video.width,
                "height": self.video.height,
                "fps": self.video.fps,
            },
        }));
        for (rung, stats) in Rung::ALL.into_iter().zip(&stats.rungs) {
            let mut shown = fields(json!({
                "encoder": stats.encoder,
                "last_error": stats.last_error.as_deref().map(short),
            }));
            if stats.width > 0 {
                shown.insert("width".into(), stats.width.into());
                shown.insert("height".into(), stats.height.into());
            }
            if !shown.is_empty() {
                state.insert(rung.name().into(), shown.into());
            }
        }
        if let Some(error) = &stats.last_error {
            state.insert("last_error".into(), short(error).into());
        }
        state
    }

    fn audio(&self, figures: &Figures) -> Map<String, Value> {
        let (Some(config), Some(stats)) = (&self.audio, &figures.audio) else {
            return fields(json!({"source": "none"}));
        };
        let mut state = fields(json!({
            "source": config.source.name(),
            "state": stats.source.to_string(),
            "channels": config.channels,
            "target_bps": config.bitrate,
        }));
        if let Some(error) = &stats.last_error {
            state.insert("last_error".into(), short(error).into());
        }
        state
    }

    fn network(figures: &Figures) -> Map<String, Value> {
        fields(json!({"self_test": figures.self_test}))
    }
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(mut fields) => {
            fields.retain(|_, value| !value.is_null());
            fields
        }
        _ => Map::new(),
    }
}

/// A driver's complaint can be long; a message has limits. In bytes, as the limits are.
fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

fn short(text: &str) -> String {
    cut(text, 300)
}

fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn reporter() -> Reporter {
        let config =
            Config::parse("camera.toml".as_ref(), "[video]\nsource = \"pattern\"").unwrap();
        Reporter::new(config.video.pipeline(), config.audio.pipeline(), "1.0")
    }

    #[test]
    fn the_state_names_source_and_trouble() {
        let mut figures = Figures::default();
        figures.video.last_error = Some("/dev/video0: No such device".into());
        let state = reporter().state(Section::Video, &figures);
        assert_eq!(state.state["source"], "pattern");
        assert_eq!(state.state["state"], "idle");
        assert_eq!(state.state["last_error"], "/dev/video0: No such device");
        assert_eq!(state.rev, 0);
    }

    #[test]
    fn a_wish_is_answered_field_by_field() {
        let mut reporter = reporter();
        let desired = DesiredState {
            rev: 7,
            state: fields(json!({"width": 640})),
        };
        reporter.desired(Section::Video, &desired);
        let state = reporter.state(Section::Video, &Figures::default());
        assert_eq!(state.rev, 7);
        assert!(
            state.errors["width"]
                .as_str()
                .unwrap()
                .contains("config file")
        );
        assert_eq!(reporter.state(Section::Audio, &Figures::default()).rev, 0);
    }

    #[test]
    fn the_longest_trouble_fits_into_the_state() {
        let mut figures = Figures::default();
        figures.video.last_error = Some("ä".repeat(100_000));
        let state = reporter().state(Section::Video, &figures);
        heron_protocol::encode(&state).unwrap();
    }
}
