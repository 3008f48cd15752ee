//! A packet that came in (RFC 3550 section 5.1).

/// What of it is of use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    pub payload: &'a [u8],
}

impl<'a> Received<'a> {
    /// Reads a packet; `None` when it is malformed. Of an encrypted one only the header means anything.
    pub fn read(packet: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = packet.split_first_chunk::<12>()?;
        if head[0] >> 6 != 2 {
            return None;
        }
        rest = rest.get(4 * usize::from(head[0] & 0x0f)..)?;
        if head[0] & 0x10 != 0 {
            let (extension, after) = rest.split_first_chunk::<4>()?;
            let words = usize::from(u16::from_be_bytes([extension[2], extension[3]]));
            rest = after.get(4 * words..)?;
        }
        if head[0] & 0x20 != 0 {
            let padding = usize::from(*rest.last()?);
            rest = rest.get(..rest.len().checked_sub(padding)?)?;
        }
        Some(Self {
            payload_type: head[1] & 0x7f,
            sequence: u16::from_be_bytes([head[2], head[3]]),
            timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
            payload: rest,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn contributors_extensions_and_padding_are_taken_off() {
        let packet = [
            &[0xb1, 0xef, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5][..],
            &[1, 1, 1, 1],
            &[0xbe, 0xde, 0, 1, 0x10, 0, 0, 0],
            &[42, 43, 0, 2],
        ]
        .concat();
        let received = Received::read(&packet).unwrap();
        assert_eq!(received.payload, [42, 43]);
        assert_eq!((received.payload_type, received.sequence), (111, 7));
        assert_eq!((received.timestamp, received.ssrc), (9, 5));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(first: u8, tail: Vec<u8>) {
            let _ = Received::read(&[&[first], &tail[..]].concat());
            let _ = Received::read(&tail);
        }
    }
}
