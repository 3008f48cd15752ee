//! One viewer's session, from its answer to the last message; pure, the driver has the clock and the sockets.
//!
//! ```text
//!             Connected                       close, silence, DTLS goodbye, no path
//! answered ─────────────► watching ──────────────────────────────────────────────────► ended
//!     └──────────────────────────────────────────────────────────────────────────────────▲
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use heron_congestion::{Arrival, Estimator, EstimatorConfig, Level, Protection, Rung};
use heron_peer::{
    AudioFrame, Batch as Packets, CloseReason, LocalCandidate, Path, Peer, PeerEvent, Sound,
};
use heron_protocol::SessionId;
use heron_protocol::messages::{EndReason, RtcUp, SessionStats};
use parking_lot::Mutex;

use crate::config::HubConfig;
use crate::control::{Call, Calls};
use crate::gathering::Gathering;
use crate::liveness::{Liveness, Lost};
use crate::media::Picture;
use crate::outlet::{Offered, Outlet, Pumped};
use crate::record::{Record, pairs};
use crate::restarts::Restarts;
use crate::rights::Rights;
use crate::stats::ViewerStats;
use crate::trickle::Batch;

/// How often a viewer is checked upon.
const CHECK_INTERVAL: Duration = Duration::from_millis(250);

/// The end of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// Why.
    pub reason: EndReason,
    /// One sentence for a person.
    pub detail: String,
}

impl End {
    /// An end with its reason.
    pub fn new(reason: EndReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
        }
    }
}

/// What a viewer wants of the others.
#[expect(
    clippy::large_enum_variant,
    reason = "few wait at a time, and each is moved once"
)]
#[derive(Debug)]
pub enum Wanted {
    /// A message to the control plane.
    Tell(RtcUp),
    /// A key frame of a rung.
    KeyFrame(Rung),
    /// What its path carries of media changed, bits/s.
    Estimate(u32),
    /// No path yet: what it can take is not known.
    Waiting,
    /// Media flows now.
    Connected,
    /// Media flows over another path: what it can take is not known.
    Anew,
    /// The viewer's sound.
    Heard(Sound),
    /// A call that is not about this viewer alone.
    Call(Call),
    /// The control channel was closed.
    Unreachable,
    /// The session is over.
    End(End),
}

/// A session's beginning.
pub struct Opening {
    /// Its id.
    pub session: SessionId,
    /// What the viewer may do.
    pub rights: Rights,
    /// Let in by the camera itself: nobody else is told about it.
    pub local: bool,
    /// Only relayed paths may be used.
    pub relay_only: bool,
    /// Our addresses that it was told.
    pub hosts: Vec<LocalCandidate>,
    /// When it was asked for.
    pub received: Instant,
    /// Where its figures are seen.
    pub stats: Arc<Mutex<ViewerStats>>,
}

/// One viewer.
pub struct Viewer {
    /// What it began with.
    pub opening: Opening,
    /// Addresses beyond the interfaces'.
    pub gathering: Gathering,
    /// Those of before a restart, while their path is in use.
    pub former: Option<Gathering>,
    /// Fresh paths.
    pub restarts: Restarts,
    pub(crate) peer: Peer,
    pub(crate) outlet: Outlet,
    pub(crate) estimator: Estimator,
    pub(crate) protection: Protection,
    pub(crate) liveness: Liveness,
    pub(crate) candidates: Batch,
    pub(crate) calls: Calls,
    pub(crate) record: Record,
    pub(crate) wanted: VecDeque<Wanted>,
    /// Nothing is heard on the path in use, or there is none any more.
    pub(crate) silent: bool,
    /// Where media goes.
    pub(crate) path: Option<Path>,
    next_seq: u32,
    packets_at_check: u64,
    check_due: Instant,
    stats_due: Instant,
    stats_interval: Duration,
    pump_due: Option<Instant>,
}

impl Viewer {
    /// A viewer whose peer has answered.
    pub fn new(
        opening: Opening,
        peer: Peer,
        gathering: Gathering,
        level: Level,
        config: &HubConfig,
        now: Instant,
    ) -> Self {
        let estimator = Estimator::new(EstimatorConfig::default(), now);
        let target = estimator.estimate().target_bps;
        Self {
            outlet: Outlet::new(level.rung(), config.max_delay, target, now),
            estimator,
            protection: Protection::new(),
            liveness: Liveness::new(config.patience, opening.received),
            candidates: Batch::new(config.candidate_delay),
            calls: Calls::default(),
            record: Record::new(level, opening.received, now),
            wanted: VecDeque::new(),
            silent: false,
            path: None,
            next_seq: 0,
            packets_at_check: 0,
            check_due: now + CHECK_INTERVAL,
            stats_due: now + config.stats_interval,
            stats_interval: config.stats_interval,
            pump_due: None,
            gathering,
            former: None,
            restarts: Restarts::default(),
            peer,
            opening,
        }
    }

