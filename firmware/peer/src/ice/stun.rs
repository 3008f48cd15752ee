//! The part of STUN that ICE needs (RFC 8489, RFC 8445 section 16.1): binding requests, their answers, and nothing else.
//!
//! Reading never allocates and never panics; a message without a valid integrity attribute is not a message here.

use std::net::{IpAddr, SocketAddr};

use ring::hmac;

const MAGIC_COOKIE: u32 = 0x2112_a442;
const HEADER: usize = 20;
const FINGERPRINT_XOR: u32 = 0x5354_554e;

mod attribute {
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const PRIORITY: u16 = 0x0024;
    pub const USE_CANDIDATE: u16 = 0x0025;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const ICE_CONTROLLED: u16 = 0x8029;
    #[cfg(test)]
    pub const ICE_CONTROLLING: u16 = 0x802a;
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Request,
    Success,
    Error,
    Indication,
}

pub type TransactionId = [u8; 12];

/// A binding message as it came.
#[derive(Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    pub class: Class,
    pub transaction: TransactionId,
    pub username: Option<&'a str>,
    pub priority: Option<u32>,
    pub use_candidate: bool,
    /// The sender believes to be controlled, as we are (RFC 8445 section 7.3.1.1).
    pub controlled: bool,
    /// Where the integrity attribute begins.
    integrity: Option<usize>,
}

impl<'a> Message<'a> {
    /// Reads a binding message; `None` when it is none, or malformed.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<HEADER>()?;
        let class = match u16::from_be_bytes([header[0], header[1]]) {
            0x0001 => Class::Request,
            0x0011 => Class::Indication,
            0x0101 => Class::Success,
            0x0111 => Class::Error,
            _ => return None,
        };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let cookie = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        if cookie != MAGIC_COOKIE || bytes.len() != HEADER + length {
            return None;
        }
        let mut transaction = [0; 12];
        transaction.copy_from_slice(&header[8..]);
        let mut message = Self {
            bytes,
            class,
            transaction,
            username: None,
            priority: None,
            use_candidate: false,
            controlled: false,
            integrity: None,
        };
        let mut at = HEADER;
        while let Some([t1, t2, l1, l2]) = bytes.get(at..at + 4) {
            let size = usize::from(u16::from_be_bytes([*l1, *l2]));
            let value = bytes.get(at + 4..at + 4 + size)?;
            let kind = u16::from_be_bytes([*t1, *t2]);
            // What follows the integrity attribute is not protected by it: only the fingerprint may (section 14.5).
            if message.integrity.is_some() && kind != attribute::FINGERPRINT {
                break;
            }
            match kind {
                attribute::USERNAME => message.username = std::str::from_utf8(value).ok(),
                attribute::PRIORITY => {
                    message.priority = value
                        .first_chunk()
                        .map(|bytes: &[u8; 4]| u32::from_be_bytes(*bytes));
                }
                attribute::USE_CANDIDATE => message.use_candidate = true,
                attribute::ICE_CONTROLLED => message.controlled = true,
                attribute::MESSAGE_INTEGRITY if size == 20 => message.integrity = Some(at),
                attribute::FINGERPRINT => {
                    let value = u32::from_be_bytes(*value.first_chunk::<4>()?);
                    if crc32fast::hash(&bytes[..at]) ^ FINGERPRINT_XOR != value {
                        return None;
                    }
                    break;
                }
                _ => {}
            }
            at += 4 + size.next_multiple_of(4);
        }
        Some(message)
    }

    /// Whether it was made by someone who knows the password (RFC 8489 section 14.5).
    pub fn is_authentic(&self, password: &str) -> bool {
        let Some(at) = self.integrity else {
            return false;
        };
        // The length in the header counts up to and including the attribute.
        let Ok(length) = u16::try_from(at + 24 - HEADER) else {
            return false;
        };
        let Some(tag) = self.bytes.get(at + 4..at + 24) else {
            return false;
        };
        let key = key(password);
        let mut context = hmac::Context::with_key(&key);
        context.update(&self.bytes[..2]);
        context.update(&length.to_be_bytes());
        context.update(&self.bytes[4..at]);
        let ours = context.sign();
        // In constant time: the comparison of two keyed hashes of them.
        ours.as_ref()
            .iter()
            .zip(tag)
            .fold(0, |difference, (a, b)| difference | (a ^ b))
            == 0
    }
}

fn key(password: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes())
}

/// A connectivity check of a controlled agent (RFC 8445 section 7.2.2).
pub fn request(
    transaction: &TransactionId,
    username: &str,
    priority: u32,
    tie_breaker: u64,
    password: &str,
) -> Vec<u8> {
    let mut message = start(0x0001, transaction);
    put(&mut message, attribute::USERNAME, username.as_bytes());
    put(&mut message, attribute::PRIORITY, &priority.to_be_bytes());
    put(
        &mut message,
        attribute::ICE_CONTROLLED,
        &tie_breaker.to_be_bytes(),
    );
    finish(message, password)
}

