//! A viewer's addresses and ours: what is learned of them, and what happens when they change.

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use heron_peer::{CandidateKind, IceState, LocalCandidate, Path, Selected};
use heron_protocol::messages::{Candidate, RestartReason, RtcUp};

use crate::allocation::Allocation;
use crate::gathering::Gathering;
use crate::socket::Buffers;
use crate::viewer::{Viewer, Wanted};

/// A viewer that reports some ten times a second was cut off when it says nothing for so long.
const QUIET: Duration = Duration::from_millis(400);

/// Whether two paths lead through the same network: a NAT on the way maps to other ports only.
fn is_same_way(one: Path, other: Path) -> bool {
    let ends = |path: Path| (path.protocol, path.local.ip(), path.remote.ip());
    ends(one) == ends(other)
}

impl Viewer {
    /// Candidates of the viewer. Those of another restart than the one we are in are passed over.
    pub fn add_remote(&mut self, candidates: &[Candidate], now: Instant) {
        for candidate in candidates {
            let ufrag = candidate.username_fragment.as_deref();
            let current = ufrag.is_none_or(|ufrag| ufrag == self.peer.remote_ufrag());
            if !current || !self.peer.add_remote_candidate(&candidate.candidate, now) {
                tracing::debug!("a candidate of the viewer is passed over");
            }
        }
    }

    /// Our interfaces' addresses now. Paths over those that are gone are over; new ones are used, and with `tell` the
    /// viewer is told, else it learns them from the next answer.
    pub fn set_hosts(&mut self, hosts: &[LocalCandidate], tell: bool, now: Instant) {
        let before = std::mem::replace(&mut self.opening.hosts, hosts.to_vec());
        for host in &before {
            let there = hosts.iter().any(|other| other.base == host.base);
            if !there && self.peer.local_lost(host.base, now) {
                self.broken();
            }
        }
        for host in hosts.iter().filter(|host| !before.contains(host)) {
            if tell {
                self.add_local(*host, now);
            } else {
                self.peer.add_local_candidate(*host, now);
            }
        }
    }

