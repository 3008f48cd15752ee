//! Moves messages from the outbox to the broker while there is one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use heron_protocol::messages::Offline;
use heron_protocol::{Topic, encode};
use rumqttc::{AsyncClient, ClientError, PublishOptions, PublishProperties, QoS};
use tokio::sync::watch;
use tracing::warn;

use crate::link::Shared;
use crate::outbox::Outgoing;
use crate::presence::{ConnectionNumber, Herald};

/// How long we wait for the broker to confirm our goodbye, and then for DISCONNECT to leave.
const GOODBYE: Duration = Duration::from_secs(1);

/// Runs until the link is told to stop, and then says goodbye if there is somebody to say it to.
pub async fn run(client: &AsyncClient, herald: Arc<Herald>, shared: &Shared) {
    let mut online = shared.online.subscribe();
    let mut stopping = shared.stopping.subscribe();
    loop {
        let connection = tokio::select! {
            connection = known(&mut online) => connection,
            _ = known(&mut stopping) => return,
        };
        let finished = serve(client, &herald, shared, connection, &mut stopping).await;
        if finished {
            return;
        }
    }
}

/// One connection's worth of sending; true when the link was stopped, false when the connection ended.
async fn serve(
    client: &AsyncClient,
    herald: &Herald,
    shared: &Shared,
    connection: ConnectionNumber,
    stopping: &mut watch::Receiver<Option<Offline>>,
) -> bool {
    let mut online = shared.online.subscribe();
    shared.outbox.lock().reconnected();
    let last_reason = shared.last_reason.lock().take();
    let Ok(body) = encode(&herald.online(connection, last_reason)) else {
        return false;
    };
    let presence = Topic::Presence(shared.device.clone());
    publish(client, plain(presence, body.into())).await;

    while *online.borrow_and_update() == Some(connection) {
        let next = shared.outbox.lock().take(Instant::now());
        if let Some(outgoing) = next {
            publish(client, outgoing).await;
            continue;
        }
        tokio::select! {
            biased; // what waits leaves before we do
            () = shared.wake.notified() => {}
            _ = online.changed() => {}
            reason = known(stopping) => {
                goodbye(client, herald, shared, connection, reason).await;
                return true;
            }
        }
    }
    false
}

/// `offline` with a reason, confirmed by the broker, then DISCONNECT: the will is not sent.
async fn goodbye(
    client: &AsyncClient,
    herald: &Herald,
    shared: &Shared,
    connection: ConnectionNumber,
    reason: Offline,
) {
    let Ok(body) = encode(&herald.offline(connection, reason)) else {
        return;
    };
    let outgoing = plain(Topic::Presence(shared.device.clone()), body.into());
    let (topic, body, options) = packet(outgoing);
    if let Ok(notice) = client.publish_tracked(topic, body, options).await {
        // Unconfirmed, the will tells the same a little later.
        let _ = tokio::time::timeout(GOODBYE, notice.wait_completion_async()).await;
    }
    if client.disconnect_with_timeout(GOODBYE).await.is_ok() {
        // The connection's own loop ends when DISCONNECT has left, and takes this future with it.
        tokio::time::sleep(GOODBYE).await;
    }
}

/// Waits until a value is there. The other ends live as long as the link, so this ends or is dropped.
async fn known<T: Copy>(receiver: &mut watch::Receiver<Option<T>>) -> T {
    loop {
        let value = *receiver.borrow_and_update();
        if let Some(value) = value {
            return value;
        }
        if receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn publish(client: &AsyncClient, outgoing: Outgoing) {
    let (topic, body, options) = packet(outgoing);
    if let Err(error) = client.publish(topic, body, options).await {
        let reason = match error {
            ClientError::InvalidRequest(_) => "not a valid MQTT publish".to_owned(),
            other => other.to_string(),
        };
        warn!("a message could not be queued for the broker: {reason}");
    }
}

fn plain(topic: Topic, body: Bytes) -> Outgoing {
    Outgoing {
        topic,
        body,
        expiry: None,
    }
}

fn packet(outgoing: Outgoing) -> (String, Bytes, PublishOptions) {
    let row = outgoing.topic.row();
    let qos = if row.qos == 0 {
        QoS::AtMostOnce
    } else {
        QoS::AtLeastOnce
    };
    let options = PublishOptions::new(qos).retain(row.retained);
    let options = match outgoing.expiry {
        Some(expiry) => options.properties(PublishProperties {
            message_expiry_interval: Some(
                u32::try_from(expiry.as_secs()).unwrap_or(u32::MAX).max(1),
            ),
            ..PublishProperties::default()
        }),
        None => options,
    };
    (outgoing.topic.to_string(), outgoing.body, options)
}
