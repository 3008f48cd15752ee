//! The broker's questions: whose token that is, and whether that camera may come in.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use heron_broker::{BrowserAccess, DeviceGate, DeviceRefused, TokenRefused, TokenVerifier};
use heron_protocol::DeviceId;

use crate::identity::{Gate, Purpose};
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

#[async_trait]
impl DeviceGate for Gate {
    async fn admit(&self, device: &DeviceId, serial: &str) -> Result<(), DeviceRefused> {
        Self::admit(self, device, serial, Purpose::Connect, SystemTime::now())
            .map_err(|refused| DeviceRefused(refused.to_string()))
    }
}
