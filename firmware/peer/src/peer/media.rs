//! What a peer sends: media, repairs, padding and reports.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::Peer;
use crate::event::SrtpProfile;
use crate::media::{AudioFrame, VideoFrame};
use crate::path::Transmit;
use crate::rtcp::{SenderReport, compound};
use crate::rtp::batch::Batch;
use crate::rtp::fec::Parity;
use crate::rtp::stream::{Place, RtpStream, Writer};
use crate::sdp::offer::extension;

/// Sender reports: the first soon, so that sound and picture are in step soon; then two a second, so that a viewer that
/// hears nothing for longer knows its path to be broken, also where no picture is sent.
pub(super) const FIRST_REPORT: Duration = Duration::from_millis(50);
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Two streams, two reports a second, and a viewer may answer some seconds late.
const MAX_REPORTS_SENT: usize = 32;

impl Peer {
    /// Whether picture was negotiated.
    pub fn has_video(&self) -> bool {
        self.video.is_some()
    }

    /// Whether sound was negotiated.
    pub fn has_audio(&self) -> bool {
        self.audio.is_some()
    }

    /// Whether the viewer answers with transport-wide feedback; else there are reports and perhaps REMB.
    pub fn has_transport_feedback(&self) -> bool {
        ["video", "audio"].iter().any(|kind| {
            self.offer.media(kind).is_some_and(|section| {
                section.sends()
                    && section.extension(extension::TRANSPORT_SEQ).is_some()
                    && section.format.feedback.iter().any(|f| f == "transport-cc")
            })
        })
    }

    /// What a packet has beside its payload, at most: header, extensions and tag, in bytes.
    pub fn overhead(&self) -> usize {
        const HEADERS: usize = 12 + 4 + 20;
        HEADERS + self.srtp.as_ref().map_or(16, crate::srtp::Srtp::overhead)
    }

    /// How media is protected, once it is.
    pub fn srtp_profile(&self) -> Option<SrtpProfile> {
        self.srtp.as_ref().map(crate::srtp::Srtp::profile)
    }

    /// Appends the packets of `frame.payloads[range]` to `batch`, encrypted. Frames must come in the order they are
    /// to be decoded in, and the ranges of a frame in order, so that a pacer may let a frame go in parts. Frames
    /// of another encoding (rung) may follow at a key frame: sequence numbers and timestamps go on.
    ///
    /// Returns how many packets were written: none before [`is_connected`](Self::is_connected), or without video.
    /// Parity ([`protect`](Self::protect)) that becomes due stands right behind the packet that made it so, and is
    /// not counted here.
    pub fn write_video(
        &mut self,
        frame: &VideoFrame,
        range: Range<usize>,
        batch: &mut Batch,
        now: Instant,
    ) -> usize {
        let end = range.end.min(frame.payloads.len());
        let Some((stream, mut writer)) = self.writer(Which::Video, batch, now) else {
            return 0;
        };
        let mut written = 0;
        for i in range.start..end {
            let payload = &frame.payloads[i];
            let place = Place {
                first: i == 0,
                left: frame.payloads.len() - 1 - i,
            };
            written += usize::from(stream.write(
                payload,
                frame.captured_ns,
                place,
                place.left == 0,
                &mut writer,
            ));
        }
        written
    }

    /// Appends a sound packet to `batch`, encrypted. Returns how many packets were written, as
    /// [`write_video`](Self::write_video).
    pub fn write_audio(&mut self, frame: &AudioFrame, batch: &mut Batch, now: Instant) -> usize {
        let Some((stream, mut writer)) = self.writer(Which::Audio, batch, now) else {
            return 0;
        };
        // The marker begins a talk spurt (RFC 7587 section 4.1): the first packet only, a camera never pauses.
        let first = stream.sent().0 == 0;
        let whole = Place {
            first: true,
            left: 0,
        };
        usize::from(stream.write(&frame.payload, frame.captured_ns, whole, first, &mut writer))
    }

    /// Whether parity can be sent: the viewer offered FlexFEC.
    pub fn can_protect(&self) -> bool {
        self.video
            .as_ref()
            .is_some_and(|stream| stream.fec_ssrc().is_some())
    }

    /// Switches forward error correction of the picture on, off or to another share; of no effect unless
    /// [`can_protect`](Self::can_protect). From then on [`write_video`](Self::write_video) writes parity too.
    pub fn protect(&mut self, protection: Option<Parity>) {
        if let Some(stream) = &mut self.video {
            stream.protect(protection);
        }
    }

