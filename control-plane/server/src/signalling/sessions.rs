//! The table of video sessions: a state machine without IO, with the time passed in.
//!
//! ```text
//! open --> waiting --answer--> running --closed by either end, token gone, silence--> ended
//!             |                  |  ^                                                   ^
//!             |              restart, answer                                            |
//!             +--- no answer in time, closed ------------------------------------------+
//! ```
//!
//! A running session may look for another path: the viewer makes a new offer, of its own accord or because the camera
//! wants one, and the camera answers it. The one it has goes on meanwhile, and nothing ends when no answer comes: the
//! viewer asks again.
//!
//! Each input gives the messages to send and the lines to write to the session log. Whether a person may watch a
//! camera is decided before, by the switchboard.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use heron_protocol::grant::Right;
use heron_protocol::messages::{EndReason, RestartReason, RtcDown, RtcUp, ViewDown, ViewUp};
use heron_protocol::{BrowserId, CallId, DeviceId, SessionId};
use thiserror::Error;

use super::moment::Moment;
use super::seams::SessionRecord;
use super::session::{Effect, LogLine, Opening, Session, Terms, words};

/// How many sessions there may be, and how long they may keep silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub sessions: usize,
    /// Of one browser.
    pub per_browser: usize,
    /// Of one camera.
    pub per_camera: usize,
    /// A camera must answer within this time.
    pub answer: Duration,
    /// A session of which neither end was heard for this time is over.
    pub silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 2000,
            per_browser: 16,
            per_camera: 64,
            answer: Duration::from_secs(10),
            silence: Duration::from_secs(60),
        }
    }
}

/// How long a call that is over is remembered, so that a late duplicate does not open it again. Longer than any
/// message lives in the broker.
const CALL_MEMORY: Duration = Duration::from_secs(60);

/// How long the camera's last figures are awaited once it was told that a session is over: as long as they live in the
/// broker.
const LAST_FIGURES: Duration = Duration::from_secs(15);

/// Why a message had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It came before.
    #[error("the message came before")]
    Duplicate,
    /// There is no such session, or it is somebody else's.
    #[error("there is no such session")]
    Unknown,
    /// It does not fit the state of the session.
    #[error("the message does not fit the state of the session")]
    OutOfOrder,
    /// A limit is reached.
    #[error("there are too many sessions {0}")]
    Limit(&'static str),
    /// Another path is looked for too often.
    #[error("another path is looked for too often")]
    TooOften,
}

/// All sessions that are open.
#[derive(Debug, Default)]
pub struct Sessions {
    limits: Limits,
    open: HashMap<SessionId, Session>,
    calls: HashMap<(BrowserId, CallId), SessionId>,
    past_calls: HashMap<(BrowserId, CallId), Instant>,
    /// Over, but for the camera's last figures; with the time until which they are awaited.
    closing: HashMap<SessionId, (Session, Instant)>,
}

/// Which ends are told that a session is over: not the one that said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tell {
    Device,
    Viewer,
    Both,
}

impl Sessions {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// The record of the session that a browser's call became.
    pub fn of_call(&self, browser: &BrowserId, call: &CallId) -> Option<&SessionRecord> {
        let id = self.calls.get(&(browser.clone(), call.clone()))?;
        self.open.get(id).map(|session| &session.record)
    }

    /// Whether a browser may open one more session, with that call, to that camera.
    ///
    /// # Errors
    ///
    /// [`Refusal::Duplicate`] and [`Refusal::Limit`].
    pub fn admit(
        &self,
        browser: &BrowserId,
        call: &CallId,
        camera: &DeviceId,
    ) -> Result<(), Refusal> {
        let key = (browser.clone(), call.clone());
        if self.calls.contains_key(&key) || self.past_calls.contains_key(&key) {
            return Err(Refusal::Duplicate);
        }
        if self.open.len() >= self.limits.sessions {
            return Err(Refusal::Limit("in all"));
        }
        let of = |filter: &dyn Fn(&SessionRecord) -> bool| {
            self.open
                .values()
                .filter(|session| filter(&session.record))
                .count()
        };
        if of(&|record| record.browser == *browser) >= self.limits.per_browser {
            return Err(Refusal::Limit("in this browser"));
        }
        if of(&|record| record.camera == *camera) >= self.limits.per_camera {
            return Err(Refusal::Limit("with this camera"));
        }
        Ok(())
    }

