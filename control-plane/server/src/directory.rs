//! Signalling's seams to the store: who may watch what, and who came and went.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use heron_protocol::DeviceId;
use heron_protocol::grant::Right;

use crate::clock::unix_ms;
use crate::identity::Gate;
use crate::signalling::{CameraRecord, ConnectionRecord, Directory, PresenceLog};
use crate::store::{Role, Standing, Store};

/// Every account may watch and hear every camera of its own tenant, and an admin may also be heard there and change
/// things; roles of finer grain belong here.
pub struct StoredDirectory {
    store: Store,
    gate: Arc<Gate>,
}

impl StoredDirectory {
    /// Over that store.
    pub const fn new(store: Store, gate: Arc<Gate>) -> Self {
        Self { store, gate }
    }
}

#[async_trait]
impl Directory for StoredDirectory {
    async fn camera(&self, device: &DeviceId) -> anyhow::Result<Option<CameraRecord>> {
        let camera = self.store.cameras.find(device.as_str()).await?;
        Ok(camera.map(|camera| CameraRecord {
            tenant: camera.tenant,
            name: camera.name,
            kept_out: self.gate.standing(device).err().map(|why| why.to_string()),
        }))
    }

    async fn may_view(&self, person: &str, device: &DeviceId) -> anyhow::Result<Vec<Right>> {
        let person = self.store.people.by_id(person).await?;
        let camera = self.store.cameras.find(device.as_str()).await?;
        let (Some(person), Some(camera)) = (person, camera) else {
            return Ok(Vec::new());
        };
        if person.tenant != camera.tenant || self.gate.standing(device).is_err() {
            return Ok(Vec::new());
        }
        Ok(match person.role {
            Role::Viewer => vec![Right::View, Right::Listen],
            Role::Admin => vec![Right::View, Right::Listen, Right::Talk, Right::Control],
        })
    }
}

/// Writes presence down, and quarantines an identity that is used twice; the gate learns of that from the store.
pub struct StoredPresence {
    store: Store,
}

impl StoredPresence {
    /// In that store.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl PresenceLog for StoredPresence {
    async fn connections(&self, records: &[ConnectionRecord]) -> anyhow::Result<()> {
        Ok(self.store.connections.add(records).await?)
    }

    async fn cloned(&self, device: &DeviceId, evidence: &str) -> anyhow::Result<()> {
        let now_ms = unix_ms(SystemTime::now());
        let camera = self.store.cameras.find(device.as_str()).await?;
        if camera.is_some_and(|camera| camera.standing == Standing::Trusted) {
            let certificates = &self.store.certificates;
            certificates
                .set_standing(device, Standing::Quarantined, Some(evidence), now_ms)
                .await?;
        }
        Ok(())
    }
}