    /// The connection.
    pub fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// The next thing it wants.
    pub fn poll_wanted(&mut self) -> Option<Wanted> {
        self.wanted.pop_front()
    }

    /// The answer, signed; `None` for a viewer that nobody signals for.
    pub fn answered(&mut self, sdp: String, proof: String, now: Instant) {
        self.record.answered(now);
        let seq = self.seq();
        self.wanted
            .push_back(Wanted::Tell(RtcUp::Answer { seq, sdp, proof }));
    }

    /// Takes what the peer has to say.
    pub fn listen(&mut self, now: Instant) {
        while let Some(event) = self.peer.poll_event() {
            self.peer_event(event, now);
        }
    }

    /// Offers a picture of any rung.
    pub fn offer(&mut self, picture: &Arc<Picture>, now: Instant) {
        if !self.peer.is_connected() || !self.peer.has_video() {
            return;
        }
        if self.outlet.offer(picture, now) == Offered::Overflowed {
            self.wanted.push_back(Wanted::KeyFrame(picture.rung));
        }
    }

    /// Offers sound.
    pub fn offer_sound(&mut self, sound: &Arc<AudioFrame>, now: Instant) {
        if self.peer.is_connected() && self.peer.has_audio() {
            self.outlet.offer_sound(sound, now);
        }
    }

    /// Writes what may leave now into `batch`. `paced` learns how long each picture took.
    pub fn pump(&mut self, batch: &mut Packets, now: Instant, mut paced: impl FnMut(Duration)) {
        if !self.peer.is_connected() {
            return;
        }
        let Pumped {
            again,
            pictures,
            began,
        } = self.outlet.pump(
            &mut self.peer,
            &mut self.estimator,
            batch,
            now,
            |picture: &Picture| paced(now.saturating_duration_since(picture.handed)),
        );
        self.pump_due = again;
        if began || pictures > 0 {
            let first = self.record.frames == 0;
            self.record.left(pictures, now);
            if first {
                self.publish();
            }
        }
    }

    /// The socket had no room for what was written last.
    pub fn blocked(&mut self) {
        self.record.blocked += 1;
        self.outlet.blocked();
        if let Some(rung) = self.outlet.wanted() {
            self.wanted.push_back(Wanted::KeyFrame(rung));
        }
    }

