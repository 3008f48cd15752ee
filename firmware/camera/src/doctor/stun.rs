//! STUN messages (RFC 8489) as a tester writes and reads them. `rtc-stun` has the codec.

use std::net::SocketAddr;

use rtc_stun::addr::MappedAddress;
use rtc_stun::attributes::{
    ATTR_CHANGE_REQUEST, ATTR_MAPPED_ADDRESS, ATTR_MESSAGE_INTEGRITY, ATTR_OTHER_ADDRESS,
    ATTR_XORMAPPED_ADDRESS, AttrType,
};
use rtc_stun::crypto::{RTCCryptoProvider, default_provider};
use rtc_stun::error_code::ErrorCodeAttribute;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    BINDING_REQUEST, CLASS_ERROR_RESPONSE, CLASS_SUCCESS_RESPONSE, Getter, Message, MessageType,
    Setter, TransactionId, is_stun_message,
};
use rtc_stun::xoraddr::XorMappedAddress;

use super::nat::{Change, Seen};

/// Comprehension-optional and assigned to nobody (RFC 8489 section 18.3): every server passes over it.
const PADDING: AttrType = AttrType(0xfff0);
/// Header, and the header of an attribute.
const HEADERS: usize = 20 + 4;

/// A message with a new transaction of its own.
pub fn message(kind: MessageType) -> Message {
    let mut message = Message::new();
    message.transaction_id = TransactionId::new();
    message.set_type(kind);
    message.write_header();
    message
}

/// A binding request.
pub fn binding(change: Change) -> Message {
    let mut request = message(BINDING_REQUEST);
    // RFC 5780 section 7.2.
    let flags = match change {
        Change::Nothing => return request,
        Change::Port => 0b010,
        Change::AddressAndPort => 0b110,
    };
    request.add(ATTR_CHANGE_REQUEST, &[0, 0, 0, flags]);
    request
}

/// A binding request of so many bytes, rounded up to what a message can have.
pub fn padded(bytes: usize) -> Message {
    let mut request = message(BINDING_REQUEST);
    request.add(PADDING, &vec![0; bytes.saturating_sub(HEADERS)]);
    request
}

/// The answer to `request`, if these bytes are it: a refusal too.
pub fn answer(bytes: &[u8], request: &Message) -> Option<Message> {
    if !is_stun_message(bytes) {
        return None;
    }
    let mut message = Message::new();
    message.raw = bytes.to_vec();
    message.decode().ok()?;
    let class = message.typ.class;
    let ours = message.transaction_id == request.transaction_id
        && message.typ.method == request.typ.method
        && (class == CLASS_SUCCESS_RESPONSE || class == CLASS_ERROR_RESPONSE);
    ours.then_some(message)
}

/// Why a server refused, if it did: the code and its words.
pub fn refusal(answer: &Message) -> Option<(u16, String)> {
    if answer.typ.class != CLASS_ERROR_RESPONSE {
        return None;
    }
    let mut error = ErrorCodeAttribute::default();
    Some(match error.get_from(answer) {
        Ok(()) => (
            error.code.0,
            String::from_utf8_lossy(&error.reason).into_owned(),
        ),
        Err(_) => (0, "no reason given".to_owned()),
    })
}

/// What a binding answer from `from` tells.
pub fn seen(answer: &Message, from: SocketAddr) -> Option<Seen> {
    let mapped = xor_address(answer, ATTR_XORMAPPED_ADDRESS)
        .or_else(|| address(answer, ATTR_MAPPED_ADDRESS))?;
    Some(Seen {
        mapped,
        from,
        other: address(answer, ATTR_OTHER_ADDRESS),
    })
}

/// An address under XOR.
pub fn xor_address(message: &Message, kind: AttrType) -> Option<SocketAddr> {
    let mut address = XorMappedAddress::default();
    address.get_from_as(message, kind).ok()?;
    Some(SocketAddr::new(address.ip, address.port))
}

fn address(message: &Message, kind: AttrType) -> Option<SocketAddr> {
    let mut address = MappedAddress::default();
    address.get_from_as(message, kind).ok()?;
    Some(SocketAddr::new(address.ip, address.port))
}

/// The long-term credential of RFC 8489 section 9.2.
#[derive(Clone)]
pub struct Key(Vec<u8>);

