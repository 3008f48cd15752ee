//! What a viewer says by RTCP. Reading never panics, whatever comes; a broken packet ends the reading of its compound.

use super::transport_feedback::{self, TransportFeedback};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// More messages than a viewer needs to say in one datagram; the rest is ignored.
const MAX_MESSAGES: usize = 64;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Feedback {
    /// What arrived of a stream (RFC 3550 section 6.4.1).
    Report(ReportBlock),
    /// A decoder needs a key frame: PLI (RFC 4585 section 6.3.1) or FIR (RFC 5104 section 4.3.1).
    KeyFrame {
        /// The stream.
        ssrc: u32,
    },
    /// Packets are missing (RFC 4585 section 6.2.1).
    Nack {
        /// The stream.
        ssrc: u32,
        /// Which.
        lost: Vec<u16>,
    },
    /// Transport-wide congestion control feedback.
    Transport(TransportFeedback),
    /// The receiver's estimate in bits/s (draft-alvestrand-rmcat-remb-03).
    Remb(u64),
}

/// A report block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlock {
    /// The stream.
    pub ssrc: u32,
    /// Part of the packets lost since the block before, in 1/256.
    pub fraction_lost: u8,
    /// The middle of the NTP time of the sender report heard last.
    pub last_report: u32,
    /// How long ago that was heard, in 1/65536 s.
    pub delay: u32,
}

/// Reads a compound packet. The second half says whether it was whole.
pub fn read(mut bytes: &[u8]) -> (Vec<Feedback>, bool) {
    let mut messages = Vec::new();
    let mut whole = !bytes.is_empty();
    while !bytes.is_empty() {
        let Some((packet, rest)) = split(bytes) else {
            return (messages, false);
        };
        whole &= packet.read(&mut messages).is_some();
        bytes = rest;
        if messages.len() > MAX_MESSAGES {
            messages.truncate(MAX_MESSAGES);
            return (messages, false);
        }
    }
    (messages, whole)
}

struct Packet<'a> {
    /// Report count or format.
    count: u8,
    kind: u8,
    body: &'a [u8],
}

fn split(bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let [first, kind, l1, l2, ..] = *bytes else {
        return None;
    };
    let size = 4 * (1 + usize::from(u16::from_be_bytes([l1, l2])));
    let (packet, rest) = bytes.split_at_checked(size)?;
    let mut body = &packet[4..];
    if first & 0x20 != 0 {
        let padding = usize::from(*body.last()?);
        body = body.get(..body.len().checked_sub(padding)?)?;
    }
    let packet = Packet {
        count: first & 0x1f,
        kind,
        body,
    };
    (first >> 6 == 2).then_some((packet, rest))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(*bytes.first_chunk()?))
}

