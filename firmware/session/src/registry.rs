//! What hub and driver share: who watches, what counts, and media on its way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use heron_protocol::SessionId;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{mpsc, watch};

use crate::connections::TcpCounters;
use crate::event::Event;
use crate::media::MediaHandover;
use crate::stats::{HubStats, Stages, ViewerStats};
use crate::trickle::SeqWindow;

/// The register of sessions.
#[derive(Debug)]
pub struct Registry {
    slots: RwLock<HashMap<SessionId, Slot>>,
    count: watch::Sender<usize>,
    events: mpsc::UnboundedSender<Event>,
    /// Media from the encoders to the driver.
    pub media: MediaHandover,
    /// How long the stages take.
    pub stages: Stages,
    /// Viewers whose media flows.
    pub connected: AtomicUsize,
    /// Sessions whose offer was answered.
    pub opened: AtomicU64,
    /// Sessions refused: by their grant, their offer, or for want of room.
    pub refused: AtomicU64,
    /// Key frames asked for.
    pub key_frames: AtomicU64,
    /// Datagrams of nobody.
    pub strange: AtomicU64,
    /// Figures of TCP.
    pub tcp: Arc<TcpCounters>,
}

/// A session in the register.
#[derive(Debug)]
struct Slot {
    numbers: Mutex<SeqWindow>,
    stats: Arc<Mutex<ViewerStats>>,
}

impl Registry {
    /// An empty register.
    pub fn new(events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            slots: RwLock::default(),
            count: watch::Sender::new(0),
            events,
            media: MediaHandover::default(),
            stages: Stages::default(),
            connected: AtomicUsize::new(0),
            opened: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            key_frames: AtomicU64::new(0),
            strange: AtomicU64::new(0),
            tcp: Arc::default(),
        }
    }

    /// Tells the owner.
    pub fn tell(&self, event: Event) {
        // The owner dropped its end: it is going down, and so are we.
        let _ = self.events.send(event);
    }

    /// Whether a message is the first with its number; `None` when the session is not open.
    pub fn is_new(&self, session: &SessionId, seq: u32) -> Option<bool> {
        Some(self.slots.read().get(session)?.numbers.lock().is_new(seq))
    }

    /// Whether a session is open that the camera let in by itself.
    pub fn is_local(&self, session: &SessionId) -> bool {
        let slots = self.slots.read();
        slots
            .get(session)
            .is_some_and(|slot| slot.stats.lock().local)
    }

    /// Enters a session, unless `max` are there already. Its figures are seen in what is returned.
    pub fn enter(
        &self,
        session: &SessionId,
        numbers: SeqWindow,
        local: bool,
        max: usize,
    ) -> Option<Arc<Mutex<ViewerStats>>> {
        let stats = Arc::new(Mutex::new(ViewerStats::new(session.clone(), local)));
        {
            let mut slots = self.slots.write();
            if slots.len() >= max {
                return None;
            }
            let slot = Slot {
                numbers: Mutex::new(numbers),
                stats: Arc::clone(&stats),
            };
            slots.insert(session.clone(), slot);
        }
        self.count_changed();
        Some(stats)
    }

    /// Strikes a session out.
    pub fn leave(&self, session: &SessionId) {
        let slot = self.slots.write().remove(session);
        if slot.is_some_and(|slot| slot.stats.lock().connected) {
            self.connected.fetch_sub(1, Ordering::Relaxed);
        }
        self.count_changed();
    }

    /// Every session.
    pub fn sessions(&self) -> Vec<SessionId> {
        self.slots.read().keys().cloned().collect()
    }

    /// Watches how many there are.
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// The figures now.
    pub fn stats(&self) -> HubStats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HubStats {
            viewers: self
                .slots
                .read()
                .values()
                .map(|slot| slot.stats.lock().clone())
                .collect(),
            sessions_opened: count(&self.opened),
            sessions_refused: count(&self.refused),
            key_frames_wanted: count(&self.key_frames),
            strange_datagrams: count(&self.strange),
            tcp_connections: self.tcp.open.load(Ordering::Relaxed),
            tcp_refused: count(&self.tcp.refused),
            tcp_dropped: count(&self.tcp.dropped),
            packetise: self.stages.packetise.snapshot(),
            pace: self.stages.pace.snapshot(),
            send: self.stages.send.snapshot(),
        }
    }

    fn count_changed(&self) {
        let viewers = self.slots.read().len();
        self.count.send_replace(viewers);
        self.tell(Event::Demand { viewers });
    }
}
