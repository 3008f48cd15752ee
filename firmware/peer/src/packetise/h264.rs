//! H.264 into RTP payloads: RFC 6184 in packetisation mode 1 (section 6.3, non-interleaved).
//!
//! - Parameter sets and SEI at the front of an access unit travel together in one STAP-A (section 5.7.1), so that
//!   one packet makes a decoder ready.
//! - A unit that fits is a payload by itself (section 5.6) and shares the encoder's memory.
//! - A larger one is cut into FU-A fragments (section 5.8) that share one buffer made for the access unit; the first
//!   leaves room for the extensions of a frame's first packet, so that the packets are of one size.

use bytes::Bytes;

use super::annex_b::nal_units;
use super::units;

const TYPE: u8 = 0x1f;
const REFERENCE: u8 = 0x60;
const SEI: u8 = 6;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// The RTP payloads of one access unit in Annex-B form, in sending order; none is longer than `max_payload`.
///
/// Delimiters and filler are left out: RTP marks the end of an access unit with the marker bit. Empty input, or
/// one without start codes, gives no payloads.
pub(crate) fn packetise(access_unit: &Bytes, max_payload: usize) -> Vec<Bytes> {
    let mut payloads = Vec::with_capacity(access_unit.len() / max_payload.max(1) + 2);
    let mut headers: Vec<Bytes> = Vec::new();
    for unit in nal_units(access_unit) {
        match unit[0] & TYPE {
            DELIMITER | FILLER => {}
            SPS | PPS | SEI => headers.push(unit),
            _ => {
                aggregate(&mut headers, max_payload, &mut payloads);
                single_or_fragments(&unit, max_payload, &mut payloads);
            }
        }
    }
    aggregate(&mut headers, max_payload, &mut payloads);
    payloads
}

/// Moves `units` into one STAP-A where they fit together, and into payloads of their own where they do not.
fn aggregate(units: &mut Vec<Bytes>, max_payload: usize, payloads: &mut Vec<Bytes>) {
    // The F bit and NRI are the highest of the aggregated units (section 5.7).
    let nri = units.iter().map(|unit| unit[0] & REFERENCE).max();
    let header = [nri.unwrap_or_default() | STAP_A];
    if let Some(payload) = units::aggregation(units, &header, max_payload) {
        units.clear();
        payloads.push(payload);
    }
    for unit in units.drain(..) {
        single_or_fragments(&unit, max_payload, payloads);
    }
}

fn single_or_fragments(unit: &Bytes, max_payload: usize, payloads: &mut Vec<Bytes>) {
    let header = [(unit[0] & !TYPE) | FU_A, unit[0] & TYPE];
    units::single_or_fragments(unit, header, max_payload, payloads);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::FIRST_EXTRA;
    use super::super::units::tests::{annex_b, disaggregate};
    use super::super::units::{FU_END, FU_START};
    use super::*;

    /// What a receiver makes of the payloads: the NAL units again.
    fn depacketise(payloads: &[Bytes]) -> Vec<Vec<u8>> {
        let mut units: Vec<Vec<u8>> = Vec::new();
        for payload in payloads {
            match payload[0] & TYPE {
                STAP_A => units.extend(disaggregate(&payload[1..])),
                FU_A => {
                    if payload[1] & FU_START != 0 {
                        units.push(vec![(payload[0] & !TYPE) | (payload[1] & TYPE)]);
                    }
                    units.last_mut().unwrap().extend_from_slice(&payload[2..]);
                }
                _ => units.push(payload.to_vec()),
            }
        }
        units
    }

    #[test]
    fn parameter_sets_share_a_packet_and_pictures_share_memory() {
        let units = [vec![0x67, 2, 3], vec![0x68, 4], vec![0x65, 5, 6]];
        let stream = annex_b(&units);
        let payloads = packetise(&stream, 100);
        assert_eq!(payloads.len(), 2);
        assert_eq!(
            payloads[0][..],
            [0x60 | STAP_A, 0, 3, 0x67, 2, 3, 0, 2, 0x68, 4]
        );
        assert!(stream.as_ptr_range().contains(&payloads[1].as_ptr()));
    }

    #[test]
    fn a_large_unit_is_fragmented_with_start_and_end() {
        let unit: Vec<u8> = std::iter::once(0x41)
            .chain((0..250).map(|i| i % 200 + 2))
            .collect();
        let payloads = packetise(&annex_b(std::slice::from_ref(&unit)), 100);
        assert_eq!(
            payloads.iter().map(|p| p[1] & 0xc0).collect::<Vec<_>>(),
            [FU_START, 0, FU_END]
        );
        assert_eq!(
            payloads.iter().map(Bytes::len).collect::<Vec<_>>(),
            [100 - FIRST_EXTRA, 100, 250 + 6 - 200 + FIRST_EXTRA]
        );
        assert_eq!(depacketise(&payloads), [unit]);
    }

    #[test]
    fn delimiters_and_filler_are_not_sent() {
        let stream = annex_b(&[vec![0x09, 0x10], vec![0x41, 7], vec![0x0c, 0xff]]);
        assert_eq!(depacketise(&packetise(&stream, 100)), [vec![0x41, 7]]);
    }

    proptest! {
        #[test]
        fn units_come_out_as_they_went_in(
            units in prop::collection::vec(
                (prop::sample::select(vec![0x67_u8, 0x68, 0x06, 0x65, 0x41, 0x01]),
                 prop::collection::vec(2_u8.., 1..3000)), 1..6),
            max_payload in 50_usize..1300,
        ) {
            let units: Vec<Vec<u8>> =
                units.into_iter().map(|(header, body)| [vec![header], body].concat()).collect();
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
