//! The DTLS certificate fingerprint of one end of a session (RFC 8122), SHA-256 only.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A SHA-256 fingerprint; written `sha-256 AB:CD:...` as in SDP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint([u8; 32]);

/// Why a text or an SDP gives no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FingerprintError {
    /// Not `sha-256` and 32 hex pairs joined by colons.
    #[error("fingerprint must be \"sha-256\" and 32 hex pairs joined by colons")]
    Malformed,
    /// The SDP names none.
    #[error("the SDP has no a=fingerprint line")]
    Missing,
    /// Two media sections would use different certificates: which one was granted could not be told.
    #[error(
        "the SDP has a=fingerprint lines that differ; one certificate for all media is allowed"
    )]
    Differ,
}

impl Fingerprint {
    /// The fingerprint from the digest of a DER certificate.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The one fingerprint of an SDP. Every `a=fingerprint` line must be SHA-256 and the same.
    ///
    /// # Errors
    ///
    /// [`FingerprintError`] when there is none, one is malformed, or two differ.
    pub fn from_sdp(sdp: &str) -> Result<Self, FingerprintError> {
        let mut found = None;
        for value in sdp
            .lines()
            .filter_map(|line| line.trim_end().strip_prefix("a=fingerprint:"))
        {
            let this: Self = value.parse()?;
            if found.is_some_and(|earlier| earlier != this) {
                return Err(FingerprintError::Differ);
            }
            found = Some(this);
        }
        found.ok_or(FingerprintError::Missing)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let (algorithm, pairs) = text
            .trim()
            .split_once(' ')
            .ok_or(FingerprintError::Malformed)?;
        if !algorithm.eq_ignore_ascii_case("sha-256") {
            return Err(FingerprintError::Malformed);
        }
        let mut digest = [0; 32];
        let mut pairs = pairs.split(':');
        for byte in &mut digest {
            let pair = pairs.next().ok_or(FingerprintError::Malformed)?;
            if pair.len() != 2 || !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(FingerprintError::Malformed);
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| FingerprintError::Malformed)?;
        }
        if pairs.next().is_some() {
            return Err(FingerprintError::Malformed);
        }
        Ok(Self(digest))
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = FingerprintError;

    fn try_from(text: String) -> Result<Self, FingerprintError> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha-256 ")?;
        for (i, byte) in self.0.iter().enumerate() {
            let colon = if i == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl JsonSchema for Fingerprint {
    fn schema_name() -> Cow<'static, str> {
        "Fingerprint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^sha-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 8122, section 5, gives this example for SHA-256.
    const RFC8122: &str = "SHA-256 12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD:B9:B1:3F:82:18:3B:54:02:12:DF:3E:5D:49:6B:19:E5:7C:AB:4A:AD";

    #[test]
    fn reads_the_rfc_example() {
        let read: Fingerprint = RFC8122.parse().unwrap();
        assert_eq!(read.to_string(), RFC8122.replace("SHA", "sha"));
    }

    #[test]
    fn an_sdp_must_have_exactly_one_certificate() {
        let line = format!("a=fingerprint:{RFC8122}\r\n");
        let changed = line.replace("12:DF", "12:DE");
        assert_eq!(
            Fingerprint::from_sdp("v=0\r\n"),
            Err(FingerprintError::Missing)
        );
        assert_eq!(
            Fingerprint::from_sdp(&format!("v=0\r\n{line}m=audio\r\n{line}")),
            Ok(RFC8122.parse().unwrap())
        );
        assert_eq!(
            Fingerprint::from_sdp(&format!("{line}{changed}")),
            Err(FingerprintError::Differ)
        );
        assert_eq!(
            Fingerprint::from_sdp(&format!("{line}a=fingerprint:sha-1 12:DF\r\n")),
            Err(FingerprintError::Malformed)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_digest_survives_writing_and_reading(digest: [u8; 32]) {
            let fingerprint = Fingerprint::from_digest(digest);
            proptest::prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = Fingerprint::from_sdp(&text);
        }
    }
}
