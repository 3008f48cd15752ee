//! What waits to be written to a client's stream.
//!
//! Whoever relays never waits for a client: where the client reads too slowly, whole frames are lost, as they would be
//! in the full buffer of a UDP socket.

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most bytes that wait, and the most that are being written at the same time.
const CAPACITY: usize = 128 * 1024;
/// A buffer that has grown beyond this is given back once it is empty.
const KEPT: usize = 16 * 1024;

/// Frames on their way to one stream.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: Mutex<Vec<u8>>,
    wake: Notify,
}

impl Outbox {
    /// Adds a frame, or loses it; false if it was lost.
    pub(super) fn push(&self, frame: &[u8]) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.len() + frame.len() > CAPACITY {
            return false;
        }
        waiting.extend(frame);
        drop(waiting);
        self.wake.notify_one();
        true
    }

    /// Waits for frames and swaps them for `buffer`, which is emptied.
    pub(super) async fn take(&self, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.shrink_to(KEPT);
        loop {
            {
                let mut waiting = self.waiting.lock();
                if !waiting.is_empty() {
                    std::mem::swap(&mut *waiting, buffer);
                    return;
                }
            }
            self.wake.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_wait_up_to_a_bound_and_are_lost_whole() {
        let outbox = Outbox::default();
        let frame = [7; 1000];
        let taken = (0..1000).filter(|_| outbox.push(&frame)).count();
        assert_eq!(taken, CAPACITY / 1000);
        let mut buffer = Vec::new();
        outbox.take(&mut buffer).await;
        assert_eq!(buffer.len(), taken * 1000);
        assert!(outbox.push(&frame));
        outbox.take(&mut buffer).await;
        assert_eq!(buffer, frame);
    }
}
