//! All viewers of one camera.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use heron_protocol::SessionId;
use heron_protocol::grant::{Grant, GrantError, GrantVerifier};
use heron_protocol::messages::{EndReason, RtcDown, RtcUp};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep_until, timeout};
use tracing::Instrument;

use crate::config::HubConfig;
use crate::event::Event;
use crate::feedback::Feedback;
use crate::keyframe::KeyFrameThrottle;
use crate::media::{AudioFrame, AudioUnit, VideoFrame, VideoUnit};
use crate::outlet::Outlet;
use crate::queue::Offered;
use crate::stats::{HubStats, ViewerStats};
use crate::trickle::{EarlyCandidates, SeqWindow};
use crate::viewer::{Command, Opening, Viewer};

/// Messages that may wait for one viewer's task; a viewer that sends more, faster, loses them.
const COMMANDS: usize = 64;

/// How long viewers may take to say good-bye when the service stops.
const CLOSE_PATIENCE: Duration = Duration::from_secs(3);

/// The hub: verifies grants, keeps the viewers, and gives every frame to each of them. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<HubConfig>,
    grants: Mutex<GrantVerifier>,
    early: Mutex<EarlyCandidates>,
    viewers: RwLock<HashMap<SessionId, Slot>>,
    count: watch::Sender<usize>,
    key_frames: Arc<KeyFrames>,
    key_frame_task: JoinHandle<()>,
    events: mpsc::UnboundedSender<Event>,
    opened: AtomicU64,
    refused: AtomicU64,
}

/// What the hub keeps of a viewer.
struct Slot {
    commands: mpsc::Sender<Command>,
    outlet: Arc<Outlet>,
    feedback: Arc<Feedback>,
    numbers: Mutex<SeqWindow>,
}

