//! H.264 in RTP (RFC 6184): what a payload begins, and the payloads of an access unit.

/// The type of a slice of an IDR picture.
const IDR: u8 = 5;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// The largest payload sent: with all headers it stays below 1280 bytes.
pub const PAYLOAD: usize = 1200;

/// Whether an IDR slice begins in this payload.
#[must_use]
pub fn begins_idr(payload: &[u8]) -> bool {
    let Some((first, rest)) = payload.split_first() else {
        return false;
    };
    match first & 31 {
        IDR => true,
        FU_A => rest
            .first()
            .is_some_and(|header| header & 0x80 != 0 && header & 31 == IDR),
        STAP_A => aggregated(rest).any(|unit| unit.first().is_some_and(|first| first & 31 == IDR)),
        _ => false,
    }
}

/// The units of an aggregation packet, up to the first that is damaged.
fn aggregated(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        let unit = rest.get(2..2 + length)?;
        rest = &rest[2 + length..];
        Some(unit)
    })
}

/// Gives the payloads of one NAL unit: itself, or fragments (FU-A) where it is too large.
pub fn payloads(unit: &[u8], mut each: impl FnMut(&[u8])) {
    let Some((header, body)) = unit.split_first() else {
        return;
    };
    if unit.len() <= PAYLOAD {
        return each(unit);
    }
    // Of equal size: a tiny last packet costs as much as a full one.
    let count = body.len().div_ceil(PAYLOAD - 2);
    let size = body.len().div_ceil(count);
    let mut fragment = Vec::with_capacity(PAYLOAD);
    for (index, part) in body.chunks(size).enumerate() {
        let begin = if index == 0 { 0x80 } else { 0 };
        let end = if index + 1 == body.len().div_ceil(size) {
            0x40
        } else {
            0
        };
        fragment.clear();
        fragment.extend([header & 0xe0 | FU_A, begin | end | header & 31]);
        fragment.extend_from_slice(part);
        each(&fragment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idr_is_seen_alone_in_its_first_fragment_and_aggregated() {
        assert!(begins_idr(&[0x65, 1]));
        assert!(begins_idr(&[0x7c, 0x85]));
        assert!(!begins_idr(&[0x7c, 0x05]), "a later fragment");
        assert!(begins_idr(&[0x78, 0, 2, 0x67, 1, 0, 1, 0x65]));
        assert!(!begins_idr(&[0x61, 1]));
        assert!(!begins_idr(&[]));
    }

    #[test]
    fn fragments_carry_the_whole_unit_and_mark_its_ends() {
        let unit: Vec<u8> = std::iter::once(0x65)
            .chain((0..5000).map(|i| i as u8))
            .collect();
        let mut body = Vec::new();
        let mut marks = Vec::new();
        payloads(&unit, |payload| {
            assert!(payload.len() <= PAYLOAD);
            marks.push(payload[1] & 0xc0);
            body.extend_from_slice(&payload[2..]);
        });
        assert_eq!(body, unit[1..]);
        assert_eq!(marks, [0x80, 0, 0, 0, 0x40]);
    }

    proptest::proptest! {
        #[test]
        fn no_payload_breaks_the_reader(payload: Vec<u8>) {
            let _ = begins_idr(&payload);
        }
    }
}