    /// Opens a session that was admitted: both ends learn of it in the same moment.
    pub fn open(&mut self, opening: Opening, now: Moment) -> Vec<Effect> {
        let (session, effects) = Session::open(opening, now.steady + self.limits.answer, now);
        let id = session.record.session.clone();
        self.calls.insert(session.key(), id.clone());
        self.open.insert(id, session);
        effects
    }

    /// Whether a browser may look for another path in one of its calls, with that message; what the session may do then.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; the message counts as heard but for [`Refusal::Unknown`].
    pub fn admit_restart(
        &mut self,
        browser: &BrowserId,
        call: &CallId,
        seq: u32,
        now: Moment,
    ) -> Result<(SessionRecord, Vec<Right>), Refusal> {
        let id = self.calls.get(&(browser.clone(), call.clone()));
        let session = id
            .and_then(|id| self.open.get_mut(id))
            .ok_or(Refusal::Unknown)?;
        if !session.from_viewer.accept(seq) {
            return Err(Refusal::Duplicate);
        }
        session.heard = now.steady;
        if session.answer_by.is_some() {
            return Err(Refusal::OutOfOrder);
        }
        if !session.restarts.admit(now.steady) {
            return Err(Refusal::TooOften);
        }
        Ok((session.record.clone(), session.rights.clone()))
    }

    /// Looks for another path in a session that [`admit_restart`](Self::admit_restart) let through.
    pub fn restart(&mut self, id: &SessionId, terms: Terms) -> Vec<Effect> {
        let session = self.open.get_mut(id);
        session.map_or_else(Vec::new, |session| session.restart(terms))
    }

    /// A camera is back. What it was told while it was away is lost: whoever waits for its answer has to ask again.
    pub fn camera_back(&mut self, device: &DeviceId) -> Vec<Effect> {
        self.open
            .values_mut()
            .filter(|session| session.record.camera == *device)
            .filter(|session| session.answer_by.is_none() && session.generation.answer_due())
            .map(|session| {
                session.tell_viewer(|seq| ViewDown::RestartWanted {
                    seq,
                    reason: RestartReason::NetworkChanged,
                })
            })
            .collect()
    }

    /// A message of a browser in one of its calls; `Open` and `Restart` are not for here.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; nothing has changed then.
    pub fn viewer_says(
        &mut self,
        browser: &BrowserId,
        call: &CallId,
        message: ViewUp,
        now: Moment,
    ) -> Result<Vec<Effect>, Refusal> {
        let id = self
            .calls
            .get(&(browser.clone(), call.clone()))
            .cloned()
            .ok_or(Refusal::Unknown)?;
        let session = self.open.get_mut(&id).ok_or(Refusal::Unknown)?;
        if !session.from_viewer.accept(message.seq()) {
            return Err(Refusal::Duplicate);
        }
        session.heard = now.steady;
        match message {
            ViewUp::Open { .. } | ViewUp::Restart { .. } => Err(Refusal::OutOfOrder),
            ViewUp::Candidates { candidates, .. } => {
                let candidates = session.generation.of_viewer(candidates);
                if candidates.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(vec![session.tell_device(|seq| RtcDown::Candidates {
                    seq,
                    candidates,
                })])
            }
            ViewUp::Stats { stats, .. } => Ok(session.viewer_stats(stats, now)),
            ViewUp::Close { reason, detail, .. } => {
                Ok(self.end(&id, reason, &detail, Tell::Device, now))
            }
        }
    }

    /// A message of a camera in a session.
    ///
    /// # Errors
    ///
    /// [`Refusal`]; nothing has changed then.
    pub fn device_says(
        &mut self,
        device: &DeviceId,
        id: &SessionId,
        message: RtcUp,
        now: Moment,
    ) -> Result<Vec<Effect>, Refusal> {
        let session = self
            .open
            .get_mut(id)
            .filter(|session| session.record.camera == *device);
        let Some(session) = session else {
            return self.last_figures(device, id, message, now);
        };
        if !session.from_device.accept(message.seq()) {
            return Err(Refusal::Duplicate);
        }
        session.heard = now.steady;
        match message {
            RtcUp::Answer { sdp, proof, .. } => {
                session.answer(sdp, proof, now).ok_or(Refusal::OutOfOrder)
            }
            RtcUp::RestartWanted { reason, .. } => {
                if session.answer_by.is_some() {
                    return Err(Refusal::OutOfOrder);
                }
                if !session.wishes.admit(now.steady) {
                    return Err(Refusal::TooOften);
                }
                Ok(vec![session.tell_viewer(|seq| ViewDown::RestartWanted {
                    seq,
                    reason,
                })])
            }
            RtcUp::Candidates { candidates, .. } => {
                let candidates = session.generation.of_device(candidates);
                if candidates.is_empty() {
                    return Ok(Vec::new());
                }
                Ok(vec![session.tell_viewer(|seq| ViewDown::Candidates {
                    seq,
                    candidates,
                })])
            }
            RtcUp::Stats { stats, .. } => Ok(session.device_stats(stats, now)),
            RtcUp::Closed {
                reason,
                detail,
                stats,
                ..
            } => {
                if let Some(stats) = stats {
                    session.device_stats(stats, now);
                }
                Ok(self.end(id, reason, &detail, Tell::Viewer, now))
            }
        }
    }

