//! What to do with each message: who may say it, to whom it goes on.
//!
//! Everything the broker brings comes through [`Switchboard::message`], which never fails and never panics: what is
//! malformed, foreign, a duplicate or not allowed is counted, and the sender is told the reason where it waits for
//! an answer. Messages to send and log lines come back as an [`Outbox`]; the router does the IO.

use std::sync::Arc;

use heron_protocol::messages::{EndReason, RtcDown, RtcUp, ViewDown, ViewUp};
use heron_protocol::{
    BrowserId, CallId, DeviceId, Message, Refused, SessionId, TenantId, Topic, decode, encode,
};
use parking_lot::RwLock;
use tokio::sync::broadcast;

use super::browsers::{Browser, BrowserRegistry};
use super::cameras::{CameraChange, Cameras};
use super::clones::Clones;
use super::counters::Counters;
use super::moment::Moment;
use super::news::{PresenceLine, connection};
use super::opener::{Asked, NotOpened, Opener};
use super::seams::SessionRecord;
use super::session::{Effect, LogLine};
use super::sessions::{Refusal, Sessions};

/// What a message leads to.
#[derive(Debug, Default)]
pub struct Outbox {
    /// To be published, in this order.
    pub messages: Vec<(Topic, Vec<u8>)>,
    /// To be written to the session log, in this order.
    pub log: Vec<LogLine>,
    /// To be written to the presence log, in this order.
    pub presence: Vec<PresenceLine>,
}

/// The parts that the router shares with the switchboard.
#[derive(Clone)]
pub struct Shared {
    /// What is known of the cameras.
    pub cameras: Arc<RwLock<Cameras>>,
    /// What was counted.
    pub counters: Arc<Counters>,
    /// News of cameras.
    pub changes: broadcast::Sender<CameraChange>,
}

/// The decisions of signalling.
pub struct Switchboard {
    pub(super) opener: Opener,
    pub(super) browsers: Arc<BrowserRegistry>,
    pub(super) sessions: Sessions,
    pub(super) clones: Clones,
    pub(super) shared: Shared,
}

impl Switchboard {
    /// A switchboard without sessions.
    pub fn new(
        opener: Opener,
        browsers: Arc<BrowserRegistry>,
        sessions: Sessions,
        shared: Shared,
    ) -> Self {
        Self {
            opener,
            browsers,
            sessions,
            clones: Clones::default(),
            shared,
        }
    }

    /// A message from the broker.
    pub async fn message(&mut self, topic: &str, payload: &[u8], now: Moment) -> Outbox {
        let mut out = Outbox::default();
        match topic.parse() {
            Ok(Topic::ViewUp(tenant, browser, call)) => {
                self.browser_says((tenant, browser, call), payload, now, &mut out)
                    .await;
            }
            Ok(Topic::RtcUp(device, session)) => {
                self.device_says(&device, &session, payload, now, &mut out);
            }
            Ok(topic @ (Topic::Presence(_) | Topic::ReportedState(..) | Topic::Telemetry(_))) => {
                self.camera_says(&topic, payload, now, &mut out).await;
            }
            // Events, alarms, jobs and calls pass by; our own messages do not come back.
            Ok(_) => {}
            Err(reason) => {
                tracing::warn!(%reason, "message on an unknown topic");
                Counters::count(&self.shared.counters.malformed);
            }
        }
        out
    }

    /// Lets time pass. Call about once a second while the broker is there.
    pub fn tick(&mut self, now: Moment) -> Outbox {
        let mut out = Outbox::default();
        let mut effects = self.sessions.tick(now);
        let browsers = &self.browsers;
        let gone = |record: &SessionRecord| browsers.get(&record.browser, now.calendar).is_none();
        effects.extend(self.sessions.end_where(
            gone,
            EndReason::NotAllowed,
            "the viewer's sign-in ended",
            now,
        ));
        self.apply(effects, &mut out);
        let changes = self.shared.cameras.write().tick(now);
        for change in changes {
            if let Some(presence) = &change.update.presence {
                let record = connection(&change.device, presence, now);
                out.presence.push(PresenceLine::Connection(record));
            }
            self.announce(change, now, &mut out);
        }
        out
    }

    /// The broker is back.
    pub fn reconnected(&mut self, now: Moment) {
        self.sessions.pardon_silence(now);
        self.shared.cameras.write().reconnected(now);
    }

    /// A camera is put out: its sessions end for that reason. One that was `removed` is forgotten, too.
    pub fn put_out(
        &mut self,
        device: &DeviceId,
        reason: &str,
        removed: bool,
        now: Moment,
    ) -> Outbox {
        let mut out = Outbox::default();
        self.clones.forget(device);
        let change = self.shared.cameras.write().put_out(device, now);
        if let Some(change) = change {
            self.announce(change, now, &mut out);
        }
        if removed {
            self.shared.cameras.write().forget(device);
        }
        let its = |record: &SessionRecord| record.camera == *device;
        let effects = self
            .sessions
            .end_where(its, EndReason::NotAllowed, reason, now);
        self.apply(effects, &mut out);
        out
    }

