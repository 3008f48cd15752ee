//! The browsers that hold a token: who sits before each, in which tenant, and until when.
//!
//! The API calls [`BrowserRegistry::issue`] for a signed-in person, the broker's token verifier calls
//! [`BrowserRegistry::verify`] when the browser connects, and the router calls [`BrowserRegistry::get`] on each of its
//! messages. Tokens are kept as SHA-256 only. All in memory: after a restart browsers ask the API for a new token.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use heron_protocol::{BrowserId, TenantId};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

/// How many live browsers one person may have; the oldest gives way to a new one.
pub const BROWSERS_PER_PERSON: usize = 32;

/// A browser as the broker and the router see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Browser {
    /// The person signed in there.
    pub person: String,
    /// That person's tenant.
    pub tenant: TenantId,
    /// When the token ends, and with it the browser's sessions.
    pub expires: SystemTime,
}

/// What the API hands to the browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The browser id: MQTT client id and user name, and a level of its topics.
    pub browser: BrowserId,
    /// The MQTT password.
    pub token: String,
    /// How long it lasts.
    pub expires_in: Duration,
}

struct Entry {
    browser: Browser,
    token_hash: [u8; 32],
    address: Option<IpAddr>,
}

/// The live browsers of the whole server. Share it in an `Arc`.
#[derive(Default)]
pub struct BrowserRegistry {
    entries: Mutex<HashMap<BrowserId, Entry>>,
}

impl BrowserRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a browser id and a token for a signed-in person.
    pub fn issue(
        &self,
        person: &str,
        tenant: &TenantId,
        now: SystemTime,
        ttl: Duration,
    ) -> IssuedToken {
        let browser = fresh_browser();
        let token = fresh_token();
        let entry = Entry {
            browser: Browser {
                person: person.into(),
                tenant: tenant.clone(),
                expires: now + ttl,
            },
            token_hash: hash(&token),
            address: None,
        };
        let mut entries = self.entries.lock();
        entries.retain(|_, entry| entry.browser.expires > now);
        make_room(&mut entries, person);
        entries.insert(browser.clone(), entry);
        IssuedToken {
            browser,
            token,
            expires_in: ttl,
        }
    }

    /// Gives a live browser of the same person a fresh token and more time, so that its sessions go on. `None` if that
    /// browser is unknown, expired or somebody else's: then [`issue`](Self::issue) a new one.
    pub fn renew(
        &self,
        browser: &BrowserId,
        person: &str,
        now: SystemTime,
        ttl: Duration,
    ) -> Option<IssuedToken> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(browser)?;
        if entry.browser.person != person || entry.browser.expires <= now {
            return None;
        }
        let token = fresh_token();
        entry.token_hash = hash(&token);
        entry.browser.expires = now + ttl;
        Some(IssuedToken {
            browser: browser.clone(),
            token,
            expires_in: ttl,
        })
    }

    /// Where a browser is, as its last request for a token came from there.
    pub fn seen_at(&self, browser: &BrowserId, address: IpAddr) {
        if let Some(entry) = self.entries.lock().get_mut(browser) {
            entry.address = Some(address);
        }
    }

    /// Where a browser was last seen.
    pub fn address(&self, browser: &BrowserId) -> Option<IpAddr> {
        self.entries.lock().get(browser)?.address
    }

    /// Whose token that is, unless it has expired.
    pub fn verify(&self, token: &str, now: SystemTime) -> Option<(BrowserId, Browser)> {
        let token_hash = hash(token);
        let entries = self.entries.lock();
        // Hashes are compared, so the time this takes tells nothing about any token.
        let (id, entry) = entries
            .iter()
            .find(|(_, entry)| entry.token_hash == token_hash)?;
        (entry.browser.expires > now).then(|| (id.clone(), entry.browser.clone()))
    }

    /// The browser, unless it is unknown or its token has expired.
    pub fn get(&self, browser: &BrowserId, now: SystemTime) -> Option<Browser> {
        let entries = self.entries.lock();
        entries
            .get(browser)
            .map(|entry| &entry.browser)
            .filter(|browser| browser.expires > now)
            .cloned()
    }

    /// All live browsers of a tenant.
    pub fn of_tenant(&self, tenant: &TenantId, now: SystemTime) -> Vec<(BrowserId, Browser)> {
        let entries = self.entries.lock();
        let live = entries
            .iter()
            .filter(|(_, entry)| entry.browser.tenant == *tenant && entry.browser.expires > now);
        live.map(|(id, entry)| (id.clone(), entry.browser.clone()))
            .collect()
    }

    /// Signing out: every browser of that person is gone at once, and its sessions with it.
    pub fn revoke_person(&self, person: &str) {
        self.entries
            .lock()
            .retain(|_, entry| entry.browser.person != person);
    }

    /// One browser is gone.
    pub fn revoke(&self, browser: &BrowserId) {
        self.entries.lock().remove(browser);
    }
}

