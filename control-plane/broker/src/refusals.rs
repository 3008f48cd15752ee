//! What was refused: counted always, logged within a budget.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::log_budget::LogBudget;

/// What a client wanted to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Connect,
    Will,
    Publish,
    Subscribe,
    Retain,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connect",
            Self::Will => "leave a will",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Retain => "retain",
        })
    }
}

/// Counters of refused attempts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Connections: certificate and client id disagree, bad token, wrong protocol version. TLS handshakes that fail
    /// are not among them, they never become MQTT.
    pub connects: u64,
    /// Connections whose will was on a topic that is not theirs.
    pub wills: u64,
    /// Messages on topics that are not the sender's, or too large.
    pub publishes: u64,
    /// Subscriptions that reach outside the client's tree.
    pub subscribes: u64,
    /// Messages that found no room in the store of retained messages.
    pub retains: u64,
}

/// Counts and logs.
#[derive(Default)]
pub(crate) struct Refusals {
    connects: AtomicU64,
    wills: AtomicU64,
    publishes: AtomicU64,
    subscribes: AtomicU64,
    retains: AtomicU64,
    budget: Mutex<LogBudget>,
}

impl Refusals {
    /// Counts one refusal, and writes a line about it if the client has not caused too many.
    pub(crate) fn note(
        &self,
        client: &str,
        attempt: Attempt,
        target: &str,
        reason: &dyn fmt::Display,
    ) {
        self.counter(attempt).fetch_add(1, Ordering::Relaxed);
        let line = self.budget.lock().spend(client, Instant::now());
        if let Some(left_out) = line {
            // The client chose these texts: they are quoted, so that they cannot forge a line.
            tracing::warn!(?client, %attempt, ?target, %reason, left_out, "refused");
        }
    }

    /// The counters.
    pub(crate) fn totals(&self) -> Refused {
        let read = |attempt| self.counter(attempt).load(Ordering::Relaxed);
        Refused {
            connects: read(Attempt::Connect),
            wills: read(Attempt::Will),
            publishes: read(Attempt::Publish),
            subscribes: read(Attempt::Subscribe),
            retains: read(Attempt::Retain),
        }
    }

    fn counter(&self, attempt: Attempt) -> &AtomicU64 {
        match attempt {
            Attempt::Connect => &self.connects,
            Attempt::Will => &self.wills,
            Attempt::Publish => &self.publishes,
            Attempt::Subscribe => &self.subscribes,
            Attempt::Retain => &self.retains,
        }
    }
}
