//! What a viewer reports by RTCP: key frame requests, lost packets, round trip time, and that it is alive.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;

/// The reports so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Reports {
    /// PLI (RFC 4585 section 6.3.1) and FIR (RFC 5104 section 4.3.1) received.
    pub key_frame_requests: u64,
    /// Packets that the viewer asked for again (RFC 4585 section 6.2.1).
    pub nacks: u64,
    /// Part of the packets lost since the report before, 0 to 1.
    pub loss: Option<f64>,
    /// Round trip time.
    pub rtt: Option<Duration>,
    /// When anything was heard last.
    pub heard: Option<Instant>,
}

/// Reads RTCP as it comes; shared between the stack and the viewer.
pub struct Feedback {
    state: Mutex<State>,
    /// Called for every key frame request, inside the stack: must not block.
    on_key_frame: Box<dyn Fn() + Send + Sync>,
}

#[derive(Debug, Default)]
struct State {
    reports: Reports,
    /// The newest sender reports: when each left, by the middle of its NTP time.
    sent: [Option<(u32, Instant)>; SENT_REPORTS],
    next: usize,
}

/// Two streams, one report a second, and a viewer may answer some seconds late.
const SENT_REPORTS: usize = 16;

impl Feedback {
    /// Nothing heard yet.
    pub fn new(on_key_frame: Box<dyn Fn() + Send + Sync>) -> Self {
        Self {
            state: Mutex::default(),
            on_key_frame,
        }
    }

    /// What was heard so far.
    pub fn reports(&self) -> Reports {
        self.state.lock().reports
    }

    /// Remembers a sender report that is about to leave, for the round trip time.
    pub fn report_sent(&self, ntp_middle: u32, now: Instant) {
        let mut state = self.state.lock();
        let at = state.next;
        state.sent[at] = Some((ntp_middle, now));
        state.next = (at + 1) % SENT_REPORTS;
    }

    /// Reads the packets of one datagram.
    pub fn read(&self, packets: &[Box<dyn rtcp::Packet>], now: Instant) {
        if packets.is_empty() {
            return;
        }
        let requests = self.state.lock().read(packets, now);
        if requests > 0 {
            (self.on_key_frame)();
        }
    }
}

impl State {
    /// Returns how many key frames were asked for.
    fn read(&mut self, packets: &[Box<dyn rtcp::Packet>], now: Instant) -> u64 {
        self.reports.heard = Some(now);
        let mut requests = 0;
        for packet in packets.iter().map(|packet| packet.as_any()) {
            if packet.is::<PictureLossIndication>() || packet.is::<FullIntraRequest>() {
                requests += 1;
            } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
                let asked = |lost: u16| 1 + u64::from(lost.count_ones());
                self.reports.nacks += nack
                    .nacks
                    .iter()
                    .map(|pair| asked(pair.lost_packets))
                    .sum::<u64>();
            } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                self.blocks(&report.reports, now);
            } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
                self.blocks(&report.reports, now);
            }
        }
        self.reports.key_frame_requests += requests;
        requests
    }

    fn blocks(&mut self, blocks: &[ReceptionReport], now: Instant) {
        let worst = blocks.iter().map(|block| block.fraction_lost).max();
        if let Some(lost) = worst {
            self.reports.loss = Some(f64::from(lost) / 256.0);
        }
        for block in blocks {
            let sent = self
                .sent
                .iter()
                .flatten()
                .find(|(ntp, _)| *ntp == block.last_sender_report);
            if let Some((_, sent)) = sent {
                // The viewer held it for `delay`, in 1/65536 s (RFC 3550 section 6.4.1).
                let held = Duration::from_nanos(u64::from(block.delay) * 1_000_000_000 / 65_536);
                self.reports.rtt = Some(now.saturating_duration_since(*sent).saturating_sub(held));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rtc::rtcp::transport_feedbacks::transport_layer_nack::NackPair;

    use super::*;

    #[test]
    fn key_frame_requests_are_counted_and_passed_on_once_a_datagram() {
        let calls = Arc::new(AtomicUsize::new(0));
        let feedback = Feedback::new({
            let calls = Arc::clone(&calls);
            Box::new(move || {
                calls.fetch_add(1, Ordering::Relaxed);
            })
        });
        let now = Instant::now();
        feedback.read(
            &[
                Box::new(PictureLossIndication::default()),
                Box::new(FullIntraRequest::default()),
            ],
            now,
        );
        feedback.read(&[Box::new(ReceiverReport::default())], now);
        assert_eq!(feedback.reports().key_frame_requests, 2);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        assert_eq!(feedback.reports().heard, Some(now));
    }

    #[test]
    fn losses_and_round_trip_come_from_report_blocks() {
        let feedback = Feedback::new(Box::new(|| {}));
        let start = Instant::now();
        feedback.report_sent(0x1234, start);
        let block = ReceptionReport {
            fraction_lost: 64,
            last_sender_report: 0x1234,
            delay: 65_536 / 2,
            ..ReceptionReport::default()
        };
        let nack = TransportLayerNack {
            nacks: vec![NackPair {
                packet_id: 5,
                lost_packets: 0b101,
            }],
            ..TransportLayerNack::default()
        };
        let packets: Vec<Box<dyn rtcp::Packet>> = vec![
            Box::new(ReceiverReport {
                reports: vec![block],
                ..ReceiverReport::default()
            }),
            Box::new(nack),
        ];
        feedback.read(&packets, start + Duration::from_millis(540));
        let reports = feedback.reports();
        assert_eq!(reports.loss, Some(0.25));
        assert_eq!(reports.rtt, Some(Duration::from_millis(40)));
        assert_eq!(reports.nacks, 3);
    }
}
