//! An end of paths that is gone: a TCP connection that ended (RFC 6544 section 7), or an address of ours.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{Agent, MAX_REMOTES};
use crate::ice::{CandidateKind, IceState};
use crate::path::Path;

/// An address of the viewer's that was silent for so long was left behind.
const LEFT: Duration = Duration::from_secs(30);

/// A candidate that is gone, by its place.
#[derive(Clone, Copy)]
enum Gone {
    Local(usize),
    Remote(usize),
}

impl Gone {
    /// Whether a pair of these candidates is gone with it.
    fn takes(self, (local, remote): (usize, usize)) -> bool {
        match self {
            Self::Local(gone) => gone == local,
            Self::Remote(gone) => gone == remote,
        }
    }

    /// The places of a pair's candidates afterwards.
    fn after(self, (local, remote): (usize, usize)) -> (usize, usize) {
        match self {
            Self::Local(gone) => (local - usize::from(local > gone), remote),
            Self::Remote(gone) => (local, remote - usize::from(remote > gone)),
        }
    }
}

impl Agent {
    /// A connection of the viewer's over TCP is gone, and with it the path. Returns whether it was the one in use and
    /// there is no other.
    pub fn path_lost(&mut self, path: Path, now: Instant) -> bool {
        let Some(gone) = self.remote(path.remote, path.protocol) else {
            return false;
        };
        let used = self.take_used();
        self.remotes.remove(gone);
        self.forget(Gone::Remote(gone), used, now)
    }

    /// An address of ours is gone, and with it every candidate that is based on it. Returns whether the path in use
    /// was, and there is no other.
    pub fn local_lost(&mut self, base: SocketAddr, now: Instant) -> bool {
        let mut lost = false;
        while let Some(gone) = self.locals.iter().position(|local| local.base == base) {
            let used = self.take_used();
            self.locals.remove(gone);
            lost |= self.forget(Gone::Local(gone), used, now);
        }
        lost
    }

    /// Whether another address of the viewer's can be kept. A NAT that maps it anew again and again leaves addresses
    /// behind: where there are too many, the one goes that was silent longest.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        if self.remotes.len() < MAX_REMOTES {
            return true;
        }
        let used = self.selected.map(|at| self.pairs[at].remote);
        let heard = |remote: usize| {
            let pairs = self.pairs.iter().filter(|pair| pair.remote == remote);
            pairs.filter_map(|pair| pair.heard.max(pair.answered)).max()
        };
        let left = (0..self.remotes.len())
            .filter(|at| self.remotes[*at].kind == CandidateKind::Prflx && Some(*at) != used)
            .map(|at| (heard(at), at))
            .min();
        let Some((_, gone)) = left.filter(|(heard, _)| heard.is_none_or(|at| at + LEFT < now))
        else {
            return false;
        };
        let used = self.take_used();
        self.remotes.remove(gone);
        self.forget(Gone::Remote(gone), used, now);
        true
    }

    fn take_used(&mut self) -> Option<(usize, usize)> {
        let used = &self.pairs[self.selected.take()?];
        Some((used.local, used.remote))
    }

    fn forget(&mut self, gone: Gone, used: Option<(usize, usize)>, now: Instant) -> bool {
        self.pairs
            .retain(|pair| !gone.takes((pair.local, pair.remote)));
        self.pending.retain(|pending| !gone.takes(pending.pair));
        for pair in &mut self.pairs {
            (pair.local, pair.remote) = gone.after((pair.local, pair.remote));
        }
        for pending in &mut self.pending {
            pending.pair = gone.after(pending.pair);
        }
        let Some(used) = used else {
            return false;
        };
        if !gone.takes(used) {
            let (local, remote) = gone.after(used);
            self.selected = self.find(local, remote);
            return false;
        }
        self.rtt = None;
        self.select(now);
        if self.selected.is_some() {
            return false;
        }
        self.started = now;
        self.move_to(IceState::Disconnected);
        true
    }
}
