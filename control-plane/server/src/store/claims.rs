//! Claims: secrets by which cameras enrol, each for a while and so many times.

use async_trait::async_trait;
use heron_protocol::{DeviceId, TenantId};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::cameras::{tags, tags_text};
use super::{Sql, StoreError, checked, small};

/// How long a claim that has expired is still listed.
const KEPT_MS: i64 = 30 * 24 * 3600 * 1000;

/// A claim. Its secret is kept as SHA-256 only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRow {
    /// Names it in the API.
    pub id: String,
    /// The organisation that its cameras will belong to.
    pub tenant: TenantId,
    /// What to call its cameras, if people said so.
    pub name: Option<String>,
    /// Where they are.
    pub site: Option<String>,
    /// What to file them under.
    pub tags: Vec<String>,
    /// How many cameras may enrol with it.
    pub max_uses: u32,
    /// How many have.
    pub uses: u32,
    /// When it was made.
    pub made_ms: i64,
    /// Its end.
    pub expires_ms: i64,
}

/// Claims, stored.
#[async_trait]
pub trait Claims: Send + Sync {
    /// Adds one. Those that expired long ago are forgotten.
    async fn add(&self, claim: &ClaimRow, secret_hash: &[u8; 32]) -> Result<(), StoreError>;
    /// All of a tenant, the newest first.
    async fn list(&self, tenant: &TenantId) -> Result<Vec<ClaimRow>, StoreError>;
    /// Forgets one; false if there was none.
    async fn remove(&self, tenant: &TenantId, id: &str) -> Result<bool, StoreError>;
    /// The one with that secret.
    async fn by_secret(&self, secret_hash: &[u8; 32]) -> Result<Option<ClaimRow>, StoreError>;
    /// The camera that enrolled with it by that key.
    async fn camera_of(&self, id: &str, key_sha256: &str) -> Result<Option<DeviceId>, StoreError>;
}

fn claim(row: &AnyRow) -> Result<ClaimRow, StoreError> {
    Ok(ClaimRow {
        id: row.try_get("id")?,
        tenant: checked("tenant", row.try_get("tenant")?)?,
        name: row.try_get("name")?,
        site: row.try_get("site")?,
        tags: tags(row)?,
        max_uses: small(row, "max_uses")?,
        uses: small(row, "uses")?,
        made_ms: row.try_get("made_ms")?,
        expires_ms: row.try_get("expires_ms")?,
    })
}

#[async_trait]
impl Claims for Sql {
    async fn add(&self, claim: &ClaimRow, secret_hash: &[u8; 32]) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        sqlx::query("DELETE FROM claim WHERE expires_ms < $1")
            .bind(claim.made_ms - KEPT_MS)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "INSERT INTO claim (id, tenant, secret_hash, name, site, tags, max_uses, made_ms, expires_ms)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&claim.id)
        .bind(claim.tenant.as_str())
        .bind(secret_hash.as_slice())
        .bind(&claim.name)
        .bind(&claim.site)
        .bind(tags_text(&claim.tags))
        .bind(i64::from(claim.max_uses))
        .bind(claim.made_ms)
        .bind(claim.expires_ms)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    async fn list(&self, tenant: &TenantId) -> Result<Vec<ClaimRow>, StoreError> {
        sqlx::query("SELECT * FROM claim WHERE tenant = $1 ORDER BY made_ms DESC, id")
            .bind(tenant.as_str())
            .fetch_all(&self.pool)
            .await?
            .iter()
            .map(claim)
            .collect()
    }

    async fn remove(&self, tenant: &TenantId, id: &str) -> Result<bool, StoreError> {
        let delete = sqlx::query("DELETE FROM claim WHERE tenant = $1 AND id = $2");
        let done = delete
            .bind(tenant.as_str())
            .bind(id)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    async fn by_secret(&self, secret_hash: &[u8; 32]) -> Result<Option<ClaimRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM claim WHERE secret_hash = $1")
            .bind(secret_hash.as_slice())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(claim).transpose()
    }

    async fn camera_of(&self, id: &str, key_sha256: &str) -> Result<Option<DeviceId>, StoreError> {
        let row = sqlx::query("SELECT camera FROM claim_use WHERE claim = $1 AND key_sha256 = $2")
            .bind(id)
            .bind(key_sha256)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| checked("device id", row.try_get("camera")?))
            .transpose()
    }
}