    /// Where STUN servers may see it: of our addresses all, or none for a viewer that is relayed only.
    pub fn bases<'a>(&self, hosts: &'a [SocketAddr]) -> &'a [SocketAddr] {
        if self.opening.relay_only { &[] } else { hosts }
    }

    /// An address of ours that was found later.
    pub fn add_local(&mut self, candidate: LocalCandidate, now: Instant) {
        if !self.peer.add_local_candidate(candidate, now) {
            return;
        }
        if self.restarts.count() == 0 {
            self.record.gathered(now);
        }
        let told = Candidate {
            candidate: candidate.to_string(),
            // One transport for all sections (BUNDLE, RTCP mux): the first section's index names it.
            sdp_mid: None,
            sdp_m_line_index: Some(0),
            username_fragment: Some(self.peer.ufrag().to_owned()),
        };
        self.candidates.add(told, now);
    }

    /// An address of ours is gone. Where it carried the media, the viewer is asked for a restart.
    pub fn local_lost(&mut self, base: SocketAddr, reason: RestartReason, now: Instant) {
        if self.peer.local_lost(base, now) {
            self.broken();
            self.want_restart(reason, now);
        }
    }

    /// A TCP connection of its is gone. Where it carried the media, the picture begins anew on the next path.
    pub fn path_lost(&mut self, path: Path, now: Instant) {
        if self.peer.path_lost(path, now) {
            self.broken();
        }
    }

    /// Whether nothing is heard on the path in use.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// ICE has begun anew: servers are asked anew by `gathering`. What was gathered before carries the media until a
    /// new path is found.
    pub fn restarted(&mut self, gathering: Gathering, now: Instant) {
        self.restarts.begun(now);
        self.liveness.restarted(now);
        self.candidates.take();
        let mut former = std::mem::replace(&mut self.gathering, gathering);
        former.retire();
        if let Some(mut ancient) = self.former.replace(former) {
            ancient.close(now);
        }
    }

    /// Asks the viewer for a restart, unless that was done a moment ago.
    pub fn want_restart(&mut self, reason: RestartReason, now: Instant) {
        if self.record.is_connected() && !self.opening.local && self.restarts.want(reason, now) {
            self.ask_restart(reason);
        }
    }

    /// Asks again when nothing came of it.
    pub(crate) fn repeat_restart(&mut self, now: Instant) {
        if let Some(reason) = self.restarts.repeat(now) {
            self.ask_restart(reason);
        }
    }

    fn ask_restart(&mut self, reason: RestartReason) {
        tracing::info!(
            session = self.opening.session.short(),
            ?reason,
            "the viewer is asked for a new path"
        );
        let seq = self.seq();
        self.wanted
            .push_back(Wanted::Tell(RtcUp::RestartWanted { seq, reason }));
    }

    /// ICE moved to another state.
    pub(crate) fn ice_moved(&mut self, state: IceState, now: Instant) {
        match state {
            IceState::Disconnected | IceState::Failed => {
                self.liveness.disconnected(now);
                self.silent = true;
                let relayed = self
                    .peer
                    .selected()
                    .is_some_and(|selected| selected.local == CandidateKind::Relay);
                let reason = if relayed {
                    RestartReason::RelayLost
                } else {
                    RestartReason::PathLost
                };
                self.want_restart(reason, now);
            }
            IceState::Connected if self.record.is_connected() => {
                self.liveness.connected(now);
                self.restarts.found();
                if self.silent {
                    self.begin_anew(now);
                }
            }
            IceState::Connected | IceState::Checking => {}
        }
    }

    /// Media goes over another path from now on.
    pub(crate) fn selected(&mut self, selected: &Selected, now: Instant) {
        let relay = self.gathering.url(selected.path.local).map(str::to_owned);
        self.record.selected(selected, relay, now);
        let before = self.path.replace(selected.path);
        if self.record.is_connected() {
            let same = before.is_some_and(|before| is_same_way(before, selected.path));
            if self.silent || self.liveness.quiet(now) > QUIET {
                self.begin_anew(now);
            } else if same {
                self.want_key_frame();
            } else {
                self.learn_anew(now);
            }
        }
        let still_used = |former: &mut Gathering| former.relay(selected.path.local).is_some();
        if let Some(mut former) = self.former.take_if(|former| !still_used(former)) {
            former.close(now);
        }
    }

    /// There is a path again. Whatever was sent without one is lost, and the silence was no congestion: everything is as
    /// at the start.
    fn begin_anew(&mut self, now: Instant) {
        self.silent = false;
        self.peer.forget_sent();
        self.outlet.begin_anew(Self::start_bps(), now);
        self.learn_anew(now);
    }

    fn broken(&mut self) {
        self.silent = true;
        self.outlet.blocked();
    }

    /// The allocation whose relayed address is `local`.
    pub fn relay(&mut self, local: SocketAddr) -> Option<&mut Allocation> {
        let former = self.former.as_mut();
        self.gathering.relay(local).or_else(|| former?.relay(local))
    }

    /// Wakes the task when a TURN server sent something.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut ready = self.gathering.poll_readable(cx).is_ready();
        if let Some(former) = &mut self.former {
            ready |= former.poll_readable(cx).is_ready();
        }
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// Reads what TURN servers sent. False when nothing was there.
    pub fn receive(&mut self, buffers: &mut Buffers, now: Instant) -> bool {
        let mut any = self.gathering.receive(buffers, now);
        if let Some(former) = &mut self.former {
            any |= former.receive(buffers, now);
        }
        any
    }

    /// Gives relayed addresses back.
    pub fn leave(&mut self, now: Instant) {
        self.gathering.close(now);
        if let Some(former) = &mut self.former {
            former.close(now);
        }
    }
}
