//! AV1 into RTP payloads: RTP Payload Format for AV1, version 1.0, section 4.
//!
//! A payload is an aggregation header and OBU elements, each with its length in front (W = 0). OBUs lose their own
//! length (section 5), and temporal delimiters, tile lists and padding are left out, as that section wants it. The
//! elements fill one packet after the other; what does not fit goes on in the next one.
//!
//! Receivers without a dependency descriptor take a packet that begins with a whole OBU for a frame's first
//! (libwebrtc does). So no packet but the first begins with one: where an OBU would end with its packet, its last byte
//! waits for the next one.

use bytes::{BufMut, Bytes, BytesMut};

use super::FIRST_EXTRA;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// Aggregation header (section 4.4): the first element goes on from the packet before, the last one goes on in the next
/// packet, a coded video sequence begins.
const CONTINUES: u8 = 0x80;
const CONTINUED: u8 = 0x40;
const NEW_SEQUENCE: u8 = 0x08;

const HAS_EXTENSION: u8 = 0x04;
const HAS_SIZE: u8 = 0x02;

/// An OBU as it is sent: its header without a length, and what it holds.
struct Obu<'a> {
    header: [u8; 2],
    header_len: usize,
    body: &'a [u8],
}

impl Obu<'_> {
    fn len(&self) -> usize {
        self.header_len + self.body.len()
    }

    /// Appends its bytes from `from` to `to`.
    fn put(&self, from: usize, to: usize, into: &mut BytesMut) {
        let header = self.header_len;
        into.put_slice(&self.header[from.min(header)..to.min(header)]);
        into.put_slice(&self.body[from.saturating_sub(header)..to.saturating_sub(header)]);
    }
}

/// The RTP payloads of one temporal unit in the low-overhead format (AV1 specification, section 5.2), in sending order;
/// none is longer than `max_payload`. Reading ends where the input is no OBU; what stands before it is sent.
pub(crate) fn packetise(temporal_unit: &Bytes, max_payload: usize) -> Vec<Bytes> {
    let obus: Vec<Obu<'_>> = obus(temporal_unit).collect();
    let starts = obus
        .iter()
        .any(|obu| kind(obu.header[0]) == SEQUENCE_HEADER);
    // Below this there is no room for two bytes behind a header and a length.
    let max_payload = max_payload.max(8);
    let mut payloads = Vec::with_capacity(temporal_unit.len() / max_payload + 2);
    let mut packet = BytesMut::with_capacity(max_payload);
    packet.put_u8(if starts { NEW_SEQUENCE } else { 0 });
    let mut left: usize = obus.iter().map(Obu::len).sum();
    let mut limit = max_payload.saturating_sub(FIRST_EXTRA).max(8);
    for obu in &obus {
        let mut at = 0;
        while at < obu.len() {
            let rest = obu.len() - at;
            let mut size = fits(limit - packet.len()).min(rest);
            if size == rest && rest < left && limit - packet.len() - size - leb128_len(size) < 3 {
                // Nothing of the next OBU would fit behind it: it would begin a packet.
                size -= 1;
            }
            if size > 0 {
                put_leb128(size, &mut packet);
                obu.put(at, at + size, &mut packet);
                at += size;
                left -= size;
            }
            if at < obu.len() {
                let continued = at > 0;
                if continued {
                    packet[0] |= CONTINUED;
                }
                payloads.push(std::mem::take(&mut packet).freeze());
                limit = max_payload;
                packet.reserve(limit);
                packet.put_u8(if continued { CONTINUES } else { 0 });
            }
        }
    }
    if packet.len() > 1 {
        payloads.push(packet.freeze());
    }
    payloads
}

fn kind(header: u8) -> u8 {
    (header >> 3) & 0x0f
}

/// The OBUs that are sent.
fn obus(mut rest: &[u8]) -> impl Iterator<Item = Obu<'_>> {
    std::iter::from_fn(move || {
        let (obu, after) = split(rest)?;
        rest = after;
        Some(obu)
    })
    .filter(|obu| {
        !matches!(
            kind(obu.header[0]),
            TEMPORAL_DELIMITER | TILE_LIST | PADDING
        )
    })
}

fn split(bytes: &[u8]) -> Option<(Obu<'_>, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let mut header = [first & !HAS_SIZE, 0];
    let mut header_len = 1;
    if first & HAS_EXTENSION != 0 {
        let (extension, after) = rest.split_first()?;
        header[1] = *extension;
        header_len = 2;
        rest = after;
    }
    let (body, rest) = if first & HAS_SIZE != 0 {
        let (size, after) = leb128(rest)?;
        after.split_at_checked(size)?
    } else {
        (rest, &[][..])
    };
    // The forbidden bit.
    let obu = Obu {
        header,
        header_len,
        body,
    };
    (first & 0x80 == 0).then_some((obu, rest))
}

/// How many bytes of an element fit in `room` behind their length.
fn fits(room: usize) -> usize {
    let short = room.saturating_sub(1);
    if short < 0x80 {
        short
    } else {
        // An element of 127 bytes leaves one of 129 empty.
        room.saturating_sub(2).max(0x7f)
    }
}

