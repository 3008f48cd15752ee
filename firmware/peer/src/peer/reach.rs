//! Addresses of both ends as they come and go.

use std::net::SocketAddr;
use std::time::Instant;

use super::Peer;
use crate::ice::agent::PairReport;
use crate::ice::{LocalCandidate, RemoteCandidate};
use crate::path::Path;

impl Peer {
    /// Adds an address of ours. Telling the viewer is the driver's business (`candidate.to_string()`). False when it is
    /// known already, or one too many.
    pub fn add_local_candidate(&mut self, candidate: LocalCandidate, now: Instant) -> bool {
        let added = self.agent.add_local(candidate, now);
        self.pump(now);
        added
    }

    /// Adds an address of the viewer's, `candidate:…`. False when it is of no use (names, TCP, unreadable).
    pub fn add_remote_candidate(&mut self, candidate: &str, now: Instant) -> bool {
        let Some(candidate) = RemoteCandidate::parse(candidate) else {
            return false;
        };
        self.agent.add_remote(candidate, now);
        self.pump(now);
        true
    }

    /// A connection of the viewer's over TCP is gone. Returns whether it carried the media and no other path is left:
    /// nothing can be written until `PeerEvent::Selected`.
    pub fn path_lost(&mut self, path: Path, now: Instant) -> bool {
        let lost = !self.closed && self.agent.path_lost(path, now);
        if lost {
            self.path = None;
        }
        self.pump(now);
        lost
    }

    /// An address of ours is gone: of an interface, or at a TURN server. Returns as [`path_lost`](Self::path_lost) does;
    /// where the path of before a restart went by it, nothing can be written either.
    pub fn local_lost(&mut self, base: SocketAddr, now: Instant) -> bool {
        if self.closed {
            return false;
        }
        let lost = self.agent.local_lost(base, now);
        let used = self
            .path
            .is_some_and(|selected| selected.path.local == base);
        self.pump(now);
        let gone = lost
            || used
                && self
                    .path
                    .is_some_and(|selected| selected.path.local == base);
        if gone {
            self.path = None;
        }
        gone
    }

    /// The pairs of candidates that were tried since the last restart, the one in use first.
    pub fn pairs(&self) -> Vec<PairReport> {
        self.agent.pairs()
    }

    /// Our ICE user name fragment now: candidates of ours belong to it.
    pub fn ufrag(&self) -> &str {
        self.agent.ufrags().0
    }

    /// The viewer's ICE user name fragment now: candidates for another one are of another restart.
    pub fn remote_ufrag(&self) -> &str {
        self.agent.ufrags().1
    }

    pub(super) fn is_known(&self, path: Path) -> bool {
        self.path.is_some_and(|selected| selected.path == path) || self.agent.knows(path)
    }
}
