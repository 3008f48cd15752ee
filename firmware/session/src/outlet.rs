//! The way of frames to one viewer: a bounded queue filled by the frame path, emptied by a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rtc::rtcp;
use rtc::rtcp::source_description::{
    SdesType, SourceDescription, SourceDescriptionChunk, SourceDescriptionItem,
};
use rtc::rtp;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, timeout};
use webrtc::error::Error;
use webrtc::media_stream::track_local::TrackLocal;

use crate::clock::{MediaClock, monotonic_ns};
use crate::feedback::Feedback;
use crate::media::{AudioFrame, VideoFrame};
use crate::queue::{FrameQueue, Offered, Unit};
use crate::tap::Outbox;
use crate::tracks::Outgoing;

/// The canonical name of the camera's streams: the same for both, so they are played in step (RFC 8834 section 4.9).
const CNAME: &[u8] = b"heron";

/// Sender reports: early enough for the first seconds' lip sync, seldom enough to cost nothing.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The stack takes a packet within microseconds; if it has not by then, it will not.
const STACK_PATIENCE: Duration = Duration::from_secs(2);

/// The shared end: the frame path offers, figures are read.
#[derive(Debug)]
pub struct Outlet {
    queue: Mutex<FrameQueue>,
    filled: Notify,
    open: AtomicBool,
    frames: AtomicU64,
    packets: AtomicU64,
    bytes: AtomicU64,
    first_packet: Mutex<Option<Instant>>,
}

impl Outlet {
    /// A closed outlet.
    pub fn new(max_delay: Duration, video: bool, audio: bool) -> Self {
        let max_delay_ns = u64::try_from(max_delay.as_nanos()).unwrap_or(u64::MAX);
        Self {
            queue: Mutex::new(FrameQueue::new(max_delay_ns, video, audio)),
            filled: Notify::new(),
            open: AtomicBool::new(false),
            frames: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            first_packet: Mutex::new(None),
        }
    }

    /// Frames are taken from now on.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }

    /// Whether frames are taken.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Offers a frame; never waits.
    pub fn offer_video(&self, frame: &Arc<VideoFrame>) -> Offered {
        if !self.is_open() {
            return Offered::Skipped;
        }
        let offered = self.queue.lock().offer_video(frame);
        if offered == Offered::Queued {
            self.filled.notify_one();
        }
        offered
    }

    /// Offers a sound packet; never waits.
    pub fn offer_audio(&self, frame: &Arc<AudioFrame>) {
        if self.is_open() {
            self.queue.lock().offer_audio(frame);
            self.filled.notify_one();
        }
    }

    /// Video frames sent.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Packets and payload bytes sent.
    pub fn sent(&self) -> (u64, u64) {
        (
            self.packets.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    /// Video frames that this viewer missed.
    pub fn dropped(&self) -> u64 {
        self.queue.lock().dropped()
    }

    /// When the first packet of video left.
    pub fn first_packet(&self) -> Option<Instant> {
        *self.first_packet.lock()
    }

    fn count(&self, unit: &Unit, packets: usize, bytes: usize) {
        self.packets.fetch_add(packets as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        if matches!(unit, Unit::Video(_)) {
            self.frames.fetch_add(1, Ordering::Relaxed);
            self.first_packet.lock().get_or_insert_with(Instant::now);
        }
    }
}

/// The emptying end.
pub struct Pump {
    outlet: Arc<Outlet>,
    outbox: Arc<Outbox>,
    feedback: Arc<Feedback>,
    clock: MediaClock,
    video: Option<Outgoing>,
    audio: Option<Outgoing>,
}

impl Pump {
    /// Takes frames from `outlet` to the connection's tracks.
    pub fn new(
        outlet: Arc<Outlet>,
        outbox: Arc<Outbox>,
        feedback: Arc<Feedback>,
        video: Option<Outgoing>,
        audio: Option<Outgoing>,
    ) -> Self {
        Self {
            outlet,
            outbox,
            feedback,
            clock: MediaClock::anchored_now(),
            video,
            audio,
        }
    }

    /// Sends until the connection is closed.
    pub async fn run(mut self) {
        let mut reports = interval(REPORT_INTERVAL);
        reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let sent = tokio::select! {
                () = self.outlet.filled.notified() => self.drain(&mut reports).await,
                _ = reports.tick() => self.report().await,
            };
            if let Err(error) = sent {
                tracing::debug!(%error, "sending ended");
                return;
            }
        }
    }

    async fn drain(&mut self, reports: &mut tokio::time::Interval) -> Result<(), Error> {
        loop {
            let Some(unit) = self.outlet.queue.lock().pop() else {
                return Ok(());
            };
            let first = self.outlet.sent().0 == 0;
            self.send(&unit).await?;
            if first {
                // The viewer can tell capture times from the first frame on.
                self.report().await?;
                reports.reset();
            }
        }
    }

    async fn send(&mut self, unit: &Unit) -> Result<(), Error> {
        let (outgoing, packets) = match unit {
            Unit::Video(frame) => {
                let Some(outgoing) = &mut self.video else {
                    return Ok(());
                };
                let packets = outgoing.stream.video(frame, &self.clock);
                (outgoing, packets)
            }
            Unit::Audio(frame) => {
                let Some(outgoing) = &mut self.audio else {
                    return Ok(());
                };
                let packet = outgoing.stream.audio(frame, &self.clock);
                (outgoing, vec![packet])
            }
        };
        let (count, bytes) = (
            packets.len(),
            packets.iter().map(|packet| packet.payload.len()).sum(),
        );
        hand_over(&self.outbox, outgoing, packets).await?;
        self.outlet.count(unit, count, bytes);
        Ok(())
    }

    /// Sender reports for the streams that have begun.
    async fn report(&mut self) -> Result<(), Error> {
        let now_ns = monotonic_ns();
        for outgoing in [&self.video, &self.audio].into_iter().flatten() {
            if outgoing.stream.sent().packets == 0 {
                continue;
            }
            let report = outgoing.stream.report(now_ns, &self.clock);
            self.feedback
                .report_sent(self.clock.ntp_middle(now_ns), Instant::now());
            let name = SourceDescription {
                chunks: vec![SourceDescriptionChunk {
                    source: outgoing.stream.ssrc(),
                    items: vec![SourceDescriptionItem {
                        sdes_type: SdesType::SdesCname,
                        text: CNAME.to_vec().into(),
                    }],
                }],
            };
            let compound: Vec<Box<dyn rtcp::Packet>> = vec![Box::new(report), Box::new(name)];
            outgoing.track.write_rtcp(compound).await?;
        }
        Ok(())
    }
}

/// Gives the stack a frame and waits until it was taken; what comes meanwhile waits in the bounded queue.
async fn hand_over(
    outbox: &Outbox,
    outgoing: &Outgoing,
    mut packets: Vec<rtp::Packet>,
) -> Result<(), Error> {
    let Some(last) = packets.pop() else {
        return Ok(());
    };
    outbox.fill(packets);
    outgoing.track.write_rtp(last).await?;
    if timeout(STACK_PATIENCE, outbox.taken()).await.is_err() {
        return Err(Error::Other("the stack does not take packets".to_owned()));
    }
    Ok(())
}
