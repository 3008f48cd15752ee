//! One video session: its record, its numbers in both directions, and what its figures say.

use std::time::{Duration, Instant};

use heron_protocol::messages::{
    EndReason, IcePolicy, IceServer, Path, RtcDown, SessionStats, ViewDown, ViewerStats,
};
use heron_protocol::{BrowserId, CallId, DeviceId, SessionId, TenantId};

use super::moment::Moment;
use super::seams::SessionRecord;
use super::sequence::Sequence;

/// Figures that only grow are written to the log this often.
pub(super) const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What follows from an input.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// To be sent to a camera.
    ToDevice(DeviceId, SessionId, RtcDown),
    /// To be sent to a browser.
    ToViewer(TenantId, BrowserId, CallId, ViewDown),
    /// To be written to the session log.
    Log(LogLine),
}

/// A change of a session's record.
#[derive(Debug, Clone, PartialEq)]
pub enum LogLine {
    /// It began.
    Opened(SessionRecord),
    /// Its figures changed.
    Updated(SessionRecord),
    /// It ended.
    Ended(SessionRecord),
}

/// A session about to be opened.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Who, what and where.
    pub record: SessionRecord,
    /// The browser's name for it.
    pub call: CallId,
    /// The number of the browser's message.
    pub seq: u32,
    /// The grant.
    pub grant: String,
    /// The viewer's offer.
    pub offer: String,
    /// ICE servers for the camera's end.
    pub device_servers: Vec<IceServer>,
    /// ICE servers for the viewer's end.
    pub viewer_servers: Vec<IceServer>,
    /// Which candidates both ends may use.
    pub ice_policy: IcePolicy,
}

/// A session that is open.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) record: SessionRecord,
    pub(super) call: CallId,
    /// While the camera has not answered.
    pub(super) answer_by: Option<Instant>,
    pub(super) heard: Instant,
    logged: Instant,
    pub(super) from_device: Sequence,
    pub(super) from_viewer: Sequence,
    to_device: u32,
    to_viewer: u32,
}

impl Session {
    /// Opens it: both ends learn of it in the same moment.
    pub(super) fn open(opening: Opening, answer_by: Instant, now: Moment) -> (Self, Vec<Effect>) {
        let Opening {
            record,
            call,
            seq,
            grant,
            offer,
            device_servers,
            viewer_servers,
            ice_policy,
        } = opening;
        let mut session = Self {
            record,
            call,
            answer_by: Some(answer_by),
            heard: now.steady,
            logged: now.steady,
            from_device: Sequence::default(),
            from_viewer: Sequence::default(),
            to_device: 0,
            to_viewer: 0,
        };
        session.from_viewer.accept(seq);
        let id = session.record.session.clone();
        let effects = vec![
            session.tell_device(|seq| RtcDown::Open {
                seq,
                grant,
                offer,
                ice_servers: device_servers,
                ice_policy,
            }),
            session.tell_viewer(|seq| ViewDown::Opened {
                seq,
                session: id,
                ice_servers: viewer_servers,
                ice_policy,
            }),
            Effect::Log(LogLine::Opened(session.record.clone())),
        ];
        (session, effects)
    }

    /// Its place in the table of calls.
    pub(super) fn key(&self) -> (BrowserId, CallId) {
        (self.record.browser.clone(), self.call.clone())
    }

    /// A message to the camera, with the next number.
    pub(super) fn tell_device(&mut self, message: impl FnOnce(u32) -> RtcDown) -> Effect {
        let message = message(self.to_device);
        self.to_device += 1;
        Effect::ToDevice(
            self.record.camera.clone(),
            self.record.session.clone(),
            message,
        )
    }

    /// A message to the viewer, with the next number.
    pub(super) fn tell_viewer(&mut self, message: impl FnOnce(u32) -> ViewDown) -> Effect {
        let message = message(self.to_viewer);
        self.to_viewer += 1;
        let SessionRecord {
            tenant, browser, ..
        } = &self.record;
        Effect::ToViewer(tenant.clone(), browser.clone(), self.call.clone(), message)
    }

    /// The viewer's figures: the phases of the start as a person felt them, and the path.
    pub(super) fn viewer_stats(&mut self, stats: &ViewerStats, now: Moment) -> Vec<Effect> {
        let before = self.record.clone();
        let phases = &mut self.record.phases;
        phases.signal_ms = stats.phases.answered_ms.or(phases.signal_ms);
        phases.ice_ms = stats.phases.ice_ms.or(phases.ice_ms);
        phases.dtls_ms = stats.phases.dtls_ms.or(phases.dtls_ms);
        phases.first_frame_ms = stats.phases.first_frame_ms.or(phases.first_frame_ms);
        self.take_path(stats.path.as_ref());
        self.log_change(&before, now)
    }

    /// The camera's figures: when its first packet left, the path, and how much it has sent.
    pub(super) fn device_stats(&mut self, stats: &SessionStats, now: Moment) -> Vec<Effect> {
        let before = self.record.clone();
        self.record.phases.first_packet_ms = stats
            .phases
            .first_packet_ms
            .or(self.record.phases.first_packet_ms);
        self.record.bytes = self.record.bytes.max(stats.bytes_sent);
        self.take_path(stats.path.as_ref());
        self.log_change(&before, now)
    }

    fn take_path(&mut self, path: Option<&Path>) {
        if let Some(path) = path {
            // A path is relayed for both ends if it is for one: each end sees only its own relay as one.
            let was_relayed = self.record.path.as_deref() == Some("relayed");
            let relayed = path.relayed() || was_relayed;
            self.record.path = Some(if relayed { "relayed" } else { "direct" }.to_owned());
        }
    }

    /// New phases and paths are written at once, bytes now and then.
    fn log_change(&mut self, before: &SessionRecord, now: Moment) -> Vec<Effect> {
        let news = before.phases != self.record.phases || before.path != self.record.path;
        let due = before.bytes != self.record.bytes && self.logged + LOG_INTERVAL <= now.steady;
        if !news && !due {
            return Vec::new();
        }
        self.logged = now.steady;
        vec![Effect::Log(LogLine::Updated(self.record.clone()))]
    }
}

/// Why a session ended, for a person.
pub fn words(reason: EndReason) -> &'static str {
    match reason {
        EndReason::ViewerClosed => "the viewer closed it",
        EndReason::ViewerVanished => "the viewer vanished",
        EndReason::NoPath => "no path between viewer and camera was found",
        EndReason::NoAnswer => "the camera did not answer",
        EndReason::CameraOffline => "the camera is offline",
        EndReason::CameraShutdown => "the camera's service stopped",
        EndReason::GrantRefused => "the camera refused the grant",
        EndReason::NotAllowed => "not allowed, or not any more",
        EndReason::Limit => "a limit was reached",
        EndReason::BadMessage => "a message could not be understood",
        EndReason::Failed => "something broke",
    }
}