    /// The ladder put it on `level`.
    pub fn moved(&mut self, level: Level) {
        self.record.moved(level);
        if level.rung() != self.outlet.wanted() {
            self.outlet.want(level.rung());
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    pub fn poll_timeout(&mut self) -> Instant {
        [
            self.peer.poll_timeout(),
            self.gathering.poll_timeout(),
            self.former.as_mut().and_then(Gathering::poll_timeout),
            self.estimator.poll_timeout(),
            self.candidates.due(),
            self.pump_due,
        ]
        .into_iter()
        .flatten()
        .fold(self.check_due, Instant::min)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.peer.poll_timeout().is_some_and(|due| due <= now) {
            self.peer.handle_timeout(now);
        }
        if self.gathering.poll_timeout().is_some_and(|due| due <= now) {
            self.gathering.handle_timeout(now);
        }
        if let Some(former) = &mut self.former {
            former.handle_timeout(now);
        }
        if self.estimator.poll_timeout().is_some_and(|due| due <= now) {
            self.estimator.handle_timeout(now);
            self.estimated(now);
        }
        if self.candidates.due().is_some_and(|due| due <= now) {
            let (seq, candidates) = (self.seq(), self.candidates.take());
            self.wanted
                .push_back(Wanted::Tell(RtcUp::Candidates { seq, candidates }));
        }
        if self.check_due <= now {
            self.check_due = now + CHECK_INTERVAL;
            self.check(now);
        }
    }

    /// The last message of a session.
    pub fn closed(&mut self, end: End) -> RtcUp {
        tracing::info!(session = self.opening.session.short(), reason = ?end.reason, detail = end.detail, frames = self.record.frames, "session ended");
        let stats = self.figures();
        RtcUp::Closed {
            seq: self.seq(),
            reason: end.reason,
            detail: end.detail,
            stats: Some(stats),
        }
    }

    /// Lets others see the figures.
    pub fn publish(&self) {
        self.record.metrics(
            &mut self.opening.stats.lock(),
            &self.peer.stats(),
            &self.outlet,
            &self.estimator.estimate(),
        );
    }

    fn peer_event(&mut self, event: PeerEvent, now: Instant) {
        match event {
            PeerEvent::Ice(state) => self.ice_moved(state, now),
            PeerEvent::ChannelOpen { .. } => {}
            PeerEvent::Selected(selected) => self.selected(&selected, now),
            PeerEvent::Connected(_) => self.connected(now),
            PeerEvent::KeyFrameRequested => {
                self.liveness.heard(now);
                self.want_key_frame();
            }
            PeerEvent::Report(report) => {
                self.liveness.heard(now);
                if let Some(rtt) = report.rtt {
                    self.estimator.rtt(rtt);
                }
                self.estimator.receiver_report(report.loss as f32, now);
                self.estimated(now);
            }
            PeerEvent::Arrivals(arrivals) => {
                self.liveness.heard(now);
                let arrivals: Vec<_> = arrivals
                    .iter()
                    .map(|arrival| Arrival {
                        seq: arrival.seq,
                        at: arrival.at,
                    })
                    .collect();
                self.estimator.feedback(&arrivals, now);
                if let Some(rtt) = self.estimator.round_trip() {
                    self.peer.set_round_trip(rtt);
                }
                self.estimated(now);
            }
            PeerEvent::Remb(bps) => {
                self.liveness.heard(now);
                self.estimator
                    .remb(u32::try_from(bps).unwrap_or(u32::MAX), now);
                self.estimated(now);
            }
            PeerEvent::Message { data, .. } => {
                self.liveness.heard(now);
                self.message(&data, now);
            }
            PeerEvent::ChannelClosed { .. } => self.wanted.push_back(Wanted::Unreachable),
            PeerEvent::Sound(sound) => {
                self.liveness.heard(now);
                self.wanted.push_back(Wanted::Heard(sound));
            }
            PeerEvent::Closed(reason) => self.ended(reason),
        }
    }

    /// ICE and DTLS are up. Only now a key frame is worth anything to this viewer.
    fn connected(&mut self, now: Instant) {
        self.liveness.connected(now);
        if let Some(after_ms) = self.record.connected(now) {
            tracing::info!(
                session = self.opening.session.short(),
                after_ms = after_ms.round(),
                "viewer connected"
            );
            self.wanted.push_back(Wanted::Connected);
            self.publish();
        }
    }

    /// A decoder of the viewer's cannot go on, or cannot begin.
    pub fn want_key_frame(&mut self) {
        if !self.peer.has_video() {
            return;
        }
        // The rung that it sees, and the one that it waits for.
        let seen = self.outlet.rung().filter(|_| !self.outlet.needs_key());
        if let Some(rung) = seen.or(self.outlet.wanted()) {
            self.wanted.push_back(Wanted::KeyFrame(rung));
        }
    }

    fn ended(&mut self, reason: CloseReason) {
        let end = match reason {
            CloseReason::Local => return,
            CloseReason::Remote => {
                End::new(EndReason::ViewerClosed, "the viewer closed the connection")
            }
            CloseReason::IceFailed => self.lost_path(),
            CloseReason::DtlsFailed => End::new(
                EndReason::Failed,
                "the viewer's certificate or handshake was refused",
            ),
        };
        self.wanted.push_back(Wanted::End(end));
    }

    fn lost_path(&self) -> End {
        if self.record.is_connected() {
            End::new(EndReason::ViewerVanished, "the path to the viewer is lost")
        } else {
            End::new(EndReason::NoPath, "no path to the viewer was found")
        }
    }

    fn check(&mut self, now: Instant) {
        let packets = self.peer.stats().packets;
        if packets == self.packets_at_check {
            // A viewer has nothing to report on while the camera sends nothing.
            self.liveness.heard(now);
        }
        self.packets_at_check = packets;
        if !self.record.is_connected() {
            self.wanted.push_back(Wanted::Waiting);
        }
        self.repeat_restart(now);
        let end = match self.liveness.lost(now) {
            Some(Lost::NoPath) => Some(self.lost_path()),
            Some(Lost::Vanished) => Some(End::new(
                EndReason::ViewerVanished,
                "nothing was heard from the viewer any more",
            )),
            None => None,
        };
        self.wanted.extend(end.map(Wanted::End));
        if now >= self.stats_due {
            self.stats_due = now + self.stats_interval;
            let stats = self.figures();
            let seq = self.seq();
            self.wanted
                .push_back(Wanted::Tell(RtcUp::Stats { seq, stats }));
        }
        self.publish();
    }

    fn figures(&self) -> SessionStats {
        let relay = |local| self.gathering.url(local).map(str::to_owned);
        SessionStats {
            restarts: self.restarts.count(),
            pairs: pairs(&self.peer.pairs(), relay),
            ..self
                .record
                .session(&self.peer.stats(), &self.outlet, &self.estimator.estimate())
        }
    }

    pub(crate) fn seq(&mut self) -> u32 {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }
}
