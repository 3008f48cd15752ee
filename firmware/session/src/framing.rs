//! Datagrams on a stream (RFC 4571 section 2): each behind its length, as ICE over TCP carries them (RFC 6544
//! section 3).
//!
//! What is longer than a viewer can have reason to send ends the connection, before anything is kept for it.

use thiserror::Error;

/// The longest datagram that is taken, in bytes: viewers send what fits into an Ethernet frame.
pub const MAX_FRAME: usize = 2048;

const LENGTH: usize = 2;

/// A datagram is announced that is longer than [`MAX_FRAME`]; the stream is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a frame of {0} bytes is announced")]
pub struct TooLong(pub usize);

/// Takes datagrams out of a stream's bytes, as they come. Keeps at most one that has begun.
#[derive(Debug, Default)]
pub struct Deframer {
    begun: Vec<u8>,
    /// What has begun was given out.
    given: bool,
}

impl Deframer {
    /// The next datagram: of what had begun before and of `bytes`, from which it is taken. `None` when the rest has
    /// to come yet; then `bytes` is empty. Empty datagrams are skipped.
    ///
    /// # Errors
    ///
    /// [`TooLong`], and the same again if asked again.
    pub fn next<'a, 'b: 'a>(
        &'a mut self,
        bytes: &mut &'b [u8],
    ) -> Result<Option<&'a [u8]>, TooLong> {
        if std::mem::take(&mut self.given) {
            self.begun.clear();
        }
        loop {
            if self.begun.is_empty()
                && let Some((length, rest)) = bytes.split_first_chunk()
                && let Some((datagram, after)) = rest.split_at_checked(allowed(*length)?)
            {
                // Whole as it came: nothing is copied.
                *bytes = after;
                if datagram.is_empty() {
                    continue;
                }
                return Ok(Some(datagram));
            }
            self.fill(bytes, LENGTH);
            let Some(length) = self.begun.first_chunk() else {
                return Ok(None);
            };
            let whole = LENGTH + allowed(*length)?;
            self.fill(bytes, whole);
            if self.begun.len() < whole {
                return Ok(None);
            }
            if whole == LENGTH {
                self.begun.clear();
                continue;
            }
            self.given = true;
            return Ok(self.begun.get(LENGTH..));
        }
    }

    fn fill(&mut self, bytes: &mut &[u8], length: usize) {
        let missing = length.saturating_sub(self.begun.len()).min(bytes.len());
        let (taken, rest) = bytes.split_at(missing);
        self.begun.extend_from_slice(taken);
        *bytes = rest;
    }
}

fn allowed(length: [u8; LENGTH]) -> Result<usize, TooLong> {
    let length = usize::from(u16::from_be_bytes(length));
    if length > MAX_FRAME {
        return Err(TooLong(length));
    }
    Ok(length)
}

/// How many bytes a datagram takes on the stream.
pub const fn framed_len(datagram: &[u8]) -> usize {
    LENGTH + datagram.len()
}

/// Appends a datagram to what goes onto a stream. One that no length can tell is left out: none of ours is.
pub fn frame(datagram: &[u8], stream: &mut Vec<u8>) {
    if let Ok(length) = u16::try_from(datagram.len()) {
        stream.extend_from_slice(&length.to_be_bytes());
        stream.extend_from_slice(datagram);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything that comes out when the stream arrives in these pieces.
    fn datagrams(pieces: &[&[u8]]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut deframer = Deframer::default();
        let mut datagrams = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while let Some(datagram) = deframer.next(&mut rest)? {
                datagrams.push(datagram.to_vec());
            }
            assert!(rest.is_empty() && deframer.begun.capacity() <= 2 * (MAX_FRAME + LENGTH));
        }
        Ok(datagrams)
    }

    #[test]
    fn a_datagram_stands_behind_its_length_in_network_order() {
        // RFC 4571 section 2, figure 1.
        let mut stream = Vec::new();
        frame(b"RTP or RTCP", &mut stream);
        assert_eq!(stream, b"\0\x0bRTP or RTCP");
        frame(&[7; 300], &mut stream);
        assert_eq!(stream[13..16], [1, 44, 7]);
        assert_eq!(
            datagrams(&[&stream]).unwrap(),
            [b"RTP or RTCP".to_vec(), vec![7; 300]]
        );
        assert_eq!(datagrams(&[&[0, 0, 0, 0, 0, 1, 9, 0]]).unwrap(), [[9]]);
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_length_alone() {
        let longest = (MAX_FRAME as u16).to_be_bytes();
        assert_eq!(datagrams(&[&longest]), Ok(vec![]));
        let longer = (MAX_FRAME as u16 + 1).to_be_bytes();
        assert_eq!(datagrams(&[&longer]), Err(TooLong(MAX_FRAME + 1)));
        // An HTTP request is no stream of ours.
        assert_eq!(datagrams(&[b"G", b"ET / HT"]), Err(TooLong(0x4745)));
    }

    proptest! {
        #[test]
        fn any_pieces_make_the_same_datagrams(
            sent in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..MAX_FRAME), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut stream = Vec::new();
            sent.iter().for_each(|datagram| frame(datagram, &mut stream));
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            let expected: Vec<_> = sent.into_iter().filter(|datagram| !datagram.is_empty()).collect();
            prop_assert_eq!(datagrams(&pieces), Ok(expected));
        }

        #[test]
        fn any_bytes_are_taken_or_refused(pieces: Vec<Vec<u8>>) {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let _ = datagrams(&pieces);
        }
    }
}
