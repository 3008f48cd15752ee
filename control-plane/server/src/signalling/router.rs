//! The thin driver of signalling: between broker, switchboard and session log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use heron_protocol::messages::{CameraUpdate, EndReason, IceServer};
use heron_protocol::{DeviceId, SessionId, SigningKey, TenantId};
use parking_lot::RwLock;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::browsers::BrowserRegistry;
use super::cameras::{CameraChange, Cameras};
use super::counters::{Counters, SignallingStats};
use super::ice::IceProvisioner;
use super::link::{Arrival, BrokerAddress, Link};
use super::moment::Moment;
use super::news::PresenceLine;
use super::opener::Opener;
use super::seams::{Directory, PresenceLog, SessionLog};
use super::session::LogLine;
use super::sessions::{Limits, Sessions};
use super::switchboard::{Outbox, Shared, Switchboard};

const TICK: Duration = Duration::from_secs(1);
/// Changes that a slow subscriber may lag behind.
const CHANGES: usize = 256;
/// Lines that may wait for the store; a store that far behind loses lines rather than holding up signalling.
const LOG_LINES: usize = 4096;
/// The same for presence: a whole fleet may come back at once.
const PRESENCE_LINES: usize = 65_536;
/// Lines of presence that are written at once.
const PRESENCE_BATCH: usize = 512;
/// How long the last lines and the goodbye may take.
const GOODBYE: Duration = Duration::from_secs(3);

/// What the router needs.
pub struct RouterConfig {
    /// The broker.
    pub broker: BrokerAddress,
    /// Signs grants.
    pub grant_key: SigningKey,
    /// STUN and TURN for both ends.
    pub ice: IceProvisioner,
    /// Who owns a camera and who may watch it.
    pub directory: Arc<dyn Directory>,
    /// Where sessions are written down.
    pub log: Arc<dyn SessionLog>,
    /// Where it is written down when cameras come and go.
    pub presence: Arc<dyn PresenceLog>,
    /// The browsers that hold a token.
    pub browsers: Arc<BrowserRegistry>,
    /// How many sessions there may be.
    pub limits: Limits,
}

/// Running signalling. Dropping it stops it; [`Router::stop`] also waits for the last lines of the log.
pub struct Router {
    shared: Shared,
    ice: IceProvisioner,
    link: Link,
    orders: mpsc::Sender<Order>,
    tasks: Vec<JoinHandle<()>>,
}

/// What the rest of the server asks for.
enum Order {
    PutOut(DeviceId, String, bool),
    EndSession(SessionId, EndReason, String),
    Stop(oneshot::Sender<()>),
}

impl Router {
    /// Begins to connect and to route. Call within a tokio runtime.
    pub fn start(config: RouterConfig) -> Self {
        let RouterConfig {
            broker,
            grant_key,
            ice,
            directory,
            log,
            presence,
            browsers,
            limits,
        } = config;
        let shared = Shared {
            cameras: Arc::new(RwLock::new(Cameras::default())),
            counters: Arc::new(Counters::default()),
            changes: broadcast::Sender::new(CHANGES),
        };
        let sessions = Sessions::new(limits);
        let cameras = Arc::clone(&shared.cameras);
        let opener = Opener {
            directory,
            grant_key,
            ice: ice.clone(),
            cameras,
        };
        let switchboard = Switchboard::new(opener, browsers, sessions, shared.clone());
        let (link, arrivals, connecting) = Link::start(&broker);
        let (orders, ordered) = mpsc::channel(16);
        let (lines, written) = mpsc::channel(LOG_LINES);
        let (seen, noted) = mpsc::channel(PRESENCE_LINES);
        let driver = Driver {
            switchboard,
            link: link.clone(),
            lines,
            seen,
            counters: Arc::clone(&shared.counters),
        };
        let routing = tokio::spawn(driver.run(arrivals, ordered));
        let writing = tokio::spawn(write(log, written));
        let noting = tokio::spawn(note(presence, noted));
        Self {
            shared,
            ice,
            link,
            orders,
            tasks: vec![routing, writing, noting, connecting],
        }
    }

    /// What every camera last said of itself.
    pub fn cameras(&self) -> HashMap<DeviceId, CameraUpdate> {
        self.shared.cameras.read().all()
    }

    /// What one camera last said of itself, if it ever did.
    pub fn camera(&self, device: &DeviceId) -> Option<CameraUpdate> {
        self.shared.cameras.read().get(device).cloned()
    }

    /// STUN and TURN servers to test a network with, without a session.
    pub fn self_test(&self, tenant: &TenantId) -> Vec<IceServer> {
        self.ice.self_test(tenant, Moment::now())
    }

