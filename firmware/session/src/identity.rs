//! Who the camera is, and what time it takes it to be: both may change while sessions run.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use heron_protocol::SigningKey;
use parking_lot::RwLock;

/// The key that signs answers. Clones are the same place; a renewed key takes the old one's in all of them.
#[derive(Debug, Clone)]
pub struct Identity(Arc<RwLock<SigningKey>>);

impl Identity {
    pub(crate) fn new(key: SigningKey) -> Self {
        Self(Arc::new(RwLock::new(key)))
    }

    pub(crate) fn key(&self) -> SigningKey {
        self.0.read().clone()
    }

    pub(crate) fn renew(&self, key: SigningKey) {
        *self.0.write() = key;
    }
}

/// What time it is, by which grants are judged: the system's clock unless the owner knows better.
#[derive(Clone)]
pub struct Calendar(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl Calendar {
    /// A calendar of the owner's.
    pub fn new(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Unix seconds.
    pub(crate) fn unix(&self) -> u64 {
        let since = (self.0)().duration_since(UNIX_EPOCH);
        since.unwrap_or_default().as_secs()
    }
}

impl Default for Calendar {
    fn default() -> Self {
        Self::new(SystemTime::now)
    }
}

impl fmt::Debug for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Calendar(..)")
    }
}
