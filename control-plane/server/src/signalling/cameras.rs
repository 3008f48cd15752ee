//! What the cameras last said of themselves: presence, reported state, telemetry. A state machine without IO.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use heron_protocol::messages::{
    CameraUpdate, Offline, Presence, ReportedState, Section, Telemetry,
};
use heron_protocol::{DeviceId, TenantId};
use serde_json::Value;

use super::moment::Moment;

/// A camera that does not say so again this long after the broker came back is not online.
const CONFIRM: Duration = Duration::from_secs(4);

/// Something about a camera changed; what browsers of its tenant are told.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraChange {
    /// Which camera.
    pub device: DeviceId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its presence, and what changed.
    pub update: CameraUpdate,
}

#[derive(Debug)]
struct Camera {
    tenant: TenantId,
    /// All that is known.
    whole: CameraUpdate,
    /// Said so since the broker was last reached.
    confirmed: bool,
}

/// All cameras that were heard of.
#[derive(Debug, Default)]
pub struct Cameras {
    known: HashMap<DeviceId, Camera>,
    confirm_by: Option<Instant>,
}

impl Cameras {
    /// All that is known of a camera.
    pub fn get(&self, device: &DeviceId) -> Option<&CameraUpdate> {
        self.known.get(device).map(|camera| &camera.whole)
    }

    /// All cameras.
    pub fn all(&self) -> HashMap<DeviceId, CameraUpdate> {
        self.known
            .iter()
            .map(|(device, camera)| (device.clone(), camera.whole.clone()))
            .collect()
    }

    /// Whose camera that is, if it was heard of before.
    pub fn tenant(&self, device: &DeviceId) -> Option<&TenantId> {
        self.known.get(device).map(|camera| &camera.tenant)
    }

    /// Whether it is connected now.
    pub fn is_online(&self, device: &DeviceId) -> bool {
        self.known.get(device).is_some_and(Camera::is_online)
    }

    /// A camera said whether it is there. `None` if that is no news, such as the will of an earlier connection.
    pub fn presence(
        &mut self,
        device: &DeviceId,
        tenant: &TenantId,
        presence: Presence,
        now: Moment,
    ) -> Option<CameraChange> {
        let camera = self.entry(device, tenant);
        if let Some(before) = &camera.whole.presence {
            if before.boot_id == presence.boot_id && presence.seq < before.seq {
                return None;
            }
            if *before == presence {
                camera.confirmed = true;
                return None;
            }
        }
        camera.confirmed = true;
        if camera.is_online() != presence.online || camera.whole.presence.is_none() {
            camera.whole.since_ms = now.unix_ms();
        }
        camera.whole.presence = Some(presence);
        Some(camera.change(device))
    }

    /// A camera reported the state of a section.
    pub fn reported(
        &mut self,
        device: &DeviceId,
        tenant: &TenantId,
        section: Section,
        reported: ReportedState,
    ) -> CameraChange {
        let camera = self.entry(device, tenant);
        let value = Value::Object(reported.state);
        camera
            .whole
            .state
            .insert(section.as_str().to_owned(), value.clone());
        let mut change = camera.change(device);
        change
            .update
            .state
            .insert(section.as_str().to_owned(), value);
        change
    }

    /// A camera sent measurements.
    pub fn telemetry(
        &mut self,
        device: &DeviceId,
        tenant: &TenantId,
        telemetry: Telemetry,
    ) -> CameraChange {
        let camera = self.entry(device, tenant);
        camera.whole.telemetry = Some(telemetry.clone());
        let mut change = camera.change(device);
        change.update.telemetry = Some(telemetry);
        change
    }

    /// A camera was put out. Its will says so too, if it left one; this does not depend on it.
    pub fn put_out(&mut self, device: &DeviceId, now: Moment) -> Option<CameraChange> {
        let camera = self.known.get_mut(device)?;
        if !camera.is_online() {
            return None;
        }
        camera.gone(Offline::Certificate, now);
        Some(camera.change(device))
    }

    /// A camera was removed.
    pub fn forget(&mut self, device: &DeviceId) {
        self.known.remove(device);
    }

    /// The broker was away and is back: it may have forgotten who was online, so everybody has to say so again.
    pub fn reconnected(&mut self, now: Moment) {
        for camera in self.known.values_mut() {
            camera.confirmed = false;
        }
        self.confirm_by = Some(now.steady + CONFIRM);
    }

    /// Who has not said so again in time is offline.
    pub fn tick(&mut self, now: Moment) -> Vec<CameraChange> {
        if self.confirm_by.is_none_or(|by| by > now.steady) {
            return Vec::new();
        }
        self.confirm_by = None;
        let mut changes = Vec::new();
        for (device, camera) in &mut self.known {
            if camera.confirmed || !camera.is_online() {
                continue;
            }
            camera.gone(Offline::ConnectionLost, now);
            changes.push(camera.change(device));
        }
        changes
    }