    /// Ends a session for a reason that neither of its ends has.
    pub fn end_session(
        &mut self,
        session: &SessionId,
        reason: EndReason,
        detail: &str,
        now: Moment,
    ) -> Outbox {
        let mut out = Outbox::default();
        let this = |record: &SessionRecord| record.session == *session;
        let effects = self.sessions.end_where(this, reason, detail, now);
        self.apply(effects, &mut out);
        out
    }

    async fn browser_says(
        &mut self,
        (tenant, id, call): (TenantId, BrowserId, CallId),
        payload: &[u8],
        now: Moment,
        out: &mut Outbox,
    ) {
        let message: ViewUp = match decode(payload) {
            Ok(message) => message,
            Err(refused) => {
                self.malformed(&refused, id.as_str());
                if self.sessions.of_call(&id, &call).is_none() {
                    let why = NotOpened(EndReason::BadMessage, refused.to_string());
                    self.answer_closed((tenant, id, call), why, out);
                }
                return;
            }
        };
        let browser = self
            .browsers
            .get(&id, now.calendar)
            .filter(|browser| browser.tenant == tenant);
        let Some(browser) = browser else {
            Counters::count(&self.shared.counters.foreign);
            if let ViewUp::Open { .. } = message {
                let why = NotOpened(EndReason::NotAllowed, "the sign-in ended".into());
                self.answer_closed((tenant, id, call), why, out);
            }
            return;
        };
        match message {
            ViewUp::Open {
                seq,
                camera,
                offer,
                rights,
            } => {
                let asked = Asked {
                    seq,
                    camera,
                    offer,
                    rights,
                };
                self.open(&browser, (tenant, id, call), asked, now, out)
                    .await;
            }
            ViewUp::Restart { seq, offer } => {
                self.restart(&browser, (tenant, id, call), (seq, offer), now, out)
                    .await;
            }
            message => {
                self.goes_on(&browser, (tenant, id, call), message, now, out)
                    .await;
            }
        }
    }

    /// What a browser says in a session that is open.
    async fn goes_on(
        &mut self,
        browser: &Browser,
        (tenant, id, call): (TenantId, BrowserId, CallId),
        message: ViewUp,
        now: Moment,
        out: &mut Outbox,
    ) {
        if !self.still_allowed(browser, &id, &call, now, out).await {
            return;
        }
        let unknown_candidates = matches!(message, ViewUp::Candidates { .. });
        match self.sessions.viewer_says(&id, &call, message, now) {
            Ok(effects) => self.apply(effects, out),
            Err(refusal) => {
                self.refuse(refusal);
                if refusal == Refusal::Unknown && unknown_candidates {
                    let why = NotOpened(EndReason::BadMessage, refusal.to_string());
                    self.answer_closed((tenant, id, call), why, out);
                }
            }
        }
    }

    /// Opens a session, or tells the browser why not.
    async fn open(
        &mut self,
        browser: &Browser,
        (tenant, id, call): (TenantId, BrowserId, CallId),
        asked: Asked,
        now: Moment,
        out: &mut Outbox,
    ) {
        let prepared = match self.sessions.admit(&id, &call, &asked.camera) {
            Ok(()) => self.opener.prepare(browser, &id, &call, asked, now).await,
            Err(Refusal::Duplicate) => {
                return Counters::count(&self.shared.counters.duplicates);
            }
            Err(refusal) => Err(NotOpened(EndReason::Limit, refusal.to_string())),
        };
        match prepared {
            Ok(opening) => {
                Counters::count(&self.shared.counters.opened);
                let effects = self.sessions.open(opening, now);
                self.apply(effects, out);
            }
            Err(why) => {
                Counters::count(&self.shared.counters.denied);
                tracing::info!(browser = %id, person = browser.person, reason = why.1, "session refused");
                self.answer_closed((tenant, id, call), why, out);
            }
        }
    }

