//! RTP under `AES128_CM_HMAC_SHA1_80` (RFC 3711 sections 4.1.1 and 4.2.1), in place, for viewers without GCM.

use std::fmt;

use aes::Aes128;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockEncrypt, KeyInit};
use ring::hmac;

use super::CM_TAG;
use super::key::{RTP_AUTHENTICATION, RTP_ENCRYPTION, RTP_SALT, derive};

/// Blocks of key stream made at a time: as many as the cipher works on in parallel.
const BLOCKS: usize = 8;

/// Encrypts RTP packets.
pub struct Sealer {
    cipher: Aes128,
    salt: [u8; 14],
    authentication: hmac::Key,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer(..)")
    }
}

impl Sealer {
    /// With a master key of 16 and a master salt of 14 bytes.
    pub fn new(master: &[u8], salt: &[u8]) -> Option<Self> {
        let key: [u8; 16] = derive(master, salt, RTP_ENCRYPTION)?;
        let authentication: [u8; 20] = derive(master, salt, RTP_AUTHENTICATION)?;
        Some(Self {
            cipher: Aes128::new(&key.into()),
            salt: derive(master, salt, RTP_SALT)?,
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &authentication),
        })
    }

    /// Encrypts the packet from `start` to the end of `buffer`, whose payload begins at `header`, and appends the tag.
    ///
    /// A key stream must never come twice: `index` may not repeat for an SSRC, which is the caller's to see to.
    pub fn seal(&self, buffer: &mut Vec<u8>, start: usize, header: usize, index: u64) -> bool {
        let Some(ssrc) = buffer
            .get(start + 8..start + 12)
            .and_then(<[u8]>::first_chunk)
        else {
            return false;
        };
        let ssrc = *ssrc;
        let Some(payload) = buffer.get_mut(header..) else {
            return false;
        };
        self.apply(&ssrc, index, payload);
        let mut context = hmac::Context::with_key(&self.authentication);
        context.update(&buffer[start..]);
        // The roll-over counter is authenticated though not sent.
        context.update(&index.to_be_bytes()[2..6]);
        buffer.extend_from_slice(&context.sign().as_ref()[..CM_TAG]);
        true
    }

    /// Adds the key stream of a packet.
    fn apply(&self, ssrc: &[u8; 4], index: u64, payload: &mut [u8]) {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        let mix = |bytes: &mut [u8], with: &[u8]| {
            for (byte, with) in bytes.iter_mut().zip(with) {
                *byte ^= with;
            }
        };
        mix(&mut iv[4..8], ssrc);
        mix(&mut iv[8..14], &index.to_be_bytes()[2..]);
        let mut counter = 0_u16;
        for chunk in payload.chunks_mut(16 * BLOCKS) {
            let mut blocks = [GenericArray::from(iv); BLOCKS];
            for block in &mut blocks {
                block[14..].copy_from_slice(&counter.to_be_bytes());
                // A packet has far fewer than 65,536 blocks.
                counter = counter.wrapping_add(1);
            }
            self.cipher.encrypt_blocks(&mut blocks);
            for (chunk, block) in chunk.chunks_mut(16).zip(&blocks) {
                mix(chunk, block);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3711 appendix B.2.
    #[test]
    fn the_key_stream_of_rfc_3711_holds() {
        let key = [
            0x2b, 0x7e, 0x15, 0x16, 0x28, 0xae, 0xd2, 0xa6, 0xab, 0xf7, 0x15, 0x88, 0x09, 0xcf,
            0x4f, 0x3c,
        ];
        let salt = [
            0xf0, 0xf1, 0xf2, 0xf3, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd,
        ];
        let sealer = Sealer {
            cipher: Aes128::new(&key.into()),
            salt,
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[0; 20]),
        };
        let mut stream = [0; 0xff02 * 16];
        sealer.apply(&[0; 4], 0, &mut stream);
        let expected = [
            0xe0, 0x3e, 0xad, 0x09, 0x35, 0xc9, 0x5e, 0x80, 0xe1, 0x66, 0xb1, 0x6d, 0xd9, 0x2b,
            0x4e, 0xb4, 0xd2, 0x35, 0x13, 0x16, 0x2b, 0x02, 0xd0, 0xf7, 0x2a, 0x43, 0xa2, 0xfe,
            0x4a, 0x5f, 0x97, 0xab, 0x41, 0xe9, 0x5b, 0x3b, 0xb0, 0xa2, 0xe8, 0xdd, 0x47, 0x79,
            0x01, 0xe4, 0xfc, 0xa8, 0x94, 0xc0,
        ];
        assert_eq!(stream[..48], expected);
        let last = [
            0x36, 0x2b, 0x7c, 0x3c, 0x67, 0x73, 0x51, 0x63, 0x18, 0xa0, 0x77, 0xd7, 0xfc, 0x50,
            0x73, 0xae,
        ];
        assert_eq!(stream[0xff00 * 16..0xff01 * 16], last);
    }
}
