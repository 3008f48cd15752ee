//! The seam to the control plane's sign-in: who a browser is, by the token it shows as its password.

use std::time::SystemTime;

use async_trait::async_trait;
use heron_protocol::{BrowserId, TenantId};
use thiserror::Error;

/// What a valid token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrowserAccess {
    /// The tenant whose tree the browser lives in.
    pub tenant: TenantId,
    /// The browser the token was made for; it must be the MQTT client id.
    pub browser: BrowserId,
    /// When the token ends. The broker closes the connection then.
    pub expires: SystemTime,
}

/// Why a token is not accepted, for the log. The browser only learns that it was not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct TokenRefused(pub String);

/// Checks the tokens of browsers. Called once for each connection attempt, on the broker's threads.
#[async_trait]
pub trait TokenVerifier: Send + Sync + 'static {
    /// Says whom `token` belongs to. The broker itself compares the browser and the expiry.
    ///
    /// # Errors
    ///
    /// [`TokenRefused`] when the token is not one of the control plane's, or is no longer valid.
    async fn verify(&self, token: &str) -> Result<BrowserAccess, TokenRefused>;
}
