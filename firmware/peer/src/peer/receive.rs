//! What a peer hears: reports, requests and sound.

use std::time::{Duration, Instant};

use super::Peer;
use super::media::FIRST_REPORT;
use crate::event::{Arrival, PeerEvent, Report, Sound};
use crate::rtcp::{self, Feedback, Reception, ReportBlock};
use crate::rtp::receive::Received;
use crate::sdp::section::Direction;

/// Opus' RTP clock (RFC 7587 section 4.1).
const CLOCK_RATE: u32 = 48_000;

/// SSRCs that a viewer's sound may come under in a session.
const MAX_TALKERS: usize = 8;

impl Peer {
    /// Whether the viewer's sound was negotiated.
    pub fn has_talk(&self) -> bool {
        self.offer.media("audio").is_some_and(|section| {
            matches!(section.direction, Direction::SendRecv | Direction::RecvOnly)
        })
    }

    /// False when the datagram was refused.
    pub(super) fn handle_rtcp(&mut self, datagram: &[u8], now: Instant) -> bool {
        let Some(packet) = self.srtp.as_mut().and_then(|srtp| srtp.open_rtcp(datagram)) else {
            return false;
        };
        let (messages, whole) = rtcp::read(&packet);
        self.stats.malformed += u64::from(!whole);
        let mut key_frames = 0;
        let mut blocks = Vec::new();
        for message in messages {
            match message {
                Feedback::Report(block) => blocks.push(block),
                Feedback::KeyFrame { ssrc } => {
                    let ours = self.video.as_ref().is_some_and(|video| video.owns(ssrc));
                    key_frames += u64::from(ours);
                }
                Feedback::Nack { ssrc, lost } => self.nack(ssrc, &lost, now),
                Feedback::Transport(feedback) => {
                    let (transport, stats) = (&self.transport, &mut self.stats);
                    let arrivals: Vec<Arrival> = self
                        .feedback_clock
                        .arrivals(feedback)
                        .filter(|arrival| {
                            let sent = transport.was_sent(arrival.seq);
                            stats.unknown_acknowledgements += u64::from(!sent);
                            sent
                        })
                        .collect();
                    if !arrivals.is_empty() {
                        self.events.push_back(PeerEvent::Arrivals(arrivals));
                    }
                }
                Feedback::Remb(bps) => self.events.push_back(PeerEvent::Remb(bps)),
            }
        }
        self.reported(&blocks, now);
        self.stats.key_frame_requests += key_frames;
        if key_frames > 0 {
            self.events.push_back(PeerEvent::KeyFrameRequested);
        }
        true
    }

    fn nack(&mut self, ssrc: u32, lost: &[u16], now: Instant) {
        let rtt = self.stats.rtt.or(self.agent.rtt()).max(self.round_trip);
        let stream = self.video.as_mut().filter(|stream| stream.owns(ssrc));
        self.stats.nacks += lost.len() as u64;
        let Some(stream) = stream.filter(|stream| stream.ssrc() == ssrc) else {
            self.stats.not_repaired += lost.len() as u64;
            return;
        };
        let refused = lost
            .iter()
            .filter(|sequence| !stream.want(**sequence, rtt, now));
        self.stats.not_repaired += refused.count() as u64;
    }

    fn reported(&mut self, blocks: &[ReportBlock], now: Instant) {
        let (mut loss, mut rtt) = (None, None);
        for block in blocks {
            let mut streams = self.video.iter_mut().chain(&mut self.audio);
            let Some(stream) = streams.find(|stream| stream.owns(block.ssrc)) else {
                continue;
            };
            stream.is_known();
            loss = loss.max(Some(block.fraction_lost));
            let sent = self
                .reports_sent
                .iter()
                .find(|(ntp, _)| *ntp == block.last_report);
            if let Some((_, sent)) = sent {
                // The viewer held it for `delay`, in 1/65536 s (RFC 3550 section 6.4.1).
                let held = Duration::from_nanos(u64::from(block.delay) * 1_000_000_000 / 65_536);
                rtt = Some(now.saturating_duration_since(*sent).saturating_sub(held));
            }
        }
        let Some(loss) = loss.map(|lost| f64::from(lost) / 256.0) else {
            return;
        };
        self.stats.loss = Some(loss);
        self.stats.rtt = rtt.or(self.stats.rtt);
        self.events
            .push_back(PeerEvent::Report(Report { loss, rtt }));
    }

    /// False when the datagram was refused.
    pub(super) fn handle_rtp(&mut self, datagram: &[u8], now: Instant) -> bool {
        let Some(head) = Received::read(datagram) else {
            return false;
        };
        // The stack keeps state for every SSRC that it is shown: it is shown few, and sound only.
        let expected = self.has_talk()
            && self
                .offer
                .media("audio")
                .is_some_and(|section| section.format.payload_type == head.payload_type);
        let known = self
            .talkers
            .iter()
            .position(|talker| talker.ssrc() == head.ssrc);
        if !expected || (known.is_none() && self.talkers.len() >= MAX_TALKERS) {
            return false;
        }
        let Some(packet) = self.srtp.as_mut().and_then(|srtp| srtp.open_rtp(datagram)) else {
            return false;
        };
        match known.and_then(|at| self.talkers.get_mut(at)) {
            Some(talker) => talker.received(head.sequence, head.timestamp, now),
            None => self.talkers.push(Reception::new(
                head.ssrc,
                CLOCK_RATE,
                head.sequence,
                head.timestamp,
                now,
            )),
        }
        self.next_report.get_or_insert(now + FIRST_REPORT);
        let packet = packet.freeze();
        match Received::read(&packet) {
            Some(received) => {
                self.stats.sound_packets += 1;
                // Padding alone is no sound.
                if !received.payload.is_empty() {
                    self.events.push_back(PeerEvent::Sound(Sound {
                        payload: packet.slice_ref(received.payload),
                        sequence: received.sequence,
                        timestamp: received.timestamp,
                    }));
                }
            }
            None => self.stats.malformed += 1,
        }
        true
    }
}
