//! One outgoing stream of one viewer: the headers around the shared payloads, its repairs and its reports.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::batch::{Batch, BatchPacket};
use super::fec::{Fec, Parity};
use super::header::{ExtensionIds, Header};
use super::history::{History, SentPacket};
use crate::clock::{MediaClock, rtp_units};
use crate::rtcp::SenderReport;
use crate::srtp::Srtp;

/// The longest padding of a packet (RFC 3550 section 5.1: its length is one byte).
const MAX_PADDING: usize = 255;

/// What was negotiated for a stream, and its random part.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    pub ssrc: u32,
    pub payload_type: u8,
    /// SSRC and payload type of the repairs (RFC 4588), where negotiated.
    pub rtx: Option<(u32, u8)>,
    /// SSRC and payload type of the parity (FlexFEC), where negotiated.
    pub fec: Option<(u32, u8)>,
    pub clock_rate: u32,
    pub ids: ExtensionIds,
    pub mid: Vec<u8>,
    /// First sequence numbers and timestamp offset.
    pub random: u64,
}

/// Numbers packets over all streams of a transport, for its feedback.
#[derive(Debug, Default)]
pub struct TransportSequence {
    next: u64,
}

impl TransportSequence {
    fn take(&mut self) -> u16 {
        let seq = self.next as u16;
        self.next += 1;
        seq
    }

    /// Whether a packet of this number was sent, and not 32,768 packets ago.
    pub fn was_sent(&self, seq: u16) -> bool {
        let back = (self.next as u16).wrapping_sub(seq);
        (1..0x8000).contains(&back) && u64::from(back) <= self.next
    }
}

/// Where a packet stands in its frame.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub first: bool,
    /// Packets that follow it in its frame.
    pub left: usize,
}

/// What writing packets needs besides the stream.
pub struct Writer<'a> {
    pub srtp: &'a Srtp,
    pub transport: &'a mut TransportSequence,
    pub clock: &'a MediaClock,
    pub batch: &'a mut Batch,
    pub now: Instant,
}

/// Identity and counters of a stream (RFC 3550 section 5.1).
#[derive(Debug)]
pub struct RtpStream {
    config: StreamConfig,
    timestamp_offset: u32,
    /// The next packet's sequence number, with the roll-over counter above it.
    next: u64,
    next_rtx: u64,
    /// The timestamp of the last frame.
    last: Option<u32>,
    history: Option<History>,
    fec: Option<Fec>,
    /// The viewer has reported on the stream: it knows the SSRC.
    known: bool,
    packets: u64,
    octets: u64,
    padding: u64,
    repaired: u64,
}

impl RtpStream {
    pub fn new(config: StreamConfig) -> Self {
        // The upper half of the numbers is left out, so that the first wrap-around is well after the first report:
        // receivers that lose the first packet otherwise misjudge the roll-over counter (RFC 3711 section 3.3.1).
        let first = |bits: u64| bits & 0x7fff;
        Self {
            timestamp_offset: (config.random >> 32) as u32,
            next: first(config.random),
            next_rtx: first(config.random >> 16),
            last: None,
            history: config.rtx.map(|_| History::new()),
            fec: config.fec.map(|(ssrc, payload_type)| {
                Fec::new(ssrc, payload_type, first(config.random >> 8))
            }),
            known: false,
            packets: 0,
            octets: 0,
            padding: 0,
            repaired: 0,
            config,
        }
    }

    pub fn ssrc(&self) -> u32 {
        self.config.ssrc
    }

    /// The SSRC of the repairs.
    pub fn rtx_ssrc(&self) -> Option<u32> {
        self.config.rtx.map(|(ssrc, _)| ssrc)
    }

    /// The SSRC of the parity.
    pub fn fec_ssrc(&self) -> Option<u32> {
        self.config.fec.map(|(ssrc, _)| ssrc)
    }

    /// Whether reports or requests that name this SSRC are about this stream.
    pub fn owns(&self, ssrc: u32) -> bool {
        ssrc == self.config.ssrc || self.config.rtx.is_some_and(|(rtx, _)| rtx == ssrc)
    }

    /// Nothing that was sent so far is repaired any more.
    pub fn forget(&mut self) {
        self.history = self.config.rtx.map(|_| History::new());
    }

