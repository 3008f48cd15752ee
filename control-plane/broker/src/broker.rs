//! The running broker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use heron_protocol::DeviceId;
use parking_lot::Mutex;
use rmqtt::context::ServerContext;
use rmqtt::router::DefaultRouter;
use rmqtt::server::MqttServer;
use rmqtt::shared::DefaultShared;
use rmqtt::types::Id;
use tokio::runtime::Runtime;

use crate::config::BrokerConfig;
use crate::error::BrokerError;
use crate::eviction::{self, PutOut};
use crate::guard::Guard;
use crate::identity::Door;
use crate::listeners;
use crate::rate::Rates;
use crate::refusals::{Refusals, Refused};
use crate::retain_storage::Storage;
use crate::retained::Retained;

/// How soon after its token a browser is disconnected.
const EXPIRY_CHECK: Duration = Duration::from_millis(250);
/// How often expired messages and the remains of broken connections are cleared away.
const TIDY: Duration = Duration::from_secs(60);
/// How long stopping may take when a task does not let go.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the broker listens, with the ports that the system chose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For cameras.
    pub devices: SocketAddr,
    /// For the control plane.
    pub control: SocketAddr,
    /// For browsers.
    pub websocket: SocketAddr,
}

/// What the broker is doing, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BrokerStats {
    /// Cameras connected now.
    pub devices: usize,
    /// Connections of the control plane now.
    pub control: usize,
    /// Browsers connected now.
    pub browsers: usize,
    /// Sessions that wait for their client to come back.
    pub waiting: usize,
    /// Refused attempts since the start.
    pub refused: Refused,
    /// Messages that a full queue pushed out since the start.
    pub overflows: u64,
    /// Retained messages.
    pub retained: usize,
    /// Bytes of the retained messages.
    pub retained_bytes: usize,
}

/// An MQTT broker inside this process. Dropping it stops it without waiting; [`stop`](Self::stop) waits.
pub struct Broker {
    /// The library leaves its tasks to themselves. In a runtime of their own, they all end with it.
    runtime: Option<Runtime>,
    library: ServerContext,
    guard: Arc<Guard>,
    addresses: Addresses,
}

impl Broker {
    /// Binds the listeners and begins to serve. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BrokerError`]: a file, an address, or the same CA for devices and control.
    pub async fn start(config: BrokerConfig) -> Result<Self, BrokerError> {
        // Two cryptography providers are linked (the library brings its own), so that rustls cannot choose. If the
        // process has chosen already, that stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .thread_name("heron-broker")
            .enable_all()
            .build()
            .map_err(BrokerError::Threads)?;
        let started = runtime
            .spawn(serve(config))
            .await
            .map_err(|_| BrokerError::NotRunning)
            .flatten();
        match started {
            Ok((library, guard, addresses)) => Ok(Self {
                runtime: Some(runtime),
                library,
                guard,
                addresses,
            }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error)
            }
        }
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Puts a camera out: its connection and its session end at once, and its will is published without delay. Says
    /// whether it had a session. Have the [`DeviceGate`](crate::DeviceGate) refuse it first, or it comes back.
    ///
    /// The camera sees its connection closed, without a DISCONNECT: the library closes before it would send one.
    /// The reason comes with the CONNACK of its next attempt.
    pub async fn disconnect_device(&self, device: &DeviceId) -> bool {
        self.guard.put_out.note(device.clone(), Instant::now());
        let (library, id) = (self.library.clone(), id(&self.library, device.as_str()));
        let Some(runtime) = &self.runtime else {
            return false;
        };
        // On the broker's own threads: the library starts tasks where it is called.
        runtime
            .spawn(async move { eviction::evict(&library, id).await })
            .await
            .unwrap_or(false)
    }

    /// What the broker is doing.
    pub async fn stats(&self) -> BrokerStats {
        let (retained, retained_bytes) = self.guard.retained.lock().size();
        let mut stats = BrokerStats {
            refused: self.guard.refusals.totals(),
            overflows: self.guard.overflows.load(Ordering::Relaxed),
            retained,
            retained_bytes,
            ..BrokerStats::default()
        };
        let sessions: Vec<_> = self
            .library
            .extends
            .shared()
            .await
            .iter()
            .filter_map(|entry| entry.session())
            .collect();
        for session in sessions {
            let connected = session.connected().await.unwrap_or(false);
            match Door::from_listener_id(session.id.lid) {
                Some(_) if !connected => stats.waiting += 1,
                Some(Door::Devices) => stats.devices += 1,
                Some(Door::Control) => stats.control += 1,
                Some(Door::Browsers) => stats.browsers += 1,
                None => {}
            }
        }
        stats
    }