    /// Looks for another path in a session. The one it has goes on until there is a better one; a session that may not
    /// go on, or that nobody knows, ends.
    async fn restart(
        &mut self,
        browser: &Browser,
        (tenant, id, call): (TenantId, BrowserId, CallId),
        (seq, offer): (u32, String),
        now: Moment,
        out: &mut Outbox,
    ) {
        let (record, rights) = match self.sessions.admit_restart(&id, &call, seq, now) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.refuse(refusal);
                if refusal == Refusal::Unknown {
                    // Of before a restart of ours, or ended meanwhile: the viewer begins anew by itself.
                    let why = NotOpened(EndReason::ViewerVanished, refusal.to_string());
                    self.answer_closed((tenant, id, call), why, out);
                }
                return;
            }
        };
        let terms = self
            .opener
            .renew(browser, &record, rights, offer, now)
            .await;
        let effects = match terms {
            Ok(terms) => {
                Counters::count(&self.shared.counters.restarts);
                self.sessions.restart(&record.session, terms)
            }
            // A store that fails for a moment ends nothing: the viewer asks again.
            Err(NotOpened(EndReason::Failed, _)) => return,
            Err(NotOpened(reason, detail)) => {
                Counters::count(&self.shared.counters.denied);
                let this = |other: &SessionRecord| other.session == record.session;
                self.sessions.end_where(this, reason, &detail, now)
            }
        };
        self.apply(effects, out);
    }

    /// Rights are asked for on every message: who loses them loses the session.
    async fn still_allowed(
        &mut self,
        browser: &Browser,
        id: &BrowserId,
        call: &CallId,
        now: Moment,
        out: &mut Outbox,
    ) -> bool {
        let Some(record) = self.sessions.of_call(id, call) else {
            return true;
        };
        let (session, camera) = (record.session.clone(), record.camera.clone());
        match self
            .opener
            .directory
            .may_view(&browser.person, &camera)
            .await
        {
            Ok(rights) if !rights.is_empty() => true,
            Ok(_) => {
                let this = |record: &SessionRecord| record.session == session;
                let detail = "the camera may not be watched any more";
                let effects = self
                    .sessions
                    .end_where(this, EndReason::NotAllowed, detail, now);
                self.apply(effects, out);
                false
            }
            Err(reason) => {
                // A store that fails for a moment takes no picture away that was granted.
                tracing::error!(%reason, "rights could not be checked");
                true
            }
        }
    }

    fn device_says(
        &mut self,
        device: &DeviceId,
        session: &SessionId,
        payload: &[u8],
        now: Moment,
        out: &mut Outbox,
    ) {
        let message: RtcUp = match decode(payload) {
            Ok(message) => message,
            Err(refused) => return self.malformed(&refused, device.as_str()),
        };
        let is_answer = matches!(message, RtcUp::Answer { .. });
        match self.sessions.device_says(device, session, message, now) {
            Ok(effects) => self.apply(effects, out),
            Err(refusal) => {
                self.refuse(refusal);
                // A camera that answers nobody would wait for its viewer. Its figures for a session of before a
                // restart of ours are let be: the picture goes on without us.
                if refusal == Refusal::Unknown && is_answer {
                    let close = RtcDown::Close {
                        seq: 0,
                        reason: EndReason::ViewerClosed,
                    };
                    self.push(Topic::RtcDown(device.clone(), session.clone()), &close, out);
                }
            }
        }
    }

    pub(super) fn apply(&self, effects: Vec<Effect>, out: &mut Outbox) {
        for effect in effects {
            match effect {
                Effect::ToDevice(device, session, message) => {
                    self.push(Topic::RtcDown(device, session), &message, out);
                }
                Effect::ToViewer(tenant, browser, call, message) => {
                    self.push(Topic::ViewDown(tenant, browser, call), &message, out);
                }
                Effect::Log(line) => {
                    if let LogLine::Ended(record) = &line {
                        Counters::count(&self.shared.counters.ended);
                        self.opener.ice.ended(&record.session);
                    }
                    out.log.push(line);
                }
            }
        }
    }

    pub(super) fn push<M: Message>(&self, topic: Topic, message: &M, out: &mut Outbox) {
        match encode(message) {
            Ok(payload) => out.messages.push((topic, payload)),
            Err(reason) => tracing::error!(%topic, %reason, "a message of ours breaks its limits"),
        }
    }

    fn answer_closed(
        &self,
        (tenant, browser, call): (TenantId, BrowserId, CallId),
        NotOpened(reason, detail): NotOpened,
        out: &mut Outbox,
    ) {
        let detail = detail.chars().take(100).collect();
        self.push(
            Topic::ViewDown(tenant, browser, call),
            &ViewDown::Closed {
                seq: 0,
                reason,
                detail,
            },
            out,
        );
    }

    pub(super) fn malformed(&self, refused: &Refused, sender: &str) {
        tracing::warn!(sender, %refused, "message refused");
        Counters::count(&self.shared.counters.malformed);
    }

    fn refuse(&self, refusal: Refusal) {
        let counters = &self.shared.counters;
        Counters::count(match refusal {
            Refusal::Duplicate => &counters.duplicates,
            Refusal::Unknown => &counters.foreign,
            Refusal::OutOfOrder => &counters.out_of_order,
            Refusal::Limit(_) | Refusal::TooOften => &counters.denied,
        });
    }
}

#[cfg(test)]
#[path = "switchboard_tests.rs"]
mod tests;
