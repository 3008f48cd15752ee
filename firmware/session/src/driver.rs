//! The one task that owns all viewers and sockets: it moves datagrams, media, messages and time between them.
//!
//! Everything that decides is pure and elsewhere; what is here reads, dispatches and sends. Nothing in it waits for
//! a viewer, the network or the disk: a socket without room costs the viewer its pictures up to the next key
//! frame, and names of servers are looked up by other tasks.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::{Duration, Instant};

use heron_congestion::{Rung, ViewerId};
use heron_peer::{Batch, Certificate, Path, Protocol};
use heron_protocol::Fingerprint;
use heron_protocol::SessionId;
use heron_protocol::messages::{Candidate, EndReason, IceServer};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::sleep_until;

use crate::adaptation::{Adaptation, Order};
use crate::config::HubConfig;
use crate::connections::Connections;
use crate::control::{CallId, ControlError};
use crate::demux::{Demux, is_answer};
use crate::event::Event;
use crate::hub::{LocalAnswer, Refusal};
use crate::media::MediaWaiting;
use crate::opening::Open;
use crate::paths;
use crate::ports::Ports;
use crate::registry::Registry;
use crate::servers::Located;
use crate::socket::{Buffers, Sent};
use crate::talk::Floor;
use crate::viewer::{End, Viewer};

/// Names a viewer within the driver.
pub type ViewerKey = ViewerId;

/// Batches that are read before other work has its turn.
const READS: usize = 16;

/// How long to sleep when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);

/// Something for the driver to do; messages of the control plane are checked and free of duplicates.
pub enum Command {
    /// A viewer is let in.
    Open {
        /// What it begins with.
        open: Box<Open>,
        /// Where a local viewer's answer goes.
        answer: Option<oneshot::Sender<Result<LocalAnswer, Refusal>>>,
    },
    /// Candidates of a viewer.
    Candidates {
        /// Whose.
        session: SessionId,
        /// Which.
        candidates: Vec<Candidate>,
    },
    /// A new offer under a verified grant.
    Restart {
        /// Whose.
        session: SessionId,
        /// The offer.
        offer: String,
        /// The fingerprint that was granted.
        granted: Fingerprint,
        /// Servers of this end.
        ice_servers: Vec<IceServer>,
    },
    /// Time to go.
    Close {
        /// Who.
        session: SessionId,
        /// Why.
        end: End,
    },
    /// The servers of a session were looked up.
    Located {
        /// Whose.
        viewer: ViewerKey,
        /// After how many restarts.
        round: u32,
        /// Where they are.
        servers: Vec<Located>,
    },
    /// The address behind a hidden name was found.
    Resolved {
        /// Whose.
        viewer: ViewerKey,
        /// After how many restarts.
        round: u32,
        /// The candidate, with its address.
        candidate: String,
    },
    /// Addresses or routes of ours changed.
    NetworkChanged,
    /// The outcome of a viewer's call.
    Answer {
        /// Whose.
        viewer: ViewerKey,
        /// Which call.
        call: CallId,
        /// What came of it.
        outcome: Result<Value, ControlError>,
    },
}

/// A viewer and when it wants to be looked at.
pub struct Seat {
    /// The viewer.
    pub viewer: Viewer,
    /// When its time comes.
    pub due: Instant,
    /// Something happened to it.
    pub touched: bool,
}

/// The driver.
pub struct Driver {
    pub(crate) config: Arc<HubConfig>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) certificate: Option<Arc<Certificate>>,
    pub(crate) ports: Ports,
    pub(crate) connections: Connections<ViewerKey>,
    pub(crate) demux: Demux<ViewerKey>,
    pub(crate) seats: BTreeMap<ViewerKey, Seat>,
    pub(crate) sessions: HashMap<SessionId, ViewerKey>,
    pub(crate) adaptation: Adaptation,
    pub(crate) floor: Floor<ViewerKey>,
    /// Weak, so that the driver ends when the last hub is dropped.
    pub(crate) commands: mpsc::WeakSender<Command>,
    pub(crate) next: u64,
    /// How TURN servers are spoken to over TLS.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    /// Questions for hidden names that may be under way.
    pub(crate) questions: Arc<Semaphore>,
    batch: Batch,
    buffers: Buffers,
    media: MediaWaiting,
}

