//! Identifiers that appear in topics and tokens. Each is validated when it is made, so that a value of the type
//! is always safe to put into a topic (no `/`, `+` or `#`), a file name or a log line.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{kind} must match {allowed}, got {got:?}")]
pub struct ParseIdError {
    /// The identifier's name, as in `device id`.
    pub kind: &'static str,
    /// The allowed form, as a regular expression.
    pub allowed: &'static str,
    /// What was given, cut to 64 characters.
    pub got: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $chars:literal, $min:literal..=$max:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let allowed: fn(u8) -> bool = $allowed;
                if ($min..=$max).contains(&text.len()) && text.bytes().all(allowed) {
                    return Ok(Self(text.to_owned()));
                }
                Err(ParseIdError {
                    kind: $kind,
                    allowed: concat!("[", $chars, "]{", $min, ",", $max, "}"),
                    got: text.chars().take(64).collect(),
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "string",
                    "pattern": concat!("^[", $chars, "]{", $min, ",", $max, "}$"),
                })
            }
        }
    };
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

const fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (byte >= b'a' && byte <= b'f')
}

id!(
    /// A camera: the common name of its certificate, and its place in the topic tree.
    DeviceId, "device id", "a-z0-9-", 8..=40, is_name
);
id!(
    /// An organisation whose cameras and people cannot see those of another.
    TenantId, "tenant id", "a-z0-9-", 1..=40, is_name
);
id!(
    /// One browser's connection to the broker; lives as long as its token.
    BrowserId, "browser id", "a-z0-9-", 8..=40, is_name
);
id!(
    /// One attempt of a browser to open a session; chosen by the browser (128 random bits in hex).
    CallId, "call id", "0-9a-f", 32..=32, is_hex
);
id!(
    /// A video session, minted by the control plane: 128 random bits in hex.
    SessionId, "session id", "0-9a-f", 32..=32, is_hex
);
id!(
    /// The last part of a topic that names a job, a call, an event or an alarm.
    Label, "label", "a-z0-9-", 1..=64, is_name
);

impl SessionId {
    /// A new session id from 128 random bits.
    pub fn from_bits(bits: u128) -> Self {
        Self(format!("{bits:032x}"))
    }

    /// The first eight digits: enough to find a session in a log.
    pub fn short(&self) -> &str {
        &self.0[..8]
    }
}

/// Two hex digits by which a fleet is spread over brokers: the first byte of the SHA-256 of the device id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shard(pub u8);

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl DeviceId {
    /// The shard this device belongs to.
    pub fn shard(&self) -> Shard {
        Shard(Sha256::digest(self.as_str().as_bytes())[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_id_cannot_carry_topic_syntax() {
        for bad in [
            "",
            "short",
            "UPPER-CASE",
            "with/slash",
            "with+plus1",
            "hash#hash",
            "ünicode-id",
            &"x".repeat(41),
        ] {
            let error = bad.parse::<DeviceId>().unwrap_err();
            assert!(error.to_string().contains("[a-z0-9-]{8,40}"), "{error}");
        }
        assert!("front-door-01".parse::<DeviceId>().is_ok());
    }

    #[test]
    fn the_shard_is_the_first_byte_of_the_hash() {
        // printf front-door-01 | sha256sum
        let device: DeviceId = "front-door-01".parse().unwrap();
        let expected = format!("{:02x}", Sha256::digest(b"front-door-01")[0]);
        assert_eq!(device.shard().to_string(), expected);
        assert_eq!(device.shard().to_string().len(), 2);
    }

    #[test]
    fn a_session_id_keeps_leading_zeroes() {
        let id = SessionId::from_bits(0xabc);
        assert_eq!(id.as_str(), "00000000000000000000000000000abc");
        assert_eq!(id.as_str().parse::<SessionId>().unwrap(), id);
    }
}
