//! What is written down of one session: its start, phase by phase, and its figures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use heron_congestion::{Estimate, Level, Rung};
use heron_peer::{CandidateKind, PairReport, PairState, PeerStats, Protocol, Selected};
use heron_protocol::messages::{
    self, CandidateKind as Kind, CandidatePair, DevicePhases, Path, SessionStats,
};
use serde_json::{Value, json};

use crate::outlet::Outlet;
use crate::stats::ViewerStats;

/// Pairs that the control plane takes.
const MAX_PAIRS: usize = 16;

/// The record of one session.
#[derive(Debug)]
pub struct Record {
    received: Instant,
    phases: DevicePhases,
    path: Option<Path>,
    /// Pictures sent whole.
    pub frames: u64,
    /// Times that the socket had no room.
    pub blocked: u64,
    first_frame: Option<Duration>,
    freezes: Option<(u64, Duration)>,
    level: Level,
    level_changes: u64,
}

impl Record {
    /// A session on `level` whose opening came in at `received` and was granted at `now`.
    pub fn new(level: Level, received: Instant, now: Instant) -> Self {
        let mut record = Self {
            received,
            phases: DevicePhases::default(),
            path: None,
            frames: 0,
            blocked: 0,
            first_frame: None,
            freezes: None,
            level,
            level_changes: 0,
        };
        record.phases.granted_ms = Some(record.since(now));
        record
    }

    /// The answer was sent.
    pub fn answered(&mut self, now: Instant) {
        self.phases.answered_ms = Some(self.since(now));
    }

    /// An address of ours was found.
    pub fn gathered(&mut self, now: Instant) {
        self.phases.gathered_ms = Some(self.since(now));
    }

    /// ICE found a path, or another one. `relay`: the URL of the TURN server that our end is at.
    pub fn selected(&mut self, selected: &Selected, relay: Option<String>, now: Instant) {
        let since = self.since(now);
        self.phases.ice_ms.get_or_insert(since);
        self.path = Some(path(selected, relay));
    }

    /// DTLS is up. Returns how long it took, the first time.
    pub fn connected(&mut self, now: Instant) -> Option<f64> {
        if self.is_connected() {
            return None;
        }
        self.phases.dtls_ms = Some(self.since(now));
        self.phases.dtls_ms
    }

    /// Whether DTLS was ever up.
    pub fn is_connected(&self) -> bool {
        self.phases.dtls_ms.is_some()
    }

    /// Packets of a picture left; `finished` pictures with them.
    pub fn left(&mut self, finished: u64, now: Instant) {
        if self.phases.first_packet_ms.is_none() {
            self.phases.first_packet_ms = Some(self.since(now));
        }
        if finished > 0 && self.first_frame.is_none() {
            self.first_frame = Some(now.saturating_duration_since(self.received));
        }
        self.frames += finished;
    }

    /// The viewer is on this level.
    pub fn moved(&mut self, to: Level) {
        self.level_changes += u64::from(self.level != to);
        self.level = to;
    }

    /// The viewer reports freezes, counted from its start.
    pub fn froze(&mut self, count: u64, total: Duration) {
        self.freezes = Some((count, total));
    }

    /// For the control plane.
    pub fn session(&self, peer: &PeerStats, outlet: &Outlet, estimate: &Estimate) -> SessionStats {
        SessionStats {
            phases: self.phases.clone(),
            path: self.path.clone(),
            pairs: Vec::new(),
            restarts: 0,
            bytes_sent: peer.bytes,
            packets_sent: peer.packets,
            frames_sent: self.frames,
            frames_dropped: outlet.dropped(),
            key_frame_requests: peer.key_frame_requests,
            nacks: peer.nacks,
            rtt_ms: rtt(peer).map(|rtt| rtt.as_secs_f64() * 1000.0),
            loss: peer.loss,
            estimate_bps: Some(estimate.target_bps.into()),
            level: Some(match self.level {
                Level::Main => messages::Level::Main,
                Level::Sub => messages::Level::Sub,
                Level::AudioOnly => messages::Level::AudioOnly,
            }),
            level_changes: self.level_changes,
        }
    }

