//! Who may watch what: signalling's question, answered from the store.

use async_trait::async_trait;
use heron_protocol::DeviceId;
use heron_protocol::grant::Right;

use crate::signalling::{CameraRecord, Directory};
use crate::store::{Role, Store};

/// Every account may watch and hear every camera of its own tenant, and an admin may also be heard there and change
/// things; roles of finer grain belong here.
pub struct StoredDirectory {
    store: Store,
}

impl StoredDirectory {
    /// Over that store.
    pub const fn new(store: Store) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Directory for StoredDirectory {
    async fn camera(&self, device: &DeviceId) -> anyhow::Result<Option<CameraRecord>> {
        let camera = self.store.cameras.find(device.as_str()).await?;
        Ok(camera.map(|camera| CameraRecord {
            tenant: camera.tenant,
            name: camera.name,
        }))
    }

    async fn may_view(&self, person: &str, device: &DeviceId) -> anyhow::Result<Vec<Right>> {
        let person = self.store.people.by_id(person).await?;
        let camera = self.store.cameras.find(device.as_str()).await?;
        let (Some(person), Some(camera)) = (person, camera) else {
            return Ok(Vec::new());
        };
        if person.tenant != camera.tenant {
            return Ok(Vec::new());
        }
        Ok(match person.role {
            Role::Viewer => vec![Right::View, Right::Listen],
            Role::Admin => vec![Right::View, Right::Listen, Right::Talk, Right::Control],
        })
    }
}
