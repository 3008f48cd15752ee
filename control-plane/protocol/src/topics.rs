//! The one table of topics: every topic, its writer, how it is carried, and the type of its body.

use std::fmt;
use std::str::FromStr;

use schemars::{Schema, SchemaGenerator};
use thiserror::Error;

use crate::messages::{
    Alarm, CameraUpdate, DesiredState, Event, Job, JobProgress, Presence, ReportedState, RpcReply,
    RpcRequest, RtcDown, RtcUp, Section, Telemetry, ViewDown, ViewUp,
};
use crate::{BrowserId, CallId, DeviceId, Label, Message, SessionId, TenantId};

/// Who may publish on a topic. There is exactly one per topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The device whose id is in the topic.
    Device,
    /// The control plane.
    Control,
    /// The browser whose id is in the topic.
    Browser,
}

/// The rows of the table, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is described by its row")]
pub enum Kind {
    Presence,
    ReportedState,
    DesiredState,
    Telemetry,
    Event,
    Alarm,
    JobDown,
    JobUp,
    RpcDown,
    RpcUp,
    RtcDown,
    RtcUp,
    ViewUp,
    ViewDown,
    ViewCamera,
}

/// One row: a family of topics.
pub struct Row {
    /// Its name in code.
    pub kind: Kind,
    /// The topic, with parameters in braces.
    pub pattern: &'static str,
    /// Its only writer.
    pub writer: Role,
    /// 0 or 1.
    pub qos: u8,
    /// Whether the broker keeps the last message.
    pub retained: bool,
    /// Message expiry in seconds; `None` where messages do not expire or carry their own deadline.
    pub expiry_s: Option<u32>,
    /// Whether it is the writer's will.
    pub will: bool,
    /// One sentence.
    pub summary: &'static str,
    /// The body's name.
    pub message: &'static str,
    /// The body's largest size in bytes.
    pub max_bytes: usize,
    /// The body's JSON Schema.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

macro_rules! row {
    ($kind:ident, $pattern:literal, $writer:ident, $body:ty, qos $qos:literal, $retained:literal, $expiry:expr, $summary:literal) => {
        Row {
            kind: Kind::$kind,
            pattern: $pattern,
            writer: Role::$writer,
            qos: $qos,
            retained: $retained,
            expiry_s: $expiry,
            will: matches!(Kind::$kind, Kind::Presence),
            summary: $summary,
            message: <$body as Message>::NAME,
            max_bytes: <$body as Message>::MAX_BYTES,
            schema: |generator| generator.subschema_for::<$body>(),
        }
    };
}

const DAY_S: u32 = 24 * 3600;

/// All topics of version 1.
#[rustfmt::skip]
pub static TABLE: [Row; 15] = [
    row!(Presence, "cam/1/{shard}/{device}/up/presence", Device, Presence, qos 1, true, None, "Whether the device is online; also its will, delayed by 20 s."),
    row!(ReportedState, "cam/1/{shard}/{device}/up/state/{section}", Device, ReportedState, qos 1, true, None, "The state a section has."),
    row!(DesiredState, "cam/1/{shard}/{device}/dn/state/{section}", Control, DesiredState, qos 1, true, None, "The state a section should have."),
    row!(Telemetry, "cam/1/{shard}/{device}/up/tele", Device, Telemetry, qos 0, false, Some(120), "Measurements."),
    row!(Event, "cam/1/{shard}/{device}/up/event/{name}", Device, Event, qos 1, false, Some(DAY_S), "Something happened once."),
    row!(Alarm, "cam/1/{shard}/{device}/up/alarm/{name}", Device, Alarm, qos 1, true, None, "A condition that lasts; empty clears it."),
    row!(JobDown, "cam/1/{shard}/{device}/dn/job/{id}", Control, Job, qos 1, true, None, "A piece of work; expires at its deadline."),
    row!(JobUp, "cam/1/{shard}/{device}/up/job/{id}", Device, JobProgress, qos 1, true, Some(7 * DAY_S), "How a job goes, until the control plane clears it."),
    row!(RpcDown, "cam/1/{shard}/{device}/dn/rpc/{id}", Control, RpcRequest, qos 1, false, Some(30), "A call, with correlation data."),
    row!(RpcUp, "cam/1/{shard}/{device}/up/rpc/{id}", Device, RpcReply, qos 1, false, Some(30), "The answer to a call."),
    row!(RtcDown, "cam/1/{shard}/{device}/dn/rtc/{session}", Control, RtcDown, qos 1, false, Some(15), "Signalling to the device."),
    row!(RtcUp, "cam/1/{shard}/{device}/up/rtc/{session}", Device, RtcUp, qos 1, false, Some(15), "Signalling from the device."),
    row!(ViewUp, "view/1/{tenant}/{browser}/up/rtc/{call}", Browser, ViewUp, qos 1, false, Some(15), "Signalling from a browser."),
    row!(ViewDown, "view/1/{tenant}/{browser}/dn/rtc/{call}", Control, ViewDown, qos 1, false, Some(15), "Signalling to a browser."),
    row!(ViewCamera, "view/1/{tenant}/{browser}/dn/camera/{device}", Control, CameraUpdate, qos 1, false, Some(60), "A camera's presence or state changed."),
];

impl Kind {
    /// The table's row of this name.
    pub fn row(self) -> &'static Row {
        // The table is in the order of the enum, which a test holds it to.
        &TABLE[self as usize]
    }
}

