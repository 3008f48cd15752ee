//! The seam to the control plane's identities: whether a camera, whose certificate TLS has verified, may come in.
//!
//! TLS knows that a certificate was issued and is in date. It does not know that it was revoked since, or that its
//! camera is quarantined: that is asked here, at each CONNECT.

use async_trait::async_trait;
use heron_protocol::DeviceId;
use thiserror::Error;

/// Why a camera is not let in, for the log. The camera is told "not authorized" (CONNACK 0x87).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct DeviceRefused(pub String);

/// Decides about cameras. Called once for each connection attempt, on the broker's threads.
#[async_trait]
pub trait DeviceGate: Send + Sync + 'static {
    /// Whether `device` may connect with the certificate whose serial number is `serial`: lower-case hexadecimal
    /// without leading zeros or colons. An answer that takes longer than
    /// [`Limits::handshake`](crate::Limits::handshake) is a refusal.
    ///
    /// # Errors
    ///
    /// [`DeviceRefused`]: the certificate is revoked or unknown, or the camera is to stay out.
    async fn admit(&self, device: &DeviceId, serial: &str) -> Result<(), DeviceRefused>;
}

/// Lets in whoever TLS lets in: every certificate of the device CA that is in date.
#[derive(Debug, Clone, Copy, Default)]
pub struct EveryDevice;

#[async_trait]
impl DeviceGate for EveryDevice {
    async fn admit(&self, _device: &DeviceId, _serial: &str) -> Result<(), DeviceRefused> {
        Ok(())
    }
}
