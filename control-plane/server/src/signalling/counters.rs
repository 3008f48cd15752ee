//! What signalling counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Figures that only grow, and one that does not.
#[derive(Debug, Default)]
pub struct Counters {
    /// Sessions opened.
    pub opened: AtomicU64,
    /// Sessions ended.
    pub ended: AtomicU64,
    /// Times that another path was looked for.
    pub restarts: AtomicU64,
    /// Messages that broke the limits of their type, or no type's.
    pub malformed: AtomicU64,
    /// Messages that came a second time.
    pub duplicates: AtomicU64,
    /// Messages about a session or camera that is not the sender's.
    pub foreign: AtomicU64,
    /// Messages that did not fit the state of their session.
    pub out_of_order: AtomicU64,
    /// Sessions that were not allowed, for want of rights or because of a limit.
    pub denied: AtomicU64,
    /// Messages of ours that could not be sent, as the broker was away.
    pub unsent: AtomicU64,
}

/// The figures at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "see Counters")]
pub struct SignallingStats {
    pub sessions: usize,
    pub opened: u64,
    pub ended: u64,
    pub restarts: u64,
    pub malformed: u64,
    pub duplicates: u64,
    pub foreign: u64,
    pub out_of_order: u64,
    pub denied: u64,
    pub unsent: u64,
}

impl Counters {
    /// One more.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The figures now.
    pub fn snapshot(&self) -> SignallingStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (opened, ended) = (read(&self.opened), read(&self.ended));
        SignallingStats {
            sessions: usize::try_from(opened.saturating_sub(ended)).unwrap_or(usize::MAX),
            opened,
            ended,
            restarts: read(&self.restarts),
            malformed: read(&self.malformed),
            duplicates: read(&self.duplicates),
            foreign: read(&self.foreign),
            out_of_order: read(&self.out_of_order),
            denied: read(&self.denied),
            unsent: read(&self.unsent),
        }
    }
}