impl Key {
    /// Of a user with a password in a realm.
    pub fn new(username: &str, realm: &str, password: &str) -> Result<Self, String> {
        let provider = provider()?;
        let [username, realm, password] = [username, realm, password].map(str::to_owned);
        MessageIntegrity::long_term_integrity_key(username, realm, password, provider.crypto())
            .map(Self)
            .map_err(|error| error.to_string())
    }

    /// Signs a message, which then is complete.
    pub fn sign(&self, message: &mut Message) -> Result<(), String> {
        let provider = provider()?;
        MessageIntegrity::new_raw_integrity_with_provider(self.0.clone(), provider.crypto())
            .add_to(message)
            .map_err(|error| error.to_string())
    }

    /// Whether a message was signed with it.
    pub fn has_signed(&self, message: &Message) -> bool {
        let Ok(provider) = provider() else {
            return false;
        };
        let mut message = message.clone();
        message.contains(ATTR_MESSAGE_INTEGRITY)
            && MessageIntegrity::check(&mut message, &self.0, provider.crypto()).is_ok()
    }
}

fn provider() -> Result<std::sync::Arc<dyn RTCCryptoProvider>, String> {
    default_provider().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rtc_stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect()
    }

    #[test]
    fn the_sample_with_a_long_term_credential_of_rfc_5769_is_signed_the_same() {
        // Section 2.4: a binding request whose user name and realm need a wide character set.
        let sample = hex(
            "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000\
             0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e\
             6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666",
        );
        let mut request = Message::new();
        request.transaction_id = TransactionId(hex("78ad3433c6ad72c029da412e").try_into().unwrap());
        request.set_type(BINDING_REQUEST);
        request.write_header();
        let username = "\u{30DE}\u{30C8}\u{30EA}\u{30C3}\u{30AF}\u{30B9}";
        request.add(ATTR_USERNAME, username.as_bytes());
        request.add(ATTR_NONCE, b"f//499k954d6OL34oL9FSTvy64sA");
        request.add(ATTR_REALM, b"example.org");
        let key = Key::new(username, "example.org", "TheMatrIX").unwrap();
        key.sign(&mut request).unwrap();
        assert_eq!(request.raw, sample);
        assert!(key.has_signed(&request));
        assert!(
            !Key::new(username, "example.org", "x")
                .unwrap()
                .has_signed(&request)
        );
    }

    #[test]
    fn the_sample_answer_of_rfc_5769_is_read_by_whoever_asked() {
        // Section 2.2.
        let sample = hex(
            "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
             002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96",
        );
        let mut asked = binding(Change::Nothing);
        assert!(answer(&sample, &asked).is_none(), "another transaction");
        asked.transaction_id = TransactionId(hex("b7e7a701bc34d686fa87dfae").try_into().unwrap());
        let answer = answer(&sample, &asked).unwrap();
        let seen = seen(&answer, "192.0.2.9:3478".parse().unwrap()).unwrap();
        assert_eq!(seen.mapped.to_string(), "192.0.2.1:32853");
        assert_eq!(seen.other, None);
    }

    #[test]
    fn requests_say_what_they_want() {
        assert_eq!(binding(Change::Nothing).raw.len(), 20);
        let change = binding(Change::AddressAndPort);
        assert_eq!(change.raw[20..], [0, 3, 0, 4, 0, 0, 0, 6]);
        for size in [1252, 1472] {
            assert_eq!(padded(size).raw.len(), size);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(tail: Vec<u8>, kind in prop::sample::select(vec![0x0101_u16, 0x0111, 0x0103, 0x0113])) {
            let asked = binding(Change::Nothing);
            let mut bytes = kind.to_be_bytes().to_vec();
            bytes.extend((tail.len() as u16).to_be_bytes());
            bytes.extend(&asked.raw[4..20]);
            bytes.extend(&tail);
            for bytes in [&bytes, &tail] {
                if let Some(answer) = answer(bytes, &asked) {
                    let _ = refusal(&answer);
                    let _ = seen(&answer, "192.0.2.9:3478".parse().unwrap());
                    let _ = Key::new("u", "r", "p").unwrap().has_signed(&answer);
                }
            }
        }
    }
}