    /// What a camera still says of a session that was closed from this side: its last figures complete the record.
    fn last_figures(
        &mut self,
        device: &DeviceId,
        id: &SessionId,
        message: RtcUp,
        now: Moment,
    ) -> Result<Vec<Effect>, Refusal> {
        let (session, _) = self
            .closing
            .get_mut(id)
            .filter(|(session, _)| session.record.camera == *device)
            .ok_or(Refusal::Unknown)?;
        let RtcUp::Closed { stats, .. } = message else {
            return Err(Refusal::Unknown);
        };
        if let Some(stats) = stats {
            session.device_stats(stats, now);
        }
        let record = self.closing.remove(id).map(|(session, _)| session.record);
        Ok(record
            .map(|record| Effect::Log(LogLine::Updated(Box::new(record))))
            .into_iter()
            .collect())
    }

    /// Ends sessions whose answer is late or of which nothing is heard.
    pub fn tick(&mut self, now: Moment) -> Vec<Effect> {
        self.past_calls.retain(|_, forget| *forget > now.steady);
        self.closing.retain(|_, (_, until)| *until > now.steady);
        let Limits {
            answer, silence, ..
        } = self.limits;
        let late = self.ids(|session| session.answer_by.is_some_and(|by| by <= now.steady));
        let detail = format!("the camera did not answer within {} s", answer.as_secs());
        let mut effects: Vec<Effect> = late
            .iter()
            .flat_map(|id| self.end(id, EndReason::NoAnswer, &detail, Tell::Both, now))
            .collect();
        let silent = self.ids(|session| session.heard + silence <= now.steady);
        let detail = format!("neither end was heard for {} s", silence.as_secs());
        effects.extend(
            silent
                .iter()
                .flat_map(|id| self.end(id, EndReason::ViewerVanished, &detail, Tell::Both, now)),
        );
        effects
    }

    /// The broker was away, so nobody could be heard: the silence is counted from now on.
    pub fn pardon_silence(&mut self, now: Moment) {
        for session in self.open.values_mut() {
            session.heard = now.steady;
        }
    }

    /// Ends every session that `over` says is over.
    pub fn end_where(
        &mut self,
        over: impl Fn(&SessionRecord) -> bool,
        reason: EndReason,
        detail: &str,
        now: Moment,
    ) -> Vec<Effect> {
        let ids = self.ids(|session| over(&session.record));
        ids.iter()
            .flat_map(|id| self.end(id, reason, detail, Tell::Both, now))
            .collect()
    }

    fn ids(&self, filter: impl Fn(&Session) -> bool) -> Vec<SessionId> {
        self.open
            .iter()
            .filter(|(_, session)| filter(session))
            .map(|(id, _)| id.clone())
            .collect()
    }

    fn end(
        &mut self,
        id: &SessionId,
        reason: EndReason,
        detail: &str,
        tell: Tell,
        now: Moment,
    ) -> Vec<Effect> {
        let Some(mut session) = self.open.remove(id) else {
            return Vec::new();
        };
        self.calls.remove(&session.key());
        self.past_calls
            .insert(session.key(), now.steady + CALL_MEMORY);
        let mut effects = Vec::with_capacity(3);
        if tell != Tell::Viewer {
            effects.push(session.tell_device(|seq| RtcDown::Close { seq, reason }));
        }
        if tell != Tell::Device {
            effects.push(session.tell_viewer(|seq| ViewDown::Closed {
                seq,
                reason,
                detail: detail.to_owned(),
            }));
        }
        session.record.ended_ms = Some(now.unix_ms().cast_signed());
        session.record.end = Some(reason);
        session.record.end_reason = Some(if detail.is_empty() {
            words(reason).into()
        } else {
            detail.into()
        });
        effects.push(Effect::Log(LogLine::Ended(Box::new(
            session.record.clone(),
        ))));
        if tell != Tell::Viewer {
            self.closing
                .insert(id.clone(), (session, now.steady + LAST_FIGURES));
        }
        effects
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
