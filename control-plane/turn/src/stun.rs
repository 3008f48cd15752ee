//! STUN messages (RFC 8489, section 5) as TURN needs them: read in place, written into one buffer.
//!
//! Only what the server meets is here: SHA-1 integrity with a long-term key, fingerprints, and the attributes of
//! RFC 8656. Reading allocates nothing and takes no byte on trust.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::Mac;

use crate::credential::hmac_sha1;

const MAGIC_COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
/// The fixed header before the attributes.
pub(crate) const HEADER: usize = 20;
const INTEGRITY_LEN: usize = 20;
/// Xored with the CRC so that it is not taken for another protocol's (RFC 8489, section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// A transaction id.
pub(crate) type Transaction = [u8; 12];

/// The key of the long-term credential mechanism: MD5 of user name, realm and password.
pub(crate) type Key = [u8; 16];

/// Methods (RFC 8489, section 18.2; RFC 8656, section 17).
pub(crate) mod method {
    pub(crate) const BINDING: u16 = 0x001;
    pub(crate) const ALLOCATE: u16 = 0x003;
    pub(crate) const REFRESH: u16 = 0x004;
    pub(crate) const SEND: u16 = 0x006;
    pub(crate) const DATA: u16 = 0x007;
    pub(crate) const CREATE_PERMISSION: u16 = 0x008;
    pub(crate) const CHANNEL_BIND: u16 = 0x009;
}

/// Attribute types (RFC 8489, section 18.3; RFC 8656, section 18).
pub(crate) mod attribute {
    pub(crate) const USERNAME: u16 = 0x0006;
    pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(crate) const ERROR_CODE: u16 = 0x0009;
    pub(crate) const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub(crate) const CHANNEL_NUMBER: u16 = 0x000c;
    pub(crate) const LIFETIME: u16 = 0x000d;
    pub(crate) const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub(crate) const DATA: u16 = 0x0013;
    pub(crate) const REALM: u16 = 0x0014;
    pub(crate) const NONCE: u16 = 0x0015;
    pub(crate) const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub(crate) const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub(crate) const EVEN_PORT: u16 = 0x0018;
    pub(crate) const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub(crate) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(crate) const RESERVATION_TOKEN: u16 = 0x0022;
    pub(crate) const FINGERPRINT: u16 = 0x8028;

    /// Whether the server knows what the attribute means, or may ignore it (RFC 8489, section 14).
    pub(crate) fn understood(kind: u16) -> bool {
        const KNOWN: [u16; 13] = [
            USERNAME,
            MESSAGE_INTEGRITY,
            ERROR_CODE,
            UNKNOWN_ATTRIBUTES,
            CHANNEL_NUMBER,
            LIFETIME,
            XOR_PEER_ADDRESS,
            DATA,
            REALM,
            NONCE,
            REQUESTED_ADDRESS_FAMILY,
            EVEN_PORT,
            REQUESTED_TRANSPORT,
        ];
        kind >= 0x8000 || kind == RESERVATION_TOKEN || KNOWN.contains(&kind)
    }
}

/// The class of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Request,
    Indication,
    Success,
    Error,
}

/// A message read from a datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    bytes: &'a [u8],
    pub(crate) class: Class,
    pub(crate) method: u16,
    pub(crate) transaction: Transaction,
    /// Where MESSAGE-INTEGRITY begins; attributes behind it are not protected and not looked at.
    integrity: Option<usize>,
    /// Where the attributes that count end.
    end: usize,
}

impl<'a> Message<'a> {
    /// Reads a datagram; `None` if it is not one whole STUN message.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let header = bytes.get(..HEADER)?;
        let kind = u16::from_be_bytes([header[0], header[1]]);
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if kind & 0xc000 != 0
            || header[4..8] != MAGIC_COOKIE
            || HEADER + length != bytes.len()
            || length % 4 != 0
        {
            return None;
        }
        // The two class bits sit between the bits of the method (RFC 8489, figure 3).
        let class = match (kind >> 7 & 2) | (kind >> 4 & 1) {
            0 => Class::Request,
            1 => Class::Indication,
            2 => Class::Success,
            _ => Class::Error,
        };
        let method = (kind & 0x000f) | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2;
        let transaction = header[8..].try_into().ok()?;
        let mut message = Self {
            bytes,
            class,
            method,
            transaction,
            integrity: None,
            end: bytes.len(),
        };
        let mut at = HEADER;
        while at < bytes.len() {
            let (kind, value) = attribute_at(bytes, at)?;
            if kind == attribute::MESSAGE_INTEGRITY && message.integrity.is_none() {
                if value.len() != INTEGRITY_LEN {
                    return None;
                }
                message.integrity = Some(at);
                message.end = at;
            }
            at += 4 + value.len().next_multiple_of(4);
        }
        Some(message)
    }

    /// The attributes up to MESSAGE-INTEGRITY.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let (bytes, end) = (self.bytes, self.end);
        let mut at = HEADER;
        std::iter::from_fn(move || {
            let (kind, value) = if at < end {
                attribute_at(bytes, at)?
            } else {
                return None;
            };
            at += 4 + value.len().next_multiple_of(4);
            Some((kind, value))
        })
    }

    /// The first attribute of that type.
    pub(crate) fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes()
            .find(|(found, _)| *found == kind)
            .map(|(_, value)| value)
    }

    /// The first attribute of that type as text.
    pub(crate) fn text(&self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.get(kind)?).ok()
    }

    /// All addresses of that type; an item is `None` where one is malformed.
    pub(crate) fn addresses(&self, kind: u16) -> impl Iterator<Item = Option<SocketAddr>> {
        let transaction = self.transaction;
        self.attributes()
            .filter(move |(found, _)| *found == kind)
            .map(move |(_, value)| decode_address(value, &transaction))
    }

    /// Attributes that must be understood and are not.
    pub(crate) fn unknown(&self) -> Vec<u16> {
        self.attributes()
            .map(|(kind, _)| kind)
            .filter(|kind| !attribute::understood(*kind))
            .collect()
    }

    /// Whether the message carries MESSAGE-INTEGRITY.
    pub(crate) fn is_signed(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether it was signed with that key. Takes the same time for any wrong key.
    pub(crate) fn is_signed_with(&self, key: &Key) -> bool {
        let Some(at) = self.integrity else {
            return false;
        };
        let header = header_with_length(self.bytes, at + 4 + INTEGRITY_LEN);
        let mac = hmac_sha1(key, &[&header, &self.bytes[HEADER..at]]);
        mac.verify_slice(&self.bytes[at + 4..at + 4 + INTEGRITY_LEN])
            .is_ok()
    }
}

