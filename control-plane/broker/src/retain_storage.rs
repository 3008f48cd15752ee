//! The retained messages as the MQTT library asks for them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use rmqtt::retain::RetainStorage;
use rmqtt::types::{Publish, Retain, TopicFilter, TopicName};

use crate::retained::Retained;

/// Lends the broker's store to the library.
pub(crate) struct Storage(pub(crate) Arc<Mutex<Retained<Retain>>>);

#[async_trait]
impl RetainStorage for Storage {
    fn enable(&self) -> bool {
        true
    }

    async fn set(
        &self,
        topic: &TopicName,
        mut retain: Retain,
        _default: Option<Duration>,
    ) -> rmqtt::Result<()> {
        let mut retained = self.0.lock();
        // "A retained message with a zero-length payload" clears (MQTT 5, 3.3.1.3).
        if retain.publish.payload.is_empty() {
            retained.clear(topic);
            return Ok(());
        }
        let bytes = retain.publish.payload.len();
        let lifetime = lifetime(&retain.publish);
        detach(&mut retain.publish);
        if let Err(full) = retained.set(topic, retain, bytes, lifetime, Instant::now()) {
            // Senders were told already by their acknowledgement; what comes here is a will.
            tracing::warn!(%topic, %full, "a will is not retained");
        }
        Ok(())
    }

    async fn get(&self, filter: &TopicFilter) -> rmqtt::Result<Vec<(TopicName, Retain)>> {
        let retained = self.0.lock();
        Ok(retained
            .matching(filter, Instant::now())
            .map(|(topic, retain, left)| {
                let mut retain = retain.clone();
                // The receiver is told what is left of the message's life, not what it began with (3.3.2.3.3).
                if let (Some(left), Some(properties)) = (left, retain.publish.properties.as_mut()) {
                    let seconds = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
                    properties.message_expiry_interval = NonZeroU32::new(seconds.max(1));
                }
                (TopicName::from(topic), retain)
            })
            .collect())
    }

    async fn count(&self) -> isize {
        isize::try_from(self.0.lock().size().0).unwrap_or(isize::MAX)
    }

    async fn max(&self) -> isize {
        -1
    }
}

fn lifetime(publish: &Publish) -> Option<Duration> {
    let seconds = publish.properties.as_ref()?.message_expiry_interval?;
    Some(Duration::from_secs(seconds.get().into()))
}

/// Copies what a message holds out of the receive buffer. A slice of a few bytes would keep kilobytes of it alive for
/// as long as the message is retained.
fn detach(publish: &mut Publish) {
    publish.topic = TopicName::from(&*publish.topic);
    publish.payload = publish.payload.to_vec().into();
    if let Some(properties) = publish.properties.as_mut() {
        for text in [&mut properties.content_type, &mut properties.response_topic]
            .into_iter()
            .flatten()
        {
            *text = TopicName::from(&**text);
        }
        if let Some(data) = &mut properties.correlation_data {
            *data = data.to_vec().into();
        }
        for (name, value) in &mut properties.user_properties {
            *name = TopicName::from(&**name);
            *value = TopicName::from(&**value);
        }
    }
}
