//! The browsers that have shown a valid token, until it ends.

use std::collections::HashMap;
use std::time::Instant;

use heron_protocol::{BrowserId, TenantId};
use thiserror::Error;

/// Another tenant's browser has that id already.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("another tenant's browser has this id")]
pub(crate) struct Taken;

struct Admission {
    tenant: TenantId,
    until: Instant,
}

/// Which tenant a connected browser belongs to, and when its time is over.
#[derive(Default)]
pub(crate) struct Admissions {
    browsers: HashMap<BrowserId, Admission>,
}

impl Admissions {
    /// Lets a browser in until `until`. A browser that comes back with a newer token stays longer; its session, which
    /// it may resume, never passes to another tenant.
    pub(crate) fn admit(
        &mut self,
        browser: BrowserId,
        tenant: TenantId,
        until: Instant,
        now: Instant,
    ) -> Result<(), Taken> {
        if self
            .browsers
            .get(&browser)
            .is_some_and(|present| present.tenant != tenant && present.until > now)
        {
            return Err(Taken);
        }
        self.browsers.insert(browser, Admission { tenant, until });
        Ok(())
    }

    /// The tenant of a browser whose token is still valid.
    pub(crate) fn tenant(&self, browser: &BrowserId, now: Instant) -> Option<&TenantId> {
        self.browsers
            .get(browser)
            .filter(|present| present.until > now)
            .map(|present| &present.tenant)
    }

    /// Forgets the browsers whose token has ended, and says which they were.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<BrowserId> {
        self.browsers
            .extract_if(|_, present| present.until <= now)
            .map(|(browser, _)| browser)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn browser() -> BrowserId {
        "browser-01".parse().unwrap()
    }

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    #[test]
    fn a_browser_is_let_in_until_its_token_ends() {
        let now = Instant::now();
        let end = now + Duration::from_secs(60);
        let mut admissions = Admissions::default();
        admissions
            .admit(browser(), tenant("home"), end, now)
            .unwrap();
        assert_eq!(admissions.tenant(&browser(), now), Some(&tenant("home")));
        assert_eq!(admissions.expire(end - Duration::from_millis(1)), []);
        assert_eq!(admissions.tenant(&browser(), end), None);
        assert_eq!(admissions.expire(end), [browser()]);
        assert_eq!(admissions.expire(end), []);
    }

    #[test]
    fn a_newer_token_prolongs_the_stay() {
        let now = Instant::now();
        let mut admissions = Admissions::default();
        admissions
            .admit(
                browser(),
                tenant("home"),
                now + Duration::from_secs(60),
                now,
            )
            .unwrap();
        admissions
            .admit(
                browser(),
                tenant("home"),
                now + Duration::from_secs(90),
                now,
            )
            .unwrap();
        assert_eq!(admissions.expire(now + Duration::from_secs(60)), []);
    }

    #[test]
    fn a_browser_does_not_change_its_tenant() {
        let now = Instant::now();
        let end = now + Duration::from_secs(60);
        let mut admissions = Admissions::default();
        admissions
            .admit(browser(), tenant("home"), end, now)
            .unwrap();
        assert_eq!(
            admissions.admit(browser(), tenant("work"), end, now),
            Err(Taken)
        );
        assert_eq!(
            admissions.admit(browser(), tenant("work"), end, end),
            Ok(())
        );
    }
}
