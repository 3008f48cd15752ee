//! Who sent a request: the long-term credential mechanism (RFC 8489, section 9.2) over credentials that carry their
//! own expiry, with nonces that the server need not remember.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use hmac::Mac;
use md5::{Digest, Md5};

use crate::credential::{Credential, Holder, Secrets, Username, hmac_sha1};
use crate::stun::{Key, Message, attribute};

/// How long a nonce is good for, in seconds: an hour (RFC 8656, section 5). A client is then given the next one and
/// carries on.
const NONCE_LIFE_S: u64 = 3600;

/// When it ends, and eight bytes of its HMAC.
const NONCE_LEN: usize = 12;

/// A credential that expires later than this was not made by a control plane in its right mind.
pub(crate) const MAX_LIFE_S: u64 = 24 * 3600;

/// Whether a credential past its expiry is still good: yes for what keeps a running allocation alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    Enforced,
    Waived,
}

/// Who sent a request, and the key that its answer is signed with.
#[derive(Debug)]
pub(crate) struct Sender {
    pub(crate) username: String,
    pub(crate) holder: Holder,
    pub(crate) expires: u64,
    pub(crate) key: Key,
}

/// Why a request was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Not signed at all: how every client begins.
    Unsigned,
    /// Signed, but an attribute that goes with it is missing.
    Incomplete,
    /// The nonce is too old, or another server's.
    StaleNonce,
    /// The name is not ours, or the password or the realm is wrong.
    WrongCredential,
    /// The credential's time is over.
    Expired,
}

/// The server's side of authentication.
pub(crate) struct Authenticator {
    realm: String,
    secrets: Secrets,
    nonce_key: [u8; 20],
}

impl Authenticator {
    /// `nonce_key` is random; a restart makes nonces stale, which clients take in their stride.
    pub(crate) fn new(realm: String, secrets: Secrets, nonce_key: [u8; 20]) -> Self {
        Self {
            realm,
            secrets,
            nonce_key,
        }
    }

    pub(crate) fn realm(&self) -> &str {
        &self.realm
    }

    /// From now on these secrets are in force.
    pub(crate) fn set_secrets(&mut self, secrets: Secrets) {
        self.secrets = secrets;
    }

    /// Checks a request from `client`; `now` is Unix seconds.
    pub(crate) fn check(
        &self,
        message: &Message<'_>,
        client: IpAddr,
        expiry: Expiry,
        now: u64,
    ) -> Result<Sender, Denied> {
        if !message.is_signed() {
            return Err(Denied::Unsigned);
        }
        let username = message
            .text(attribute::USERNAME)
            .ok_or(Denied::Incomplete)?;
        let realm = message.text(attribute::REALM).ok_or(Denied::Incomplete)?;
        let nonce = message.text(attribute::NONCE).ok_or(Denied::Incomplete)?;
        if !self.nonce_is_fresh(nonce, client, now) {
            return Err(Denied::StaleNonce);
        }
        let Username { expires, holder } = username.parse().map_err(|_| Denied::WrongCredential)?;
        if realm != self.realm || expires > now.saturating_add(MAX_LIFE_S) {
            return Err(Denied::WrongCredential);
        }
        let keys = self
            .secrets
            .iter()
            .map(|secret| long_term_key(username, realm, &secret.password(username)));
        let key = { keys }
            .find(|key| message.is_signed_with(key))
            .ok_or(Denied::WrongCredential)?;
        if expiry == Expiry::Enforced && expires <= now {
            return Err(Denied::Expired);
        }
        Ok(Sender {
            username: username.to_owned(),
            holder,
            expires,
            key,
        })
    }

    /// A nonce for that client: when it ends, and an HMAC over that and the client's address. It is short, since it
    /// goes to whoever asks.
    pub(crate) fn nonce(&self, client: IpAddr, now: u64) -> String {
        // In 32 bits Unix time lasts until 2106.
        let expires = (now.saturating_add(NONCE_LIFE_S) as u32).to_be_bytes();
        let mac = self.nonce_mac(expires, client).finalize().into_bytes();
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&expires);
        nonce[4..].copy_from_slice(&mac[..NONCE_LEN - 4]);
        BASE64.encode(nonce)
    }

    fn nonce_is_fresh(&self, nonce: &str, client: IpAddr, now: u64) -> bool {
        let nonce: Option<[u8; NONCE_LEN]> =
            { BASE64.decode(nonce).ok() }.and_then(|bytes| bytes.try_into().ok());
        let Some([a, b, c, d, mac @ ..]) = nonce else {
            return false;
        };
        let expires = [a, b, c, d];
        let ours = self.nonce_mac(expires, client).verify_truncated_left(&mac);
        u64::from(u32::from_be_bytes(expires)) > now && ours.is_ok()
    }

    fn nonce_mac(&self, expires: [u8; 4], client: IpAddr) -> hmac::Hmac<sha1::Sha1> {
        let address = client.to_string();
        hmac_sha1(&self.nonce_key, &[&expires, address.as_bytes()])
    }
}

