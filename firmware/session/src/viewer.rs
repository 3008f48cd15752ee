//! One viewer's session, from an accepted grant to the last message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use heron_protocol::grant::{Grant, Right};
use heron_protocol::messages::{
    Candidate, DevicePhases, EndReason, IcePolicy, IceServer, Path, RtcUp, SessionStats,
};
use heron_protocol::proof::Proof;
use heron_protocol::{Fingerprint, SessionId};
use rtc::peer_connection::state::{RTCIceConnectionState, RTCPeerConnectionState};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use crate::config::HubConfig;
use crate::connection::{Connection, PeerEvent, Setup};
use crate::event::Event;
use crate::feedback::Feedback;
use crate::liveness::{Liveness, Lost};
use crate::offer::Offer;
use crate::outlet::{Outlet, Pump};
use crate::trickle::{Batch, is_usable};

/// How often a viewer is checked upon.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The stack must answer an offer and close within this.
const STACK_PATIENCE: Duration = Duration::from_secs(5);

/// A message for a session, checked and without duplicates.
#[derive(Debug)]
pub enum Command {
    /// Candidates of the viewer.
    Candidates(Vec<Candidate>),
    /// A new offer under a verified grant.
    Restart {
        /// The grant that allows it.
        grant: Grant,
        /// The offer.
        offer: String,
    },
    /// Time to go.
    Close {
        /// Why.
        reason: EndReason,
        /// One sentence for a person.
        detail: String,
    },
}

/// What a session begins with.
pub struct Opening {
    /// Its id.
    pub session: SessionId,
    /// What was granted.
    pub grant: Grant,
    /// The viewer's offer.
    pub offer: String,
    /// Servers of this end.
    pub ice_servers: Vec<IceServer>,
    /// Which candidates may be used.
    pub ice_policy: IcePolicy,
    /// When `Open` came in.
    pub received: Instant,
}

/// The end of a session.
struct End {
    reason: EndReason,
    detail: String,
}

