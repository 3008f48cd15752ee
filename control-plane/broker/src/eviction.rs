//! Putting a camera out: its connection and its session end now.
//!
//! MQTT holds a will back for its delay, but no longer than the session lives (MQTT 5, 3.1.3.2.2). The session of a
//! camera that is put out ends with the connection, so everybody learns at once that it is gone.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use heron_protocol::DeviceId;
use parking_lot::Mutex;
use rmqtt::codec::v5::{Disconnect, DisconnectReasonCode};
use rmqtt::context::ServerContext;
use rmqtt::session::{Session, SessionState};
use rmqtt::types::{Disconnect as AnyDisconnect, From, Id, Message, Publish, Reason};

/// The cameras that were put out a moment ago. One that was let in just before, and whose session did not exist yet
/// when it was looked for, is found here when its session begins.
#[derive(Default)]
pub(crate) struct PutOut(Mutex<HashMap<DeviceId, Instant>>);

impl PutOut {
    pub(crate) fn note(&self, device: DeviceId, now: Instant) {
        self.0.lock().insert(device, now);
    }

    pub(crate) fn lately(&self, device: &DeviceId) -> bool {
        self.0.lock().contains_key(device)
    }

    /// Forgets those that were put out longer ago than a handshake takes.
    pub(crate) fn purge(&self, handshake: Duration, now: Instant) {
        self.0
            .lock()
            .retain(|_, since| now.saturating_duration_since(*since) < handshake);
    }
}

/// Ends the session of `id`, connected or not, and publishes its will. False if there is none.
pub(crate) async fn evict(library: &ServerContext, id: Id) -> bool {
    let mut entry = library.extends.shared().await.entry(id.clone());
    let Some(session) = entry.session() else {
        return false;
    };
    if session.connected().await.unwrap_or(false) {
        return close(&session, entry.tx().as_ref()).await;
    }
    // It waits to be resumed, and its will may still be waiting with it. The library drops a will with such a session.
    let owed = owed_will(&session).await;
    if let Err(error) = entry.kick(true, true, true).await {
        tracing::warn!(client = %id.client_id, %error, "cannot end the session of a camera that is put out");
    }
    if let Some(will) = owed {
        let from = From::from_lastwill(session.id.clone());
        if let Err(error) = SessionState::forwards(library, from, will, false, None).await {
            tracing::warn!(client = %id.client_id, %error, "cannot publish the will of a camera that is put out");
        }
    }
    true
}

/// Closes a connection so that the session ends with it.
pub(crate) async fn close(session: &Session, tx: Option<&rmqtt::types::Tx>) -> bool {
    let goodbye = Disconnect {
        reason_code: DisconnectReasonCode::AdministrativeAction,
        // This is what makes the library end the session, and publish the will without its delay.
        session_expiry_interval_secs: Some(0),
        reason_string: Some("put out by the control plane".into()),
        ..Disconnect::default()
    };
    if let Err(error) = session
        .disconnected_set(Some(AnyDisconnect::V5(goodbye)), None)
        .await
    {
        tracing::warn!(client = %session.id.client_id, %error, "a session outlives its camera's being put out");
    }
    let close = Message::Closed(Reason::from_static("put out by the control plane"));
    tx.is_some_and(|session| session.unbounded_send(close).is_ok())
}

/// The will of a session without a connection, unless its client said goodbye. It may have been published already;
/// then this says the same again.
async fn owed_will(session: &Session) -> Option<Publish> {
    if session.disconnect().await.ok()?.is_some() {
        return None;
    }
    let info = session.connect_info().await.ok()?;
    Publish::try_from(info.last_will()?).ok()
}
