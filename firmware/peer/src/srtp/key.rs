//! Session keys from a master key (RFC 3711 section 4.3, RFC 7714 section 11).

use aes::Aes128;
use aes::cipher::{BlockEncrypt, KeyInit};

/// What a key is for (RFC 3711 section 4.3.2).
pub const RTP_ENCRYPTION: u8 = 0;
/// See [`RTP_ENCRYPTION`].
pub const RTP_AUTHENTICATION: u8 = 1;
/// See [`RTP_ENCRYPTION`].
pub const RTP_SALT: u8 = 2;

/// Derives `N` bytes, 32 at most. Shorter salts are filled with zeros at the end (RFC 7714 section 11). `None` for a
/// master key or salt of a wrong length.
pub fn derive<const N: usize>(master: &[u8], salt: &[u8], label: u8) -> Option<[u8; N]> {
    let cipher = Aes128::new_from_slice(master).ok()?;
    let mut start = [0; 16];
    start
        .get_mut(..14)?
        .get_mut(..salt.len())?
        .copy_from_slice(salt);
    // The label stands left of a 48-bit index, which is zero: keys are never renewed.
    start[7] ^= label;
    let mut stream = [0; 32];
    for (counter, chunk) in stream.chunks_exact_mut(16).enumerate() {
        let mut block = start;
        block[15] = counter as u8;
        let mut block = block.into();
        cipher.encrypt_block(&mut block);
        chunk.copy_from_slice(&block);
    }
    stream.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3711 appendix B.3.
    #[test]
    fn the_test_vectors_of_rfc_3711_hold() {
        let master = [
            0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0, 0xd6, 0x4f, 0xa3, 0x2c, 0x06, 0xde,
            0x41, 0x39,
        ];
        let salt = [
            0x0e, 0xc6, 0x75, 0xad, 0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6,
        ];
        assert_eq!(
            derive(&master, &salt, RTP_ENCRYPTION).unwrap(),
            [
                0xc6, 0x1e, 0x7a, 0x93, 0x74, 0x4f, 0x39, 0xee, 0x10, 0x73, 0x4a, 0xfe, 0x3f, 0xf7,
                0xa0, 0x87
            ]
        );
        assert_eq!(
            derive(&master, &salt, RTP_SALT).unwrap(),
            [
                0x30, 0xcb, 0xbc, 0x08, 0x86, 0x3d, 0x8c, 0x85, 0xd4, 0x9d, 0xb3, 0x4a, 0x9a, 0xe1
            ]
        );
        assert_eq!(
            derive(&master, &salt, RTP_AUTHENTICATION).unwrap(),
            [
                0xce, 0xbe, 0x32, 0x1f, 0x6f, 0xf7, 0x71, 0x6b, 0x6f, 0xd4, 0xab, 0x49, 0xaf, 0x25,
                0x6a, 0x15, 0x6d, 0x38, 0xba, 0xa4
            ]
        );
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        assert_eq!(derive::<16>(&[0; 15], &[0; 14], 0), None);
        assert_eq!(derive::<16>(&[0; 16], &[0; 15], 0), None);
    }
}