impl End {
    fn new(reason: EndReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// A session that runs as a task of its own.
pub struct Viewer {
    config: Arc<HubConfig>,
    opening: Opening,
    commands: mpsc::Receiver<Command>,
    events: mpsc::UnboundedSender<Event>,
    /// Asks for a key frame.
    want_key_frame: Arc<dyn Fn() + Send + Sync>,
    outlet: Arc<Outlet>,
    feedback: Arc<Feedback>,
    phases: DevicePhases,
    path: Option<Path>,
    path_rtt: Option<Duration>,
    next_seq: u32,
}

impl Viewer {
    /// A session that has not been answered yet.
    pub fn new(
        config: Arc<HubConfig>,
        opening: Opening,
        commands: mpsc::Receiver<Command>,
        events: mpsc::UnboundedSender<Event>,
        want_key_frame: Arc<dyn Fn() + Send + Sync>,
        outlet: Arc<Outlet>,
        feedback: Arc<Feedback>,
    ) -> Self {
        let mut viewer = Self {
            config,
            opening,
            commands,
            events,
            want_key_frame,
            outlet,
            feedback,
            phases: DevicePhases::default(),
            path: None,
            path_rtt: None,
            next_seq: 0,
        };
        viewer.phases.granted_ms = Some(viewer.since_open(Instant::now()));
        viewer
    }

    /// Runs the session to its end and reports that.
    pub async fn run(mut self) {
        let (sender, mut peer_events) = mpsc::unbounded_channel();
        let end = match Box::pin(self.answer(sender)).await {
            Ok(mut connection) => {
                let pump = Pump::new(
                    Arc::clone(&self.outlet),
                    Arc::clone(&connection.outbox),
                    Arc::clone(&self.feedback),
                    connection.video.take(),
                    connection.audio.take(),
                );
                let mut pump = tokio::spawn(pump.run());
                let end = self.watch(&connection, &mut peer_events, &mut pump).await;
                pump.abort();
                self.refresh_path(&connection).await;
                if timeout(STACK_PATIENCE, connection.close()).await.is_err() {
                    tracing::warn!("the connection did not close in time");
                }
                end
            }
            Err(end) => end,
        };
        tracing::info!(reason = ?end.reason, detail = %end.detail, frames = self.outlet.frames(), "session ended");
        let stats = Some(self.stats());
        let seq = self.seq();
        self.send(RtcUp::Closed {
            seq,
            reason: end.reason,
            detail: end.detail,
            stats,
        });
    }

    async fn answer(
        &mut self,
        events: mpsc::UnboundedSender<PeerEvent>,
    ) -> Result<Connection, End> {
        let sdp = self.opening.offer.clone();
        let offer = self.read_offer(&sdp)?;
        let setup = Setup {
            offer: &offer,
            sdp: &sdp,
            ice_servers: &self.opening.ice_servers,
            ice_policy: self.opening.ice_policy,
            bind: &self.config.bind,
            events,
            feedback: Arc::clone(&self.feedback),
        };
        let connection = timeout(STACK_PATIENCE, Connection::answer(setup))
            .await
            .map_err(|_| End::new(EndReason::Failed, "the offer could not be answered in time"))?
            .map_err(|error| {
                End::new(
                    EndReason::Failed,
                    format!("the offer could not be answered: {error}"),
                )
            })?;
        self.send_answer(&connection.answer)?;
        self.phases.answered_ms = Some(self.since_open(Instant::now()));
        Ok(connection)
    }

    fn read_offer(&self, sdp: &str) -> Result<Offer, End> {
        let grant = &self.opening.grant;
        Offer::read(sdp, grant.allows(Right::View), grant.allows(Right::Listen))
            .map_err(|error| End::new(EndReason::BadMessage, error.to_string()))
    }

    fn send_answer(&mut self, sdp: &str) -> Result<(), End> {
        let broken = |what: String| {
            End::new(
                EndReason::Failed,
                format!("the answer could not be signed: {what}"),
            )
        };
        let answer_fingerprint =
            Fingerprint::from_sdp(sdp).map_err(|error| broken(error.to_string()))?;
        let proof = Proof {
            session: self.opening.session.clone(),
            camera: self.config.camera.clone(),
            offer_fingerprint: self.opening.grant.offer_fingerprint,
            answer_fingerprint,
        };
        let proof = proof.sign(&self.config.key).map_err(broken)?;
        let seq = self.seq();
        self.send(RtcUp::Answer {
            seq,
            sdp: sdp.to_owned(),
            proof,
        });
        Ok(())
    }

    /// Everything between the answer and the end.
    async fn watch(
        &mut self,
        connection: &Connection,
        peer_events: &mut mpsc::UnboundedReceiver<PeerEvent>,
        pump: &mut JoinHandle<()>,
    ) -> End {
        let mut liveness = Liveness::new(self.config.patience, self.opening.received);
        let mut checks = interval(CHECK_INTERVAL);
        checks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut stats_due = Instant::now() + self.config.stats_interval;
        let mut batch = Batch::new(self.config.candidate_delay);
        let mut packets_at_check = 0;
        loop {
            tokio::select! {
                // All senders are gone only when the hub is.
                command = self.commands.recv() => match command {
                    None => return End::new(EndReason::CameraShutdown, "the camera's service stopped"),
                    Some(Command::Close { reason, detail }) => return End::new(reason, detail),
                    Some(Command::Candidates(candidates)) => add_candidates(connection, &candidates).await,
                    Some(Command::Restart { grant, offer }) => {
                        if let Err(end) = self.restart(connection, grant, &offer).await {
                            return end;
                        }
                    }
                },
                Some(event) = peer_events.recv() => match event {
                    PeerEvent::Candidate(candidate) => batch.add(candidate, Instant::now()),
                    PeerEvent::Ice(state) => self.ice_moved(state, &mut liveness),
                    PeerEvent::Connection(RTCPeerConnectionState::Connected) => self.connected(&mut liveness),
                    PeerEvent::Connection(RTCPeerConnectionState::Failed) => return self.failed(),
                    PeerEvent::Connection(_) => {}
                },
                () = sleep_until(batch.due().unwrap_or_else(far_future).into()), if batch.due().is_some() => {
                    let seq = self.seq();
                    self.send(RtcUp::Candidates { seq, candidates: batch.take() });
                }
                _ = checks.tick() => {
                    let now = Instant::now();
                    let packets = self.outlet.sent().0;
                    if packets == packets_at_check {
                        // A viewer has nothing to report on while the camera sends nothing.
                        liveness.heard(now);
                    }
                    packets_at_check = packets;
                    if let Some(heard) = self.feedback.reports().heard {
                        liveness.heard(heard);
                    }
                    if connection.closed_by_viewer().await {
                        return End::new(EndReason::ViewerClosed, "the viewer closed the connection");
                    }
                    match liveness.lost(now) {
                        Some(Lost::NoPath) => return self.failed(),
                        Some(Lost::Vanished) => {
                            return End::new(EndReason::ViewerVanished, "nothing was heard from the viewer any more");
                        }
                        None => {}
                    }
                    if now >= stats_due {
                        stats_due = now + self.config.stats_interval;
                        self.refresh_path(connection).await;
                        let (seq, stats) = (self.seq(), self.stats());
                        self.send(RtcUp::Stats { seq, stats });
                    }
                }
                _ = &mut *pump => return End::new(EndReason::Failed, "the connection broke down while sending"),
            }
        }
    }

    fn ice_moved(&mut self, state: RTCIceConnectionState, liveness: &mut Liveness) {
        let now = Instant::now();
        match state {
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => {
                let since_open = self.since_open(now);
                self.phases.ice_ms.get_or_insert(since_open);
                if self.phases.dtls_ms.is_some() {
                    liveness.connected(now);
                }
            }
            RTCIceConnectionState::Disconnected => liveness.disconnected(now),
            _ => {}
        }
    }

    /// ICE and DTLS are up. Only now a key frame is worth anything to this viewer.
    fn connected(&mut self, liveness: &mut Liveness) {
        let now = Instant::now();
        liveness.connected(now);
        if self.phases.dtls_ms.is_none() {
            let since_open = self.since_open(now);
            self.phases.dtls_ms = Some(since_open);
            tracing::info!(after_ms = since_open.round(), "viewer connected");
            self.outlet.open();
            (self.want_key_frame)();
        }
    }

    fn failed(&self) -> End {
        if self.phases.dtls_ms.is_some() {
            End::new(EndReason::ViewerVanished, "the path to the viewer is lost")
        } else {
            End::new(EndReason::NoPath, "no path to the viewer was found")
        }
    }

    /// A fresh path under the same keys: the DTLS association, and with it both fingerprints, stay.
    async fn restart(
        &mut self,
        connection: &Connection,
        grant: Grant,
        sdp: &str,
    ) -> Result<(), End> {
        if grant.offer_fingerprint != self.opening.grant.offer_fingerprint {
            return Err(End::new(
                EndReason::GrantRefused,
                "a restart may not change the viewer's certificate",
            ));
        }
        let offer = self.read_offer(sdp)?;
        match timeout(STACK_PATIENCE, connection.restart(&offer, sdp)).await {
            Ok(Ok(answer)) => self.send_answer(&answer),
            Ok(Err(error)) => Err(End::new(
                EndReason::Failed,
                format!("the restart could not be answered: {error}"),
            )),
            Err(_) => Err(End::new(
                EndReason::Failed,
                "the restart could not be answered in time",
            )),
        }
    }

    async fn refresh_path(&mut self, connection: &Connection) {
        if self.phases.ice_ms.is_some()
            && let Ok((path, rtt)) = timeout(STACK_PATIENCE, connection.path()).await
        {
            self.path = path.or(self.path.take());
            self.path_rtt = rtt.or(self.path_rtt);
        }
    }

    fn stats(&self) -> SessionStats {
        let reports = self.feedback.reports();
        let (packets_sent, bytes_sent) = self.outlet.sent();
        let first_packet_ms = self.outlet.first_packet().map(|at| self.since_open(at));
        SessionStats {
            phases: DevicePhases {
                first_packet_ms,
                ..self.phases.clone()
            },
            path: self.path.clone(),
            bytes_sent,
            packets_sent,
            frames_sent: self.outlet.frames(),
            frames_dropped: self.outlet.dropped(),
            key_frame_requests: reports.key_frame_requests,
            nacks: reports.nacks,
            rtt_ms: reports
                .rtt
                .or(self.path_rtt)
                .map(|rtt| rtt.as_secs_f64() * 1000.0),
            loss: reports.loss,
        }
    }

    fn since_open(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.opening.received)
            .as_secs_f64()
            * 1000.0
    }

    fn seq(&mut self) -> u32 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }

    fn send(&self, message: RtcUp) {
        // The owner dropped its end: it is going down, and so are we.
        let _ = self.events.send(Event::Send {
            session: self.opening.session.clone(),
            message,
        });
    }
}

async fn add_candidates(connection: &Connection, candidates: &[Candidate]) {
    for candidate in candidates
        .iter()
        .filter(|candidate| is_usable(&candidate.candidate))
    {
        if let Err(error) = connection.add_candidate(candidate).await {
            tracing::debug!(%error, "a candidate of the viewer is passed over");
        }
    }
}

fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
