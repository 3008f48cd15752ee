//! Cameras.

use async_trait::async_trait;
use heron_protocol::{DeviceId, TenantId};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{Sql, Standing, StoreError, certificates, checked, taken};

/// A camera that was added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CameraRow {
    /// The device id: the common name of its certificate.
    pub id: DeviceId,
    /// The organisation that owns it.
    pub tenant: TenantId,
    /// What people call it; unique in the tenant.
    pub name: String,
    /// Where it is, if people said so.
    pub site: Option<String>,
    /// What people filed it under.
    pub tags: Vec<String>,
    /// When it was added.
    pub added_ms: i64,
    /// Whether it may take part.
    pub standing: Standing,
    /// Why not.
    pub standing_reason: Option<String>,
    /// Since when its standing is what it is.
    pub standing_since_ms: Option<i64>,
}

impl CameraRow {
    /// A camera that may take part.
    pub fn new(id: DeviceId, tenant: TenantId, name: String, added_ms: i64) -> Self {
        Self {
            id,
            tenant,
            name,
            site: None,
            tags: Vec::new(),
            added_ms,
            standing: Standing::Trusted,
            standing_reason: None,
            standing_since_ms: None,
        }
    }
}

/// Cameras, stored.
#[async_trait]
pub trait Cameras: Send + Sync {
    /// Adds one without a certificate; it enrols later.
    async fn add(&self, camera: &CameraRow) -> Result<(), StoreError>;
    /// All of a tenant, by name.
    async fn list(&self, tenant: &TenantId) -> Result<Vec<CameraRow>, StoreError>;
    /// All, whosever they are.
    async fn everywhere(&self) -> Result<Vec<CameraRow>, StoreError>;
    /// One of a tenant.
    async fn get(&self, tenant: &TenantId, id: &str) -> Result<Option<CameraRow>, StoreError>;
    /// One, whosever it is.
    async fn find(&self, id: &str) -> Result<Option<CameraRow>, StoreError>;
    /// Removes one and revokes its certificates; false if there was none.
    async fn remove(&self, tenant: &TenantId, id: &str, now_ms: i64) -> Result<bool, StoreError>;
}

fn camera(row: &AnyRow) -> Result<CameraRow, StoreError> {
    Ok(CameraRow {
        id: checked("device id", row.try_get("id")?)?,
        tenant: checked("tenant", row.try_get("tenant")?)?,
        name: row.try_get("name")?,
        site: row.try_get("site")?,
        tags: tags(row)?,
        added_ms: row.try_get("added_ms")?,
        standing: checked("standing", row.try_get("standing")?)?,
        standing_reason: row.try_get("standing_reason")?,
        standing_since_ms: row.try_get("standing_since_ms")?,
    })
}

/// A JSON array of texts.
pub(super) fn tags(row: &AnyRow) -> Result<Vec<String>, StoreError> {
    let value: String = row.try_get("tags")?;
    serde_json::from_str(&value).map_err(|_| StoreError::Corrupt {
        what: "list of tags",
        value,
    })
}

/// As [`tags`] reads them.
pub(super) fn tags_text(tags: &[String]) -> String {
    serde_json::Value::from(tags).to_string()
}

/// Adds a camera's row.
pub(super) async fn insert(
    connection: &mut AnyConnection,
    camera: &CameraRow,
) -> Result<(), StoreError> {
    let there = sqlx::query("SELECT 1 FROM camera WHERE id = $1")
        .bind(camera.id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if there.is_some() {
        return Err(StoreError::NameTaken {
            what: "device",
            name: camera.id.to_string(),
        });
    }
    sqlx::query(
        "INSERT INTO camera (id, tenant, name, site, tags, added_ms) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(camera.id.as_str())
    .bind(camera.tenant.as_str())
    .bind(&camera.name)
    .bind(&camera.site)
    .bind(tags_text(&camera.tags))
    .bind(camera.added_ms)
    .execute(connection)
    .await
    .map_err(taken("camera", &camera.name))?;
    Ok(())
}

#[async_trait]
impl Cameras for Sql {
    async fn add(&self, camera: &CameraRow) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        insert(&mut transaction, camera).await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn list(&self, tenant: &TenantId) -> Result<Vec<CameraRow>, StoreError> {
        let query = sqlx::query("SELECT * FROM camera WHERE tenant = $1 ORDER BY name");
        query
            .bind(tenant.as_str())
            .fetch_all(&self.pool)
            .await?
            .iter()
            .map(camera)
            .collect()
    }

    async fn everywhere(&self) -> Result<Vec<CameraRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM camera")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(camera).collect()
    }

    async fn get(&self, tenant: &TenantId, id: &str) -> Result<Option<CameraRow>, StoreError> {
        let found = self.find(id).await?;
        Ok(found.filter(|camera| camera.tenant == *tenant))
    }

    async fn find(&self, id: &str) -> Result<Option<CameraRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM camera WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(camera).transpose()
    }

    async fn remove(&self, tenant: &TenantId, id: &str, now_ms: i64) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let delete = sqlx::query("DELETE FROM camera WHERE tenant = $1 AND id = $2");
        let done = delete
            .bind(tenant.as_str())
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let reason = "the camera was removed";
        certificates::revoke_all(&mut transaction, id, reason, now_ms).await?;
        certificates::event(&mut transaction, id, "removed", None, Some(reason), now_ms).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