    pub fn is_known(&mut self) {
        self.known = true;
    }

    /// Media packets and their payload bytes.
    pub fn sent(&self) -> (u64, u64) {
        (self.packets, self.octets)
    }

    pub fn padding_bytes(&self) -> u64 {
        self.padding
    }

    pub fn repaired(&self) -> u64 {
        self.repaired
    }

    /// Switches forward error correction on or off, where it was negotiated.
    pub fn protect(&mut self, protection: Option<Parity>) {
        if let Some(fec) = &mut self.fec {
            fec.protect(protection);
        }
    }

    /// The forward error correction in force.
    pub fn protection(&self) -> Option<Parity> {
        self.fec.as_ref().and_then(Fec::protection)
    }

    /// Parity packets and their payload bytes.
    pub fn parity(&self) -> (u64, u64) {
        self.fec.as_ref().map_or((0, 0), Fec::sent)
    }

    /// Appends a packet, and behind it the parity of the group that it ends, if it ends one. The first of a frame
    /// carries the capture time.
    pub fn write(
        &mut self,
        payload: &Bytes,
        captured_ns: u64,
        place: Place,
        marker: bool,
        writer: &mut Writer<'_>,
    ) -> bool {
        let timestamp = match self.last {
            Some(last) if !place.first => last,
            _ => self.begin(captured_ns),
        };
        self.last = Some(timestamp);
        let index = self.next;
        let header = Header {
            payload_type: self.config.payload_type,
            marker,
            padding: false,
            sequence: index as u16,
            timestamp,
            ssrc: self.config.ssrc,
            transport_seq: None,
            mid: None,
            captured: place.first.then(|| writer.clock.ntp(captured_ns)),
            filled: place.first && place.left > 0,
        };
        if !self.put(header, index, &[], payload, writer) {
            return false;
        }
        self.next += 1;
        self.packets += 1;
        self.octets += payload.len() as u64;
        if let Some(history) = &mut self.history {
            history.push(SentPacket {
                sequence: index as u16,
                timestamp,
                marker,
                payload: payload.clone(),
                at: writer.now,
            });
        }
        self.write_parity(timestamp, place.left, writer);
        true
    }

    /// Appends the group's parity when it is due.
    fn write_parity(&mut self, timestamp: u32, left: usize, writer: &mut Writer<'_>) {
        // What it is taken out of does not protect the parity in its turn.
        let Some(mut fec) = self.fec.take_if(|fec| self.known && fec.is_due(left)) else {
            return;
        };
        let (head, body) = fec.parity(self.config.ssrc);
        let header = Header {
            payload_type: fec.payload_type,
            marker: false,
            padding: false,
            sequence: fec.next as u16,
            timestamp,
            ssrc: fec.ssrc,
            transport_seq: None,
            mid: None,
            captured: None,
            filled: false,
        };
        if self.put(header, fec.next, &head, body, writer) {
            fec.close();
        }
        self.fec = Some(fec);
    }

    /// The viewer asks for a packet again. False when it will not get it.
    pub fn want(&mut self, sequence: u16, rtt: Option<Duration>, now: Instant) -> bool {
        self.history
            .as_mut()
            .is_some_and(|history| history.want(sequence, rtt, now))
    }

    /// Bytes that wait for [`write_repair`](Self::write_repair).
    pub fn repair_bytes(&self) -> usize {
        self.history.as_ref().map_or(0, History::wanted_bytes)
    }

    /// Appends the next packet that the viewer asked for (RFC 4588 section 4). False when there is none.
    pub fn write_repair(&mut self, writer: &mut Writer<'_>) -> bool {
        let Some((ssrc, payload_type)) = self.config.rtx else {
            return false;
        };
        let Some(packet) = self.history.as_mut().and_then(History::next_wanted) else {
            return false;
        };
        let index = self.next_rtx;
        let header = Header {
            payload_type,
            marker: packet.marker,
            padding: false,
            sequence: index as u16,
            timestamp: packet.timestamp,
            ssrc,
            transport_seq: None,
            mid: None,
            captured: None,
            filled: false,
        };
        let original = packet.sequence.to_be_bytes();
        if !self.put(header, index, &original, &packet.payload, writer) {
            return false;
        }
        self.next_rtx += 1;
        self.repaired += 1;
        true
    }

