//! `heron-control republish`: after a foreign broker lost what it had retained.
//!
//! Retained messages are a cache. A camera that connects sends its presence and all of its state again, and the control
//! plane retains nothing of its own, so whoever connects anew needs no help. What is left are cameras whose connection
//! outlived the broker's memory: their sessions are taken over, so that they connect anew; and cameras that are away:
//! for each the last that is known of it is said in its place, from the database.

use std::time::{Duration, SystemTime};

use heron_protocol::DeviceId;
use heron_protocol::messages::{Offline, Presence};

use super::takeover::{last_word, take_over};
use crate::clock::unix_ms;
use crate::home::Home;
use crate::signalling::{BrokerAddress, ConnectionRecord};

/// Between two cameras, so that a thousand do not come back in the same second.
const PACE: Duration = Duration::from_millis(20);

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Republished {
    /// Cameras that were asked to connect anew, if they were connected, and whose presence was said for them.
    pub cameras: usize,
    /// Those that were never heard of: there was nothing to say.
    pub unheard: usize,
}

/// Does it for every camera.
///
/// # Errors
///
/// The store's; or the first camera that could not be taken over, as the broker is away then.
pub async fn republish(home: &Home, broker: &BrokerAddress) -> anyhow::Result<Republished> {
    let mut done = Republished::default();
    let now_ms = unix_ms(SystemTime::now()).unsigned_abs();
    for camera in home.store.cameras.list(&home.tenant).await? {
        let device = &camera.id;
        let recent = home.store.connections.recent(device, 1).await?;
        let last = recent.first().map(|record| presence(record, now_ms));
        take_over(broker, device, last.as_ref())
            .await
            .map_err(|error| at(device, &error))?;
        match last {
            Some(_) => done.cameras += 1,
            None => done.unheard += 1,
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(done)
}

fn at(device: &DeviceId, error: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow::anyhow!("{device}: {error}")
}

/// The camera's presence as it was last heard: offline now, until it says otherwise.
fn presence(record: &ConnectionRecord, now_ms: u64) -> Presence {
    let reason = record.reason.as_deref();
    let said = reason.and_then(|word| serde_json::from_value(word.into()).ok());
    let before = Presence {
        online: record.online,
        reason: None,
        last_reason: None,
        boot_id: record.boot_id.clone(),
        firmware: record.firmware.clone(),
        slot: None,
        seq: record.seq,
        at_ms: now_ms,
    };
    let reason = if record.online { None } else { said };
    let mut last = last_word(before, reason.unwrap_or(Offline::ConnectionLost), now_ms);
    if !record.online {
        last.at_ms = record.at_ms.unsigned_abs();
    }
    last
}
