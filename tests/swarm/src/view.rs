//! Who sees cameras come and go.

use std::time::SystemTime;

use heron_protocol::messages::Presence;
use heron_protocol::{DeviceId, Topic, decode};
use rumqttc::MqttOptions;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;

use crate::mqtt;

/// What the control plane listens to, and so what a subscriber must bear.
const FILTER: &str = "cam/1/+/+/up/#";

/// A presence that arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Whose.
    pub device: DeviceId,
    /// What it says.
    pub presence: Presence,
    /// When it arrived.
    pub at: SystemTime,
}

/// A view of the fleet; dropped, it disconnects.
pub struct View {
    pub(crate) seen: mpsc::UnboundedReceiver<Seen>,
    pub(crate) ready: watch::Receiver<bool>,
    pub(crate) task: AbortHandle,
}

impl Drop for View {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl View {
    /// The next presence that arrives; `None` when the view has ended.
    pub async fn next(&mut self) -> Option<Seen> {
        self.seen.recv().await
    }

    /// Waits until it is subscribed.
    pub async fn ready(&mut self) {
        // It ends only with the view itself.
        let _ = self.ready.wait_for(|ready| *ready).await;
    }
}

/// A subscriber straight at a broker without TLS on this machine: what a broker alone can show.
#[must_use]
pub fn subscriber(host: &str, port: u16) -> View {
    let options = MqttOptions::new("swarm.view", (host.to_owned(), port));
    let (client, events) = mqtt::client(options);
    let (sender, seen) = mpsc::unbounded_channel();
    let (subscribed, ready) = watch::channel(false);
    let task = tokio::spawn(mqtt::listen(
        client,
        events,
        FILTER.to_owned(),
        subscribed,
        move |publish| {
            let at = SystemTime::now();
            let topic = std::str::from_utf8(&publish.topic)
                .ok()
                .and_then(|topic| topic.parse().ok());
            if let Some(Topic::Presence(device)) = topic
                && let Ok(presence) = decode(&publish.payload)
            {
                // A view that nobody reads any more ends with its owner.
                let _ = sender.send(Seen {
                    device,
                    presence,
                    at,
                });
            }
        },
    ));
    View {
        seen,
        ready,
        task: task.abort_handle(),
    }
}