    /// Appends a packet of nothing but padding, on the repairs' SSRC so that the media's numbers stay whole.
    pub fn write_padding(&mut self, bytes: usize, writer: &mut Writer<'_>) -> bool {
        let (Some((ssrc, payload_type)), Some(timestamp)) = (self.config.rtx, self.last) else {
            return false;
        };
        let index = self.next_rtx;
        let header = Header {
            payload_type,
            marker: false,
            padding: true,
            sequence: index as u16,
            timestamp,
            ssrc,
            transport_seq: None,
            mid: None,
            captured: None,
            filled: false,
        };
        let size = bytes.clamp(1, MAX_PADDING);
        let mut padding = [0; MAX_PADDING];
        padding[size - 1] = size as u8;
        if !self.put(header, index, &[], &padding[..size], writer) {
            return false;
        }
        self.next_rtx += 1;
        self.padding += size as u64;
        true
    }

    /// A sender report for `now`. NTP and RTP time are those of the same capture instant, so the viewer can compute
    /// when any frame was captured and play sound and picture together. `None` before anything was sent.
    pub fn report(&self, now: Instant, clock: &MediaClock) -> Option<SenderReport> {
        self.last?;
        let now_ns = clock.capture_ns(now);
        Some(SenderReport {
            ssrc: self.config.ssrc,
            ntp: clock.ntp(now_ns),
            rtp: rtp_units(now_ns, self.config.clock_rate).wrapping_add(self.timestamp_offset),
            // These counters wrap by definition (RFC 3550 section 6.4.1).
            packets: self.packets as u32,
            octets: self.octets as u32,
        })
    }

    /// The timestamp of a frame that begins: that of its capture, and always later than the last one's. Two encodings
    /// of one picture (rungs) share a capture instant, and are two frames for the viewer.
    fn begin(&mut self, captured_ns: u64) -> u32 {
        let captured = rtp_units(captured_ns, self.config.clock_rate);
        let timestamp = captured.wrapping_add(self.timestamp_offset);
        match self.last {
            Some(last) if (timestamp.wrapping_sub(last) as i32) <= 0 => last.wrapping_add(1),
            _ => timestamp,
        }
    }

    fn put(
        &mut self,
        header: Header<'_>,
        index: u64,
        prefix: &[u8],
        payload: &[u8],
        writer: &mut Writer<'_>,
    ) -> bool {
        let Batch {
            bytes,
            packets,
            headroom,
        } = &mut *writer.batch;
        let before = bytes.len();
        let start = before + *headroom;
        bytes.resize(start, 0);
        let header = Header {
            transport_seq: self
                .config
                .ids
                .transport_seq
                .map(|_| writer.transport.take()),
            // RFC 8843 section 9.2: until the viewer is known to know the SSRC.
            mid: (!self.known).then_some(self.config.mid.as_slice()),
            ..header
        };
        header.write(&self.config.ids, bytes);
        let body = bytes.len();
        bytes.extend_from_slice(prefix);
        bytes.extend_from_slice(payload);
        if let Some(fec) = &mut self.fec
            && self.known
            && header.ssrc == self.config.ssrc
        {
            let blank = header.transport_seq.map(|_| Header::TRANSPORT_SEQ);
            fec.add(&bytes[start..], blank, writer.now);
        }
        if !writer.srtp.seal(bytes, start, body, index) {
            bytes.truncate(before);
            return false;
        }
        packets.push(BatchPacket {
            len: bytes.len() - start,
            transport_seq: header.transport_seq,
        });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_numbers_that_were_given_out_were_sent() {
        let mut transport = TransportSequence::default();
        assert!(!transport.was_sent(0) && !transport.was_sent(u16::MAX));
        let given: Vec<u16> = (0..70_000).map(|_| transport.take()).collect();
        assert!(given[40_000..].iter().all(|seq| transport.was_sent(*seq)));
        let next = transport.next as u16;
        assert!(!transport.was_sent(next) && !transport.was_sent(next.wrapping_add(1000)));
    }
}
