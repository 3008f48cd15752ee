//! RTP under `AEAD_AES_128_GCM` (RFC 7714 section 8), in place.

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::key::{RTP_ENCRYPTION, RTP_SALT, derive};

/// Encrypts RTP packets.
#[derive(Debug)]
pub struct Sealer {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl Sealer {
    /// With a master key of 16 and a master salt of 12 bytes.
    pub fn new(master: &[u8], salt: &[u8]) -> Option<Self> {
        let key: [u8; 16] = derive(master, salt, RTP_ENCRYPTION)?;
        Self::with_session_key(&key, derive(master, salt, RTP_SALT)?)
    }

    fn with_session_key(key: &[u8], salt: [u8; 12]) -> Option<Self> {
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key).ok()?);
        Some(Self { key, salt })
    }

    /// Encrypts the packet from `start` to the end of `buffer`, whose payload begins at `header`, and appends the tag.
    ///
    /// A nonce must never come twice: `index` may not repeat for an SSRC, which is the caller's to see to.
    pub fn seal(&self, buffer: &mut Vec<u8>, start: usize, header: usize, index: u64) -> bool {
        // 00 00, SSRC, ROC, SEQ (section 8.1).
        let mut nonce = [0; 12];
        let Some(ssrc) = buffer.get(start + 8..start + 12) else {
            return false;
        };
        nonce[2..6].copy_from_slice(ssrc);
        nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in nonce.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        let Some((head, payload)) = buffer
            .get_mut(start..)
            .and_then(|packet| packet.split_at_mut_checked(header - start))
        else {
            return false;
        };
        let tag = self.key.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(&*head),
            payload,
        );
        match tag {
            Ok(tag) => {
                buffer.extend_from_slice(tag.as_ref());
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7714 section 16.1.1.
    #[test]
    fn the_test_vector_of_rfc_7714_holds() {
        let key: Vec<u8> = (0..16).collect();
        let salt = *b"\x51\x75\x69\x64\x20\x70\x72\x6f\x20\x71\x75\x6f";
        let header = [
            0x80, 0x40, 0xf1, 0x7b, 0x80, 0x41, 0xf8, 0xd3, 0x55, 0x01, 0xa0, 0xb2,
        ];
        let expected = [
            0xf2, 0x4d, 0xe3, 0xa3, 0xfb, 0x34, 0xde, 0x6c, 0xac, 0xba, 0x86, 0x1c, 0x9d, 0x7e,
            0x4b, 0xca, 0xbe, 0x63, 0x3b, 0xd5, 0x0d, 0x29, 0x4e, 0x6f, 0x42, 0xa5, 0xf4, 0x7a,
            0x51, 0xc7, 0xd1, 0x9b, 0x36, 0xde, 0x3a, 0xdf, 0x88, 0x33, 0x89, 0x9d, 0x7f, 0x27,
            0xbe, 0xb1, 0x6a, 0x91, 0x52, 0xcf, 0x76, 0x5e, 0xe4, 0x39, 0x0c, 0xce,
        ];
        let mut packet = header.to_vec();
        packet.extend(b"Gallia est omnis divisa in partes tres");
        let sealer = Sealer::with_session_key(&key, salt).unwrap();
        assert!(sealer.seal(&mut packet, 0, 12, 0xf17b));
        assert_eq!(packet[..12], header);
        assert_eq!(packet[12..], expected);
    }

    #[test]
    fn a_packet_without_a_whole_header_is_refused() {
        let sealer = Sealer::new(&[1; 16], &[2; 12]).unwrap();
        assert!(!sealer.seal(&mut vec![0x80; 11], 0, 11, 0));
        assert!(!sealer.seal(&mut vec![0x80; 12], 0, 13, 0));
    }
}
