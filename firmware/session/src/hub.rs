//! All viewers of one camera, as the camera's owner sees them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use heron_peer::{AudioFrame, VideoFrame};
use heron_protocol::grant::{Grant, GrantError, GrantVerifier, Right};
use heron_protocol::messages::{EndReason, IcePolicy, IceServer, RtcDown, RtcUp};
use heron_protocol::{SessionId, SigningKey};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::config::HubConfig;
use crate::driver::{Command, Driver};
use crate::event::Event;
use crate::media::{AudioUnit, Picture, VideoUnit};
use crate::opening::Open;
use crate::registry::Registry;
use crate::rights::Rights;
use crate::stats::HubStats;
use crate::trickle::{EarlyCandidates, SeqWindow};
use crate::viewer::{End, Opening};

/// Messages that may wait for the driver; more, faster, are lost.
const COMMANDS: usize = 512;

/// How long viewers may take to say good-bye when the service stops.
const CLOSE_PATIENCE: Duration = Duration::from_secs(3);

/// The hub: verifies grants, lets viewers in, and gives every frame to each of them. Cheap to clone.
#[derive(Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

struct Shared {
    config: Arc<HubConfig>,
    grants: Mutex<GrantVerifier>,
    early: Mutex<EarlyCandidates>,
    registry: Arc<Registry>,
    commands: mpsc::Sender<Command>,
}

/// The answer to a viewer that the camera's owner let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAnswer {
    /// Names the session, for [`Hub::close`].
    pub session: SessionId,
    /// The SDP answer, with every candidate there will be.
    pub sdp: String,
}

/// Why a local viewer is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The offer cannot be answered.
    #[error("{0}")]
    Offer(String),
    /// So many viewers are there already.
    #[error("the camera has {0} viewers already, and no more are allowed")]
    Full(usize),
    /// Something broke on our side.
    #[error("{0}")]
    Failed(String),
    /// The hub is going down.
    #[error("the camera's service stops")]
    Stopped,
}