/// The answer to a check that came from `from`.
pub fn success(transaction: &TransactionId, from: SocketAddr, password: &str) -> Vec<u8> {
    let mut value = vec![0, if from.is_ipv4() { 1 } else { 2 }];
    value.extend((from.port() ^ (MAGIC_COOKIE >> 16) as u16).to_be_bytes());
    let mask = MAGIC_COOKIE
        .to_be_bytes()
        .into_iter()
        .chain(*transaction)
        .collect::<Vec<u8>>();
    let xor = |ip: &[u8]| {
        ip.iter()
            .zip(&mask)
            .map(|(a, b)| a ^ b)
            .collect::<Vec<u8>>()
    };
    value.extend(match from.ip() {
        IpAddr::V4(ip) => xor(&ip.octets()),
        IpAddr::V6(ip) => xor(&ip.octets()),
    });
    let mut message = start(0x0101, transaction);
    put(&mut message, attribute::XOR_MAPPED_ADDRESS, &value);
    finish(message, password)
}

/// 487: both ends believe to be controlled, and the other shall change (RFC 8445 section 7.3.1.1).
pub fn role_conflict(transaction: &TransactionId, password: &str) -> Vec<u8> {
    let mut message = start(0x0111, transaction);
    put(
        &mut message,
        attribute::ERROR_CODE,
        b"\0\0\x04\x57Role Conflict",
    );
    finish(message, password)
}

fn start(kind: u16, transaction: &TransactionId) -> Vec<u8> {
    let mut message = Vec::with_capacity(128);
    message.extend(kind.to_be_bytes());
    message.extend([0, 0]);
    message.extend(MAGIC_COOKIE.to_be_bytes());
    message.extend(transaction);
    message
}

fn put(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend(kind.to_be_bytes());
    message.extend((value.len() as u16).to_be_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

fn finish(mut message: Vec<u8>, password: &str) -> Vec<u8> {
    set_length(&mut message, 24);
    let tag = hmac::sign(&key(password), &message);
    put(&mut message, attribute::MESSAGE_INTEGRITY, tag.as_ref());
    set_length(&mut message, 8);
    let fingerprint = crc32fast::hash(&message) ^ FINGERPRINT_XOR;
    put(
        &mut message,
        attribute::FINGERPRINT,
        &fingerprint.to_be_bytes(),
    );
    message
}

/// Writes the length that the message has with `more` bytes.
fn set_length(message: &mut [u8], more: usize) {
    let length = (message.len() + more - HEADER) as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
}

/// A check of a controlling agent, as tests play one.
#[cfg(test)]
pub fn controlling_request(
    transaction: &TransactionId,
    username: &str,
    nominate: bool,
    password: &str,
) -> Vec<u8> {
    let mut message = start(0x0001, transaction);
    put(&mut message, attribute::USERNAME, username.as_bytes());
    put(&mut message, attribute::PRIORITY, &100_u32.to_be_bytes());
    put(
        &mut message,
        attribute::ICE_CONTROLLING,
        &1_u64.to_be_bytes(),
    );
    if nominate {
        put(&mut message, attribute::USE_CANDIDATE, &[]);
    }
    finish(message, password)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 5769 section 2.1, with its user name and password.
    const SAMPLE_REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
        002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
        000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
    /// RFC 5769 section 2.2.
    const SAMPLE_RESPONSE: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
        002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
    const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text
            .chars()
            .filter_map(|c| c.to_digit(16).map(|digit| digit as u8))
            .collect();
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    }

    #[test]
    fn the_sample_request_of_rfc_5769_is_read_and_authentic() {
        let bytes = hex(SAMPLE_REQUEST);
        let message = Message::read(&bytes).unwrap();
        assert_eq!(message.class, Class::Request);
        assert_eq!(message.username, Some("evtj:h6vY"));
        assert_eq!(message.priority, Some(0x6e00_01ff));
        assert!(message.controlled && !message.use_candidate);
        assert!(message.is_authentic(PASSWORD));
        assert!(!message.is_authentic("another"));
    }

    #[test]
    fn the_sample_response_of_rfc_5769_is_authentic_and_ours_maps_the_same_address() {
        let bytes = hex(SAMPLE_RESPONSE);
        let message = Message::read(&bytes).unwrap();
        assert!(message.is_authentic(PASSWORD) && message.class == Class::Success);
        let ours = success(
            &message.transaction,
            "192.0.2.1:32853".parse().unwrap(),
            PASSWORD,
        );
        let mapped = hex("002000080001a147e112a643");
        assert_eq!(ours[20..32], mapped);
    }

    #[test]
    fn what_is_written_is_read_and_a_changed_byte_is_noticed() {
        let request = request(&[7; 12], "theirs:ours", 99, 5, "secret");
        let message = Message::read(&request).unwrap();
        assert_eq!(message.username, Some("theirs:ours"));
        assert!(message.is_authentic("secret"));
        // The fingerprint behind the integrity tells protocols apart; it protects nothing.
        for at in 0..request.len() - 8 {
            let mut changed = request.clone();
            changed[at] ^= 1;
            assert!(
                Message::read(&changed)
                    .is_none_or(|m| !m.is_authentic("secret") || m.class != Class::Request)
            );
        }
        let conflict = role_conflict(&[1; 12], "secret");
        assert_eq!(Message::read(&conflict).unwrap().class, Class::Error);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(tail: Vec<u8>, kind in prop::sample::select(vec![1_u16, 0x11, 0x101, 0x111, 3])) {
            let mut message = start(kind, &[3; 12]);
            message.extend(&tail);
            set_length(&mut message, 0);
            if let Some(message) = Message::read(&message) {
                let _ = message.is_authentic("x");
            }
            let _ = Message::read(&tail);
        }
    }
}
