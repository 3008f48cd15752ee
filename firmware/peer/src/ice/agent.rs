//! The agent: pairs, checks, nomination, consent.
//!
//! A full agent that is always controlled, since the viewer offers and we answer (RFC 8445 section 6.1.1). Against
//! what a controlling agent does in practice:
//!
//! - A browser nominates with its very first checks. Every authentic check is answered at once, and a nomination that
//!   comes before our own check of the pair succeeded is kept until it does (section 7.3.1.5).
//! - A browser nominates several pairs, and others later, when a better path appears or the old one breaks. The pair
//!   in use is the one with the highest priority among those nominated and alive; one nominated by a check that the
//!   browser repeats is followed within a check interval.
//!
//! This is why it is our own: the stack's agent (rtc-ice 0.21.1) leaves a check that nominates unanswered until its own
//! check succeeded and forgets the nomination, and ignores every nomination after the first.
//!
//! On failure (no consent for [`FAILED`]) the agent stops; a restart begins anew. Before that it tells that the path in
//! use is silent (see `consent`).

mod consent;
mod lost;
mod report;
mod selection;

pub use report::{PairReport, PairState};

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::candidate::{CandidateKind, LocalCandidate, RemoteCandidate, priority};
use super::stun::{self, Class, Message, TransactionId};
use super::{Credentials, IceState};
use crate::event::Selected;
use crate::path::{Path, Protocol, Transmit};

/// How often an unanswered check is repeated at first; it slows down with every try (section 14.3).
const CHECK_INTERVAL: Duration = Duration::from_millis(25);
/// How slow repeated checks become. They never stop while ICE is checking: the viewer's end of the path may open late.
const SLOWEST_CHECK: Duration = Duration::from_millis(800);
/// Time after which consent has run out (RFC 7675 section 5.1), or after which no path is hoped for.
const FAILED: Duration = Duration::from_secs(30);

/// More addresses of a viewer's than it can need; the rest is ignored.
const MAX_REMOTES: usize = 32;
const MAX_LOCALS: usize = 32;
/// Checks in flight that are remembered.
const MAX_PENDING: usize = 128;

#[derive(Debug)]
struct Pair {
    local: usize,
    remote: usize,
    /// When a check of ours was last answered: the pair is valid, and there is consent (RFC 7675).
    answered: Option<Instant>,
    nominated: bool,
    tries: u32,
    next_check: Instant,
    /// When it was last checked.
    checked: Option<Instant>,
    /// When the viewer last checked it, or answered.
    heard: Option<Instant>,
    /// The priority that the viewer's checks tell: the same for whatever leaves from one socket of its.
    told_priority: Option<u32>,
    /// A NAT has mapped the viewer anew: this is the pair in use at another address.
    moved: bool,
}

#[derive(Debug)]
struct Pending {
    transaction: TransactionId,
    pair: (usize, usize),
    at: Instant,
}

/// An answerer's ICE agent, without IO.
#[derive(Debug)]
pub struct Agent {
    ours: Credentials,
    theirs: Credentials,
    tie_breaker: u64,
    transactions: u64,
    secret: u32,
    locals: Vec<LocalCandidate>,
    remotes: Vec<RemoteCandidate>,
    pairs: Vec<Pair>,
    pending: VecDeque<Pending>,
    selected: Option<usize>,
    /// The path of before the restart said nothing any more.
    stranded: bool,
    state: IceState,
    started: Instant,
    /// When the viewer was last heard on the path in use: anything authentic.
    noticed: Instant,
    rtt: Option<Duration>,
    transmits: VecDeque<Transmit>,
    changes: VecDeque<Change>,
}

/// What the agent reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    State(IceState),
    Selected(Selected),
}

