//! What the control plane tells a device about itself: `GET /api/v1/device`.

use std::time::{Duration, UNIX_EPOCH};

use heron_protocol::{DeviceId, TenantId};
use serde::Deserialize;

use crate::clock::Clock;

/// The parts of a bundle that are the control plane's to say. What else stands in the answer is not ours.
#[derive(Deserialize)]
pub struct Whereabouts {
    pub device: DeviceId,
    pub tenant: TenantId,
    /// `HOST:PORT` of the broker.
    pub broker: String,
    /// Who signs the broker's certificate, PEM.
    pub ca: String,
    /// By which grants are recognised, PEM.
    pub grant_key: String,
    /// The control plane's clock, in milliseconds since the Unix epoch.
    #[serde(default)]
    now_ms: Option<u64>,
}

impl Whereabouts {
    /// Reads an answer, and tells `clock` what time the control plane says it is.
    ///
    /// # Errors
    ///
    /// One line that names the field.
    pub fn read(text: &str, clock: &Clock) -> Result<Self, String> {
        let answer: Self =
            serde_json::from_str(text).map_err(|error| format!("GET /api/v1/device: {error}"))?;
        if let Some(now) = answer.now_ms {
            clock.tell(UNIX_EPOCH + Duration::from_millis(now));
        }
        Ok(answer)
    }
}
