//! Forward error correction for one viewer: FlexFEC, draft-ietf-payload-flexible-fec-scheme-03, the version that
//! browsers offer as `flexfec-03` (section 4.2: header, section 6: recovery).
//!
//! The exclusive or of a group of packets that follow each other travels on an SSRC of its own, so that any one of the
//! group that is lost comes back without being asked for. Groups are rows: they do not overlap and are not
//! interleaved, because what they are against is a radio's random loss; a full queue's bursts are the estimator's to end.
//!
//! RED with ULPFEC (RFC 2198, RFC 5109) is not spoken though browsers offer it: its parity takes the picture's own
//! sequence numbers, and where a picture has no number of its own (H.264, H.265) a receiver cannot tell a parity
//! packet that was lost from a picture's, so it waits for it all the same. libwebrtc does not send it for H.264 either.
//!
//! What a group costs is bounded by bytes, not by hope: every packet of picture earns the share that
//! [`Parity::packets`] names, and a group ends only when its parity has been earned; at the end of a picture where
//! that can be, so that a picture is whole without the next one. A group that spans more than [`Parity::span`] is
//! given up: asking again is as fast. Nothing is allocated for a packet or a group.

use std::ops::Range;
use std::time::{Duration, Instant};

/// The bytes of an RTP header that are recovered in their own way.
const RTP_HEADER: usize = 12;
/// Header of a parity packet that protects one stream by a mask of [`MAX_GROUP`] bits.
pub const HEADER: usize = 20;
/// The shortest mask's bits: all groups have it.
const MAX_GROUP: u16 = 15;
/// With half of it more, a group still fits the mask.
const MAX_SHARE: u8 = 10;
/// More is not saved up: a long quiet stretch does not pay for a burst of parity.
const MAX_CREDIT: usize = 2_400;
/// No packet of ours is longer.
const MAX_PACKET: usize = 1_500;

/// How much forward error correction a viewer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parity {
    /// For so many bytes of picture there is one byte of parity, so about one parity packet for so many packets;
    /// at least 2, at most 10.
    pub packets: u8,
    /// The packets of a group left within this time: what asking again takes.
    pub span: Duration,
}

/// The parity of one stream.
#[derive(Debug)]
pub struct Fec {
    pub ssrc: u32,
    pub payload_type: u8,
    /// The next parity packet's sequence number, with the roll-over counter above it.
    pub next: u64,
    protection: Option<Parity>,
    /// Bytes of parity that were earned.
    credit: usize,
    group: Group,
    packets: u64,
    bytes: u64,
}

/// Packets that follow each other, and their exclusive or.
#[derive(Debug)]
struct Group {
    first: u16,
    count: u16,
    began: Option<Instant>,
    /// The first byte's P, X and CC; M and the payload type; the length behind the RTP header; the timestamp.
    head: [u8; 8],
    /// What stands behind the RTP header.
    body: Vec<u8>,
}

impl Group {
    fn clear(&mut self) {
        self.count = 0;
        self.began = None;
        self.head = [0; 8];
        self.body.clear();
    }
}

impl Fec {
    /// Without protection until [`protect`](Self::protect).
    pub fn new(ssrc: u32, payload_type: u8, first: u64) -> Self {
        Self {
            ssrc,
            payload_type,
            next: first,
            protection: None,
            credit: 0,
            group: Group {
                first: 0,
                count: 0,
                began: None,
                head: [0; 8],
                body: Vec::with_capacity(MAX_PACKET),
            },
            packets: 0,
            bytes: 0,
        }
    }

    /// Switches protection on, off, or to another share.
    pub fn protect(&mut self, protection: Option<Parity>) {
        self.protection = protection.map(|protection| Parity {
            packets: protection.packets.clamp(2, MAX_SHARE),
            ..protection
        });
        if protection.is_none() {
            self.credit = 0;
            self.group.clear();
        }
    }