impl Agent {
    /// An agent that begins to check as soon as there are candidates. `random` makes its transactions unguessable.
    pub fn new(ours: Credentials, theirs: Credentials, random: (u64, u64), now: Instant) -> Self {
        Self {
            ours,
            theirs,
            tie_breaker: random.0,
            transactions: random.1,
            secret: (random.0 ^ random.1.rotate_left(17)) as u32,
            locals: Vec::new(),
            remotes: Vec::new(),
            pairs: Vec::new(),
            pending: VecDeque::new(),
            selected: None,
            stranded: false,
            state: IceState::Checking,
            started: now,
            noticed: now,
            rtt: None,
            transmits: VecDeque::new(),
            changes: VecDeque::from([Change::State(IceState::Checking)]),
        }
    }

    /// Begins anew with other credentials (section 9). Interfaces' addresses stay; what servers gave is asked for anew.
    /// Media goes on over the old path until a new one is selected.
    pub fn restart(&mut self, ours: Credentials, theirs: Credentials, now: Instant) {
        self.stranded = self.is_stranded(now);
        self.ours = ours;
        self.theirs = theirs;
        self.locals
            .retain(|local| local.kind == CandidateKind::Host);
        self.remotes.clear();
        self.pairs.clear();
        self.pending.clear();
        self.transmits.clear();
        self.selected = None;
        self.started = now;
        self.noticed = now;
        self.rtt = None;
        self.move_to(IceState::Checking);
    }

    pub fn add_local(&mut self, candidate: LocalCandidate, now: Instant) -> bool {
        let known = |other: &LocalCandidate| {
            (other.address, other.base, other.protocol)
                == (candidate.address, candidate.base, candidate.protocol)
        };
        if self.locals.len() >= MAX_LOCALS || self.locals.iter().any(known) {
            return false;
        }
        self.locals.push(candidate);
        let local = self.locals.len() - 1;
        for remote in 0..self.remotes.len() {
            self.pair(local, remote, now);
        }
        true
    }

    pub fn add_remote(&mut self, candidate: RemoteCandidate, now: Instant) {
        if let Some(known) = self.remote(candidate.address, candidate.protocol) {
            // Learned from a check before; now its kind is known.
            self.remotes[known].kind = candidate.kind;
        } else if self.remotes.len() < MAX_REMOTES {
            self.remotes.push(candidate);
            let remote = self.remotes.len() - 1;
            for local in 0..self.locals.len() {
                self.pair(local, remote, now);
            }
        }
    }

    /// Our candidates.
    pub fn locals(&self) -> &[LocalCandidate] {
        &self.locals
    }

    /// The user name fragments: ours and the viewer's.
    pub fn ufrags(&self) -> (&str, &str) {
        (&self.ours.ufrag, &self.theirs.ufrag)
    }

    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    #[cfg(test)]
    pub fn state(&self) -> IceState {
        self.state
    }

    /// Takes a STUN message in. False when it is not for us, or not authentic.
    pub fn handle(&mut self, path: Path, datagram: &[u8], now: Instant) -> bool {
        if self.state == IceState::Failed {
            return false;
        }
        let Some(message) = Message::read(datagram) else {
            return false;
        };
        // A server-reflexive candidate arrives at its base, which is a candidate of its own.
        let arrived = |local: &LocalCandidate| {
            local.base == path.local
                && local.protocol == path.protocol
                && local.kind != CandidateKind::Srflx
        };
        let Some(local) = self.locals.iter().position(arrived) else {
            return false;
        };
        match message.class {
            Class::Request => self.handle_request(&message, local, path, now),
            Class::Success => self.handle_success(&message, local, path, now),
            Class::Error | Class::Indication => true,
        }
    }