    fn entry(&mut self, device: &DeviceId, tenant: &TenantId) -> &mut Camera {
        self.known.entry(device.clone()).or_insert_with(|| Camera {
            tenant: tenant.clone(),
            whole: CameraUpdate::default(),
            confirmed: true,
        })
    }
}

impl Camera {
    fn is_online(&self) -> bool {
        self.whole
            .presence
            .as_ref()
            .is_some_and(|presence| presence.online)
    }

    /// It did not say so itself.
    fn gone(&mut self, reason: Offline, now: Moment) {
        if let Some(presence) = &mut self.whole.presence {
            presence.online = false;
            presence.reason = Some(reason);
            presence.last_reason = None;
        }
        self.whole.since_ms = now.unix_ms();
    }

    fn change(&self, device: &DeviceId) -> CameraChange {
        let presence = self.whole.presence.clone();
        let update = CameraUpdate {
            presence,
            since_ms: self.whole.since_ms,
            ..CameraUpdate::default()
        };
        CameraChange {
            device: device.clone(),
            tenant: self.tenant.clone(),
            update,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> DeviceId {
        "front-door-01".parse().expect("device id")
    }

    fn home() -> TenantId {
        "home".parse().expect("tenant id")
    }

    fn presence(online: bool, boot: &str, seq: u64) -> Presence {
        let reason = (!online).then_some(Offline::ConnectionLost);
        Presence {
            online,
            reason,
            boot_id: boot.into(),
            firmware: "1".into(),
            slot: None,
            last_reason: None,
            seq,
            at_ms: 0,
        }
    }

    fn later(now: Moment, time: Duration) -> Moment {
        Moment {
            steady: now.steady + time,
            calendar: now.calendar + time,
        }
    }

    #[test]
    fn the_will_of_an_earlier_connection_does_not_take_a_camera_offline() {
        let now = Moment::now();
        let mut cameras = Cameras::default();
        assert!(
            cameras
                .presence(&device(), &home(), presence(true, "a", 2), now)
                .is_some()
        );
        assert!(
            cameras
                .presence(&device(), &home(), presence(false, "a", 1), now)
                .is_none()
        );
        assert!(cameras.is_online(&device()));
        assert!(
            cameras
                .presence(&device(), &home(), presence(false, "a", 2), now)
                .is_some()
        );
        assert!(!cameras.is_online(&device()));
        assert!(
            cameras
                .presence(&device(), &home(), presence(true, "b", 1), now)
                .is_some(),
            "after a reboot"
        );
    }

    #[test]
    fn since_is_when_it_went_on_or_off_and_not_when_it_said_so_again() {
        let now = Moment::now();
        let mut cameras = Cameras::default();
        cameras.presence(&device(), &home(), presence(true, "a", 1), now);
        let since = cameras.get(&device()).expect("known").since_ms;
        cameras.presence(
            &device(),
            &home(),
            presence(true, "a", 2),
            later(now, CONFIRM),
        );
        assert_eq!(cameras.get(&device()).expect("known").since_ms, since);
        cameras.presence(
            &device(),
            &home(),
            presence(false, "a", 2),
            later(now, CONFIRM),
        );
        assert_eq!(
            cameras.get(&device()).expect("known").since_ms,
            since + 4000
        );
    }

    #[test]
    fn after_the_broker_was_away_a_camera_must_say_again_that_it_is_there() {
        let now = Moment::now();
        let other: DeviceId = "back-door-01".parse().expect("device id");
        let mut cameras = Cameras::default();
        cameras.presence(&device(), &home(), presence(true, "a", 1), now);
        cameras.presence(&other, &home(), presence(true, "b", 1), now);
        cameras.reconnected(now);
        cameras.presence(&device(), &home(), presence(true, "a", 1), now);
        assert_eq!(cameras.tick(later(now, CONFIRM / 2)), []);
        let changes = cameras.tick(later(now, CONFIRM));
        assert_eq!(
            changes
                .iter()
                .map(|change| &change.device)
                .collect::<Vec<_>>(),
            [&other]
        );
        assert!(cameras.is_online(&device()) && !cameras.is_online(&other));
        assert!(
            cameras
                .presence(&other, &home(), presence(true, "b", 1), now)
                .is_some(),
            "late, but back"
        );
    }

    #[test]
    fn a_change_carries_what_changed_and_the_whole_keeps_everything() {
        let now = Moment::now();
        let mut cameras = Cameras::default();
        cameras.presence(&device(), &home(), presence(true, "a", 1), now);
        let state = serde_json::json!({"width": 1280})
            .as_object()
            .cloned()
            .expect("object");
        let reported = ReportedState {
            rev: 0,
            state,
            errors: Default::default(),
        };
        let change = cameras.reported(&device(), &home(), Section::Video, reported);
        assert_eq!(change.update.state["video"]["width"], 1280);
        let change = cameras.telemetry(&device(), &home(), Telemetry::default());
        assert!(change.update.state.is_empty() && change.update.presence.is_some());
        let whole = cameras.get(&device()).expect("known");
        assert!(whole.telemetry.is_some() && whole.state.contains_key("video"));
    }
}
