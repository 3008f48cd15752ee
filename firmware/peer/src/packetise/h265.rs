//! H.265 into RTP payloads: RFC 7798, one stream, in decoding order (`sprop-max-don-diff` 0: no DONL fields).
//!
//! As with H.264, parameter sets and SEI at the front of an access unit travel in one aggregation packet
//! (section 4.4.2), a unit that fits is a payload by itself (section 4.4.1), and a larger one is cut into fragmentation
//! units (section 4.4.3) that share one buffer; the first is shorter by the extensions of a frame's first packet.

use bytes::Bytes;

use super::annex_b::nal_units;
use super::units;

const VPS: u8 = 32;
const PPS: u8 = 34;
const DELIMITER: u8 = 35;
const FILLER: u8 = 38;
const PREFIX_SEI: u8 = 39;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
/// Of the two bytes in front of every unit: type, layer and temporal id (section 1.1.4).
const TYPE: u16 = 0x7e00;
const LAYER: u16 = 0x01f8;
const TEMPORAL: u16 = 0x0007;
const FORBIDDEN: u16 = 0x8000;

fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |byte| (byte >> 1) & 0x3f)
}

/// The RTP payloads of one access unit in Annex-B form, in sending order; none is longer than `max_payload`.
///
/// Delimiters and filler are left out, and units without a whole header. Empty input, or one without start codes, gives
/// no payloads.
pub(crate) fn packetise(access_unit: &Bytes, max_payload: usize) -> Vec<Bytes> {
    let mut payloads = Vec::with_capacity(access_unit.len() / max_payload.max(1) + 2);
    let mut headers: Vec<Bytes> = Vec::new();
    for unit in nal_units(access_unit).filter(|unit| unit.len() > 2) {
        match kind(&unit) {
            DELIMITER | FILLER => {}
            VPS..=PPS | PREFIX_SEI => headers.push(unit),
            _ => {
                aggregate(&mut headers, max_payload, &mut payloads);
                single_or_fragments(&unit, max_payload, &mut payloads);
            }
        }
    }
    aggregate(&mut headers, max_payload, &mut payloads);
    payloads
}

fn header(unit: &[u8]) -> u16 {
    match unit {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    }
}

/// Moves `units` into one aggregation packet where they fit together, and into payloads of their own where not.
fn aggregate(units: &mut Vec<Bytes>, max_payload: usize, payloads: &mut Vec<Bytes>) {
    // The lowest layer and temporal id, and the forbidden bit of any.
    let least = |mask: u16| units.iter().map(|unit| header(unit) & mask).min();
    let any = units.iter().fold(0, |any, unit| any | header(unit)) & FORBIDDEN;
    let first = any
        | (u16::from(AGGREGATION) << 9)
        | least(LAYER).unwrap_or_default()
        | least(TEMPORAL).unwrap_or_default();
    if let Some(payload) = units::aggregation(units, &first.to_be_bytes(), max_payload) {
        units.clear();
        payloads.push(payload);
    }
    for unit in units.drain(..) {
        single_or_fragments(&unit, max_payload, payloads);
    }
}

fn single_or_fragments(unit: &Bytes, max_payload: usize, payloads: &mut Vec<Bytes>) {
    let prefix = (header(unit) & !TYPE) | (u16::from(FRAGMENTATION) << 9);
    let [high, low] = prefix.to_be_bytes();
    units::single_or_fragments(unit, [high, low, kind(unit)], max_payload, payloads);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::FIRST_EXTRA;
    use super::super::units::tests::{annex_b, disaggregate};
    use super::*;

    /// What a receiver makes of the payloads: the NAL units again.
    fn depacketise(payloads: &[Bytes]) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        for payload in payloads {
            match payload[0] >> 1 & 0x3f {
                48 => units.extend(disaggregate(&payload[2..])),
                49 => {
                    if payload[2] & 0x80 != 0 {
                        let first = payload[0] & 0x81 | (payload[2] & 0x3f) << 1;
                        units.push(vec![first, payload[1]]);
                    }
                    units.last_mut().unwrap().extend_from_slice(&payload[3..]);
                }
                _ => units.push(payload.to_vec()),
            }
        }
        units
    }

    /// RFC 7798 section 4.4.2, figure 4: a header of type 48, then sizes and units.
    #[test]
    fn parameter_sets_share_a_packet_and_pictures_share_memory() {
        let units = [
            vec![0x40, 0x01, 0x0c],
            vec![0x42, 0x01, 0x01, 0x02],
            vec![0x44, 0x01, 0xc1],
            vec![0x26, 0x01, 0xaf, 0x09],
        ];
        let stream = annex_b(&units);
        let payloads = packetise(&stream, 100);
        assert_eq!(payloads.len(), 2);
        assert_eq!(
            payloads[0][..],
            [
                0x60, 0x01, 0, 3, 0x40, 0x01, 0x0c, 0, 4, 0x42, 0x01, 0x01, 0x02, 0, 3, 0x44, 0x01,
                0xc1
            ]
        );
        assert!(stream.as_ptr_range().contains(&payloads[1].as_ptr()));
    }

    /// RFC 7798 section 4.4.3, figure 9: a header of type 49, then S, E and the unit's own type.
    #[test]
    fn a_large_unit_is_fragmented_with_start_and_end() {
        let unit: Vec<u8> = [0x02, 0x01]
            .into_iter()
            .chain((0..250).map(|i| i % 200 + 2))
            .collect();
        let payloads = packetise(&annex_b(std::slice::from_ref(&unit)), 100);
        let heads: Vec<_> = payloads.iter().map(|payload| &payload[..3]).collect();
        assert_eq!(
            heads,
            [[0x62, 0x01, 0x81], [0x62, 0x01, 0x01], [0x62, 0x01, 0x41]]
        );
        assert_eq!(
            payloads.iter().map(Bytes::len).collect::<Vec<_>>(),
            [100 - FIRST_EXTRA, 100, 250 + 9 - 200 + FIRST_EXTRA]
        );
        assert_eq!(depacketise(&payloads), [unit]);
    }

    #[test]
    fn delimiters_filler_and_stumps_are_not_sent() {
        let stream = annex_b(&[
            vec![0x46, 0x01, 0x10],
            vec![0x02, 0x01, 7],
            vec![0x4c, 0x01, 0xff],
            vec![0x02],
        ]);
        assert_eq!(depacketise(&packetise(&stream, 100)), [vec![0x02, 0x01, 7]]);
    }

    proptest! {
        #[test]
        fn units_come_out_as_they_went_in(
            units in prop::collection::vec(
                (prop::sample::select(vec![0x40_u8, 0x42, 0x44, 0x4e, 0x26, 0x2a, 0x02, 0x00]),
                 prop::sample::select(vec![1_u8, 2, 9]),
                 prop::collection::vec(2_u8.., 1..3000)), 1..6),
            max_payload in 50_usize..1300,
        ) {
            let units: Vec<Vec<u8>> = units
                .into_iter()
                .map(|(first, second, body)| [vec![first, second], body].concat())
                .collect();
            let payloads = packetise(&annex_b(&units), max_payload);
            prop_assert!(payloads.iter().all(|payload| payload.len() <= max_payload));
            prop_assert_eq!(depacketise(&payloads), units);
        }

        #[test]
        fn any_bytes_are_packetised(stream: Vec<u8>, max_payload in 0_usize..100) {
            let _ = packetise(&stream.into(), max_payload);
        }
    }
}