impl Packet<'_> {
    /// Adds what it says; `None` when it is malformed. Unknown kinds say nothing.
    fn read(&self, messages: &mut Vec<Feedback>) -> Option<()> {
        match (self.kind, self.count) {
            (SENDER_REPORT, _) => self.blocks(24, messages),
            (RECEIVER_REPORT, _) => self.blocks(4, messages),
            (TRANSPORT_FEEDBACK, 1) => {
                let mut lost = Vec::new();
                for pair in self.body.get(8..)?.chunks_exact(4) {
                    let first = u16::from_be_bytes([pair[0], pair[1]]);
                    let more = u16::from_be_bytes([pair[2], pair[3]]);
                    lost.push(first);
                    let following = (0..16).filter(|bit| more & (1 << bit) != 0);
                    lost.extend(following.map(|bit| first.wrapping_add(bit + 1)));
                }
                let ssrc = word(self.body, 4)?;
                messages.push(Feedback::Nack { ssrc, lost });
                Some(())
            }
            (TRANSPORT_FEEDBACK, 15) => {
                let feedback = transport_feedback::read(self.body.get(8..)?)?;
                messages.push(Feedback::Transport(feedback));
                Some(())
            }
            (PAYLOAD_FEEDBACK, 1) => {
                let ssrc = word(self.body, 4)?;
                messages.push(Feedback::KeyFrame { ssrc });
                Some(())
            }
            (PAYLOAD_FEEDBACK, 4) => {
                for entry in self.body.get(8..)?.chunks_exact(8) {
                    let ssrc = word(entry, 0)?;
                    messages.push(Feedback::KeyFrame { ssrc });
                }
                Some(())
            }
            (PAYLOAD_FEEDBACK, 15) if self.body.get(8..12) == Some(b"REMB") => {
                let bits = word(self.body, 12)?;
                let (exponent, mantissa) = ((bits >> 18) & 0x3f, u64::from(bits & 0x3_ffff));
                let scale = 1_u64.checked_shl(exponent)?;
                messages.push(Feedback::Remb(mantissa.saturating_mul(scale)));
                Some(())
            }
            _ => Some(()),
        }
    }

    fn blocks(&self, at: usize, messages: &mut Vec<Feedback>) -> Option<()> {
        for i in 0..usize::from(self.count) {
            let block = self.body.get(at + 24 * i..at + 24 * (i + 1))?;
            messages.push(Feedback::Report(ReportBlock {
                ssrc: word(block, 0)?,
                fraction_lost: block[4],
                last_report: word(block, 16)?,
                delay: word(block, 20)?,
            }));
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(count: u8, kind: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80 | count, kind];
        packet.extend(((body.len() / 4) as u16).to_be_bytes());
        packet.extend(body);
        packet
    }

    #[test]
    fn requests_and_reports_of_a_compound_are_read() {
        let block = [
            0, 0, 0, 7, 64, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x12, 0x34, 0, 0, 0x80, 0,
        ];
        let compound = [
            packet(1, RECEIVER_REPORT, &[&[0, 0, 0, 1], &block[..]].concat()),
            packet(
                1,
                TRANSPORT_FEEDBACK,
                &[0, 0, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 5],
            ),
            packet(1, PAYLOAD_FEEDBACK, &[0, 0, 0, 1, 0, 0, 0, 7]),
            packet(
                4,
                PAYLOAD_FEEDBACK,
                &[0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 3, 0, 0, 0],
            ),
            packet(
                15,
                PAYLOAD_FEEDBACK,
                b"\0\0\0\x01\0\0\0\0REMB\x01\x0b\x80\0\0\0\0\x07",
            ),
        ]
        .concat();
        let (messages, whole) = read(&compound);
        assert!(whole);
        assert_eq!(
            messages,
            [
                Feedback::Report(ReportBlock {
                    ssrc: 7,
                    fraction_lost: 64,
                    last_report: 0x1234,
                    delay: 0x8000
                }),
                Feedback::Nack {
                    ssrc: 7,
                    lost: vec![0xffff, 0, 2]
                },
                Feedback::KeyFrame { ssrc: 7 },
                Feedback::KeyFrame { ssrc: 7 },
                // Exponent 2, mantissa 0x38000.
                Feedback::Remb(0x38000 << 2),
            ]
        );
    }

    #[test]
    fn a_broken_packet_does_not_spoil_those_before_it() {
        let pli = packet(1, PAYLOAD_FEEDBACK, &[0, 0, 0, 1, 0, 0, 0, 7]);
        let (messages, whole) = read(&[&pli[..], &[0x81, 201, 0, 99]].concat());
        assert_eq!((messages.len(), whole), (1, false));
        let short = packet(2, RECEIVER_REPORT, &[0; 28]);
        assert!(!read(&short).1);
        assert!(!read(&[]).1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }

        #[test]
        fn any_bodies_are_read(
            packets in prop::collection::vec((0_u8..32, 200_u8..208, prop::collection::vec(any::<[u8; 4]>(), 0..30)), 0..6),
        ) {
            let compound: Vec<u8> = packets
                .iter()
                .flat_map(|(count, kind, body)| packet(*count, *kind, &body.concat()))
                .collect();
            let (messages, _) = read(&compound);
            prop_assert!(messages.len() <= MAX_MESSAGES);
        }
    }
}