fn attribute_at(bytes: &[u8], at: usize) -> Option<(u16, &[u8])> {
    let head = bytes.get(at..at + 4)?;
    let kind = u16::from_be_bytes([head[0], head[1]]);
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    Some((kind, bytes.get(at + 4..at + 4 + length)?))
}

/// The header as if the message ended at `end`: what integrity and fingerprint are computed over.
fn header_with_length(bytes: &[u8], end: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header.copy_from_slice(&bytes[..HEADER]);
    header[2..4].copy_from_slice(&((end - HEADER) as u16).to_be_bytes());
    header
}

fn decode_address(value: &[u8], transaction: &Transaction) -> Option<SocketAddr> {
    let (head, address) = value.split_at_checked(4)?;
    let port = u16::from_be_bytes([head[2] ^ MAGIC_COOKIE[0], head[3] ^ MAGIC_COOKIE[1]]);
    let mask = MAGIC_COOKIE.iter().chain(transaction);
    let ip = match head[1] {
        1 => {
            let mut octets: [u8; 4] = address.try_into().ok()?;
            octets
                .iter_mut()
                .zip(mask)
                .for_each(|(octet, mask)| *octet ^= mask);
            IpAddr::V4(Ipv4Addr::from(octets))
        }
        2 => {
            let mut octets: [u8; 16] = address.try_into().ok()?;
            octets
                .iter_mut()
                .zip(mask)
                .for_each(|(octet, mask)| *octet ^= mask);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Writes one message.
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins a message.
    pub(crate) fn new(class: Class, method: u16, transaction: &Transaction) -> Self {
        let class: u16 = match class {
            Class::Request => 0x000,
            Class::Indication => 0x010,
            Class::Success => 0x100,
            Class::Error => 0x110,
        };
        let kind = class | (method & 0x00f) | (method & 0x070) << 1 | (method & 0xf80) << 2;
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(MAGIC_COOKIE);
        bytes.extend(transaction);
        Self { bytes }
    }

    /// Adds an attribute, padded to four bytes.
    pub(crate) fn add(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend((value.len() as u16).to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an address, xored with magic cookie and transaction (RFC 8489, section 14.2).
    pub(crate) fn add_address(self, kind: u16, address: SocketAddr) -> Self {
        let transaction: Transaction = self.bytes[8..HEADER].try_into().unwrap_or_default();
        let mask = MAGIC_COOKIE.into_iter().chain(transaction);
        let mut value = match address {
            SocketAddr::V4(_) => vec![0, 1],
            SocketAddr::V6(_) => vec![0, 2],
        };
        value.extend(
            address
                .port()
                .to_be_bytes()
                .iter()
                .zip(MAGIC_COOKIE)
                .map(|(byte, mask)| byte ^ mask),
        );
        match address.ip() {
            IpAddr::V4(ip) => {
                value.extend(ip.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
            }
            IpAddr::V6(ip) => {
                value.extend(ip.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
            }
        }
        self.add(kind, &value)
    }

    /// Adds ERROR-CODE with its reason phrase.
    pub(crate) fn add_error(self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend(reason.as_bytes());
        self.add(attribute::ERROR_CODE, &value)
    }

    /// The message, signed if there is a key, and with a fingerprint.
    pub(crate) fn finish(self, key: Option<&Key>) -> Vec<u8> {
        let mut writer = self;
        if let Some(key) = key {
            let header = header_with_length(&writer.bytes, writer.bytes.len() + 4 + INTEGRITY_LEN);
            let mac = hmac_sha1(key, &[&header, &writer.bytes[HEADER..]])
                .finalize()
                .into_bytes();
            writer = writer.add(attribute::MESSAGE_INTEGRITY, &mac);
        }
        let header = header_with_length(&writer.bytes, writer.bytes.len() + 8);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header);
        crc.update(&writer.bytes[HEADER..]);
        writer = writer.add(
            attribute::FINGERPRINT,
            &(crc.finalize() ^ FINGERPRINT_XOR).to_be_bytes(),
        );
        writer.unsigned()
    }

    /// The message as it is: for indications, which carry data at packet rate.
    pub(crate) fn unsigned(mut self) -> Vec<u8> {
        let header = header_with_length(&self.bytes, self.bytes.len());
        self.bytes[..HEADER].copy_from_slice(&header);
        self.bytes
    }
}

#[cfg(test)]
#[path = "stun_tests.rs"]
mod tests;
