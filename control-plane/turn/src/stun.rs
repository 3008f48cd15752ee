//! STUN messages (RFC 8489, section 5) as TURN needs them: read in place, written into one buffer.
//!
//! Only what the server meets is here: SHA-1 integrity with a long-term key, fingerprints, and the attributes of
//! RFC 8656 and RFC 5780. Reading allocates nothing and takes no byte on trust. Public so that a client for tests and
//! measurements need not bring a codec of its own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use hmac::Mac;

use crate::credential::hmac_sha1;

const MAGIC_COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
/// The fixed header before the attributes.
pub const HEADER: usize = 20;
const INTEGRITY_LEN: usize = 20;
/// Xored with the CRC so that it is not taken for another protocol's (RFC 8489, section 14.7).
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// A transaction id.
pub type Transaction = [u8; 12];

/// The key of the long-term credential mechanism: MD5 of user name, realm and password.
pub type Key = [u8; 16];

/// Methods (RFC 8489, section 18.2; RFC 8656, section 17).
#[allow(missing_docs, reason = "the RFCs' own names")]
pub mod method {
    pub const BINDING: u16 = 0x001;
    pub const ALLOCATE: u16 = 0x003;
    pub const REFRESH: u16 = 0x004;
    pub const SEND: u16 = 0x006;
    pub const DATA: u16 = 0x007;
    pub const CREATE_PERMISSION: u16 = 0x008;
    pub const CHANNEL_BIND: u16 = 0x009;
}

/// Attribute types (RFC 8489, section 18.3; RFC 8656, section 18; RFC 5780, section 7).
#[allow(missing_docs, reason = "the RFCs' own names")]
pub mod attribute {
    pub const CHANGE_REQUEST: u16 = 0x0003;
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub const CHANNEL_NUMBER: u16 = 0x000c;
    pub const LIFETIME: u16 = 0x000d;
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub const DATA: u16 = 0x0013;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub const EVEN_PORT: u16 = 0x0018;
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const RESERVATION_TOKEN: u16 = 0x0022;
    pub const PADDING: u16 = 0x0026;
    pub const RESPONSE_PORT: u16 = 0x0027;
    pub const ADDITIONAL_ADDRESS_FAMILY: u16 = 0x8000;
    pub const ADDRESS_ERROR_CODE: u16 = 0x8001;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const RESPONSE_ORIGIN: u16 = 0x802b;
    pub const OTHER_ADDRESS: u16 = 0x802c;

    /// Whether the server knows what the attribute means, or may ignore it (RFC 8489, section 14).
    pub(super) fn understood(kind: u16) -> bool {
        const KNOWN: [u16; 14] = [
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
            RESERVATION_TOKEN,
        ];
        kind >= 0x8000 || KNOWN.contains(&kind)
    }
}

/// The class of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The answer to a request that was done.
    Success,
    /// The answer to one that was not.
    Error,
}

/// A message read from a datagram.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// What kind of message it is.
    pub class: Class,
    /// What it is about: one of [`method`].
    pub method: u16,
    /// What ties an answer to its request.
    pub transaction: Transaction,
    /// Where MESSAGE-INTEGRITY begins; attributes behind it are not protected and not looked at.
    integrity: Option<usize>,
    /// Where the attributes that count end.
    end: usize,
}

impl<'a> Message<'a> {
    /// Reads a datagram; `None` if it is not one whole STUN message.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
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
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> {
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
    pub fn get(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes()
            .find(|(found, _)| *found == kind)
            .map(|(_, value)| value)
    }

    /// The first attribute of that type as text.
    pub fn text(&self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.get(kind)?).ok()
    }

    /// All addresses of that type; an item is `None` where one is malformed.
    pub fn addresses(&self, kind: u16) -> impl Iterator<Item = Option<SocketAddr>> {
        let transaction = self.transaction;
        self.attributes()
            .filter(move |(found, _)| *found == kind)
            .map(move |(_, value)| decode_address(value, &transaction))
    }

    /// Attributes that must be understood and are not; `besides` are understood in this case.
    pub fn unknown(&self, besides: &[u16]) -> Vec<u16> {
        self.attributes()
            .map(|(kind, _)| kind)
            .filter(|kind| !attribute::understood(*kind) && !besides.contains(kind))
            .collect()
    }

    /// Whether the message ends with a FINGERPRINT. It is not checked: nothing is told apart by it here.
    pub fn has_fingerprint(&self) -> bool {
        let tail = self.bytes.len().checked_sub(8);
        tail.and_then(|at| self.bytes.get(at..at + 2))
            == Some(&attribute::FINGERPRINT.to_be_bytes())
    }

    /// Begins the answer that all is well.
    pub fn success(&self) -> Writer {
        Writer::new(Class::Success, self.method, &self.transaction)
    }

    /// Begins an error answer.
    pub fn error(&self, code: u16, phrase: &str) -> Writer {
        Writer::new(Class::Error, self.method, &self.transaction).add_error(code, phrase)
    }