impl Hub {
    /// A hub without viewers, and the events it will ask its owner to act on. Must be called within a Tokio
    /// runtime; viewers run as its tasks.
    pub fn new(config: HubConfig) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let key_frames = Arc::new(KeyFrames::new(config.key_frame_interval));
        let shared = Shared {
            grants: Mutex::new(GrantVerifier::new(
                config.camera.clone(),
                config.grant_key.clone(),
            )),
            early: Mutex::default(),
            viewers: RwLock::default(),
            count: watch::Sender::new(0),
            key_frame_task: tokio::spawn(Arc::clone(&key_frames).run(events.clone())),
            key_frames,
            events,
            opened: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            config: Arc::new(config),
        };
        (
            Self {
                shared: Arc::new(shared),
            },
            receiver,
        )
    }

    /// Gives an encoded picture to every connected viewer. Never blocks; callable from any thread.
    pub fn video(&self, unit: VideoUnit) {
        let viewers = self.shared.viewers.read();
        if !viewers.values().any(|viewer| viewer.outlet.is_open()) {
            return;
        }
        let frame = Arc::new(VideoFrame::from(unit));
        if frame.payloads.is_empty() {
            return;
        }
        let offered = viewers
            .values()
            .map(|viewer| viewer.outlet.offer_video(&frame));
        if offered
            .filter(|offered| *offered == Offered::Overflowed)
            .count()
            > 0
        {
            self.shared.key_frames.want();
        }
    }

    /// Gives an encoded sound packet to every connected viewer. Never blocks; callable from any thread.
    pub fn audio(&self, unit: AudioUnit) {
        if unit.data.is_empty() {
            return;
        }
        let frame = Arc::new(AudioFrame::from(unit));
        for viewer in self.shared.viewers.read().values() {
            viewer.outlet.offer_audio(&frame);
        }
    }

    /// Handles a message of the control plane. `session` is the one its topic names.
    pub fn handle(&self, session: &SessionId, message: RtcDown) {
        match message {
            RtcDown::Open {
                seq,
                grant,
                offer,
                ice_servers,
                ice_policy,
            } => {
                if self.is_new(session, seq).is_some() {
                    tracing::debug!(session = session.short(), "the session is open already");
                    return;
                }
                let received = Instant::now();
                match self.admit(session, &grant, &offer) {
                    Ok(grant) => {
                        let session = session.clone();
                        self.open(
                            seq,
                            Opening {
                                session,
                                grant,
                                offer,
                                ice_servers,
                                ice_policy,
                                received,
                            },
                        );
                    }
                    Err((reason, detail)) => self.refuse(session, reason, detail),
                }
            }
            RtcDown::Candidates { seq, candidates } => match self.is_new(session, seq) {
                Some(true) => self.command(session, Command::Candidates(candidates)),
                Some(false) => {}
                None => {
                    if !self
                        .shared
                        .early
                        .lock()
                        .keep(session, seq, candidates, Instant::now())
                    {
                        tracing::debug!(
                            session = session.short(),
                            "candidates of an unknown session dropped"
                        );
                    }
                }
            },
            RtcDown::Restart {
                seq, grant, offer, ..
            } => {
                if self.is_new(session, seq) != Some(true) {
                    return;
                }
                match self.verify_again(session, &grant, &offer) {
                    Ok(grant) => self.command(session, Command::Restart { grant, offer }),
                    // The running session goes on: whoever cannot sign a grant cannot end it either.
                    Err(error) => {
                        tracing::warn!(session = session.short(), %error, "restart refused");
                    }
                }
            }
            RtcDown::Close { seq, reason } => {
                self.shared.early.lock().take(session);
                if self.is_new(session, seq) == Some(true) {
                    self.command(
                        session,
                        Command::Close {
                            reason,
                            detail: "closed by the control plane".to_owned(),
                        },
                    );
                }
            }
        }
    }

    /// Ends every session and waits, for a few seconds at most, until the viewers were told.
    pub async fn close_all(&self, reason: EndReason, detail: &str) {
        let commands: Vec<_> = self
            .shared
            .viewers
            .read()
            .values()
            .map(|viewer| viewer.commands.clone())
            .collect();
        for sender in commands {
            let _ = timeout(
                CLOSE_PATIENCE,
                sender.send(Command::Close {
                    reason,
                    detail: detail.to_owned(),
                }),
            )
            .await;
        }
        let mut count = self.shared.count.subscribe();
        if timeout(CLOSE_PATIENCE, count.wait_for(|viewers| *viewers == 0))
            .await
            .is_err()
        {
            tracing::warn!(
                viewers = *self.shared.count.borrow(),
                "some sessions did not end in time"
            );
        }
    }

    /// Figures for metrics.
    pub fn stats(&self) -> HubStats {
        let viewers = self.shared.viewers.read();
        let viewers = viewers.iter().map(|(session, viewer)| {
            let (packets_sent, bytes_sent) = viewer.outlet.sent();
            ViewerStats {
                session: session.clone(),
                connected: viewer.outlet.is_open(),
                frames_sent: viewer.outlet.frames(),
                frames_dropped: viewer.outlet.dropped(),
                packets_sent,
                bytes_sent,
                key_frame_requests: viewer.feedback.reports().key_frame_requests,
            }
        });
        HubStats {
            viewers: viewers.collect(),
            sessions_opened: self.shared.opened.load(Ordering::Relaxed),
            sessions_refused: self.shared.refused.load(Ordering::Relaxed),
            key_frames_wanted: self.shared.key_frames.asked.load(Ordering::Relaxed),
        }
    }

    /// Whether a message is the first with its number; `None` when the session is not open.
    fn is_new(&self, session: &SessionId, seq: u32) -> Option<bool> {
        Some(
            self.shared
                .viewers
                .read()
                .get(session)?
                .numbers
                .lock()
                .is_new(seq),
        )
    }

    fn admit(
        &self,
        session: &SessionId,
        token: &str,
        offer: &str,
    ) -> Result<Grant, (EndReason, String)> {
        let accepted = self
            .shared
            .grants
            .lock()
            .accept(token, session, offer, unix_now());
        let grant = accepted.map_err(|error| (EndReason::GrantRefused, error.to_string()))?;
        let max = self.shared.config.max_viewers;
        if self.shared.viewers.read().len() >= max {
            return Err((
                EndReason::Limit,
                format!("the camera has {max} viewers already, and no more are allowed"),
            ));
        }
        Ok(grant)
    }

    /// A restart's grant is for a session that was opened already, so its second use is not a replay; a repeated
    /// restart only repeats an answer. Everything else must hold as for the first.
    fn verify_again(
        &self,
        session: &SessionId,
        token: &str,
        offer: &str,
    ) -> Result<Grant, GrantError> {
        let config = &self.shared.config;
        GrantVerifier::new(config.camera.clone(), config.grant_key.clone()).accept(
            token,
            session,
            offer,
            unix_now(),
        )
    }

    fn refuse(&self, session: &SessionId, reason: EndReason, detail: String) {
        tracing::warn!(session = session.short(), camera = %self.shared.config.camera, ?reason, detail, "session refused");
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        self.shared.early.lock().take(session);
        let message = RtcUp::Closed {
            seq: 0,
            reason,
            detail,
            stats: None,
        };
        let _ = self.shared.events.send(Event::Send {
            session: session.clone(),
            message,
        });
    }

    fn open(&self, seq: u32, opening: Opening) {
        let session = opening.session.clone();
        let span = tracing::info_span!("session", id = session.short(), camera = %self.shared.config.camera);
        let key_frames = Arc::clone(&self.shared.key_frames);
        let want_key_frame: Arc<dyn Fn() + Send + Sync> = Arc::new(move || key_frames.want());
        let feedback = Arc::new(Feedback::new({
            let want = Arc::clone(&want_key_frame);
            Box::new(move || want())
        }));
        let allows = |right| opening.grant.allows(right);
        let outlet = Arc::new(Outlet::new(
            self.shared.config.max_delay,
            allows(heron_protocol::grant::Right::View),
            allows(heron_protocol::grant::Right::Listen),
        ));
        let (sender, commands) = mpsc::channel(COMMANDS);
        let mut numbers = SeqWindow::default();
        numbers.is_new(seq);
        for (seq, candidates) in self.shared.early.lock().take(&session) {
            if numbers.is_new(seq) {
                // There is room: fewer are kept than the channel holds.
                let _ = sender.try_send(Command::Candidates(candidates));
            }
        }
        let slot = Slot {
            commands: sender,
            outlet: Arc::clone(&outlet),
            feedback: Arc::clone(&feedback),
            numbers: Mutex::new(numbers),
        };
        self.shared.viewers.write().insert(session.clone(), slot);
        self.shared.opened.fetch_add(1, Ordering::Relaxed);
        self.shared.count_changed();
        let viewer = Viewer::new(
            Arc::clone(&self.shared.config),
            opening,
            commands,
            self.shared.events.clone(),
            want_key_frame,
            outlet,
            feedback,
        );
        let shared = Arc::downgrade(&self.shared);
        let task = async move {
            Box::pin(viewer.run()).await;
            if let Some(shared) = shared.upgrade() {
                shared.viewers.write().remove(&session);
                shared.count_changed();
            }
        };
        tokio::spawn(task.instrument(span));
    }

    fn command(&self, session: &SessionId, command: Command) {
        if let Some(viewer) = self.shared.viewers.read().get(session)
            && let Err(error) = viewer.commands.try_send(command)
        {
            tracing::warn!(session = session.short(), %error, "a message for a viewer is lost");
        }
    }
}

