//! Cameras.

use async_trait::async_trait;
use heron_protocol::{DeviceId, TenantId};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::{Sqlite, StoreError, checked, taken};

/// A camera that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraRow {
    /// The device id: the common name of its certificate.
    pub id: DeviceId,
    /// The organisation that owns it.
    pub tenant: TenantId,
    /// What people call it; unique in the tenant.
    pub name: String,
    /// Its certificate, in PEM: the public key in it is the camera's identity.
    pub certificate: String,
    /// When it was added.
    pub added_ms: i64,
}

/// Cameras, stored.
#[async_trait]
pub trait Cameras: Send + Sync {
    /// Adds one.
    async fn add(&self, camera: &CameraRow) -> Result<(), StoreError>;
    /// All of a tenant, by name.
    async fn list(&self, tenant: &TenantId) -> Result<Vec<CameraRow>, StoreError>;
    /// One of a tenant.
    async fn get(&self, tenant: &TenantId, id: &str) -> Result<Option<CameraRow>, StoreError>;
    /// One, whosever it is.
    async fn find(&self, id: &str) -> Result<Option<CameraRow>, StoreError>;
    /// Removes one; false if there was none.
    async fn remove(&self, tenant: &TenantId, id: &str) -> Result<bool, StoreError>;
}

fn camera(row: &SqliteRow) -> Result<CameraRow, StoreError> {
    Ok(CameraRow {
        id: checked("device id", row.try_get("id")?)?,
        tenant: checked("tenant", row.try_get("tenant")?)?,
        name: row.try_get("name")?,
        certificate: row.try_get("certificate")?,
        added_ms: row.try_get("added_ms")?,
    })
}

#[async_trait]
impl Cameras for Sqlite {
    async fn add(&self, camera: &CameraRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO camera (id, tenant, name, certificate, added_ms) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(camera.id.as_str())
        .bind(camera.tenant.as_str())
        .bind(&camera.name)
        .bind(&camera.certificate)
        .bind(camera.added_ms)
        .execute(&self.pool)
        .await
        .map_err(taken("camera", &camera.name))?;
        Ok(())
    }

    async fn list(&self, tenant: &TenantId) -> Result<Vec<CameraRow>, StoreError> {
        let query = sqlx::query("SELECT * FROM camera WHERE tenant = ? ORDER BY name");
        query
            .bind(tenant.as_str())
            .fetch_all(&self.pool)
            .await?
            .iter()
            .map(camera)
            .collect()
    }

    async fn get(&self, tenant: &TenantId, id: &str) -> Result<Option<CameraRow>, StoreError> {
        let found = self.find(id).await?;
        Ok(found.filter(|camera| camera.tenant == *tenant))
    }

    async fn find(&self, id: &str) -> Result<Option<CameraRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM camera WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(camera).transpose()
    }

    async fn remove(&self, tenant: &TenantId, id: &str) -> Result<bool, StoreError> {
        let delete = sqlx::query("DELETE FROM camera WHERE tenant = ? AND id = ?");
        let done = delete
            .bind(tenant.as_str())
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
