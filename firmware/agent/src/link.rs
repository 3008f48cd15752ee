//! The handle by which the rest of the camera speaks to the control plane.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use heron_protocol::messages::{Event, Offline, ReportedState, RtcUp, Section, Telemetry};
use heron_protocol::{DeviceId, Label, Message, Refused, SessionId, Topic, encode};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tracing::warn;

use crate::bundle::Bundle;
use crate::clock::Clock;
use crate::connection::Connection;
use crate::inbox::Down;
use crate::outbox::Outbox;
use crate::presence::{ConnectionNumber, Herald};
use crate::sender;

/// Messages from the control plane that may wait for the camera to take them.
const DOWN: usize = 256;
/// How long a stop may take before the connection is simply dropped.
const STOP: Duration = Duration::from_secs(3);

/// What a link needs to know.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Identity and address.
    pub bundle: Bundle,
    /// The firmware's version, as presence tells it.
    pub firmware: String,
    /// Changes with each boot of the machine.
    pub boot_id: String,
    /// Where presence's `seq` begins. It must grow from one process to the next within a boot: the
    /// machine's uptime in milliseconds does.
    pub first_seq: u64,
    /// How long the broker waits with our will, in whole seconds: a short break is no news.
    pub will_delay: Duration,
    /// Why this camera was away before it started, as [`Parting`](crate::Parting) knows it: the first presence tells.
    pub last_reason: Option<Offline>,
    /// What time it is.
    pub clock: Clock,
}

impl AgentConfig {
    /// The protocol's will delay of 20 s, no reason for an absence, and the rest as given.
    #[must_use]
    pub fn new(
        bundle: Bundle,
        firmware: impl Into<String>,
        boot_id: impl Into<String>,
        first_seq: u64,
    ) -> Self {
        Self {
            bundle,
            firmware: firmware.into(),
            boot_id: boot_id.into(),
            first_seq,
            will_delay: Duration::from_secs(20),
            last_reason: None,
            clock: Clock::new(),
        }
    }
}

/// How the link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not connected; the link keeps trying.
    Offline,
    /// Connected and subscribed.
    Online,
    /// Stopped for good.
    Stopped,
}

/// Counts the identities of a link; the one it was started with is 0.
pub type Generation = u64;

/// What keeps a link from the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// With which identity.
    pub generation: Generation,
    /// `network`, `broker` or `certificate`.
    pub reason: Offline,
}

/// An identity to connect with.
#[derive(Debug, Clone)]
pub(crate) struct Adopted {
    pub generation: Generation,
    pub bundle: Bundle,
}

/// A running link. Clones are the same link; publishing never waits.
#[derive(Debug, Clone)]
pub struct Link {
    shared: Arc<Shared>,
    task: Arc<OnceLock<AbortHandle>>,
}

/// What the handle, the connection and the sender have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub device: DeviceId,
    pub outbox: Mutex<Outbox>,
    /// Something was put into the outbox.
    pub wake: Notify,
    /// The connection that is up.
    pub online: watch::Sender<Option<ConnectionNumber>>,
    /// Why we were away, until a presence has told it.
    pub last_reason: Mutex<Option<Offline>>,
    /// Who we connect as.
    pub identity: watch::Sender<Adopted>,
    /// The identity that the broker accepted last.
    pub accepted: watch::Sender<Option<Generation>>,
    /// What keeps us from the broker now.
    pub trouble: watch::Sender<Option<Trouble>>,
    /// Tells of changes of the network.
    pub network: watch::Sender<()>,
    pub stopping: watch::Sender<Option<Offline>>,
    pub status: watch::Sender<Status>,
    pub refused: AtomicU64,
}