    /// The round trip time just now, from transport-wide feedback: nothing is repaired twice within it.
    ///
    /// Reports say it once a second. A viewer asks again every 100 ms or so, and where a queue has just filled, all
    /// of what it asks for is still on its way: answering each time would keep the queue full.
    pub fn set_round_trip(&mut self, rtt: Duration) {
        self.round_trip = Some(rtt);
    }

    /// What was sent so far is not repaired any more: the picture begins anew, and repairs of what was lost with a path
    /// would only go before it.
    pub fn forget_sent(&mut self) {
        if let Some(stream) = &mut self.video {
            stream.forget();
        }
    }

    /// Bytes that the viewer asked for again and that wait for [`write_repairs`](Self::write_repairs).
    pub fn repair_bytes(&self) -> usize {
        self.video.as_ref().map_or(0, RtpStream::repair_bytes)
    }

    /// Appends packets that the viewer asked for again (RFC 4588), about `max_bytes` of them, oldest first.
    /// Returns how many packets were written.
    pub fn write_repairs(&mut self, max_bytes: usize, batch: &mut Batch, now: Instant) -> usize {
        self.fill(max_bytes, batch, now, |stream, _, writer| {
            stream.write_repair(writer)
        })
    }

    /// Appends about `bytes` of padding, to probe the path for bandwidth. Returns how many packets were written:
    /// none where no RTX was negotiated or no media was sent yet.
    pub fn write_padding(&mut self, bytes: usize, batch: &mut Batch, now: Instant) -> usize {
        self.fill(bytes, batch, now, |stream, left, writer| {
            stream.write_padding(left, writer)
        })
    }

    /// Writes packets until `bytes` are reached or there are no more.
    fn fill(
        &mut self,
        bytes: usize,
        batch: &mut Batch,
        now: Instant,
        mut write: impl FnMut(&mut RtpStream, usize, &mut Writer<'_>) -> bool,
    ) -> usize {
        let (size, count) = (batch.len(), batch.packets().len());
        let Some((stream, mut writer)) = self.writer(Which::Video, batch, now) else {
            return 0;
        };
        loop {
            let left = bytes.saturating_sub(writer.batch.len() - size);
            if left == 0 || !write(stream, left, &mut writer) {
                return writer.batch.packets().len() - count;
            }
        }
    }

    fn writer<'a>(
        &'a mut self,
        which: Which,
        batch: &'a mut Batch,
        now: Instant,
    ) -> Option<(&'a mut RtpStream, Writer<'a>)> {
        if !self.is_connected() {
            return None;
        }
        let stream = match which {
            Which::Video => self.video.as_mut()?,
            Which::Audio => self.audio.as_mut()?,
        };
        self.next_report.get_or_insert(now + FIRST_REPORT);
        let writer = Writer {
            srtp: self.srtp.as_ref()?,
            transport: &mut self.transport,
            clock: &self.config.clock,
            batch,
            now,
        };
        Some((stream, writer))
    }

    pub(super) fn send_reports(&mut self, now: Instant) {
        self.next_report = Some(now + REPORT_INTERVAL);
        let clock = &self.config.clock;
        let streams = self.video.iter().chain(&self.audio);
        let reports: Vec<SenderReport> = streams
            .filter_map(|stream| stream.report(now, clock))
            .collect();
        for report in &reports {
            if self.reports_sent.len() >= MAX_REPORTS_SENT {
                self.reports_sent.pop_front();
            }
            self.reports_sent.push_back((report.ntp_middle(), now));
        }
        if !reports.is_empty() {
            let packet = compound(&reports, &self.cname);
            self.send_rtcp(&packet);
        }
        let sender = self.audio.as_ref().or(self.video.as_ref());
        let sender = sender.map_or(1, RtpStream::ssrc);
        let received: Vec<u8> = self
            .talkers
            .iter_mut()
            .flat_map(|talker| talker.report(sender))
            .collect();
        if !received.is_empty() {
            self.send_rtcp(&received);
        }
    }

    pub(super) fn send_rtcp(&mut self, packet: &[u8]) {
        let sealed = self.srtp.as_mut().and_then(|srtp| srtp.seal_rtcp(packet));
        if let (Some(bytes), Some(selected)) = (sealed, self.path) {
            self.transmits.push_back(Transmit {
                path: selected.path,
                bytes,
            });
        }
    }
}

#[derive(Clone, Copy)]
enum Which {
    Video,
    Audio,
}