impl Shared {
    fn count_changed(&self) {
        let viewers = self.viewers.read().len();
        self.count.send_replace(viewers);
        let _ = self.events.send(Event::Demand { viewers });
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.key_frame_task.abort();
    }
}

/// The wishes of all viewers for key frames, and the task that passes them on in moderation.
struct KeyFrames {
    throttle: Mutex<KeyFrameThrottle>,
    wanted: Notify,
    asked: AtomicU64,
}

impl KeyFrames {
    fn new(interval: Duration) -> Self {
        Self {
            throttle: Mutex::new(KeyFrameThrottle::new(interval)),
            wanted: Notify::new(),
            asked: AtomicU64::new(0),
        }
    }

    /// Called from the frame path and from inside the WebRTC stack: only leaves a note.
    fn want(&self) {
        self.wanted.notify_one();
    }

    async fn run(self: Arc<Self>, events: mpsc::UnboundedSender<Event>) {
        loop {
            self.wanted.notified().await;
            let due = self.throttle.lock().want(Instant::now());
            sleep_until(due.into()).await;
            if self.throttle.lock().take(Instant::now().max(due)) {
                self.asked.fetch_add(1, Ordering::Relaxed);
                if events.send(Event::KeyFrameWanted).is_err() {
                    return;
                }
            }
        }
    }
}

fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