impl Link {
    /// Starts the link on the current tokio runtime. What the control plane says comes out of the
    /// receiver, which ends when the link does.
    #[must_use]
    pub fn start(config: AgentConfig) -> (Self, mpsc::Receiver<Down>) {
        let (down, received) = mpsc::channel(DOWN);
        let shared = Arc::new(Shared {
            device: config.bundle.device.clone(),
            outbox: Mutex::default(),
            wake: Notify::new(),
            online: watch::Sender::new(None),
            last_reason: Mutex::new(config.last_reason),
            identity: watch::Sender::new(Adopted {
                generation: 0,
                bundle: config.bundle,
            }),
            accepted: watch::Sender::new(None),
            trouble: watch::Sender::new(None),
            network: watch::Sender::new(()),
            stopping: watch::Sender::new(None),
            status: watch::Sender::new(Status::Offline),
            refused: AtomicU64::new(0),
        });
        let link = Self {
            shared: Arc::clone(&shared),
            task: Arc::default(),
        };
        let herald = Herald {
            firmware: config.firmware,
            boot_id: config.boot_id,
            first_seq: config.first_seq,
            clock: config.clock,
        };
        let (client, connection) = Connection::new(
            config.will_delay,
            Arc::new(herald),
            Arc::clone(&shared),
            down,
        );
        let task = tokio::spawn(async move {
            let sending = sender::run(&client, connection.herald(), &shared);
            tokio::select! {
                () = connection.run() => {}
                () = sending => {}
            }
            shared.status.send_replace(Status::Stopped);
        });
        // A `OnceLock` that was made just above is empty.
        let _ = link.task.set(task.abort_handle());
        (link, received)
    }

    /// Sends signalling of a session; of use for 15 s.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the message breaks the protocol's limits.
    pub fn publish_rtc(&self, session: SessionId, message: &RtcUp) -> Result<(), Refused> {
        self.publish(Topic::RtcUp(self.shared.device.clone(), session), message)
    }

    /// Sets what is known of a section's state. The same state again costs nothing.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the message breaks the protocol's limits.
    pub fn publish_state(&self, section: Section, state: &ReportedState) -> Result<(), Refused> {
        let topic = Topic::ReportedState(self.shared.device.clone(), section);
        self.publish(topic, state)
    }

    /// Sends measurements; of use for 2 min.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the message breaks the protocol's limits.
    pub fn publish_tele(&self, telemetry: &Telemetry) -> Result<(), Refused> {
        self.publish(Topic::Telemetry(self.shared.device.clone()), telemetry)
    }

    /// Tells that something happened once; of use for a day, and the last to be dropped.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the message breaks the protocol's limits.
    pub fn publish_event(&self, name: Label, event: &Event) -> Result<(), Refused> {
        self.publish(Topic::Event(self.shared.device.clone(), name), event)
    }

    /// Connects anew, as the same device with another key, certificate or broker. The MQTT session goes on. Returns
    /// the identity's number, by which [`accepted`](Self::accepted) tells that the broker took it.
    pub fn adopt(&self, bundle: Bundle) -> Generation {
        let mut generation = 0;
        self.shared.identity.send_modify(|adopted| {
            generation = adopted.generation + 1;
            *adopted = Adopted { generation, bundle };
        });
        generation
    }

    /// An address or a route changed ([`NetworkWatch`](crate::NetworkWatch)): a connection that cannot go on is replaced
    /// at once, one that may is tried, and without one the next attempt is now.
    pub fn network_changed(&self) {
        self.shared.network.send_replace(());
    }

    /// The identity that the link connects with.
    #[must_use]
    pub fn bundle(&self) -> Bundle {
        self.shared.identity.borrow().bundle.clone()
    }

    /// The identity that the broker accepted last; `None` before the first connection.
    #[must_use]
    pub fn accepted(&self) -> watch::Receiver<Option<Generation>> {
        self.shared.accepted.subscribe()
    }

    /// What keeps the link from the broker now; `None` while it is online, or was never tried.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.shared.trouble.subscribe()
    }

    /// How the link stands, to look at and to wait for.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    /// Messages from the broker that were refused since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Ordering::Relaxed)
    }

    /// Messages that were never sent because they grew old or too many.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.outbox.lock().dropped()
    }

    /// Says goodbye with a reason, sends what still waits, and disconnects, so that the broker does
    /// not publish the will. Takes 3 s at most; a second call waits for the same end.
    pub async fn stop(&self, reason: Offline) {
        self.shared.stopping.send_replace(Some(reason));
        let mut status = self.status();
        let stopped = status.wait_for(|status| *status == Status::Stopped);
        if tokio::time::timeout(STOP, stopped).await.is_err() {
            warn!("the broker did not take our goodbye in {STOP:?}; leaving without it");
            if let Some(task) = self.task.get() {
                task.abort();
            }
            self.shared.status.send_replace(Status::Stopped);
        }
    }

    fn publish<M: Message>(&self, topic: Topic, message: &M) -> Result<(), Refused> {
        let body = encode(message)?;
        let mut outbox = self.shared.outbox.lock();
        outbox.put(Instant::now(), topic, body.into());
        drop(outbox);
        self.shared.wake.notify_one();
        Ok(())
    }
}
