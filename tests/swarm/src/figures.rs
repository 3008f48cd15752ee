//! What the swarm counts.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

/// Counters of a whole swarm. Clones are the same counters.
#[derive(Debug, Clone, Default)]
pub struct Figures(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    online: watch::Sender<usize>,
    counted: watch::Sender<Counted>,
}

/// What is counted besides who is online, since the swarm's start.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Counted {
    /// Messages that misfits handed to their MQTT clients.
    pub sent: u64,
    /// Publications and subscriptions of misfits that the broker refused.
    pub refused: u64,
    /// Connections of misfits that ended.
    pub closed: u64,
    /// Sessions asked for and answered with a proof.
    pub answered: u64,
    /// Sessions asked for and refused.
    pub denied: u64,
    /// Good cameras that lost their connection.
    pub lost: u64,
    /// Cameras with a twin or with the wrong time that lost theirs.
    pub odd_lost: u64,
}

impl Figures {
    /// Good cameras that are connected and subscribed; to look at and to wait for.
    #[must_use]
    pub fn online(&self) -> watch::Receiver<usize> {
        self.0.online.subscribe()
    }

    /// The counters; to look at and to wait for.
    #[must_use]
    pub fn counted(&self) -> watch::Receiver<Counted> {
        self.0.counted.subscribe()
    }

    pub(crate) fn count(&self, what: impl FnOnce(&mut Counted)) {
        self.0.counted.send_modify(what);
    }

    pub(crate) fn came(&self) {
        self.0.online.send_modify(|online| *online += 1);
    }

    pub(crate) fn went(&self) {
        self.0.online.send_modify(|online| *online -= 1);
    }
}