    pub fn protection(&self) -> Option<Parity> {
        self.protection
    }

    /// Parity packets and their payload bytes.
    pub fn sent(&self) -> (u64, u64) {
        (self.packets, self.bytes)
    }

    /// Takes a packet into the group, before it is encrypted. `blank` is read as zeros: the extensions that the
    /// transport fills in, which a receiver blanks too.
    pub fn add(&mut self, packet: &[u8], blank: Option<Range<usize>>, now: Instant) {
        let Some(protection) = self.protection else {
            return;
        };
        let Some((header, body)) = packet.split_first_chunk::<RTP_HEADER>() else {
            return;
        };
        if body.len() > MAX_PACKET {
            return self.group.clear();
        }
        let share = usize::from(protection.packets);
        self.credit = (self.credit + packet.len() / share).min(MAX_CREDIT);
        let sequence = u16::from_be_bytes([header[2], header[3]]);
        let group = &mut self.group;
        let follows = sequence == group.first.wrapping_add(group.count);
        let late = group
            .began
            .is_some_and(|began| now.saturating_duration_since(began) > protection.span);
        if !follows || late || group.count >= MAX_GROUP {
            group.clear();
        }
        if group.count == 0 {
            group.first = sequence;
            group.began = Some(now);
        }
        group.count += 1;
        // A packet is 65 kB at most, so its length fits.
        let [high, low] = (body.len() as u16).to_be_bytes();
        let head = [
            header[0], header[1], high, low, header[4], header[5], header[6], header[7],
        ];
        xor(&mut group.head, &head);
        group.body.resize(group.body.len().max(body.len()), 0);
        xor(&mut group.body, body);
        if let Some(blank) = blank
            && let Some(bytes) = packet.get(blank.clone())
            && let Some(at) = blank.start.checked_sub(RTP_HEADER)
        {
            // Twice is not at all.
            xor(&mut group.body[at..], bytes);
        }
    }

    /// Whether the group ends here, with `left` packets of the picture to come: its parity has been earned, and the
    /// picture ends, or the group is as long as the share means it to be and what is left is not a mere rest.
    pub fn is_due(&self, left: usize) -> bool {
        let Some(protection) = self.protection else {
            return false;
        };
        let (count, whole) = (self.group.count, u16::from(protection.packets));
        count > 0
            && self.credit >= self.cost()
            && (left == 0 || count >= whole && left >= usize::from(whole / 2))
    }

    /// What parity of this group takes: RTP header, its transport-wide number, FlexFEC header, body.
    fn cost(&self) -> usize {
        RTP_HEADER + 8 + HEADER + self.group.body.len()
    }

    /// The parity of the group: its header, and what follows it.
    pub fn parity(&self, protected: u32) -> ([u8; HEADER], &[u8]) {
        let Group {
            first, count, head, ..
        } = self.group;
        // The first bit says that the mask ends with these two bytes; the first packet's is the next one.
        let mask = 0x8000 | (((1_u32 << count) - 1) << (MAX_GROUP - count)) as u16;
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&head);
        // Neither a retransmission (R) nor a fixed matrix (F).
        header[0] &= 0x3f;
        // One stream, and three bytes that are reserved.
        header[8] = 1;
        header[12..16].copy_from_slice(&protected.to_be_bytes());
        header[16..18].copy_from_slice(&first.to_be_bytes());
        header[18..].copy_from_slice(&mask.to_be_bytes());
        (header, &self.group.body)
    }

    /// The parity was sent: the next group begins.
    pub fn close(&mut self) {
        self.credit = self.credit.saturating_sub(self.cost());
        self.next += 1;
        self.packets += 1;
        self.bytes += (HEADER + self.group.body.len()) as u64;
        self.group.clear();
    }
}

fn xor(into: &mut [u8], bytes: &[u8]) {
    for (into, byte) in into.iter_mut().zip(bytes) {
        *into ^= byte;
    }
}

#[cfg(test)]
mod tests;