    fn handle_request(
        &mut self,
        message: &Message<'_>,
        local: usize,
        path: Path,
        now: Instant,
    ) -> bool {
        let for_us = message.username.is_some_and(|name| {
            name.split_once(':') == Some((self.ours.ufrag.as_str(), self.theirs.ufrag.as_str()))
        });
        if !for_us || !message.is_authentic(&self.ours.password) {
            return false;
        }
        if message.controlled {
            // The viewer offered, so it is the one to control: it shall change.
            let bytes = stun::role_conflict(&message.transaction, &self.ours.password);
            self.transmits.push_back(Transmit { path, bytes });
            return true;
        }
        let bytes = stun::success(&message.transaction, path.remote, &self.ours.password);
        self.transmits.push_back(Transmit { path, bytes });
        let mut moved = false;
        let remote = match self.remote(path.remote, path.protocol) {
            Some(remote) => remote,
            None if self.has_room(now) => {
                self.remotes.push(RemoteCandidate {
                    address: path.remote,
                    protocol: path.protocol,
                    kind: CandidateKind::Prflx,
                    priority: message.priority.unwrap_or_default(),
                });
                moved = self.has_moved(local, message.priority);
                self.remotes.len() - 1
            }
            None => return true,
        };
        self.pair(local, remote, now);
        let Some(at) = self.find(local, remote) else {
            return true;
        };
        let pair = &mut self.pairs[at];
        pair.nominated |= message.use_candidate || moved;
        pair.heard = Some(now);
        pair.told_priority = message.priority;
        pair.moved |= moved;
        if pair.answered.is_none() {
            // A triggered check (section 7.3.1.4).
            pair.next_check = now;
            pair.tries = 0;
        }
        if self.selected == Some(at) {
            self.noticed = now;
        }
        self.check_due(now);
        self.select(now);
        true
    }

    fn handle_success(
        &mut self,
        message: &Message<'_>,
        local: usize,
        path: Path,
        now: Instant,
    ) -> bool {
        if !message.is_authentic(&self.theirs.password) {
            return false;
        }
        let asked = |pending: &Pending| pending.transaction == message.transaction;
        let Some(pending) = self.pending.iter().position(asked) else {
            return false;
        };
        let Some(pending) = self.pending.remove(pending) else {
            return false;
        };
        // The answer must come from where the check went (section 7.2.5.2.1).
        let (_, remote) = pending.pair;
        if pending.pair.0 != local || self.remotes[remote].address != path.remote {
            return true;
        }
        if let Some(at) = self.find(local, remote) {
            let next_check = now + self.consent_interval();
            let pair = &mut self.pairs[at];
            pair.answered = Some(now);
            pair.tries = 0;
            pair.heard = Some(now);
            pair.next_check = next_check;
            if self.selected == Some(at) {
                self.rtt = Some(now.saturating_duration_since(pending.at));
                self.alive(now);
            }
            self.select(now);
            if self.selected == Some(at) && self.rtt.is_none() {
                self.rtt = Some(now.saturating_duration_since(pending.at));
            }
        }
        true
    }

