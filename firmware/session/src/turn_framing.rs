//! TURN messages on a stream (RFC 8656 sections 3.1 and 12.5): STUN by its own length, ChannelData by its own and
//! padded to four bytes. The first two bits tell which (RFC 8656 section 12).
//!
//! Anything else, and what is longer than a server can have reason to send, ends the connection.

use bytes::BytesMut;
use thiserror::Error;

/// The longest message that is taken, in bytes: what peers send fits into an Ethernet frame.
const MAX_MESSAGE: usize = 4096;

const STUN_HEADER: usize = 20;
const CHANNEL_HEADER: usize = 4;

/// The stream is not a TURN server's, or out of step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotTurn {
    /// Neither STUN nor ChannelData.
    #[error("a message begins with {0:#04x}")]
    Kind(u8),
    /// STUN messages are padded to four bytes.
    #[error("a STUN message of {0} bytes is announced")]
    Unpadded(usize),
    /// Longer than the longest that is taken.
    #[error("a message of {0} bytes is announced")]
    TooLong(usize),
}

/// Takes the next message off what was received; `None` when the rest of it has to come yet.
///
/// # Errors
///
/// [`NotTurn`], and the same again if asked again.
pub fn next(received: &mut BytesMut) -> Result<Option<BytesMut>, NotTurn> {
    let Some([first, _, l1, l2]) = received.first_chunk::<CHANNEL_HEADER>().copied() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([l1, l2]));
    let whole = match first >> 6 {
        0 if !length.is_multiple_of(4) => return Err(NotTurn::Unpadded(length)),
        0 => STUN_HEADER + length,
        1 => CHANNEL_HEADER + length,
        _ => return Err(NotTurn::Kind(first)),
    };
    if whole > MAX_MESSAGE {
        return Err(NotTurn::TooLong(whole));
    }
    let padded = whole.next_multiple_of(4);
    if received.len() < padded {
        return Ok(None);
    }
    let mut message = received.split_to(padded);
    message.truncate(whole);
    Ok(Some(message))
}

/// Appends a packet as ChannelData, with or without padding: datagrams need none (RFC 8656 section 12.5).
pub fn channel_data(channel: u16, packet: &[u8], padded: bool, out: &mut Vec<u8>) {
    let begin = out.len();
    out.extend(channel.to_be_bytes());
    // Packets of ours fit into an Ethernet frame.
    out.extend((packet.len() as u16).to_be_bytes());
    out.extend(packet);
    if padded {
        let length = (out.len() - begin).next_multiple_of(4);
        out.resize(begin + length, 0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stun(attributes: &[u8]) -> Vec<u8> {
        let mut message = vec![0; STUN_HEADER];
        message[1] = 1;
        message[2..4].copy_from_slice(&(attributes.len() as u16).to_be_bytes());
        message.extend(attributes);
        message
    }

    /// Everything that comes out when the stream arrives in these pieces.
    fn messages(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, NotTurn> {
        let (mut received, mut messages) = (BytesMut::new(), Vec::new());
        for piece in pieces {
            received.extend_from_slice(piece);
            while let Some(message) = next(&mut received)? {
                messages.push(message.to_vec());
            }
        }
        Ok(messages)
    }

    #[test]
    fn padding_is_for_the_stream_only() {
        let mut stream = Vec::new();
        channel_data(0x4001, b"media", true, &mut stream);
        assert_eq!(stream, b"\x40\x01\0\x05media\0\0\0");
        let request = stun(&[0; 8]);
        stream.extend(&request);
        let data = b"\x40\x01\0\x05media".to_vec();
        assert_eq!(messages(&[&stream]).unwrap(), [data, request]);
        let mut datagram = Vec::new();
        channel_data(0x4001, b"media", false, &mut datagram);
        assert_eq!(datagram, b"\x40\x01\0\x05media");
    }

    #[test]
    fn what_no_turn_server_sends_is_refused_by_its_head() {
        assert_eq!(messages(&[b"HTTP"]), Err(NotTurn::TooLong(21_588)));
        assert_eq!(messages(&[b"\x80\0\0\0"]), Err(NotTurn::Kind(0x80)));
        assert_eq!(messages(&[b"\0\x01\0\x05"]), Err(NotTurn::Unpadded(5)));
        assert_eq!(
            messages(&[b"\x40\0\xff\xff"]),
            Err(NotTurn::TooLong(65_539))
        );
        assert_eq!(messages(&[b"\x40\0\x0f\xfc"]), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn any_pieces_make_the_same_messages(
            sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..1500), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let (mut stream, mut expected) = (Vec::new(), Vec::new());
            for (number, packet) in sent.iter().enumerate() {
                if number % 2 == 0 {
                    channel_data(0x4000, packet, true, &mut stream);
                    let mut alone = Vec::new();
                    channel_data(0x4000, packet, false, &mut alone);
                    expected.push(alone);
                } else {
                    let message = stun(&packet[..packet.len() / 4 * 4]);
                    stream.extend(&message);
                    expected.push(message);
                }
            }
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(messages(&pieces), Ok(expected));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(pieces: Vec<Vec<u8>>) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let _ = messages(&pieces);
        }
    }
}
