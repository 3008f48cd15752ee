//! The broker's question whose token that is, answered from the registry of browsers.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use heron_broker::{BrowserAccess, TokenRefused, TokenVerifier};

use crate::signalling::BrowserRegistry;

/// Checks tokens for the broker.
pub struct RegisteredTokens {
    browsers: Arc<BrowserRegistry>,
}

impl RegisteredTokens {
    /// Of these browsers.
    pub const fn new(browsers: Arc<BrowserRegistry>) -> Self {
        Self { browsers }
    }
}

#[async_trait]
impl TokenVerifier for RegisteredTokens {
    async fn verify(&self, token: &str) -> Result<BrowserAccess, TokenRefused> {
        let found = self.browsers.verify(token, SystemTime::now());
        let (browser, access) = found.ok_or_else(|| {
            TokenRefused("the browser token is unknown or has expired".to_owned())
        })?;
        Ok(BrowserAccess {
            tenant: access.tenant,
            browser,
            expires: access.expires,
        })
    }
}