    /// Closes all connections and ports. Afterwards another broker can have the same ports at once. Sessions and
    /// retained messages are gone; wills are not published, since every client will come back to the next broker.
    pub async fn stop(mut self) {
        if let Some(runtime) = self.runtime.take() {
            let stopped =
                tokio::task::spawn_blocking(move || runtime.shutdown_timeout(STOP_TIMEOUT)).await;
            if let Err(error) = stopped {
                tracing::error!(%error, "the broker did not stop cleanly");
            }
        }
        // The library's parts hold the context that holds them; taken apart, their memory comes back.
        *self.library.extends.shared_mut().await = Box::new(DefaultShared::new(None));
        *self.library.extends.router_mut().await = Box::new(DefaultRouter::new(None));
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(
    config: BrokerConfig,
) -> Result<(ServerContext, Arc<Guard>, Addresses), BrokerError> {
    let bound = listeners::bind(&config)?;
    let [devices, control, websocket] = &bound;
    let addresses = Addresses {
        devices: listeners::local_address(devices.0, &devices.1)?,
        control: listeners::local_address(control.0, &control.1)?,
        websocket: listeners::local_address(websocket.0, &websocket.1)?,
    };

    let retained = Arc::new(Mutex::new(Retained::new(&config.limits)));
    let guard = Arc::new(Guard {
        gate: config.gate,
        tokens: config.tokens,
        check_time: config.limits.handshake,
        put_out: PutOut::default(),
        admissions: Mutex::default(),
        retained: retained.clone(),
        rates: Mutex::new(Rates::new(
            config.limits.device_messages_per_s,
            config.limits.device_burst,
        )),
        refusals: Refusals::default(),
        overflows: AtomicU64::new(0),
    });
    let library = ServerContext::new()
        // The load of the machine is no reason to refuse cameras; the limits are.
        .busy_check_enable(false)
        .mqtt_max_sessions(isize::try_from(config.limits.sessions).unwrap_or(isize::MAX))
        .build()
        .await;
    *library.extends.retain_mut().await = Box::new(Storage(retained));
    guard.register(library.extends.hook_mgr()).await;

    let mut server = MqttServer::new(library.clone());
    for (door, listener) in bound {
        server = server.listener_by_id(listener, door.listener_id());
    }
    tokio::spawn(server.build().run());
    tokio::spawn(expire(library.clone(), guard.clone()));
    tokio::spawn(tidy(library.clone(), guard.clone()));
    tracing::info!(%addresses.devices, %addresses.control, %addresses.websocket, "MQTT broker listens");
    Ok((library, guard, addresses))
}

/// Disconnects browsers when their tokens end, and their sessions with them.
async fn expire(library: ServerContext, guard: Arc<Guard>) {
    let mut tick = tokio::time::interval(EXPIRY_CHECK);
    loop {
        tick.tick().await;
        let ended = guard.admissions.lock().expire(Instant::now());
        for browser in ended {
            let mut entry = library
                .extends
                .shared()
                .await
                .entry(id(&library, browser.as_str()));
            if let Err(error) = entry.kick(true, true, true).await {
                tracing::warn!(%browser, %error, "cannot disconnect a browser whose token has ended");
            }
        }
    }
}

/// Clears away expired messages, and sessions whose task is gone without having said goodbye.
async fn tidy(library: ServerContext, guard: Arc<Guard>) {
    let mut tick = tokio::time::interval(TIDY);
    loop {
        tick.tick().await;
        guard.retained.lock().purge(Instant::now());
        // A handshake is let in after `check_time`, and has a session within the library's own limit, the same.
        guard.put_out.purge(guard.check_time * 3, Instant::now());
        let ends: Vec<_> = library
            .extends
            .shared()
            .await
            .iter()
            .filter(|entry| entry.tx().is_none_or(|session| session.is_closed()))
            .map(|entry| entry.id())
            .collect();
        for id in ends {
            let mut entry = library.extends.shared().await.entry(id.clone());
            if let Err(error) = entry.remove_with(&id).await {
                tracing::warn!(client = %id.client_id, %error, "cannot clear a broken session away");
            }
        }
    }
}

fn id(library: &ServerContext, client_id: &str) -> Id {
    Id::from(library.node.id(), client_id.into())
}