    /// For metrics.
    pub fn metrics(
        &self,
        stats: &mut ViewerStats,
        peer: &PeerStats,
        outlet: &Outlet,
        estimate: &Estimate,
    ) {
        stats.connected = self.is_connected();
        stats.rung = outlet.rung();
        stats.frames_sent = self.frames;
        stats.frames_dropped = outlet.dropped();
        stats.packets_sent = peer.packets;
        stats.bytes_sent = peer.bytes;
        stats.key_frame_requests = peer.key_frame_requests;
        stats.nacks = peer.nacks;
        stats.repaired = peer.repaired;
        stats.fec_packets = peer.fec_packets;
        stats.fec_bytes = peer.fec_bytes;
        stats.protected = peer.protected;
        stats.rtt = rtt(peer);
        stats.loss = peer.loss;
        stats.estimate_bps = estimate.target_bps;
        stats.sends_blocked = self.blocked;
        stats.first_frame = self.first_frame;
        stats.freezes = self.freezes;
    }

    /// For the viewer itself, as it asks for `stats` on the data channel.
    pub fn told(&self, peer: &PeerStats, outlet: &Outlet, estimate: &Estimate) -> Value {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        json!({
            "rung": outlet.rung().map(name),
            "estimate_bps": estimate.target_bps,
            "rtt_ms": rtt(peer).map(ms),
            "loss": peer.loss,
            "frames_sent": self.frames,
            "frames_dropped": outlet.dropped(),
            "packets_sent": peer.packets,
            "bytes_sent": peer.bytes,
            "key_frame_requests": peer.key_frame_requests,
            "nacks": peer.nacks,
            "repaired": peer.repaired,
            "fec_packets": peer.fec_packets,
            "fec_bytes": peer.fec_bytes,
            "protected": peer.protected,
            "first_frame_ms": self.first_frame.map(ms),
            "path": self.path,
        })
    }

    fn since(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.received).as_secs_f64() * 1000.0
    }
}

fn name(rung: Rung) -> &'static str {
    match rung {
        Rung::Main => "main",
        Rung::Sub => "sub",
    }
}

fn rtt(peer: &PeerStats) -> Option<Duration> {
    peer.rtt.or(peer.ice_rtt)
}

/// The pairs that were tried, as many as are told, the one in use first.
pub fn pairs(
    tried: &[PairReport],
    relay: impl Fn(SocketAddr) -> Option<String>,
) -> Vec<CandidatePair> {
    let told = tried.iter().take(MAX_PAIRS);
    told.map(|report| CandidatePair {
        path: path(&report.pair, relay(report.pair.path.local)),
        state: match report.state {
            PairState::Waiting => messages::PairState::Waiting,
            PairState::InProgress => messages::PairState::InProgress,
            PairState::Succeeded => messages::PairState::Succeeded,
            PairState::Failed => messages::PairState::Failed,
        },
        chosen: report.chosen,
    })
    .collect()
}

fn path(selected: &Selected, relay: Option<String>) -> Path {
    Path {
        local: kind(selected.local),
        remote: kind(selected.remote),
        protocol: match selected.path.protocol {
            Protocol::Udp => "udp",
            Protocol::Tcp => "tcp",
        }
        .to_owned(),
        local_address: Some(selected.path.local.to_string()),
        remote_address: Some(selected.path.remote.to_string()),
        relay,
    }
}

fn kind(kind: CandidateKind) -> Kind {
    match kind {
        CandidateKind::Host => Kind::Host,
        CandidateKind::Srflx => Kind::Srflx,
        CandidateKind::Prflx => Kind::Prflx,
        CandidateKind::Relay => Kind::Relay,
    }
}