    /// The code of an error answer.
    pub fn error_code(&self) -> Option<u16> {
        match self.get(attribute::ERROR_CODE)? {
            [_, _, hundreds, rest, ..] => Some(u16::from(*hundreds) * 100 + u16::from(*rest)),
            _ => None,
        }
    }

    /// Whether the message carries MESSAGE-INTEGRITY.
    pub fn is_signed(&self) -> bool {
        self.integrity.is_some()
    }

    /// Whether it was signed with that key. Takes the same time for any wrong key.
    pub fn is_signed_with(&self, key: &Key) -> bool {
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

/// An address as an attribute's value, and how much of it counts.
fn encode_address(address: SocketAddr, transaction: &Transaction) -> ([u8; 20], usize) {
    let mut value = [0; 20];
    value[2..4].copy_from_slice(&address.port().to_be_bytes());
    let length = match address.ip() {
        IpAddr::V4(ip) => {
            value[1] = 1;
            value[4..8].copy_from_slice(&ip.octets());
            8
        }
        IpAddr::V6(ip) => {
            value[1] = 2;
            value[4..].copy_from_slice(&ip.octets());
            20
        }
    };
    let mask = MAGIC_COOKIE[..2]
        .iter()
        .chain(&MAGIC_COOKIE)
        .chain(transaction);
    for (byte, mask) in value[2..length].iter_mut().zip(mask) {
        *byte ^= mask;
    }
    (value, length)
}

/// Appends a Data indication (RFC 8656, section 11.6): what comes at packet rate, so without a buffer of its own.
pub(crate) fn append_data_indication(
    out: &mut Vec<u8>,
    transaction: &Transaction,
    peer: SocketAddr,
    data: &[u8],
) {
    let (address, address_length) = encode_address(peer, transaction);
    let padded = data.len().next_multiple_of(4);
    let length = 4 + address_length + 4 + padded;
    out.extend(((method::DATA & 0x00f) | 0x010).to_be_bytes());
    out.extend((length as u16).to_be_bytes());
    out.extend(MAGIC_COOKIE);
    out.extend(transaction);
    out.extend(attribute::XOR_PEER_ADDRESS.to_be_bytes());
    out.extend((address_length as u16).to_be_bytes());
    out.extend(&address[..address_length]);
    out.extend(attribute::DATA.to_be_bytes());
    out.extend((data.len() as u16).to_be_bytes());
    out.extend(data);
    out.resize(out.len() + padded - data.len(), 0);
}

/// Writes one message.
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins a message.
    pub fn new(class: Class, method: u16, transaction: &Transaction) -> Self {
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
    pub fn add(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend((value.len() as u16).to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Adds an address, xored with magic cookie and transaction (RFC 8489, section 14.2).
    pub fn add_address(self, kind: u16, address: SocketAddr) -> Self {
        let transaction: Transaction = self.bytes[8..HEADER].try_into().unwrap_or_default();
        let (value, length) = encode_address(address, &transaction);
        self.add(kind, &value[..length])
    }

    /// Adds an address as it is: the older form, which OTHER-ADDRESS and RESPONSE-ORIGIN have (RFC 5780, section 7).
    pub fn add_plain_address(self, kind: u16, address: SocketAddr) -> Self {
        let mut value = Vec::with_capacity(20);
        value.extend([0, if address.is_ipv4() { 1 } else { 2 }]);
        value.extend(address.port().to_be_bytes());
        match address.ip() {
            IpAddr::V4(ip) => value.extend(ip.octets()),
            IpAddr::V6(ip) => value.extend(ip.octets()),
        }
        self.add(kind, &value)
    }

    /// Adds ERROR-CODE with its reason phrase.
    pub fn add_error(self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend(reason.as_bytes());
        self.add(attribute::ERROR_CODE, &value)
    }

    /// The message, signed if there is a key, and with a fingerprint.
    pub fn finish(self, key: Option<&Key>) -> Vec<u8> {
        let writer = match key {
            Some(key) => self.sign(key),
            None => self,
        };
        let header = header_with_length(&writer.bytes, writer.bytes.len() + 8);
        let mut crc = crc32fast::Hasher::new();
        crc.update(&header);
        crc.update(&writer.bytes[HEADER..]);
        let crc = (crc.finalize() ^ FINGERPRINT_XOR).to_be_bytes();
        writer.add(attribute::FINGERPRINT, &crc).unsigned()
    }

    fn sign(self, key: &Key) -> Self {
        let header = header_with_length(&self.bytes, self.bytes.len() + 4 + INTEGRITY_LEN);
        let mac = hmac_sha1(key, &[&header, &self.bytes[HEADER..]])
            .finalize()
            .into_bytes();
        self.add(attribute::MESSAGE_INTEGRITY, &mac)
    }

    /// The message as it is.
    pub fn unsigned(mut self) -> Vec<u8> {
        let header = header_with_length(&self.bytes, self.bytes.len());
        self.bytes[..HEADER].copy_from_slice(&header);
        self.bytes
    }
}

#[cfg(test)]
#[path = "stun_tests.rs"]
mod tests;