/// Drops the browser of `person` that expires first while there are too many.
fn make_room(entries: &mut HashMap<BrowserId, Entry>, person: &str) {
    while entries
        .values()
        .filter(|entry| entry.browser.person == person)
        .count()
        >= BROWSERS_PER_PERSON
    {
        let oldest = entries
            .iter()
            .filter(|(_, entry)| entry.browser.person == person)
            .min_by_key(|(_, entry)| entry.browser.expires)
            .map(|(id, _)| id.clone());
        let Some(oldest) = oldest else { return };
        entries.remove(&oldest);
    }
}

/// 128 random bits in hex, which is a browser id by its form.
fn fresh_browser() -> BrowserId {
    loop {
        if let Ok(browser) = format!("{:032x}", rand::random::<u128>()).parse() {
            return browser;
        }
    }
}

fn fresh_token() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(600);

    fn home() -> TenantId {
        "home".parse().expect("tenant id")
    }

    fn start() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    #[test]
    fn a_token_opens_its_own_browser_until_it_expires() {
        let registry = BrowserRegistry::new();
        let issued = registry.issue("ada", &home(), start(), TTL);
        let (id, browser) = registry
            .verify(&issued.token, start())
            .expect("fresh token");
        assert_eq!(id, issued.browser);
        assert_eq!(
            (browser.person.as_str(), browser.tenant.as_str()),
            ("ada", "home")
        );
        assert!(registry.verify("wrong", start()).is_none());
        assert!(registry.verify(&issued.token, start() + TTL).is_none());
        assert!(registry.get(&issued.browser, start() + TTL).is_none());
    }

    #[test]
    fn renewing_keeps_the_browser_and_replaces_the_token() {
        let registry = BrowserRegistry::new();
        let first = registry.issue("ada", &home(), start(), TTL);
        let later = start() + TTL / 2;
        let second = registry
            .renew(&first.browser, "ada", later, TTL)
            .expect("still live");
        assert_eq!(first.browser, second.browser);
        assert!(registry.verify(&first.token, later).is_none());
        assert!(registry.verify(&second.token, start() + TTL).is_some());
        assert!(registry.renew(&first.browser, "eve", later, TTL).is_none());
        assert!(
            registry
                .renew(&first.browser, "ada", later + TTL, TTL)
                .is_none()
        );
    }

    #[test]
    fn signing_out_takes_every_browser_of_the_person() {
        let registry = BrowserRegistry::new();
        let ada = registry.issue("ada", &home(), start(), TTL);
        let bob = registry.issue("bob", &home(), start(), TTL);
        registry.revoke_person("ada");
        assert!(registry.get(&ada.browser, start()).is_none());
        assert_eq!(registry.of_tenant(&home(), start()).len(), 1);
        registry.revoke(&bob.browser);
        assert!(registry.of_tenant(&home(), start()).is_empty());
    }

    #[test]
    fn one_person_cannot_fill_the_registry() {
        let registry = BrowserRegistry::new();
        let first = registry.issue("ada", &home(), start(), TTL);
        for second in 1..=BROWSERS_PER_PERSON as u64 {
            registry.issue("ada", &home(), start() + Duration::from_secs(second), TTL);
        }
        assert_eq!(
            registry.of_tenant(&home(), start()).len(),
            BROWSERS_PER_PERSON
        );
        assert!(registry.get(&first.browser, start()).is_none());
    }
}
