//! News of cameras: what they say of themselves goes to the API, to the browsers of their tenant and to the log.

use heron_protocol::messages::{Presence, ReportedState, Telemetry};
use heron_protocol::{DeviceId, Refused, TenantId, Topic, decode};

use super::cameras::CameraChange;
use super::counters::Counters;
use super::moment::Moment;
use super::seams::ConnectionRecord;
use super::switchboard::{Outbox, Switchboard};

/// What presence told.
#[derive(Debug, Clone, PartialEq)]
pub enum PresenceLine {
    /// A camera came or went.
    Connection(ConnectionRecord),
    /// Two devices go by one identity; how that was seen.
    Cloned(DeviceId, String),
}

impl Switchboard {
    pub(super) async fn camera_says(
        &mut self,
        topic: &Topic,
        payload: &[u8],
        now: Moment,
        out: &mut Outbox,
    ) {
        let Some(device) = topic.device() else { return };
        let known = self.shared.cameras.read().tenant(device).cloned();
        let tenant = match known {
            Some(tenant) => tenant,
            None => match self.opener.directory.camera(device).await {
                Ok(Some(camera)) => camera.tenant,
                // Removed, with retained messages left behind, or of another installation.
                Ok(None) => return Counters::count(&self.shared.counters.foreign),
                Err(reason) => {
                    return tracing::error!(%reason, %device, "camera could not be looked up");
                }
            },
        };
        let change = match self.change(topic, device, &tenant, payload, now, out) {
            Ok(change) => change,
            Err(refused) => return self.malformed(&refused, device.as_str()),
        };
        let Some(change) = change else { return };
        let presence = change.update.presence.as_ref();
        if matches!(topic, Topic::Presence(_)) && presence.is_some_and(|presence| presence.online) {
            let effects = self.sessions.camera_back(device);
            self.apply(effects, out);
        }
        self.announce(change, now, out);
    }

    fn change(
        &mut self,
        topic: &Topic,
        device: &DeviceId,
        tenant: &TenantId,
        payload: &[u8],
        now: Moment,
        out: &mut Outbox,
    ) -> Result<Option<CameraChange>, Refused> {
        let cameras = &self.shared.cameras;
        Ok(match topic {
            // An empty retained message only clears the broker's copy.
            _ if payload.is_empty() => None,
            Topic::Presence(_) => {
                let presence: Presence = decode(payload)?;
                if presence.online
                    && let Some(times) = self.clones.online(device, &presence.boot_id, now.steady)
                {
                    let evidence = format!(
                        "two devices use this identity: it went back to an earlier boot {times} times within minutes"
                    );
                    out.presence
                        .push(PresenceLine::Cloned(device.clone(), evidence));
                }
                let record = connection(device, &presence, now);
                let change = cameras.write().presence(device, tenant, presence, now);
                if change.is_some() {
                    out.presence.push(PresenceLine::Connection(record));
                }
                change
            }
            Topic::ReportedState(_, section) => {
                let reported: ReportedState = decode(payload)?;
                Some(cameras.write().reported(device, tenant, *section, reported))
            }
            Topic::Telemetry(_) => {
                let telemetry: Telemetry = decode(payload)?;
                Some(cameras.write().telemetry(device, tenant, telemetry))
            }
            _ => None,
        })
    }

    /// Tells the API and every browser of the tenant.
    pub(super) fn announce(&self, change: CameraChange, now: Moment, out: &mut Outbox) {
        for (browser, _) in self.browsers.of_tenant(&change.tenant, now.calendar) {
            let topic = Topic::ViewCamera(change.tenant.clone(), browser, change.device.clone());
            self.push(topic, &change.update, out);
        }
        // Nobody has to listen.
        let _ = self.shared.changes.send(change);
    }
}

/// A line of the presence log.
pub(super) fn connection(device: &DeviceId, presence: &Presence, now: Moment) -> ConnectionRecord {
    let reason = presence.reason.or(presence.last_reason);
    let reason = reason.and_then(|reason| serde_json::to_value(reason).ok());
    ConnectionRecord {
        camera: device.clone(),
        at_ms: now.unix_ms().cast_signed(),
        online: presence.online,
        reason: reason.and_then(|reason| reason.as_str().map(str::to_owned)),
        boot_id: presence.boot_id.clone(),
        firmware: presence.firmware.clone(),
        seq: presence.seq,
    }
}
