//! The place between capture and encoder that holds one frame.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

/// A slot for the latest item: putting never waits, and an item that nobody took in time is
/// replaced and counted.
///
/// This is what keeps latency bounded: an encoder that falls behind meets the newest picture, never
/// a queue.
#[derive(Debug)]
pub struct LatestSlot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    item: Option<T>,
    replaced: u64,
    woken: bool,
}

impl<T> Default for LatestSlot<T> {
    fn default() -> Self {
        let state = State {
            item: None,
            replaced: 0,
            woken: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }
}

impl<T> LatestSlot<T> {
    /// An empty slot.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts an item; one that was still waiting is dropped and counted.
    pub fn put(&self, item: T) {
        let late = {
            let mut state = self.state.lock();
            let late = state.item.replace(item);
            state.replaced += u64::from(late.is_some());
            late
        };
        self.changed.notify_one();
        // Dropped outside the lock: a frame's memory goes back to a pool with a lock of its own.
        drop(late);
    }

    /// Takes the item, waiting for it up to `timeout` or until [`LatestSlot::wake`].
    pub fn take(&self, timeout: Duration) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock();
        while state.item.is_none() && !state.woken {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.woken = false;
        state.item.take()
    }

    /// Ends a wait without an item, so that the taker looks at what else has changed.
    pub fn wake(&self) {
        self.state.lock().woken = true;
        self.changed.notify_one();
    }

    /// Forgets the waiting item without counting it.
    pub fn clear(&self) {
        let waiting = self.state.lock().item.take();
        drop(waiting);
    }

    /// How many items were replaced before anybody took them.
    pub fn replaced(&self) -> u64 {
        self.state.lock().replaced
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_latest_wins_and_drops_are_counted() {
        let slot = LatestSlot::new();
        for number in 1..=5 {
            slot.put(number);
        }
        assert_eq!(slot.take(Duration::ZERO), Some(5));
        assert_eq!(slot.take(Duration::ZERO), None);
        assert_eq!(slot.replaced(), 4);
    }

    #[test]
    fn a_waiting_taker_gets_the_item_at_once() {
        let slot = Arc::new(LatestSlot::new());
        let taker = {
            let slot = Arc::clone(&slot);
            std::thread::spawn(move || slot.take(Duration::from_secs(10)))
        };
        slot.put("picture");
        assert_eq!(taker.join().unwrap(), Some("picture"));
        assert_eq!(slot.replaced(), 0);
    }

    #[test]
    fn wake_ends_a_wait() {
        let slot = LatestSlot::<u8>::new();
        slot.wake();
        assert_eq!(slot.take(Duration::from_secs(10)), None);
    }
}
