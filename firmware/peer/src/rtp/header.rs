//! RTP headers and their extensions, written straight into a buffer (RFC 3550 section 5.1, RFC 8285 section 4.2).

use std::ops::Range;

use crate::packetise::FIRST_EXTRA;

/// Numbers of the header extensions that were negotiated for a section. Only one-byte ids, 1 to 14.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExtensionIds {
    /// `abs-capture-time`.
    pub capture_time: Option<u8>,
    /// `playout-delay`.
    pub playout_delay: Option<u8>,
    /// `transport-wide-cc`.
    pub transport_seq: Option<u8>,
    /// `sdes:mid`.
    pub mid: Option<u8>,
}

/// The fields of a header that differ from packet to packet.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    pub payload_type: u8,
    pub marker: bool,
    pub padding: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Transport-wide sequence number.
    pub transport_seq: Option<u16>,
    /// The media identification, while the viewer may not know the SSRC yet.
    pub mid: Option<&'a [u8]>,
    /// The capture instant as an NTP timestamp, on the first packet of a frame. `playout-delay` goes with it.
    pub captured: Option<u64>,
    /// More packets of the frame follow: the header is filled up to be longer than theirs by exactly what this payload
    /// is shorter, [`FIRST_EXTRA`], whatever extensions were negotiated.
    pub filled: bool,
}

impl Header<'_> {
    /// Where the transport-wide sequence number stands in a packet that has one: in the first extension.
    pub const TRANSPORT_SEQ: Range<usize> = 17..19;

    /// Appends the header. Extensions without a number are left out.
    pub fn write(&self, ids: &ExtensionIds, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        buffer.extend_from_slice(&[
            0x80 | (u8::from(self.padding) << 5),
            (u8::from(self.marker) << 7) | self.payload_type,
        ]);
        buffer.extend_from_slice(&self.sequence.to_be_bytes());
        buffer.extend_from_slice(&self.timestamp.to_be_bytes());
        buffer.extend_from_slice(&self.ssrc.to_be_bytes());

        let extensions = buffer.len();
        buffer.extend_from_slice(&[0xbe, 0xde, 0, 0]);
        if let (Some(id), Some(seq)) = (ids.transport_seq, self.transport_seq) {
            put(buffer, id, &seq.to_be_bytes());
        }
        if let (Some(id), Some(mid)) = (ids.mid, self.mid) {
            put(buffer, id, mid);
        }
        let later = match buffer.len() - extensions - 4 {
            0 => 0,
            size => 4 + size.next_multiple_of(4),
        };
        if let Some(captured) = self.captured {
            if let Some(id) = ids.capture_time {
                put(buffer, id, &captured.to_be_bytes());
            }
            if let Some(id) = ids.playout_delay {
                // Minimum and maximum delay of 0: show each frame as soon as it is decoded.
                put(buffer, id, &[0, 0, 0]);
            }
        }
        if self.filled {
            // Zeros between extensions are padding (RFC 8285 section 4.2).
            let filled = extensions + later + FIRST_EXTRA;
            buffer.resize(buffer.len().max(filled), 0);
        }
        let size = buffer.len() - extensions - 4;
        if size == 0 {
            buffer.truncate(extensions);
            return;
        }
        buffer.resize(extensions + 4 + size.next_multiple_of(4), 0);
        // At most four short elements: the length in words fits.
        buffer[extensions + 3] = size.div_ceil(4) as u8;
        buffer[start] |= 0x10;
    }
}

fn put(buffer: &mut Vec<u8>, id: u8, value: &[u8]) {
    if let 1..=16 = value.len() {
        buffer.push((id << 4) | (value.len() - 1) as u8);
        buffer.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Header<'_> = Header {
        payload_type: 96,
        marker: true,
        padding: false,
        sequence: 0x0102,
        timestamp: 0x0304_0506,
        ssrc: 0x0708_090a,
        transport_seq: None,
        mid: None,
        captured: None,
        filled: false,
    };

    fn written(header: &Header<'_>, ids: &ExtensionIds) -> Vec<u8> {
        let mut buffer = Vec::new();
        header.write(ids, &mut buffer);
        buffer
    }

    #[test]
    fn without_extensions_there_is_no_extension_header() {
        let bytes = written(&PLAIN, &ExtensionIds::default());
        assert_eq!(bytes, [0x80, 0xe0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn extensions_are_padded_to_words() {
        let ids = ExtensionIds {
            capture_time: Some(12),
            playout_delay: Some(5),
            transport_seq: Some(3),
            mid: Some(4),
        };
        let header = Header {
            transport_seq: Some(0xabcd),
            mid: Some(b"0"),
            captured: Some(1),
            ..PLAIN
        };
        let bytes = written(&header, &ids);
        assert_eq!(bytes[0], 0x90);
        assert_eq!(bytes[Header::TRANSPORT_SEQ], [0xab, 0xcd]);
        let expected = [
            0xbe, 0xde, 0, 5, 0x31, 0xab, 0xcd, 0x40, b'0', 0xc7, 0, 0, 0, 0, 0, 0, 0, 1, 0x52, 0,
            0, 0, 0, 0,
        ];
        assert_eq!(bytes[12..], expected);
    }

    #[test]
    fn the_first_packet_of_a_frame_has_exactly_the_extra_that_its_payload_leaves() {
        for (capture_time, playout_delay, transport_seq) in [
            (Some(12), Some(5), Some(3)),
            (None, Some(5), Some(3)),
            (None, None, Some(3)),
            (None, None, None),
        ] {
            let ids = ExtensionIds {
                capture_time,
                playout_delay,
                transport_seq,
                mid: Some(4),
            };
            for mid in [None, Some(&b"0"[..])] {
                let later = Header {
                    transport_seq: Some(1),
                    mid,
                    ..PLAIN
                };
                let first = Header {
                    captured: Some(1),
                    filled: true,
                    ..later
                };
                let extra = written(&first, &ids).len() - written(&later, &ids).len();
                assert_eq!(extra, FIRST_EXTRA);
            }
        }
    }
}