/// `MD5(username ":" realm ":" password)` (RFC 8489, section 9.2.2).
pub(crate) fn long_term_key(username: &str, realm: &str, password: &str) -> Key {
    Md5::new()
        .chain_update(format!("{username}:{realm}:{password}"))
        .finalize()
        .into()
}

impl Credential {
    /// The key a client derives from this credential in `realm`: what its requests are signed with.
    pub fn key(&self, realm: &str) -> Key {
        long_term_key(&self.username, realm, &self.password)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::credential::{End, Secret, mint};
    use crate::stun::{Class, Writer, method};

    const NOW: u64 = 1_800_000_000;
    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1));

    fn credential(secret: &str) -> Credential {
        let holder = Holder {
            tenant: "t".into(),
            device: "d".into(),
            session: "s".into(),
            end: End::Viewer,
        };
        mint(&Secret::new(secret), holder, NOW, Duration::from_secs(600))
    }

    fn authenticator() -> Authenticator {
        let secrets = Secrets {
            current: Secret::new("new"),
            previous: Some(Secret::new("old")),
        };
        Authenticator::new("heron".into(), secrets, [9; 20])
    }

    fn request(credential: &Credential, nonce: &str) -> Vec<u8> {
        Writer::new(Class::Request, method::ALLOCATE, &[3; 12])
            .add(attribute::USERNAME, credential.username.as_bytes())
            .add(attribute::REALM, b"heron")
            .add(attribute::NONCE, nonce.as_bytes())
            .finish(Some(&credential.key("heron")))
    }

    fn check(credential: &Credential, expiry: Expiry, now: u64) -> Result<Sender, Denied> {
        let authenticator = authenticator();
        let bytes = request(credential, &authenticator.nonce(CLIENT, now));
        authenticator.check(&Message::parse(&bytes).unwrap(), CLIENT, expiry, now)
    }

    #[test]
    fn both_secrets_open_and_no_other_does() {
        assert_eq!(
            check(&credential("new"), Expiry::Enforced, NOW)
                .unwrap()
                .holder
                .session,
            "s"
        );
        assert!(check(&credential("old"), Expiry::Enforced, NOW).is_ok());
        assert_eq!(
            check(&credential("older"), Expiry::Enforced, NOW).unwrap_err(),
            Denied::WrongCredential
        );
    }

    #[test]
    fn a_credential_ends_when_its_name_says() {
        let credential = credential("new");
        assert!(check(&credential, Expiry::Enforced, NOW + 599).is_ok());
        assert_eq!(
            check(&credential, Expiry::Enforced, NOW + 600).unwrap_err(),
            Denied::Expired
        );
        assert!(check(&credential, Expiry::Waived, NOW + 600).is_ok());
    }

    #[test]
    fn a_name_with_a_later_expiry_does_not_fit_its_password() {
        let mut forged = credential("new");
        forged.username = forged.username.replace("1800000600", "1800009999");
        assert_eq!(
            check(&forged, Expiry::Enforced, NOW).unwrap_err(),
            Denied::WrongCredential
        );
    }

    #[test]
    fn a_nonce_is_for_one_client_and_a_while() {
        let authenticator = authenticator();
        let credential = credential("new");
        let nonce = authenticator.nonce(CLIENT, NOW);
        let other: IpAddr = "198.51.100.2".parse().unwrap();
        let bytes = request(&credential, &nonce);
        let message = Message::parse(&bytes).unwrap();
        let denied = |client, now| {
            authenticator
                .check(&message, client, Expiry::Waived, now)
                .err()
        };
        assert_eq!(denied(CLIENT, NOW + NONCE_LIFE_S - 1), None);
        assert_eq!(denied(CLIENT, NOW + NONCE_LIFE_S), Some(Denied::StaleNonce));
        assert_eq!(denied(other, NOW), Some(Denied::StaleNonce));
        let mut other_end = nonce.clone();
        other_end.replace_range(..1, "b");
        for bad in ["", "ünicode", &nonce[..12], &other_end] {
            let bytes = request(&credential, bad);
            let message = Message::parse(&bytes).unwrap();
            assert_eq!(
                authenticator
                    .check(&message, CLIENT, Expiry::Waived, NOW)
                    .err(),
                Some(Denied::StaleNonce)
            );
        }
    }
}