    /// News of cameras from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<CameraChange> {
        self.shared.changes.subscribe()
    }

    /// Whether the broker is connected.
    pub fn is_connected(&self) -> bool {
        self.link.is_connected()
    }

    /// What was counted so far.
    pub fn stats(&self) -> SignallingStats {
        self.shared.counters.snapshot()
    }

    /// A camera is put out: its sessions end for that reason. Of one that was `removed` nothing is known any more.
    pub async fn put_out(&self, device: DeviceId, reason: String, removed: bool) {
        // A router that has stopped has no sessions to end.
        let _ = self
            .orders
            .send(Order::PutOut(device, reason, removed))
            .await;
    }

    /// Ends a session for a reason that neither of its ends has, such as a limit that is reached; both are told.
    pub async fn end_session(&self, session: SessionId, reason: EndReason, detail: String) {
        // A router that has stopped has no sessions to end.
        let _ = self
            .orders
            .send(Order::EndSession(session, reason, detail))
            .await;
    }

    /// Leaves the broker and waits until the log is written. Sessions go on: their media does not need us.
    pub async fn stop(mut self) {
        let (done, stopped) = oneshot::channel();
        if self.orders.send(Order::Stop(done)).await.is_ok() {
            let _ = tokio::time::timeout(GOODBYE, stopped).await;
        }
        for task in self.tasks.drain(..3) {
            let _ = tokio::time::timeout(GOODBYE, task).await;
        }
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

struct Driver {
    switchboard: Switchboard,
    link: Link,
    lines: mpsc::Sender<LogLine>,
    seen: mpsc::Sender<PresenceLine>,
    counters: Arc<Counters>,
}

impl Driver {
    async fn run(
        mut self,
        mut arrivals: mpsc::Receiver<Arrival>,
        mut orders: mpsc::Receiver<Order>,
    ) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let outbox = tokio::select! {
                arrival = arrivals.recv() => match arrival {
                    Some(Arrival::Connected) => {
                        self.switchboard.reconnected(Moment::now());
                        continue;
                    }
                    Some(Arrival::Message { topic, payload }) => {
                        self.switchboard.message(&topic, &payload, Moment::now()).await
                    }
                    None => return,
                },
                // Without the broker nobody can be heard, so nobody is blamed for silence.
                _ = ticks.tick() => if self.link.is_connected() {
                    self.switchboard.tick(Moment::now())
                } else {
                    continue;
                },
                order = orders.recv() => match order {
                    Some(Order::PutOut(device, reason, removed)) => {
                        self.switchboard.put_out(&device, &reason, removed, Moment::now())
                    }
                    Some(Order::EndSession(session, reason, detail)) => {
                        self.switchboard.end_session(&session, reason, &detail, Moment::now())
                    }
                    Some(Order::Stop(done)) => {
                        self.link.disconnect().await;
                        let _ = done.send(());
                        return;
                    }
                    None => return,
                },
            };
            self.send(outbox);
        }
    }

    fn send(&self, outbox: Outbox) {
        for (topic, payload) in outbox.messages {
            if !self.link.publish(&topic, payload) {
                Counters::count(&self.counters.unsent);
            }
        }
        for line in outbox.log {
            if self.lines.try_send(line).is_err() {
                tracing::error!("the session log is too far behind; a line is lost");
            }
        }
        for line in outbox.presence {
            if self.seen.try_send(line).is_err() {
                tracing::error!("the presence log is too far behind; a line is lost");
            }
        }
    }
}

/// Writes lines one after the other, so that a session's end never comes before its beginning.
async fn write(log: Arc<dyn SessionLog>, mut lines: mpsc::Receiver<LogLine>) {
    while let Some(line) = lines.recv().await {
        let written = match &line {
            LogLine::Opened(record) => log.opened(record).await,
            LogLine::Updated(record) => log.updated(record).await,
            LogLine::Ended(record) => log.ended(record).await,
        };
        if let Err(reason) = written {
            tracing::error!(%reason, "a line of the session log could not be written");
        }
    }
}

/// Writes down when cameras came and went, many at once when many come at once.
async fn note(log: Arc<dyn PresenceLog>, mut lines: mpsc::Receiver<PresenceLine>) {
    let mut batch = Vec::new();
    while lines.recv_many(&mut batch, PRESENCE_BATCH).await > 0 {
        let mut connections = Vec::with_capacity(batch.len());
        let mut clones = Vec::new();
        for line in batch.drain(..) {
            match line {
                PresenceLine::Connection(record) => connections.push(record),
                PresenceLine::Cloned(device, evidence) => clones.push((device, evidence)),
            }
        }
        let mut written = Ok(());
        if !connections.is_empty() {
            written = log.connections(&connections).await;
        }
        for (device, evidence) in clones {
            tracing::warn!(%device, evidence, "an identity is used twice");
            written = written.and(log.cloned(&device, &evidence).await);
        }
        if let Err(reason) = written {
            tracing::error!(%reason, "presence could not be written down");
        }
    }
}