impl Hub {
    /// A hub without viewers, and the events it will ask its owner to act on. Must be called within a Tokio
    /// runtime: the hub's driver runs as a task of it, until the last clone is dropped.
    pub fn new(config: HubConfig) -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let (commands, inbox) = mpsc::channel(COMMANDS);
        let config = Arc::new(config);
        let registry = Arc::new(Registry::new(events));
        let driver = Driver::new(
            Arc::clone(&config),
            Arc::clone(&registry),
            commands.downgrade(),
        );
        tokio::spawn(driver.run(inbox));
        let grants = GrantVerifier::new(config.camera.clone(), config.grant_key.clone());
        let shared = Shared {
            grants: Mutex::new(grants),
            early: Mutex::default(),
            config,
            registry,
            commands,
        };
        let hub = Self {
            shared: Arc::new(shared),
        };
        (hub, receiver)
    }

    /// Gives an encoded picture to every connected viewer of its rung. Never blocks; callable from any thread.
    pub fn video(&self, unit: VideoUnit) {
        let registry = &self.shared.registry;
        if registry.connected.load(Ordering::Relaxed) == 0 {
            return;
        }
        let begin = Instant::now();
        let VideoUnit {
            rung,
            data,
            key,
            captured_ns,
        } = unit;
        let codec = self.shared.config.video_codec;
        let frame = VideoFrame::new(codec, &data, key, captured_ns);
        if frame.is_empty() {
            return;
        }
        let handed = Instant::now();
        registry
            .stages
            .packetise
            .record(handed.saturating_duration_since(begin));
        let picture = Arc::new(Picture {
            rung,
            frame,
            handed,
        });
        registry.media.video(rung, picture, key);
    }

    /// Gives an encoded sound packet to every connected viewer. Never blocks; callable from any thread.
    pub fn audio(&self, unit: AudioUnit) {
        let registry = &self.shared.registry;
        if unit.data.is_empty() || registry.connected.load(Ordering::Relaxed) == 0 {
            return;
        }
        registry.media.audio(Arc::new(AudioFrame {
            payload: unit.data,
            captured_ns: unit.captured_ns,
        }));
    }

    /// Handles a message of the control plane. `session` is the one its topic names.
    pub fn handle(&self, session: &SessionId, message: RtcDown) {
        let registry = &self.shared.registry;
        match message {
            RtcDown::Open {
                seq,
                grant,
                offer,
                ice_servers,
                ice_policy,
            } => {
                if registry.is_new(session, seq).is_some() {
                    tracing::debug!(session = session.short(), "the session is open already");
                    return;
                }
                let received = Instant::now();
                let admitted = self.admit(session, &grant, &offer).and_then(|grant| {
                    let relay_only = ice_policy == IcePolicy::Relay;
                    self.open(
                        session,
                        seq,
                        &grant,
                        offer,
                        ice_servers,
                        relay_only,
                        received,
                    )
                });
                if let Err(end) = admitted {
                    self.refuse(session, 0, end);
                }
            }
            RtcDown::Candidates { seq, candidates } => match registry.is_new(session, seq) {
                Some(true) => self.command(Command::Candidates {
                    session: session.clone(),
                    candidates,
                }),
                Some(false) => {}
                None => {
                    let now = Instant::now();
                    let kept = self.shared.early.lock().keep(session, seq, candidates, now);
                    if !kept {
                        tracing::debug!(
                            session = session.short(),
                            "candidates of an unknown session dropped"
                        );
                    }
                }
            },
            RtcDown::Restart {
                seq,
                grant,
                offer,
                ice_servers,
            } => {
                match registry.is_new(session, seq) {
                    Some(true) => {}
                    Some(false) => return,
                    None => return self.refuse_restart(session, &grant, &offer),
                }
                match self.verify_again(session, &grant, &offer) {
                    Ok(grant) => self.command(Command::Restart {
                        session: session.clone(),
                        offer,
                        granted: grant.offer_fingerprint,
                        ice_servers,
                    }),
                    // The running session goes on: whoever cannot sign a grant cannot end it either.
                    Err(error) => {
                        tracing::warn!(session = session.short(), %error, "restart refused");
                    }
                }
            }
            RtcDown::Close { seq, reason } => {
                self.shared.early.lock().take(session);
                if registry.is_new(session, seq) == Some(true) {
                    self.command(Command::Close {
                        session: session.clone(),
                        end: End::new(reason, "closed by the control plane"),
                    });
                }
            }
        }
    }

    /// Lets a viewer in without a grant, on the owner's word (WHEP, draft-ietf-wish-whep). Nobody is told about it;
    /// it counts as a viewer. The answer has all candidates in it.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when the offer cannot be answered, or there is no room.
    pub async fn watch_locally(&self, offer: &str, rights: Rights) -> Result<LocalAnswer, Refusal> {
        let session = SessionId::from_bits(rand::random());
        let max = self.shared.config.max_viewers;
        let registry = &self.shared.registry;
        let Some(stats) = registry.enter(&session, SeqWindow::default(), true, max) else {
            registry.refused.fetch_add(1, Ordering::Relaxed);
            return Err(Refusal::Full(max));
        };
        let open = Open {
            opening: Opening {
                session: session.clone(),
                rights,
                local: true,
                relay_only: false,
                hosts: Vec::new(),
                received: Instant::now(),
                stats,
            },
            offer: offer.to_owned(),
            granted: None,
            ice_servers: Vec::new(),
        };
        let (answer, answered) = oneshot::channel();
        let command = Command::Open {
            open: Box::new(open),
            answer: Some(answer),
        };
        if self.shared.commands.try_send(command).is_err() {
            registry.leave(&session);
            return Err(Refusal::Stopped);
        }
        answered.await.unwrap_or(Err(Refusal::Stopped))
    }

    /// Ends a session that [`watch_locally`](Self::watch_locally) began. False when there is no such session.
    pub fn close(&self, session: &SessionId) -> bool {
        let local = self.shared.registry.is_local(session);
        if local {
            self.command(Command::Close {
                session: session.clone(),
                end: End::new(EndReason::ViewerClosed, "closed by the viewer"),
            });
        }
        local
    }

    /// Ends every session and waits, for a few seconds at most, until the viewers were told.
    pub async fn close_all(&self, reason: EndReason, detail: &str) {
        for session in self.shared.registry.sessions() {
            let end = End::new(reason, detail);
            let closing = self.shared.commands.send(Command::Close { session, end });
            let _ = timeout(CLOSE_PATIENCE, closing).await;
        }
        let mut count = self.shared.registry.count();
        let left = timeout(CLOSE_PATIENCE, count.wait_for(|viewers| *viewers == 0)).await;
        if left.is_err() {
            tracing::warn!("some sessions did not end in time");
        }
    }

    /// Addresses or routes of this machine changed: interfaces are listed again, viewers learn new addresses, and those
    /// whose path went with an old one are asked for a restart. Cheap, and harmless when nothing changed.
    pub fn network_changed(&self) {
        self.command(Command::NetworkChanged);
    }

    /// From now on answers are signed with this key. Sessions that are open go on.
    pub fn renew(&self, key: SigningKey) {
        self.shared.config.identity.renew(key);
    }

    /// Figures for metrics.
    pub fn stats(&self) -> HubStats {
        self.shared.registry.stats()
    }

    fn admit(&self, session: &SessionId, token: &str, offer: &str) -> Result<Grant, End> {
        let mut grants = self.shared.grants.lock();
        grants
            .accept(token, session, offer, self.shared.config.calendar.unix())
            .map_err(|error| End::new(EndReason::GrantRefused, error.to_string()))
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
            self.shared.config.calendar.unix(),
        )
    }

    /// The camera was restarted, say: the viewer is told, so that it begins a new session instead of waiting. Once for
    /// each grant, and nobody without one.
    fn refuse_restart(&self, session: &SessionId, token: &str, offer: &str) {
        match self.admit(session, token, offer) {
            Ok(_) => {
                let why = "the camera does not know this session";
                // The camera that did know it may have used any smaller number.
                self.refuse(session, u32::MAX, End::new(EndReason::Failed, why));
            }
            Err(End { detail, .. }) => {
                tracing::debug!(session = session.short(), detail, "restart ignored");
            }
        }
    }

    fn refuse(&self, session: &SessionId, seq: u32, end: End) {
        let End { reason, detail } = end;
        tracing::warn!(session = session.short(), camera = %self.shared.config.camera, ?reason, detail, "session refused");
        let registry = &self.shared.registry;
        registry.refused.fetch_add(1, Ordering::Relaxed);
        self.shared.early.lock().take(session);
        registry.tell(Event::Send {
            session: session.clone(),
            message: RtcUp::Closed {
                seq,
                reason,
                detail,
                stats: None,
            },
        });
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one message, taken apart by its only caller"
    )]
    fn open(
        &self,
        session: &SessionId,
        seq: u32,
        grant: &Grant,
        offer: String,
        ice_servers: Vec<IceServer>,
        relay_only: bool,
        received: Instant,
    ) -> Result<(), End> {
        let mut numbers = SeqWindow::default();
        numbers.is_new(seq);
        let early = self.shared.early.lock().take(session);
        let early: Vec<_> = early
            .into_iter()
            .filter(|(seq, _)| numbers.is_new(*seq))
            .collect();
        let max = self.shared.config.max_viewers;
        let entered = self.shared.registry.enter(session, numbers, false, max);
        let stats =
            entered.ok_or_else(|| End::new(EndReason::Limit, Refusal::Full(max).to_string()))?;
        let opening = Opening {
            session: session.clone(),
            rights: Rights {
                talk: self.shared.config.talk && grant.allows(Right::Talk),
                ..Rights::from(grant)
            },
            local: false,
            relay_only,
            hosts: Vec::new(),
            received,
            stats,
        };
        let open = Open {
            opening,
            offer,
            granted: Some(grant.offer_fingerprint),
            ice_servers,
        };
        let open = Command::Open {
            open: Box::new(open),
            answer: None,
        };
        if self.shared.commands.try_send(open).is_err() {
            self.shared.registry.leave(session);
            let why = "the camera is too busy to let anybody in";
            return Err(End::new(EndReason::Limit, why));
        }
        for (_, candidates) in early {
            self.command(Command::Candidates {
                session: session.clone(),
                candidates,
            });
        }
        Ok(())
    }

    fn command(&self, command: Command) {
        if let Err(error) = self.shared.commands.try_send(command) {
            tracing::warn!(%error, "a message for a viewer is lost");
        }
    }
}