/// A topic with its parameters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is described by its row in TABLE")]
pub enum Topic {
    Presence(DeviceId),
    ReportedState(DeviceId, Section),
    DesiredState(DeviceId, Section),
    Telemetry(DeviceId),
    Event(DeviceId, Label),
    Alarm(DeviceId, Label),
    JobDown(DeviceId, Label),
    JobUp(DeviceId, Label),
    RpcDown(DeviceId, Label),
    RpcUp(DeviceId, Label),
    RtcDown(DeviceId, SessionId),
    RtcUp(DeviceId, SessionId),
    ViewUp(TenantId, BrowserId, CallId),
    ViewDown(TenantId, BrowserId, CallId),
    ViewCamera(TenantId, BrowserId, DeviceId),
}

/// Why a text is not a topic of the table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseTopicError {
    /// No row has this form.
    #[error("no such topic in version 1 of the protocol")]
    Unknown,
    /// A parameter is not of its form.
    #[error("{parameter} in the topic is not valid")]
    Parameter {
        /// The parameter's name.
        parameter: &'static str,
    },
    /// The shard is not the device's.
    #[error("the shard in the topic is not the device's")]
    Shard,
}

impl Topic {
    /// The table's row for this topic.
    pub fn row(&self) -> &'static Row {
        self.kind().row()
    }

    /// Which row it is of.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Presence(_) => Kind::Presence,
            Self::ReportedState(..) => Kind::ReportedState,
            Self::DesiredState(..) => Kind::DesiredState,
            Self::Telemetry(_) => Kind::Telemetry,
            Self::Event(..) => Kind::Event,
            Self::Alarm(..) => Kind::Alarm,
            Self::JobDown(..) => Kind::JobDown,
            Self::JobUp(..) => Kind::JobUp,
            Self::RpcDown(..) => Kind::RpcDown,
            Self::RpcUp(..) => Kind::RpcUp,
            Self::RtcDown(..) => Kind::RtcDown,
            Self::RtcUp(..) => Kind::RtcUp,
            Self::ViewUp(..) => Kind::ViewUp,
            Self::ViewDown(..) => Kind::ViewDown,
            Self::ViewCamera(..) => Kind::ViewCamera,
        }
    }

    /// The device the topic speaks of, where it does.
    pub const fn device(&self) -> Option<&DeviceId> {
        match self {
            Self::Presence(device)
            | Self::ReportedState(device, _)
            | Self::DesiredState(device, _)
            | Self::Telemetry(device)
            | Self::Event(device, _)
            | Self::Alarm(device, _)
            | Self::JobDown(device, _)
            | Self::JobUp(device, _)
            | Self::RpcDown(device, _)
            | Self::RpcUp(device, _)
            | Self::RtcDown(device, _)
            | Self::RtcUp(device, _)
            | Self::ViewCamera(_, _, device) => Some(device),
            Self::ViewUp(..) | Self::ViewDown(..) => None,
        }
    }

    /// The browser whose tree the topic is in, where it is in one.
    pub const fn browser(&self) -> Option<(&TenantId, &BrowserId)> {
        match self {
            Self::ViewUp(tenant, browser, _)
            | Self::ViewDown(tenant, browser, _)
            | Self::ViewCamera(tenant, browser, _) => Some((tenant, browser)),
            _ => None,
        }
    }

    /// The value of a parameter of the row's pattern, by its name there.
    fn parameter(&self, name: &str) -> String {
        match (name, self) {
            ("shard", topic) => topic
                .device()
                .map(|device| device.shard().to_string())
                .unwrap_or_default(),
            ("device", topic) => topic.device().map(ToString::to_string).unwrap_or_default(),
            ("tenant", topic) => topic
                .browser()
                .map(|(tenant, _)| tenant.to_string())
                .unwrap_or_default(),
            ("browser", topic) => topic
                .browser()
                .map(|(_, browser)| browser.to_string())
                .unwrap_or_default(),
            (_, Self::ReportedState(_, section) | Self::DesiredState(_, section)) => {
                section.as_str().to_owned()
            }
            (
                _,
                Self::Event(_, label)
                | Self::Alarm(_, label)
                | Self::JobDown(_, label)
                | Self::JobUp(_, label)
                | Self::RpcDown(_, label)
                | Self::RpcUp(_, label),
            ) => label.to_string(),
            (_, Self::RtcDown(_, session) | Self::RtcUp(_, session)) => session.to_string(),
            (_, Self::ViewUp(_, _, call) | Self::ViewDown(_, _, call)) => call.to_string(),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, part) in self.row().pattern.split('/').enumerate() {
            if i > 0 {
                f.write_str("/")?;
            }
            match parameter_name(part) {
                Some(name) => f.write_str(&self.parameter(name))?,
                None => f.write_str(part)?,
            }
        }
        Ok(())
    }
}

