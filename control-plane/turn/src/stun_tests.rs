//! The codec against the vectors of RFC 5769 and against any bytes at all.

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// RFC 5769, section 2.4: a request with the long-term credential mechanism.
fn long_term_request() -> Vec<u8> {
    hex("00 01 00 60 21 12 a4 42 78 ad 34 33 c6 ad 72 c0 29 da 41 2e
         00 06 00 12 e3 83 9e e3 83 88 e3 83 aa e3 83 83 e3 82 af e3 82 b9 00 00
         00 15 00 1c 66 2f 2f 34 39 39 6b 39 35 34 64 36 4f 4c 33 34 6f 4c 39 46 53 54 76 79 36 34 73 41
         00 14 00 0b 65 78 61 6d 70 6c 65 2e 6f 72 67 00
         00 08 00 14 f6 70 24 65 6d d6 4a 3e 02 b8 e0 71 2e 85 c9 a2 8c a8 96 66")
}

/// RFC 5769, section 2.2: a response that maps 192.0.2.1:32853; section 2.3: the same in IPv6.
const RESPONSE_V4: &str = "01 01 00 3c 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
     80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20 00 20 00 08 00 01 a1 47 e1 12 a6 43
     00 08 00 14 2b 91 f5 99 fd 9e 90 c3 8c 74 89 f9 2a f9 ba 53 f0 6b e7 d7 80 28 00 04 c0 7d 4c 96";
const RESPONSE_V6: &str = "01 01 00 48 21 12 a4 42 b7 e7 a7 01 bc 34 d6 86 fa 87 df ae
     80 22 00 0b 74 65 73 74 20 76 65 63 74 6f 72 20
     00 20 00 14 00 02 a1 47 01 13 a9 fa a5 d3 f1 79 bc 25 f4 b5 be d2 b9 d9
     00 08 00 14 a3 82 95 4e 4b e6 7b f1 17 84 c9 7c 82 92 c2 75 bf e3 ed 41 80 28 00 04 c8 fb 0b 4c";

#[test]
fn the_long_term_vector_of_rfc_5769_verifies() {
    let bytes = long_term_request();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        (message.class, message.method),
        (Class::Request, method::BINDING)
    );
    let username = message.text(attribute::USERNAME).unwrap();
    let realm = message.text(attribute::REALM).unwrap();
    assert_eq!((username, realm), ("マトリックス", "example.org"));
    let key = crate::auth::long_term_key(username, realm, "TheMatrIX");
    assert!(message.is_signed_with(&key));
    assert!(!message.is_signed_with(&crate::auth::long_term_key(username, realm, "TheMatrix")));
}

#[test]
fn one_changed_bit_breaks_the_signature() {
    let mut bytes = long_term_request();
    bytes[30] ^= 1;
    let message = Message::parse(&bytes).unwrap();
    assert!(!message.is_signed_with(&crate::auth::long_term_key(
        "マトリックス",
        "example.org",
        "TheMatrIX"
    )));
}

#[test]
fn the_address_vectors_of_rfc_5769_are_read_and_written() {
    for (vector, expected) in [
        (RESPONSE_V4, "192.0.2.1:32853"),
        (RESPONSE_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853"),
    ] {
        let bytes = hex(vector);
        let message = Message::parse(&bytes).unwrap();
        let address = message
            .addresses(attribute::XOR_MAPPED_ADDRESS)
            .next()
            .unwrap()
            .unwrap();
        assert_eq!(address, expected.parse().unwrap());
        let written = Writer::new(Class::Success, method::BINDING, &message.transaction)
            .add_address(attribute::XOR_MAPPED_ADDRESS, address)
            .unsigned();
        let value = Message::parse(&written)
            .unwrap()
            .get(attribute::XOR_MAPPED_ADDRESS)
            .unwrap();
        assert_eq!(value, message.get(attribute::XOR_MAPPED_ADDRESS).unwrap());
    }
}

#[test]
fn the_fingerprint_is_that_of_rfc_5769() {
    // The vector's own attributes, written again; it pads with spaces where this writer pads with zeroes.
    let bytes = hex(RESPONSE_V4);
    let header = header_with_length(&bytes, bytes.len());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&header);
    crc.update(&bytes[HEADER..bytes.len() - 8]);
    assert_eq!(
        (crc.finalize() ^ FINGERPRINT_XOR).to_be_bytes(),
        [0xc0, 0x7d, 0x4c, 0x96]
    );
}

#[test]
fn a_data_indication_is_read_back_as_it_was_meant() {
    for (peer, data) in [("192.0.2.1:32853", &b"world"[..]), ("[2001:db8::1]:9", b"")] {
        let peer: SocketAddr = peer.parse().unwrap();
        let mut bytes = b"before".to_vec();
        append_data_indication(&mut bytes, &[4; 12], peer, data);
        let message = Message::parse(&bytes[6..]).unwrap();
        assert_eq!(
            (message.class, message.method),
            (Class::Indication, method::DATA)
        );
        let read = message.addresses(attribute::XOR_PEER_ADDRESS).next();
        assert_eq!(read, Some(Some(peer)));
        assert_eq!(message.get(attribute::DATA), Some(data));
    }
}

#[test]
fn attributes_behind_the_signature_do_not_count() {
    let key = [7; 16];
    let mut bytes = Writer::new(Class::Request, method::REFRESH, &[1; 12]).finish(Some(&key));
    bytes.extend([0x00, 0x0d, 0, 4, 0, 0, 0, 0]);
    let length = ((bytes.len() - HEADER) as u16).to_be_bytes();
    bytes[2..4].copy_from_slice(&length);
    let message = Message::parse(&bytes).unwrap();
    assert!(message.is_signed_with(&key));
    assert_eq!(message.get(attribute::LIFETIME), None);
}

#[test]
fn what_is_not_one_whole_message_is_refused() {
    let good = long_term_request();
    for cut in 0..good.len() {
        assert!(Message::parse(&good[..cut]).is_none(), "cut at {cut}");
    }
    let mut cookie = good.clone();
    cookie[4] ^= 1;
    assert!(Message::parse(&cookie).is_none());
    let mut overrun = good.clone();
    overrun[23] = 0xff;
    assert!(Message::parse(&overrun).is_none());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(tail: Vec<u8>) {
        let mut bytes = long_term_request()[..HEADER].to_vec();
        bytes.extend(&tail);
        bytes[2..4].copy_from_slice(&(tail.len() as u16).to_be_bytes());
        if let Some(message) = Message::parse(&bytes) {
            let _ = message.attributes().count();
            let _ = message.unknown(&[]);
            let _ = message.addresses(attribute::XOR_PEER_ADDRESS).count();
            let _ = message.is_signed_with(&[0; 16]);
        }
        let _ = Message::parse(&tail);
    }

    #[test]
    fn what_is_written_is_read_back(method in 0u16..0x1000, transaction: [u8; 12], value: Vec<u8>, key: [u8; 16]) {
        let bytes = Writer::new(Class::Error, method, &transaction).add(attribute::DATA, &value).finish(Some(&key));
        let message = Message::parse(&bytes).unwrap();
        proptest::prop_assert_eq!((message.class, message.method, message.transaction), (Class::Error, method, transaction));
        proptest::prop_assert_eq!(message.get(attribute::DATA), Some(&value[..]));
        proptest::prop_assert!(message.is_signed_with(&key));
    }
}
