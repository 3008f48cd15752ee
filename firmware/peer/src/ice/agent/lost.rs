//! A viewer's end that is gone: over TCP the end of a connection says so at once (RFC 6544 section 7).

use std::time::Instant;

use super::Agent;
use crate::ice::IceState;
use crate::path::Path;

impl Agent {
    /// A connection of the viewer's over TCP is gone, and with it the path. Returns whether it was the one in use and
    /// there is no other.
    pub fn path_lost(&mut self, path: Path, now: Instant) -> bool {
        let Some(gone) = self.remote(path.remote, path.protocol) else {
            return false;
        };
        let after = |remote: usize| remote - usize::from(remote > gone);
        let used = self.selected.take().map(|at| &self.pairs[at]);
        let used = used.map(|pair| (pair.local, pair.remote));
        self.remotes.remove(gone);
        self.pairs.retain(|pair| pair.remote != gone);
        self.pending.retain(|pending| pending.pair.1 != gone);
        for pair in &mut self.pairs {
            pair.remote = after(pair.remote);
        }
        for pending in &mut self.pending {
            pending.pair.1 = after(pending.pair.1);
        }
        let Some((local, remote)) = used else {
            return false;
        };
        if remote != gone {
            self.selected = self.find(local, after(remote));
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
