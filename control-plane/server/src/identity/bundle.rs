//! The device bundle: all that a camera needs to find the control plane and to be known there.

use heron_protocol::{DeviceId, TenantId};
use serde::{Deserialize, Serialize};

/// A device bundle. It is written as TOML, once, and holds the camera's private key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// The device id, also the common name of its certificate.
    pub device: DeviceId,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// Where the broker listens for cameras: host and port.
    pub broker: String,
    /// The control plane's HTTPS address: where the camera renews its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The CA of that address, unless it is a public one. PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_ca: Option<String>,
    /// The CA of the broker's certificate, in PEM.
    pub ca: String,
    /// The camera's certificate, in PEM.
    pub certificate: String,
    /// Its key: PKCS#8, PEM.
    pub key: String,
    /// Verifies viewer grants: SPKI, PEM.
    pub grant_key: String,
}
