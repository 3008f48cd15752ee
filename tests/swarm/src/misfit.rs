//! Cameras that do what no camera of ours does, each with a valid identity.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use heron_protocol::messages::Telemetry;
use heron_protocol::{DeviceId, Shard, Topic, encode};
use rumqttc::{
    AsyncClient, Event, EventLoop, Incoming, PubAckReason, PublishOptions, QoS, SubscribeReasonCode,
};
use rustls_pki_types::ServerName;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::figures::Figures;
use crate::identity::Identity;
use crate::mqtt;

/// Between the end of a connection and the next.
const PAUSE: Duration = Duration::from_millis(500);
/// Between two attempts to speak where it is not allowed.
const TRY: Duration = Duration::from_millis(200);
/// How often a flood's next wave comes.
const WAVE: Duration = Duration::from_millis(20);

/// Sends `per_second` messages of telemetry a second, or as many as the broker takes. Never ends.
pub(crate) async fn flood(identity: Identity, figures: Figures, per_second: u32) -> Result<()> {
    let (client, events) = mqtt::as_camera(&identity)?;
    let topic = Topic::Telemetry(identity.device().clone()).to_string();
    let telemetry = encode(&Telemetry::default())?;
    let wave = u64::from(per_second) * u64::try_from(WAVE.as_millis()).unwrap_or(u64::MAX) / 1000;
    let pour = async {
        let mut waves = tokio::time::interval(WAVE);
        loop {
            waves.tick().await;
            for _ in 0..wave.max(1) {
                let options = PublishOptions::new(QoS::AtMostOnce);
                if client
                    .publish(topic.as_str(), telemetry.clone(), options)
                    .await
                    .is_ok()
                {
                    figures.count(|counted| counted.sent += 1);
                }
            }
        }
    };
    tokio::select! {
        () = pour => {}
        () = keep(&client, events, &figures, None) => {}
    }
    Ok(())
}

/// Publishes and subscribes below its own id in a shard that is not its own. Never ends.
pub(crate) async fn wrong_shard(identity: Identity, figures: Figures) -> Result<()> {
    let (client, events) = mqtt::as_camera(&identity)?;
    let tree = foreign_tree(identity.device());
    let presence = format!("{tree}/up/presence");
    let push = async {
        loop {
            let options = PublishOptions::at_least_once().retained();
            if client
                .publish(presence.as_str(), "{}", options)
                .await
                .is_ok()
            {
                figures.count(|counted| counted.sent += 1);
            }
            tokio::time::sleep(TRY).await;
        }
    };
    tokio::select! {
        () = push => {}
        () = keep(&client, events, &figures, Some(format!("{tree}/dn/#"))) => {}
    }
    Ok(())
}

/// The camera's tree as it would be in the neighbouring shard.
fn foreign_tree(device: &DeviceId) -> String {
    let shard = Shard(device.shard().0 ^ 1);
    format!("cam/1/{shard}/{device}")
}

/// Keeps a client connected and counts what is refused.
async fn keep(
    client: &AsyncClient,
    mut events: EventLoop,
    figures: &Figures,
    filter: Option<String>,
) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                if let Some(filter) = &filter
                    && let Err(error) = client.try_subscribe(filter.as_str(), QoS::AtLeastOnce)
                {
                    tracing::error!(%error, "cannot subscribe");
                }
            }
            Ok(Event::Incoming(Incoming::SubAck(ack))) => {
                let refused =
                    |code: &&SubscribeReasonCode| !matches!(code, SubscribeReasonCode::Success(_));
                for _ in ack.return_codes.iter().filter(refused) {
                    figures.count(|counted| counted.refused += 1);
                }
            }
            Ok(Event::Incoming(Incoming::PubAck(ack))) => {
                if !matches!(
                    ack.reason,
                    PubAckReason::Success | PubAckReason::NoMatchingSubscribers
                ) {
                    figures.count(|counted| counted.refused += 1);
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a misfit was let go");
                figures.count(|counted| counted.closed += 1);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Connects and says nothing: `bare` not even TLS, otherwise nothing after it. Comes back when thrown out.
pub(crate) async fn silence(identity: Identity, figures: Figures, bare: bool) -> Result<()> {
    let broker = &identity.bundle.broker;
    let name = ServerName::try_from(broker.host.clone())?;
    let tls = if bare { None } else { Some(identity.tls()?) };
    loop {
        // Whatever ends it, refused or thrown out, it comes again.
        let _ = hold((broker.host.as_str(), broker.port), &name, tls.as_ref()).await;
        figures.count(|counted| counted.closed += 1);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Holds one connection until the other side ends it.
async fn hold(
    broker: (&str, u16),
    name: &ServerName<'static>,
    tls: Option<&Arc<rustls::ClientConfig>>,
) -> Result<()> {
    let mut stream = TcpStream::connect(broker).await?;
    let mut rest = [0; 64];
    match tls {
        None => while stream.read(&mut rest).await? > 0 {},
        Some(tls) => {
            let connector = TlsConnector::from(Arc::clone(tls));
            let mut stream = connector.connect(name.clone(), stream).await?;
            while stream.read(&mut rest).await? > 0 {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use heron_protocol::acl::{self, Client};

    #[test]
    fn the_wrong_shard_is_one_that_the_access_rules_refuse() {
        let device: DeviceId = "front-door-01".parse().unwrap();
        let client = Client::Device(device.clone());
        let topic = format!("{}/up/presence", foreign_tree(&device));
        assert!(acl::may_publish(&client, &topic, true).is_err());
        assert!(acl::may_publish(&client, &Topic::Presence(device).to_string(), true).is_ok());
    }
}