fn leb128_len(value: usize) -> usize {
    if value < 0x80 { 1 } else { 2 }
}

/// No element is longer than two bytes can say.
fn put_leb128(value: usize, into: &mut BytesMut) {
    if value < 0x80 {
        into.put_u8(value as u8);
    } else {
        into.put_u8((value & 0x7f) as u8 | 0x80);
        into.put_u8((value >> 7) as u8);
    }
}

/// A number of the AV1 specification's section 4.10.5, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (i, byte) in bytes.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((usize::try_from(value).ok()?, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: u8 = 6;

    /// An OBU with its length.
    fn obu(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind << 3 | HAS_SIZE];
        let mut size = body.len();
        while size >= 0x80 {
            bytes.push(size as u8 | 0x80);
            size >>= 7;
        }
        bytes.push(size as u8);
        bytes.extend(body);
        bytes
    }

    /// What a receiver makes of the payloads: OBUs without lengths. Fails where the flags do not fit.
    fn depacketise(payloads: &[Bytes]) -> Vec<Vec<u8>> {
        let mut obus: Vec<Vec<u8>> = Vec::new();
        let mut open = false;
        for payload in payloads {
            assert_eq!(payload[0] & 0x30, 0, "every element has its length");
            assert_eq!(payload[0] & CONTINUES != 0, open);
            let mut rest = &payload[1..];
            assert!(!rest.is_empty());
            while !rest.is_empty() {
                let (size, after) = leb128(rest).unwrap();
                let (element, after) = after.split_at(size);
                assert!(!element.is_empty());
                if std::mem::take(&mut open) {
                    obus.last_mut().unwrap().extend_from_slice(element);
                } else {
                    obus.push(element.to_vec());
                }
                rest = after;
            }
            open = payload[0] & CONTINUED != 0;
        }
        assert!(!open);
        obus
    }

    /// By hand after sections 4.4 and 5: the delimiter goes, lengths move in front.
    #[test]
    fn a_small_key_frame_is_one_packet() {
        let unit = [
            obu(TEMPORAL_DELIMITER, &[]),
            obu(SEQUENCE_HEADER, &[1, 2, 3]),
            obu(FRAME, &[4, 5]),
        ]
        .concat();
        let payloads = packetise(&unit.into(), 100);
        assert_eq!(payloads.len(), 1);
        assert_eq!(
            payloads[0][..],
            [NEW_SEQUENCE, 4, 0x08, 1, 2, 3, 3, 0x30, 4, 5]
        );
    }

    #[test]
    fn a_large_frame_goes_on_in_the_next_packets() {
        let body: Vec<u8> = (0..250).collect();
        let payloads = packetise(&obu(FRAME, &body).into(), 100);
        let heads: Vec<_> = payloads.iter().map(|payload| payload[0]).collect();
        assert_eq!(heads, [CONTINUED, CONTINUES | CONTINUED, CONTINUES]);
        let sizes: Vec<_> = payloads.iter().map(Bytes::len).collect();
        assert_eq!(sizes, [100 - FIRST_EXTRA, 100, 251 - 86 - 98 + 2]);
        assert_eq!(depacketise(&payloads), [[&[0x30], &body[..]].concat()]);
    }

    #[test]
    fn an_obu_keeps_its_extension() {
        let unit = vec![FRAME << 3 | HAS_EXTENSION | HAS_SIZE, 0x28, 2, 7, 8];
        let payloads = packetise(&unit.into(), 100);
        assert_eq!(
            payloads[0][..],
            [0, 4, FRAME << 3 | HAS_EXTENSION, 0x28, 7, 8]
        );
    }

    #[test]
    fn no_packet_but_the_first_begins_with_a_whole_obu() {
        for first in 1..300 {
            let unit = [obu(FRAME, &vec![1; first]), obu(FRAME, &[2; 150])].concat();
            let payloads = packetise(&unit.into(), 100);
            assert!(
                payloads[1..]
                    .iter()
                    .all(|payload| payload[0] & CONTINUES != 0),
                "{first}"
            );
            assert_eq!(depacketise(&payloads).len(), 2);
        }
    }

    proptest! {
        #[test]
        fn obus_come_out_as_they_went_in(
            obus in prop::collection::vec(
                (prop::sample::select(vec![1_u8, 3, 4, 5, 6, 7]), prop::collection::vec(any::<u8>(), 0..3000)), 1..6),
            max_payload in 50_usize..1300,
        ) {
            let unit: Vec<u8> = obus.iter().flat_map(|(kind, body)| obu(*kind, body)).collect();
            let payloads = packetise(&unit.into(), max_payload);
            prop_assert!(payloads.iter().all(|payload| payload.len() <= max_payload));
            let expected: Vec<Vec<u8>> =
                obus.iter().map(|(kind, body)| [vec![kind << 3], body.clone()].concat()).collect();
            prop_assert_eq!(depacketise(&payloads), expected);
        }

        #[test]
        fn any_bytes_are_packetised(unit: Vec<u8>, max_payload in 0_usize..100) {
            let _ = packetise(&unit.into(), max_payload);
        }
    }
}
