//! NAL units into payloads: what RFC 6184 (H.264) and RFC 7798 (H.265) have in common, which is all but the header bytes.

use bytes::{BufMut, Bytes, BytesMut};

use super::FIRST_EXTRA;

/// In the last byte in front of a fragment: it is the first, or the last, of its unit.
pub(super) const FU_START: u8 = 0x80;
pub(super) const FU_END: u8 = 0x40;

/// One aggregation packet of `units` behind its `header`, where there are several and they fit.
pub(super) fn aggregation(units: &[Bytes], header: &[u8], max_payload: usize) -> Option<Bytes> {
    let together = header.len() + units.iter().map(|unit| 2 + unit.len()).sum::<usize>();
    if units.len() < 2 || together > max_payload {
        return None;
    }
    let mut payload = BytesMut::with_capacity(together);
    payload.put_slice(header);
    for unit in units {
        payload.put_u16(unit.len() as u16);
        payload.put_slice(unit);
    }
    Some(payload.freeze())
}

/// A unit that fits as it is, sharing its memory; a larger one as fragments behind `header`, which stands for the
/// unit's own header and one byte more, the place of [`FU_START`] and [`FU_END`]. The fragments share one buffer,
/// and the first of an access unit leaves room for the extensions of a frame's first packet, so that the packets are of one
/// size.
pub(super) fn single_or_fragments<const HEADER: usize>(
    unit: &Bytes,
    header: [u8; HEADER],
    max_payload: usize,
    payloads: &mut Vec<Bytes>,
) {
    if unit.len() <= max_payload {
        payloads.push(unit.clone());
        return;
    }
    let body = &unit[HEADER - 1..];
    // A max_payload that the header fills could carry nothing.
    let room = max_payload.saturating_sub(HEADER).max(1);
    let first = if payloads.is_empty() {
        room.saturating_sub(FIRST_EXTRA).max(1)
    } else {
        room
    };
    let (head, tail) = body.split_at(first.min(body.len()));
    let count = 1 + tail.len().div_ceil(room);
    let mut buffer = BytesMut::with_capacity(body.len() + HEADER * count);
    for (i, chunk) in std::iter::once(head).chain(tail.chunks(room)).enumerate() {
        let mut header = header;
        header[HEADER - 1] |= if i == 0 { FU_START } else { 0 };
        header[HEADER - 1] |= if i + 1 == count { FU_END } else { 0 };
        buffer.put_slice(&header);
        buffer.put_slice(chunk);
    }
    let mut buffer = buffer.freeze();
    payloads.push(buffer.split_to(head.len() + HEADER));
    while !buffer.is_empty() {
        payloads.push(buffer.split_to(buffer.len().min(room + HEADER)));
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;

    /// A stream of these units.
    pub(in super::super) fn annex_b(units: &[Vec<u8>]) -> Bytes {
        units
            .iter()
            .flat_map(|unit| [&[0, 0, 0, 1], unit.as_slice()].concat())
            .collect::<Vec<u8>>()
            .into()
    }

    /// The units behind the header of an aggregation packet.
    pub(in super::super) fn disaggregate(mut rest: &[u8]) -> Vec<Vec<u8>> {
        let mut units = Vec::new();
        while let [high, low, tail @ ..] = rest {
            let size = usize::from(u16::from_be_bytes([*high, *low]));
            units.push(tail[..size].to_vec());
            rest = &tail[size..];
        }
        units
    }
}
