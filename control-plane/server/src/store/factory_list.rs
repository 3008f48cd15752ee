//! The factory list: devices that may enrol by the key that was made with them.

use async_trait::async_trait;
use heron_protocol::{DeviceId, TenantId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Sql, StoreError, checked};

/// A device that may enrol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactoryRow {
    /// The organisation it will belong to.
    pub tenant: TenantId,
    /// Its serial number.
    pub serial: String,
    /// SHA-256 of its SubjectPublicKeyInfo (DER), lower-case hexadecimal.
    pub key_sha256: String,
    /// What to call it.
    pub name: Option<String>,
    /// When it was listed.
    pub listed_ms: i64,
    /// The camera that it became.
    pub camera: Option<DeviceId>,
}

/// The factory list, stored.
#[async_trait]
pub trait FactoryList: Send + Sync {
    /// Lists devices; one that is listed already is listed anew. One that has enrolled stays so, unless its key changed
    /// or its camera was removed.
    async fn list(&self, entries: &[FactoryRow]) -> Result<(), StoreError>;
    /// All of a tenant, by serial number.
    async fn all(&self, tenant: &TenantId) -> Result<Vec<FactoryRow>, StoreError>;
    /// One of a tenant.
    async fn find(&self, tenant: &TenantId, serial: &str)
    -> Result<Option<FactoryRow>, StoreError>;
}

fn entry(row: &AnyRow) -> Result<FactoryRow, StoreError> {
    let camera: Option<String> = row.try_get("camera")?;
    Ok(FactoryRow {
        tenant: checked("tenant", row.try_get("tenant")?)?,
        serial: row.try_get("serial")?,
        key_sha256: row.try_get("key_sha256")?,
        name: row.try_get("name")?,
        listed_ms: row.try_get("listed_ms")?,
        camera: camera
            .map(|camera| checked("device id", camera))
            .transpose()?,
    })
}

#[async_trait]
impl FactoryList for Sql {
    async fn list(&self, entries: &[FactoryRow]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        for entry in entries {
            sqlx::query(
                "INSERT INTO factory_entry (tenant, serial, key_sha256, name, listed_ms) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (tenant, serial) DO UPDATE SET
                     camera = CASE WHEN factory_entry.key_sha256 = excluded.key_sha256
                         AND factory_entry.camera IN (SELECT id FROM camera) THEN factory_entry.camera END,
                     key_sha256 = excluded.key_sha256, name = excluded.name, listed_ms = excluded.listed_ms",
            )
            .bind(entry.tenant.as_str())
            .bind(&entry.serial)
            .bind(&entry.key_sha256)
            .bind(&entry.name)
            .bind(entry.listed_ms)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn all(&self, tenant: &TenantId) -> Result<Vec<FactoryRow>, StoreError> {
        sqlx::query("SELECT * FROM factory_entry WHERE tenant = $1 ORDER BY serial")
            .bind(tenant.as_str())
            .fetch_all(&self.pool)
            .await?
            .iter()
            .map(entry)
            .collect()
    }

    async fn find(
        &self,
        tenant: &TenantId,
        serial: &str,
    ) -> Result<Option<FactoryRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM factory_entry WHERE tenant = $1 AND serial = $2")
            .bind(tenant.as_str())
            .bind(serial)
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(entry).transpose()
    }
}