impl FromStr for Topic {
    type Err = ParseTopicError;

    fn from_str(text: &str) -> Result<Self, ParseTopicError> {
        let row = TABLE
            .iter()
            .find(|row| has_form(row.pattern, text))
            .ok_or(ParseTopicError::Unknown)?;
        let of = Parameters {
            pattern: row.pattern,
            text,
        };
        let topic = match row.kind {
            Kind::Presence => Self::Presence(of.get("device")?),
            Kind::ReportedState => Self::ReportedState(of.get("device")?, of.section()?),
            Kind::DesiredState => Self::DesiredState(of.get("device")?, of.section()?),
            Kind::Telemetry => Self::Telemetry(of.get("device")?),
            Kind::Event => Self::Event(of.get("device")?, of.get("name")?),
            Kind::Alarm => Self::Alarm(of.get("device")?, of.get("name")?),
            Kind::JobDown => Self::JobDown(of.get("device")?, of.get("id")?),
            Kind::JobUp => Self::JobUp(of.get("device")?, of.get("id")?),
            Kind::RpcDown => Self::RpcDown(of.get("device")?, of.get("id")?),
            Kind::RpcUp => Self::RpcUp(of.get("device")?, of.get("id")?),
            Kind::RtcDown => Self::RtcDown(of.get("device")?, of.get("session")?),
            Kind::RtcUp => Self::RtcUp(of.get("device")?, of.get("session")?),
            Kind::ViewUp => Self::ViewUp(of.get("tenant")?, of.get("browser")?, of.get("call")?),
            Kind::ViewDown => {
                Self::ViewDown(of.get("tenant")?, of.get("browser")?, of.get("call")?)
            }
            Kind::ViewCamera => {
                Self::ViewCamera(of.get("tenant")?, of.get("browser")?, of.get("device")?)
            }
        };
        if let (Some(shard), Some(device)) = (of.text_of("shard"), topic.device())
            && shard != device.shard().to_string()
        {
            return Err(ParseTopicError::Shard);
        }
        Ok(topic)
    }
}

/// The name in `{name}`, if the part of a pattern is a parameter.
pub(crate) fn parameter_name(part: &'static str) -> Option<&'static str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

fn has_form(pattern: &'static str, text: &str) -> bool {
    let mut parts = text.split('/');
    let fits = pattern.split('/').all(|expected| {
        parts
            .next()
            .is_some_and(|part| parameter_name(expected).is_some() || part == expected)
    });
    fits && parts.next().is_none()
}

struct Parameters<'a> {
    pattern: &'static str,
    text: &'a str,
}