impl Driver {
    /// A driver without viewers; `commands` is where commands go in. Must be called within a Tokio runtime.
    pub fn new(
        config: Arc<HubConfig>,
        registry: Arc<Registry>,
        commands: mpsc::WeakSender<Command>,
    ) -> Self {
        Self {
            ports: config.ports(),
            connections: Connections::new(Arc::clone(&registry.tcp)),
            adaptation: Adaptation::new(config.ladder, config.key_frame_interval),
            certificate: None,
            demux: Demux::default(),
            seats: BTreeMap::new(),
            sessions: HashMap::new(),
            floor: Floor::default(),
            next: 0,
            tls: paths::tls(&config.turn_roots),
            questions: Arc::new(Semaphore::new(paths::MAX_QUESTIONS)),
            batch: Batch::new(),
            buffers: Buffers::default(),
            media: MediaWaiting::default(),
            config,
            registry,
            commands,
        }
    }

    /// Runs until the last hub is dropped.
    pub async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let registry = Arc::clone(&self.registry);
        let mut sleep = pin!(sleep_until((Instant::now() + IDLE).into()));
        loop {
            let (ports, seats) = (&self.ports, &mut self.seats);
            let connections = &mut self.connections;
            let readable = poll_fn(|cx| {
                let mut ready = ports.poll_readable(cx).is_ready();
                ready |= connections.poll_ready(ports.listeners(), cx).is_ready();
                for seat in seats.values_mut() {
                    ready |= seat.viewer.poll_readable(cx).is_ready();
                }
                if ready {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            });
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.command(command, Instant::now()),
                    None => break,
                },
                () = readable => self.receive(Instant::now()),
                () = registry.media.filled() => self.distribute(Instant::now()),
                () = &mut sleep => {}
            }
            while let Ok(command) = commands.try_recv() {
                self.command(command, Instant::now());
            }
            let due = self.settle(Instant::now());
            let due = due.unwrap_or_else(|| Instant::now() + IDLE);
            sleep.as_mut().reset(due.into());
        }
        let now = Instant::now();
        for viewer in self.seats.keys().copied().collect::<Vec<_>>() {
            let end = End::new(EndReason::CameraShutdown, "the camera's service stopped");
            self.close(viewer, end, now);
        }
    }

    fn receive(&mut self, now: Instant) {
        let Self {
            ports,
            connections,
            buffers,
            demux,
            seats,
            registry,
            ..
        } = self;
        for _ in 0..READS {
            let any = ports.receive(buffers, |received| {
                let viewer = demux.viewer(received.from, received.datagram);
                let Some(seat) = viewer.and_then(|viewer| seats.get_mut(&viewer)) else {
                    registry.strange.fetch_add(1, Ordering::Relaxed);
                    return;
                };
                seat.touched = true;
                let viewer = &mut seat.viewer;
                if viewer.gathering.is_server(received.from) {
                    viewer
                        .gathering
                        .handle_datagram(received.from, received.datagram, now);
                } else if !viewer.opening.relay_only {
                    let path = Path::udp(received.to, received.from);
                    viewer.peer().handle_datagram(path, received.datagram, now);
                }
            });
            if !any {
                break;
            }
        }
        connections.receive(buffers, now, |path, owner, datagram| {
            let viewer = owner.or_else(|| demux.asked(datagram));
            let Some(seat) = viewer
                .and_then(|viewer| seats.get_mut(&viewer))
                .filter(|seat| !seat.viewer.opening.relay_only)
            else {
                registry.strange.fetch_add(1, Ordering::Relaxed);
                return false;
            };
            seat.touched = true;
            seat.viewer.peer().handle_datagram(path, datagram, now);
            true
        });
        for seat in seats.values_mut() {
            seat.touched |= seat.viewer.receive(buffers, now);
        }
    }

    /// Gives what the encoders made to every viewer.
    fn distribute(&mut self, now: Instant) {
        let mut media = std::mem::take(&mut self.media);
        self.registry.media.take(&mut media);
        for rung in Rung::ALL {
            if media.overflowed(rung) {
                self.adaptation.want_key_frame(rung, now);
            }
            while let Some(picture) = media.pop(rung) {
                for seat in self.seats.values_mut() {
                    seat.viewer.offer(&picture, now);
                    seat.touched = true;
                }
            }
        }
        while let Some(sound) = media.sounds.pop_front() {
            for seat in self.seats.values_mut() {
                seat.viewer.offer_sound(&sound, now);
                seat.touched = true;
            }
        }
        self.media = media;
    }

    /// Does what is due and sends what there is. Returns when to come back.
    fn settle(&mut self, now: Instant) -> Option<Instant> {
        self.connections.handle_timeout(now);
        while let Some((key, path)) = self.connections.poll_lost() {
            if let Some(seat) = self.seats.get_mut(&key) {
                seat.viewer.path_lost(path, now);
                seat.touched = true;
            }
        }
        let keys: Vec<ViewerKey> = self.seats.keys().copied().collect();
        for key in keys {
            let Some(seat) = self.seats.get_mut(&key) else {
                continue;
            };
            let due = seat.due <= now;
            if due {
                seat.viewer.handle_timeout(now);
            }
            if due || std::mem::take(&mut seat.touched) {
                self.serve(key, now);
            }
        }
        self.adapt(now);
        if let Some(quiet) = self.floor.expire(now) {
            self.talk_ended(quiet, true, now);
        }
        let seats = self
            .seats
            .values()
            .map(|seat| if seat.touched { now } else { seat.due });
        let rest = [
            self.adaptation.due(),
            self.floor.due(),
            self.connections.due(),
        ];
        seats.chain(rest.into_iter().flatten()).min()
    }

    /// Everything that one viewer has to say and to get.
    fn serve(&mut self, key: ViewerKey, now: Instant) {
        self.gathered(key, now);
        if let Some(end) = self.wishes(key, now) {
            self.close(key, end, now);
            return;
        }
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        let registry = &self.registry;
        self.batch.clear();
        seat.viewer.pump(&mut self.batch, now, |took| {
            registry.stages.pace.record(took);
        });
        self.send_batch(key, now);
        self.send_rest(key, now);
        if let Some(seat) = self.seats.get_mut(&key) {
            seat.due = seat.viewer.poll_timeout();
        }
    }

    /// Sends what the pump wrote.
    fn send_batch(&mut self, key: ViewerKey, now: Instant) {
        let Some(seat) = self.seats.get_mut(&key).filter(|_| !self.batch.is_empty()) else {
            return;
        };
        let Some(path) = seat.viewer.peer().selected().map(|selected| selected.path) else {
            return;
        };
        let begin = Instant::now();
        let sent = match seat.viewer.relay(path.local) {
            Some(relay) => relay.send_batch(path.remote, &self.batch, now),
            None if path.protocol == Protocol::Tcp => {
                self.connections.send_batch(path, &self.batch)
            }
            None => self
                .batch
                .runs()
                .map(|run| {
                    let segment = (run.count > 1).then_some(run.segment);
                    self.ports.send(path.local, path.remote, run.bytes, segment)
                })
                .find(|sent| *sent != Sent::All)
                .unwrap_or(Sent::All),
        };
        self.registry.stages.send.record(begin.elapsed());
        if sent == Sent::WouldBlock {
            seat.viewer.blocked();
            seat.touched = true;
        }
    }

    /// Sends what is not media.
    pub(crate) fn send_rest(&mut self, key: ViewerKey, now: Instant) {
        let Some(seat) = self.seats.get_mut(&key) else {
            return;
        };
        let viewer = &mut seat.viewer;
        while let Some((from, to, message)) = viewer.gathering.poll_transmit() {
            self.demux.sent(key, to, &message);
            self.ports.send(from, to, &message, None);
        }
        while let Some(transmit) = viewer.peer().poll_transmit() {
            let Path {
                local,
                remote,
                protocol,
            } = transmit.path;
            if let Some(relay) = viewer.relay(local) {
                relay.send(remote, &transmit.bytes, now);
            } else if protocol == Protocol::Tcp {
                if is_answer(&transmit.bytes) {
                    self.connections.belongs(transmit.path, key);
                }
                self.connections.send(transmit.path, &transmit.bytes);
            } else {
                self.demux.sent(key, remote, &transmit.bytes);
                self.ports.send(local, remote, &transmit.bytes, None);
            }
        }
    }

    /// What the encoders are told, and who is moved.
    fn adapt(&mut self, now: Instant) {
        let Self {
            adaptation,
            seats,
            registry,
            ..
        } = self;
        let moved = |change: heron_congestion::Change| {
            if let Some(seat) = seats.get_mut(&change.viewer) {
                seat.viewer.moved(change.to);
                seat.touched = true;
            }
        };
        adaptation.poll(now, moved, |order| match order {
            Order::Targets(targets) => registry.tell(Event::Targets(targets)),
            Order::KeyFrame(rung) => {
                registry.key_frames.fetch_add(1, Ordering::Relaxed);
                registry.tell(Event::KeyFrameWanted { rung });
            }
        });
    }
}
