//! What to do with each message: who may say it, to whom it goes on.
//!
//! Everything the broker brings comes through [`Switchboard::message`], which never fails and never panics: what is
//! malformed, foreign, a duplicate or not allowed is counted, and the sender is told the reason where it waits for
//! an answer. Messages to send and log lines come back as an [`Outbox`]; the router does the IO.

use std::sync::Arc;

use heron_protocol::messages::{
    EndReason, Presence, ReportedState, RtcDown, RtcUp, Telemetry, ViewDown, ViewUp,
};
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
use super::opener::{Asked, NotOpened, Opener};
use super::seams::{ConnectionRecord, SessionRecord};
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

/// What presence told.
#[derive(Debug, Clone, PartialEq)]
pub enum PresenceLine {
    /// A camera came or went.
    Connection(ConnectionRecord),
    /// Two devices go by one identity; how that was seen.
    Cloned(DeviceId, String),
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
    opener: Opener,
    browsers: Arc<BrowserRegistry>,
    sessions: Sessions,
    clones: Clones,
    shared: Shared,
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
        if let ViewUp::Open {
            seq,
            camera,
            offer,
            rights,
        } = message
        {
            let asked = Asked {
                seq,
                camera,
                offer,
                rights,
            };
            self.open(&browser, (tenant, id, call), asked, now, out)
                .await;
            return;
        }
        if !self.still_allowed(&browser, &id, &call, now, out).await {
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

    async fn camera_says(&mut self, topic: &Topic, payload: &[u8], now: Moment, out: &mut Outbox) {
        let Some(device) = topic.device() else { return };
        let known = self.shared.cameras.read().tenant(device).cloned();
        let tenant = match known {
            Some(tenant) => tenant,
            None => match self.opener.directory.camera(device).await {
                Ok(Some(camera)) => camera.tenant,
                // Removed, with retained messages left behind, or of another installation.
                Ok(None) => return Counters::count(&self.shared.counters.foreign),
                Err(reason) => {
                    return tracing::error!(%reason, %device, "camera could not be looked up");
                }
            },
        };
        let change = match self.change(topic, device, &tenant, payload, now, out) {
            Ok(change) => change,
            Err(refused) => return self.malformed(&refused, device.as_str()),
        };
        if let Some(change) = change {
            self.announce(change, now, out);
        }
    }

    fn change(
        &mut self,
        topic: &Topic,
        device: &DeviceId,
        tenant: &TenantId,
        payload: &[u8],
        now: Moment,
        out: &mut Outbox,
    ) -> Result<Option<CameraChange>, Refused> {
        let cameras = &self.shared.cameras;
        Ok(match topic {
            // An empty retained message only clears the broker's copy.
            _ if payload.is_empty() => None,
            Topic::Presence(_) => {
                let presence: Presence = decode(payload)?;
                if presence.online
                    && let Some(times) = self.clones.online(device, &presence.boot_id, now.steady)
                {
                    let evidence = format!(
                        "two devices use this identity: it went back to an earlier boot {times} times within minutes"
                    );
                    out.presence
                        .push(PresenceLine::Cloned(device.clone(), evidence));
                }
                let record = connection(device, &presence, now);
                let change = cameras.write().presence(device, tenant, presence, now);
                if change.is_some() {
                    out.presence.push(PresenceLine::Connection(record));
                }
                change
            }
            Topic::ReportedState(_, section) => {
                let reported: ReportedState = decode(payload)?;
                Some(cameras.write().reported(device, tenant, *section, reported))
            }
            Topic::Telemetry(_) => {
                let telemetry: Telemetry = decode(payload)?;
                Some(cameras.write().telemetry(device, tenant, telemetry))
            }
            _ => None,
        })
    }

    /// Tells the API and every browser of the tenant.
    fn announce(&self, change: CameraChange, now: Moment, out: &mut Outbox) {
        for (browser, _) in self.browsers.of_tenant(&change.tenant, now.calendar) {
            let topic = Topic::ViewCamera(change.tenant.clone(), browser, change.device.clone());
            self.push(topic, &change.update, out);
        }
        // Nobody has to listen.
        let _ = self.shared.changes.send(change);
    }

    fn apply(&self, effects: Vec<Effect>, out: &mut Outbox) {
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

    fn push<M: Message>(&self, topic: Topic, message: &M, out: &mut Outbox) {
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

    fn malformed(&self, refused: &Refused, sender: &str) {
        tracing::warn!(sender, %refused, "message refused");
        Counters::count(&self.shared.counters.malformed);
    }

    fn refuse(&self, refusal: Refusal) {
        let counters = &self.shared.counters;
        Counters::count(match refusal {
            Refusal::Duplicate => &counters.duplicates,
            Refusal::Unknown => &counters.foreign,
            Refusal::OutOfOrder => &counters.out_of_order,
            Refusal::Limit(_) => &counters.denied,
        });
    }
}

fn connection(device: &DeviceId, presence: &Presence, now: Moment) -> ConnectionRecord {
    let reason = presence.reason.or(presence.last_reason);
    let reason = reason.and_then(|reason| serde_json::to_value(reason).ok());
    ConnectionRecord {
        camera: device.clone(),
        at_ms: now.unix_ms().cast_signed(),
        online: presence.online,
        reason: reason.and_then(|reason| reason.as_str().map(str::to_owned)),
        boot_id: presence.boot_id.clone(),
        firmware: presence.firmware.clone(),
        seq: presence.seq,
    }
}

#[cfg(test)]
#[path = "switchboard_tests.rs"]
mod tests;