impl Parameters<'_> {
    fn text_of(&self, name: &str) -> Option<&str> {
        let position = self
            .pattern
            .split('/')
            .position(|part| parameter_name(part) == Some(name))?;
        self.text.split('/').nth(position)
    }

    fn get<T: FromStr>(&self, parameter: &'static str) -> Result<T, ParseTopicError> {
        self.text_of(parameter)
            .and_then(|text| text.parse().ok())
            .ok_or(ParseTopicError::Parameter { parameter })
    }

    fn section(&self) -> Result<Section, ParseTopicError> {
        let text = self.text_of("section");
        Section::ALL
            .into_iter()
            .find(|section| Some(section.as_str()) == text)
            .ok_or(ParseTopicError::Parameter {
                parameter: "section",
            })
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// One topic of every row, for `device` and `browser`.
    pub fn one_of_each(device: &DeviceId, tenant: &TenantId, browser: &BrowserId) -> Vec<Topic> {
        let label: Label = "one".parse().unwrap();
        let session = SessionId::from_bits(5);
        let call: CallId = "0123456789abcdef0123456789abcdef".parse().unwrap();
        let d = || device.clone();
        vec![
            Topic::Presence(d()),
            Topic::ReportedState(d(), Section::Video),
            Topic::DesiredState(d(), Section::Audio),
            Topic::Telemetry(d()),
            Topic::Event(d(), label.clone()),
            Topic::Alarm(d(), label.clone()),
            Topic::JobDown(d(), label.clone()),
            Topic::JobUp(d(), label.clone()),
            Topic::RpcDown(d(), label.clone()),
            Topic::RpcUp(d(), label),
            Topic::RtcDown(d(), session.clone()),
            Topic::RtcUp(d(), session),
            Topic::ViewUp(tenant.clone(), browser.clone(), call.clone()),
            Topic::ViewDown(tenant.clone(), browser.clone(), call),
            Topic::ViewCamera(tenant.clone(), browser.clone(), d()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_written_and_read_back() {
        let topics = testing::one_of_each(
            &"front-door-01".parse().unwrap(),
            &"home".parse().unwrap(),
            &"browser-01".parse().unwrap(),
        );
        for (row, topic) in TABLE.iter().zip(&topics) {
            assert_eq!(row.kind, topic.kind(), "the table is in the order of Kind");
            assert_eq!(row.kind.row().pattern, row.pattern);
            assert_eq!(topic.to_string().parse(), Ok(topic.clone()));
            assert!(topic.to_string().matches('/').count() <= 7);
        }
        assert_eq!(TABLE.len(), topics.len());
    }

    #[test]
    fn the_direction_in_the_topic_and_the_writer_agree() {
        for row in &TABLE {
            assert_eq!(
                row.writer == Role::Control,
                row.pattern.contains("/dn/"),
                "{}",
                row.pattern
            );
        }
    }

    #[test]
    fn foreign_topics_are_refused_with_a_reason() {
        for (text, reason) in [
            ("", "no such topic"),
            ("$SYS/brokers", "no such topic"),
            ("cam/2/d0/front-door-01/up/presence", "no such topic"),
            ("cam/1/d0/front-door-01/up/presence/x", "no such topic"),
            ("cam/1/00/front-door-01/up/presence", "shard"),
            ("cam/1/d0/FRONT/up/presence", "device"),
            ("cam/1/d0/front-door-01/up/state/secrets", "section"),
            ("cam/1/d0/front-door-01/up/rtc/123", "session"),
        ] {
            let error = text.parse::<Topic>().unwrap_err();
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
        assert!(
            "cam/1/d0/front-door-01/up/presence"
                .parse::<Topic>()
                .is_ok()
        );
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_is_written_the_same(text in "(cam|view)/1/[a-z0-9/+#-]{0,60}") {
            if let Ok(topic) = text.parse::<Topic>() {
                proptest::prop_assert_eq!(topic.to_string(), text);
            }
        }
    }
}