    /// Sends what is due and judges the silence.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.state == IceState::Failed {
            return;
        }
        self.check_due(now);
        self.select(now);
        self.judge_silence(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.state == IceState::Failed {
            return None;
        }
        let checks = (0..self.pairs.len()).map(|at| self.due(at)).min();
        let silence = self.silent_at();
        Some(checks.map_or(silence, |check| check.min(silence)))
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub fn poll_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    #[cfg(test)]
    pub fn selected(&self) -> Option<Selected> {
        let pair = self.pairs.get(self.selected?)?;
        Some(self.describe(pair))
    }

    /// Whether a datagram on this path may come from the viewer: its address has answered or asked a check.
    pub fn knows(&self, path: Path) -> bool {
        self.pairs.iter().any(|pair| {
            (pair.heard.is_some() || pair.answered.is_some())
                && self.remotes[pair.remote].address == path.remote
                && self.locals[pair.local].base == path.local
                && self.locals[pair.local].protocol == path.protocol
        })
    }

    fn describe(&self, pair: &Pair) -> Selected {
        let (local, remote) = (&self.locals[pair.local], &self.remotes[pair.remote]);
        Selected {
            path: Path {
                local: local.base,
                remote: remote.address,
                protocol: local.protocol,
            },
            local: local.kind,
            remote: remote.kind,
        }
    }

    fn remote(&self, address: SocketAddr, protocol: Protocol) -> Option<usize> {
        self.remotes
            .iter()
            .position(|remote| (remote.address, remote.protocol) == (address, protocol))
    }

    fn find(&self, local: usize, remote: usize) -> Option<usize> {
        self.pairs
            .iter()
            .position(|pair| (pair.local, pair.remote) == (local, remote))
    }

    /// Makes a pair of two candidates that can reach each other (section 6.1.2.2).
    fn pair(&mut self, local: usize, remote: usize, now: Instant) {
        let (ours, theirs) = (&self.locals[local], &self.remotes[remote]);
        // A server-reflexive candidate sends from its base: the pair would be the base's (section 6.1.2.4). Over TCP
        // the viewer connects: its end is learned from its checks, one for each connection (RFC 6544 section 7.2).
        let useless = ours.kind == CandidateKind::Srflx
            || ours.base.is_ipv4() != theirs.address.is_ipv4()
            || ours.protocol != theirs.protocol
            || (ours.base.ip().is_loopback() != theirs.address.ip().is_loopback()
                && ours.kind == CandidateKind::Host);
        if !useless && self.find(local, remote).is_none() {
            self.pairs.push(Pair {
                local,
                remote,
                answered: None,
                nominated: false,
                tries: 0,
                next_check: now,
                checked: None,
                heard: None,
                told_priority: None,
                moved: false,
            });
        }
    }

    /// RFC 8445 section 6.1.2.3, for a controlled agent.
    fn priority(&self, pair: &Pair) -> u64 {
        let ours = u64::from(self.locals[pair.local].priority());
        let theirs = u64::from(self.remotes[pair.remote].priority);
        (ours.min(theirs) << 32) + 2 * ours.max(theirs) + u64::from(theirs > ours)
    }

    fn check_due(&mut self, now: Instant) {
        for at in 0..self.pairs.len() {
            if self.due(at) > now {
                continue;
            }
            self.check(at, now);
        }
    }

    fn check(&mut self, at: usize, now: Instant) {
        // Unguessable in its first half, unique in the second.
        self.transactions = self.transactions.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut transaction = [0; 12];
        transaction[..4].copy_from_slice(&self.secret.to_be_bytes());
        transaction[4..].copy_from_slice(&self.transactions.to_be_bytes());
        let consent_interval = self.consent_interval();
        let pair = &mut self.pairs[at];
        let tcp = self.locals[pair.local].protocol == Protocol::Tcp;
        pair.checked = Some(now);
        // A path that was checked and is spoken on needs consent only. What TCP carries is not lost.
        pair.next_check = now
            + if pair.answered.is_some() {
                consent_interval
            } else if tcp {
                SLOWEST_CHECK
            } else {
                (CHECK_INTERVAL * 2_u32.pow((pair.tries / 4).min(5))).min(SLOWEST_CHECK)
            };
        if pair.answered.is_none() {
            pair.tries += 1;
        }
        let (local, remote) = (pair.local, pair.remote);
        let ours = &self.locals[local];
        let path = Path {
            local: ours.base,
            remote: self.remotes[remote].address,
            protocol: ours.protocol,
        };
        let bytes = stun::request(
            &transaction,
            &format!("{}:{}", self.theirs.ufrag, self.ours.ufrag),
            priority(CandidateKind::Prflx, ours.protocol, ours.preference),
            self.tie_breaker,
            &self.theirs.password,
        );
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending {
            transaction,
            pair: (local, remote),
            at: now,
        });
        self.transmits.push_back(Transmit { path, bytes });
    }

    fn move_to(&mut self, state: IceState) {
        if self.state != state {
            self.state = state;
            self.changes.push_back(Change::State(state));
        }
    }
}
