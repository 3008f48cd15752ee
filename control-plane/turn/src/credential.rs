//! TURN credentials that need no database: coturn's REST form (draft-uberti-behave-turn-rest).
//!
//! The user name carries its own expiry and whom it was made for; the password is an HMAC of the user name under a
//! secret that control plane and TURN server share. Whoever has the secret can check a credential without a lookup.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use thiserror::Error;

/// The end of a session that a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The person who watches: `v`.
    Viewer,
    /// The camera: `d`.
    Device,
}

/// Whom a credential was made for. Names hold neither `.` nor `:`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Holder {
    /// The tenant that is accounted.
    pub tenant: String,
    /// The camera of the session.
    pub device: String,
    /// The session.
    pub session: String,
    /// Which end of it.
    pub end: End,
}

/// A user name as it travels: `{expiry}:{tenant}.{device}.{session}.{v|d}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Username {
    /// Unix seconds after which no allocation can be made with it.
    pub expires: u64,
    /// Whom it was made for.
    pub holder: Holder,
}

/// The text is not a user name of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a TURN user name must be {{expiry}}:{{tenant}}.{{device}}.{{session}}.{{v|d}}")]
pub struct ParseUsernameError;

/// What a WebRTC client is configured with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The user name.
    pub username: String,
    /// The password, called `credential` in the browser's API.
    pub password: String,
}

/// A secret shared by whoever mints and whoever checks. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// The secrets in force: credentials are minted with the current one and accepted under both, so that rotating
/// breaks no session.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Mints and checks.
    pub current: Secret,
    /// Only checks; drop it once its last credential has expired.
    pub previous: Option<Secret>,
}

impl Secret {
    /// A secret from bytes, at least 16 of them from a good source.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The secret as text, for the configuration of another server; `None` if it is none.
    pub(crate) fn as_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The password that belongs to a user name: `base64(HMAC-SHA1(secret, username))`.
    pub fn password(&self, username: &str) -> String {
        STANDARD.encode(
            hmac_sha1(&self.0, &[username.as_bytes()])
                .finalize()
                .into_bytes(),
        )
    }
}

impl Secrets {
    /// Both secrets, the current one first.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.current).chain(&self.previous)
    }
}

/// Makes a credential for one end of a session, good for `ttl` from `now` (Unix seconds).
pub fn mint(secret: &Secret, holder: Holder, now: u64, ttl: Duration) -> Credential {
    let username = Username {
        expires: now.saturating_add(ttl.as_secs()),
        holder,
    }
    .to_string();
    Credential {
        password: secret.password(&username),
        username,
    }
}

/// HMAC-SHA1 over the parts, not yet finished.
pub(crate) fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha1> {
    // HMAC takes keys of any length (RFC 2104, section 3), so the fallback is never used.
    let mut mac =
        Hmac::<Sha1>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    for part in parts {
        mac.update(part);
    }
    mac
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder {
            tenant,
            device,
            session,
            end,
        } = &self.holder;
        let end = match end {
            End::Viewer => 'v',
            End::Device => 'd',
        };
        write!(f, "{}:{tenant}.{device}.{session}.{end}", self.expires)
    }
}

impl FromStr for Username {
    type Err = ParseUsernameError;

    fn from_str(text: &str) -> Result<Self, ParseUsernameError> {
        let (expires, holder) = text.split_once(':').ok_or(ParseUsernameError)?;
        // `parse` alone would take "+1".
        if !expires.bytes().all(|digit| digit.is_ascii_digit()) {
            return Err(ParseUsernameError);
        }
        let expires = expires.parse().map_err(|_| ParseUsernameError)?;
        let mut parts = holder.split('.');
        let mut part = || {
            parts
                .next()
                .filter(|part| !part.is_empty())
                .ok_or(ParseUsernameError)
        };
        let (tenant, device, session) = (part()?.into(), part()?.into(), part()?.into());
        let end = match part()? {
            "v" => End::Viewer,
            "d" => End::Device,
            _ => return Err(ParseUsernameError),
        };
        match parts.next() {
            None => Ok(Self {
                expires,
                holder: Holder {
                    tenant,
                    device,
                    session,
                    end,
                },
            }),
            Some(_) => Err(ParseUsernameError),
        }
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(end: End) -> Holder {
        Holder {
            tenant: "home".into(),
            device: "front-door-01".into(),
            session: "00ff".into(),
            end,
        }
    }

    #[test]
    fn the_password_is_what_other_implementations_compute() {
        // printf '1800000600:home.front-door-01.00ff.v' | openssl dgst -sha1 -hmac 'north' -binary | base64
        let credential = mint(
            &Secret::new("north"),
            holder(End::Viewer),
            1_800_000_000,
            Duration::from_secs(600),
        );
        assert_eq!(credential.username, "1800000600:home.front-door-01.00ff.v");
        assert_eq!(credential.password, "+vzY3t1q8kxoyZjFQtONfJll1fE=");
    }

    #[test]
    fn the_hmac_is_that_of_rfc_2202() {
        // RFC 2202, section 3, test case 2.
        let digest = hmac_sha1(b"Jefe", &[b"what do ya want ", b"for nothing?"])
            .finalize()
            .into_bytes();
        assert_eq!(digest[..4], [0xef, 0xfc, 0xdf, 0x6a]);
    }

    #[test]
    fn a_user_name_is_read_back_and_anything_else_is_not() {
        let written = Username {
            expires: 7,
            holder: holder(End::Device),
        };
        assert_eq!(written.to_string().parse(), Ok(written));
        for bad in [
            "",
            "7",
            "7:",
            "x:a.b.c.v",
            "+7:a.b.c.v",
            "7:a.b.c",
            "7:a.b.c.x",
            "7:a.b.c.v.v",
            "7:a..c.v",
        ] {
            assert_eq!(bad.parse::<Username>(), Err(ParseUsernameError), "{bad}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secret = Secret::new("north");
        let credential = mint(&secret, holder(End::Viewer), 0, Duration::from_secs(1));
        assert!(!format!("{secret:?}{credential:?}").contains("north"));
        assert!(!format!("{credential:?}").contains(&credential.password));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Username>();
        }
    }
}
