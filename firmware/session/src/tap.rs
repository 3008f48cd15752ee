//! The place where Heron touches packets inside the WebRTC stack: an interceptor next to the application.
//!
//! Outwards it hands over a whole frame at once. The stack's own way in is one packet at a time through a channel
//! of 256, which would hold a second of video for a path that is stuck. Here the packets of a frame wait in the
//! [`Outbox`], only the last one goes through the channel, and it takes the others with it; the next frame is
//! handed over when this one was taken. So the stack sends a frame in one go (with UDP segmentation offload where
//! the kernel has it), and what waits, waits in the viewer's own bounded queue.
//!
//! Inwards it reads the RTCP that the stack keeps to itself, and passes everything on unchanged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use rtc::interceptor::{AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtp;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use tokio::sync::Notify;

use crate::feedback::Feedback;

/// Packets that go out together with the next one the stack is given.
#[derive(Debug, Default)]
pub struct Outbox {
    packets: Mutex<VecDeque<rtp::Packet>>,
    taken: Notify,
}

impl Outbox {
    /// Lays `packets` down.
    pub fn fill(&self, packets: impl IntoIterator<Item = rtp::Packet>) {
        self.packets.lock().extend(packets);
    }

    /// Waits until the stack has taken a packet it was given, and what lay here with it.
    pub async fn taken(&self) {
        self.taken.notified().await;
    }
}

/// The interceptor.
pub struct Tap {
    outbox: Arc<Outbox>,
    feedback: Arc<Feedback>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl Tap {
    /// Further from the wire than every interceptor of the stack (13 000 is the last of its slots).
    pub const SLOT: usize = 14_000;

    /// A tap between the stack and the two shared ends.
    pub fn new(outbox: Arc<Outbox>, feedback: Arc<Feedback>) -> Self {
        Self {
            outbox,
            feedback,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Tap {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &message.message.packet {
            self.feedback.read(packets, message.now);
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if matches!(message.message.packet, Packet::Rtp(_)) {
            let waiting = self.outbox.packets.lock().drain(..).collect::<Vec<_>>();
            self.writes
                .extend(waiting.into_iter().map(|packet| TaggedPacket {
                    now: message.now,
                    transport: message.transport,
                    message: AttributedPacket::new(Packet::Rtp(packet)),
                }));
            self.outbox.taken.notify_one();
        }
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for Tap {
    fn bind_local_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use rtc::shared::TransportContext;

    use super::*;

    fn packet(sequence_number: u16) -> rtp::Packet {
        rtp::Packet {
            header: rtp::Header {
                sequence_number,
                ..Default::default()
            },
            payload: Bytes::new(),
        }
    }

    #[tokio::test]
    async fn a_frame_leaves_in_order_behind_its_last_packet() {
        let outbox = Arc::new(Outbox::default());
        let mut tap = Tap::new(
            Arc::clone(&outbox),
            Arc::new(Feedback::new(Box::new(|| {}))),
        );
        outbox.fill([packet(1), packet(2)]);
        assert!(tap.poll_write().is_none());
        tap.handle_write(TaggedPacket {
            now: Instant::now(),
            transport: TransportContext::default(),
            message: AttributedPacket::new(Packet::Rtp(packet(3))),
        })
        .unwrap();
        let sent = std::iter::from_fn(|| tap.poll_write()).map(|sent| match sent.message.packet {
            Packet::Rtp(packet) => packet.header.sequence_number,
            _ => panic!("only RTP was written"),
        });
        assert_eq!(sent.collect::<Vec<_>>(), [1, 2, 3]);
        outbox.taken().await;
    }
}
