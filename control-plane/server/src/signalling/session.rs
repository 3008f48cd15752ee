//! One video session: its record, its numbers in both directions, and what its figures say.

use std::time::{Duration, Instant};

use heron_protocol::grant::Right;
use heron_protocol::messages::{
    EndReason, IcePolicy, IceServer, RtcDown, SessionStats, ViewDown, ViewerStats,
};
use heron_protocol::{BrowserId, CallId, DeviceId, SessionId, TenantId};

use super::moment::Moment;
use super::restarts::{Generation, Pace};
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
    Opened(Box<SessionRecord>),
    /// Its figures changed.
    Updated(Box<SessionRecord>),
    /// It ended.
    Ended(Box<SessionRecord>),
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
    /// What the viewer may do: what the grant says.
    pub rights: Vec<Right>,
    /// What it begins with.
    pub terms: Terms,
}

/// What an offer takes: a grant for it, and servers for both ends.
#[derive(Debug, Clone)]
pub struct Terms {
    /// The viewer's offer.
    pub offer: String,
    /// The grant, for that offer.
    pub grant: String,
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
    /// What the viewer may do, at most.
    pub(super) rights: Vec<Right>,
    /// While the camera has not answered for the first time.
    pub(super) answer_by: Option<Instant>,
    pub(super) heard: Instant,
    logged: Instant,
    pub(super) generation: Generation,
    /// Of restarts that the viewer asks for.
    pub(super) restarts: Pace,
    /// Of those that the camera wants.
    pub(super) wishes: Pace,
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
            rights,
            terms,
        } = opening;
        let Terms {
            offer,
            grant,
            device_servers,
            viewer_servers,
            ice_policy,
        } = terms;
        let mut session = Self {
            record,
            call,
            rights,
            answer_by: Some(answer_by),
            heard: now.steady,
            logged: now.steady,
            generation: Generation::begin(&offer),
            restarts: Pace::default(),
            wishes: Pace::default(),
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
            Effect::Log(LogLine::Opened(Box::new(session.record.clone()))),
        ];
        (session, effects)
    }

    /// Looks for another path, on the viewer's new offer: both ends learn of it in the same moment.
    pub(super) fn restart(&mut self, terms: Terms) -> Vec<Effect> {
        let Terms {
            offer,
            grant,
            device_servers,
            viewer_servers,
            ice_policy,
        } = terms;
        self.generation.offered(&offer);
        vec![
            self.tell_device(|seq| RtcDown::Restart {
                seq,
                grant,
                offer,
                ice_servers: device_servers,
            }),
            self.tell_viewer(|seq| ViewDown::Restarted {
                seq,
                ice_servers: viewer_servers,
                ice_policy,
            }),
        ]
    }

    /// The camera answers an offer; `None` if it owed no answer.
    pub(super) fn answer(
        &mut self,
        sdp: String,
        proof: String,
        now: Moment,
    ) -> Option<Vec<Effect>> {
        if !self.generation.answered(&sdp) {
            return None;
        }
        let first = self.answer_by.take().is_some();
        let before = self.record.clone();
        self.record.restarts += u32::from(!first);
        let mut effects = vec![self.tell_viewer(|seq| ViewDown::Answer { seq, sdp, proof })];
        effects.extend(self.log_change(&before, now));
        Some(effects)
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
    pub(super) fn viewer_stats(&mut self, stats: ViewerStats, now: Moment) -> Vec<Effect> {
        let before = self.record.clone();
        let phases = &mut self.record.phases;
        phases.signal_ms = stats.phases.answered_ms.or(phases.signal_ms);
        phases.ice_ms = stats.phases.ice_ms.or(phases.ice_ms);
        phases.dtls_ms = stats.phases.dtls_ms.or(phases.dtls_ms);
        phases.first_frame_ms = stats.phases.first_frame_ms.or(phases.first_frame_ms);
        let ends = &mut self.record.ends;
        ends.viewer_phases = stats.phases;
        ends.viewer = stats.path.or(ends.viewer.take());
        self.log_change(&before, now)
    }

    /// The camera's figures: when its first packet left, the paths it tried, and how much it has sent.
    pub(super) fn device_stats(&mut self, stats: SessionStats, now: Moment) -> Vec<Effect> {
        let before = self.record.clone();
        let record = &mut self.record;
        let first_packet = &mut record.phases.first_packet_ms;
        *first_packet = stats.phases.first_packet_ms.or(*first_packet);
        record.bytes = record.bytes.max(stats.bytes_sent);
        record.restarts = record.restarts.max(stats.restarts);
        let ends = &mut record.ends;
        ends.device_phases = stats.phases;
        ends.device = stats.path.or(ends.device.take());
        if !stats.pairs.is_empty() {
            ends.pairs = stats.pairs;
        }
        self.log_change(&before, now)
    }

    /// New phases and paths are written at once, what grows or trembles now and then.
    fn log_change(&mut self, before: &SessionRecord, now: Moment) -> Vec<Effect> {
        self.record.path = self.record.ends.kind().or(self.record.path);
        let key = |record: &SessionRecord| (record.phases, record.path, record.restarts);
        let news = key(before) != key(&self.record);
        let grown = (before.bytes, &before.ends) != (self.record.bytes, &self.record.ends);
        let due = grown && self.logged + LOG_INTERVAL <= now.steady;
        if !news && !due {
            return Vec::new();
        }
        self.logged = now.steady;
        vec![Effect::Log(LogLine::Updated(Box::new(self.record.clone())))]
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
